import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SINK,
  FRAME_IP,
  SINK_TUN_PLAIN,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
} from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_QUEUE_FULL } from "../../assembly/layout/verdict.ts";
import { OsError } from "../../src/core/errors.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { LaneSet, type LanePorts } from "../../src/lanes/lane-set.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import { openDgram } from "../../src/os/dgram.ts";
import { DgramPort } from "../../src/ports/dgram.ts";
import { MemoryPort } from "../../src/ports/memory.ts";
import { udpDatagram } from "./packets.ts";

const GROUP = "232.1.2.3";
const SOURCE = "192.0.2.44";
const ANY = { address: "127.0.0.1", port: 0 };

function startLane(ports: LanePorts, relay: number, failures: Error[]): Promise<LaneSet> {
  return LaneSet.start({
    replace: false,
    lanes: [ports],
    prime(_lane, commands) {
      commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
      commands.relay({ address: "127.0.0.1", port: relay });
      commands.route(COMMAND_MEMBER_ADD, GROUP, SOURCE, 0);
    },
    punt() {},
    failed: (reason) => failures.push(reason),
  });
}

test("while a lane's outlet is full its socket's queue fills, the rest is counted, and in is out plus drops", async () => {
  const [relay, socket] = await Promise.all([openDgram(ANY), openDgram(ANY)]);
  let outlet!: MemoryPort;
  const failures: Error[] = [];
  const set = await startLane(
    {
      role: "gateway",
      open(arena, losses) {
        outlet = new MemoryPort(arena, regionAddress(1), 0);
        outlet.room = 1;
        const port = new DgramPort(arena, socket, regionAddress(0), losses);
        return { inflows: [{ port, frame: FRAME_IP }], outlet };
      },
    },
    relay.address().port,
    failures,
  );
  const reference = createReferenceEngine();
  const payload = Buffer.alloc(60_000);
  const message = new Uint8Array(payload.length + 100);
  const row = (): readonly number[] => set.ledger().stages[STAGE_CONTROL]!;
  let sent = 0;
  for (; row()[VERDICT_QUEUE_FULL]! < 3; sent++) {
    payload.writeUInt32BE(sent);
    const datagram = udpDatagram({ source: SOURCE, group: GROUP, payload });
    const length = reference.amtEncapsulate(datagram, message);
    const arrival = once(socket, "message");
    relay.send(message.subarray(0, length), socket.address().port, "127.0.0.1");
    await arrival;
  }
  outlet.room = Infinity;
  outlet.becomeWritable();
  while (row()[STAGE_RECEIVED]! < sent) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(row()[VERDICT_QUEUE_FULL], 3);
  assert.equal(row()[VERDICT_FORWARDED], sent - 3);
  assert.equal(set.ledger().stages[STAGE_EGRESS]![VERDICT_FORWARDED], sent - 3);
  assert.deepEqual(
    outlet.departures.map(({ octets }) => Buffer.from(octets).readUInt32BE(28)),
    Array.from({ length: sent - 3 }, (_, i) => i),
  );
  await set.stop();
  assert.deepEqual(failures, []);
  relay.close();
  socket.close();
});

test("a lane whose ports cannot be opened does not start, and says why", async () => {
  const failures: Error[] = [];
  const ports: LanePorts = {
    role: "gateway",
    open: () => {
      throw new OsError("open", "ENOENT", "nothing");
    },
  };
  await assert.rejects(startLane(ports, 9, failures), /lane 0 did not start: open nothing: ENOENT/);
});
