/** Lanes over packet rings: a lane that dies or stops leaves its ring to nobody. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  ARENA_ROUTES,
  COMMAND_MEMBER_ADD,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  FRAME_VNET_ETHERNET,
  STAGE_INGEST,
  STAGE_RECEIVED,
  TALLY_RING_FRAMES,
} from "../../assembly/layout/arena.ts";
import { LaneSet } from "../../src/lanes/lane-set.ts";
import { close } from "../../src/os/libc.ts";
import { openPacket, readPacketDrops } from "../../src/os/packet.ts";
import { tryRing } from "../../src/os/packet-ring.ts";
import { openUdp } from "../../src/os/udp.ts";
import { enterNamespace, kernelTest } from "../os/namespace.ts";

enterNamespace();

const GROUP = "239.1.2.3";

/** Settles once the condition holds; the test's own time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

kernelTest("a lane with a ring that dies is replaced by one with a ring of its own", async () => {
  const sink = openUdp({ local: { address: "127.0.0.1", port: 0 } });
  const amt = openUdp({ local: { address: "127.0.0.1", port: 0 } });
  const packets = openPacket({ interface: "lo", families: [4], vnetHeader: true });
  const ring = { frames: 9, shift: 11 };
  const set = await LaneSet.start({
    replace: true,
    lanes: [
      {
        role: "relay",
        inlets: [
          { kind: "socket", fd: amt.fd, frame: FRAME_IP },
          { kind: "socket", fd: packets.fd, frame: FRAME_VNET_ETHERNET, ring },
        ],
        outlet: "socket",
      },
    ],
    prime(_lane, commands) {
      commands.config(CONFIG_TUNNEL_MTU, 1_470);
      commands.tunnel(0, sink.local);
      commands.route(COMMAND_MEMBER_ADD, GROUP, undefined, 0);
    },
    punt() {},
    failed: (reason) => assert.fail(reason),
  });
  const source = createSocket("udp4");
  source.bind(0, "127.0.0.1");
  await once(source, "listening");
  source.setMulticastInterface("127.0.0.1");
  source.setMulticastTTL(8);
  const sending = setInterval(() => source.send("one", 5_000, GROUP), 1);
  const frames = (): number => set.ledger().tallies[TALLY_RING_FRAMES]!;
  try {
    await until(() => frames() > 1_200); // more than twice round
    assert.ok(tryRing(packets.fd) < 0, "the lane has the ring");
    new DataView(set.arena(0).buffer).setUint32(ARENA_ROUTES, 0x7fff_ff00, true);
    await until(() => set.status()[0]!.restarts === 1);
    const after = frames();
    await until(() => frames() > after + 1_200);
  } finally {
    clearInterval(sending);
    await set.stop();
  }
  const { stages, tallies } = set.ledger();
  assert.ok(tallies[TALLY_RING_FRAMES]! >= stages[STAGE_INGEST]![STAGE_RECEIVED]!);
  assert.equal(readPacketDrops(packets.fd), 0);
  assert.equal(tryRing(packets.fd), 0, "the socket has no ring any more");
  source.close();
  for (const { fd } of [sink, amt, packets]) close(fd);
});
