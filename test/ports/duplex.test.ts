import assert from "node:assert/strict";
import { Duplex, PassThrough } from "node:stream";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SINK,
  FRAME_IP,
  PUNT_FROM_DEVICE,
  SINK_TUN_PLAIN,
} from "../../assembly/layout/arena.ts";
import { compileCore, createArena } from "../../src/engine/core.ts";
import { CommandWriter, PuntReader } from "../../src/engine/arena.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { startLocalLane } from "../../src/lanes/local-lane.ts";
import { regionAddress, type FromLane, type LaneThread } from "../../src/lanes/plan.ts";
import { openDgram } from "../../src/os/dgram.ts";
import { DgramPort } from "../../src/ports/dgram.ts";
import { DuplexPort } from "../../src/ports/duplex.ts";
import { emitReportDatagrams } from "../../src/wire/membership-datagram.ts";
import { udpDatagram } from "../lanes/packets.ts";
import { hex } from "./captures.ts";

const GROUP = "232.1.2.3";
const SOURCE = "192.0.2.44";
const reference = createReferenceEngine();

interface Gateway {
  readonly thread: LaneThread;
  readonly words: FromLane[];
  readonly gone: Promise<void>;
  readonly punts: PuntReader;
  /** Sends AMT data as the relay. */
  send(datagram: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** A gateway's lane in this thread, with `device` in place of a TUN device. */
async function startGateway(device: Duplex): Promise<Gateway> {
  const any = { address: "127.0.0.1", port: 0 };
  const [relay, socket] = await Promise.all([openDgram(any), openDgram(any)]);
  const memory = createArena();
  const words: FromLane[] = [];
  let ready!: () => void;
  let gone!: () => void;
  const started = new Promise<void>((resolve) => (ready = resolve));
  const ended = new Promise<void>((resolve) => (gone = resolve));
  const thread = startLocalLane(
    {
      role: "gateway",
      open(arena, losses) {
        const port = new DuplexPort(arena, device, regionAddress(1));
        const amt = new DgramPort(arena, socket, regionAddress(0), losses);
        return {
          inflows: [
            { port: amt, frame: FRAME_IP },
            { port, frame: FRAME_IP },
          ],
          outlet: port,
        };
      },
    },
    compileCore().module,
    memory,
    {
      hear(word) {
        words.push(word);
        ready();
      },
      gone,
    },
  );
  const commands = new CommandWriter(memory, () => thread.tell("commands"));
  commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
  commands.relay({ address: "127.0.0.1", port: relay.address().port });
  commands.route(COMMAND_MEMBER_ADD, GROUP, SOURCE, 0);
  await started;
  return {
    thread,
    words,
    gone: ended,
    punts: new PuntReader(memory),
    send(datagram) {
      const message = new Uint8Array(datagram.length + 2);
      const length = reference.amtEncapsulate(datagram, message);
      const { port } = socket.address();
      return new Promise((resolve) =>
        relay.send(message.subarray(0, length), port, "127.0.0.1", () => resolve()),
      );
    },
    async close() {
      thread.tell("stop");
      await ended;
      relay.close();
      socket.close();
    },
  };
}

/** What a device's far side sees and gives. */
interface FarSide {
  readonly device: Duplex;
  readonly give: (packet: Uint8Array) => void;
  /** Slowly takes what comes. */
  readonly take: (took: (packet: Uint8Array) => void) => void;
}

/** A pair of pipes of objects. */
function objectPair(): FarSide {
  const into = new PassThrough({ objectMode: true });
  const out = new PassThrough({ objectMode: true, highWaterMark: 4 });
  return {
    device: Duplex.from({ readable: into, writable: out }),
    give: (packet) => void into.write(packet),
    take: (took) =>
      out.on("data", (packet: Uint8Array) => {
        took(packet);
        out.pause();
        setImmediate(() => out.resume());
      }),
  };
}

/** A stream of octets that has a packet in each chunk, as packages for TUN devices make it. */
function octetDevice(): FarSide {
  let took: (packet: Uint8Array) => void = () => {};
  const device = new Duplex({
    writableHighWaterMark: 400,
    read() {},
    write(packet: Uint8Array, _encoding, done) {
      took(packet);
      setImmediate(done);
    },
  });
  return {
    device,
    give: (packet) => void device.push(packet),
    take: (taker) => (took = taker),
  };
}

for (const [kind, make] of [
  ["a pair of object streams", objectPair],
  ["a device of octets", octetDevice],
] as const) {
  test(`${kind} gets each packet as a chunk of its own, in order, however slow it is`, async () => {
    const { device, take } = make();
    const gateway = await startGateway(device);
    const datagrams = Array.from({ length: 600 }, (_, i) =>
      udpDatagram({ source: SOURCE, group: GROUP, payload: Buffer.alloc(100, i), id: i, ttl: 9 }),
    );
    const got: string[] = [];
    const all = new Promise<void>((resolve) =>
      take((packet) => {
        got.push(hex(packet));
        if (got.length === datagrams.length) resolve();
      }),
    );
    for (const datagram of datagrams) await gateway.send(datagram);
    await all;
    const expected = datagrams.map((datagram) => {
      const message = new Uint8Array(datagram.length + 2);
      return hex(message.subarray(2, reference.amtEncapsulate(datagram, message)));
    });
    assert.deepEqual(got, expected);
    await gateway.close();
  });

  test(`what ${kind} gives is taken packet by packet`, async () => {
    const { device, give } = make();
    const gateway = await startGateway(device);
    const sender = { family: 4, source: "0.0.0.0", mtu: 1_500 } as const;
    const reports = Array.from({ length: 900 }, (_, i) =>
      emitReportDatagrams(
        [{ kind: "allow", group: `232.0.${i >> 8}.${i & 255}`, sources: [SOURCE] }],
        sender,
      ),
    ).flat();
    const heard: string[] = [];
    for (const report of reports) give(report);
    while (heard.length < reports.length) {
      const punt = gateway.punts.next();
      if (punt) {
        assert.equal(punt.kind, PUNT_FROM_DEVICE);
        heard.push(hex(punt.octets));
      } else await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(heard, reports.map(hex));
    await gateway.close();
    assert.deepEqual(gateway.words.at(-1), "stopped");
  });
}

test("a duplex that ends ends its lane with a reason", async () => {
  const into = new PassThrough({ objectMode: true });
  const gateway = await startGateway(
    Duplex.from({ readable: into, writable: new PassThrough({ objectMode: true }) }),
  );
  into.end();
  await gateway.gone;
  const last = gateway.words.at(-1);
  assert.ok(typeof last === "object" && "died" in last);
  assert.match(last.died, /receive .*ENODEV/);
  await gateway.close();
});
