import assert from "node:assert/strict";
import type { Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  RX_CAPACITY,
  RX_HEADERS,
  RX_HEADROOM,
  RX_SLOT,
  RX_SLOTS,
} from "../../assembly/layout/arena.ts";
import { MMSGHDR_LENGTH, MMSGHDR_SHIFT } from "../../assembly/layout/system.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { createArena } from "../../src/engine/core.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import { openDgram } from "../../src/os/dgram.ts";
import { EACCES, EAGAIN, EINVAL } from "../../src/os/errno.ts";
import { DgramPort } from "../../src/ports/dgram.ts";
import { MemoryPort } from "../../src/ports/memory.ts";
import { viewArena, type ArenaView, type Readiness } from "../../src/ports/port.ts";
import { layBed } from "../lanes/bed.ts";
import { udpDatagram } from "../lanes/packets.ts";
import { hex } from "./captures.ts";

const ANY: Endpoint = { address: "127.0.0.1", port: 0 };
const GROUP = "232.1.2.3";
const SOURCE = "192.0.2.44";
const reference = createReferenceEngine();

interface Losses {
  overflows: number;
  readonly refusals: number[];
}

function portOver(
  socket: Socket,
  arena: ArenaView,
  region?: number,
): { port: DgramPort; losses: Losses } {
  const losses: Losses = { overflows: 0, refusals: [] };
  const port = new DgramPort(arena, socket, region, {
    overflowed: () => losses.overflows++,
    refused: (errno) => losses.refusals.push(errno),
  });
  return { port, losses };
}

/** An arena whose transmit region holds what a relay sends to `to`: `packets` to each. */
function filledArena(to: readonly Endpoint[], packets: readonly Uint8Array[]): ArenaView {
  let arena!: ArenaView;
  let ingress!: MemoryPort;
  const bed = layBed("relay", (view) => {
    arena = view;
    ingress = new MemoryPort(view, regionAddress(1), 0);
    return { port: ingress, frame: FRAME_IP };
  });
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.config(CONFIG_TUNNEL_MTU, 1_470);
  for (const [tunnel, endpoint] of to.entries()) {
    bed.commands.tunnel(tunnel, endpoint);
    bed.commands.route(COMMAND_MEMBER_ADD, GROUP, SOURCE, tunnel);
  }
  bed.socket.room = 0;
  bed.run();
  for (const octets of packets) ingress.arrivals.push({ octets });
  bed.run();
  return arena;
}

function datagram(i: number): Uint8Array {
  return udpDatagram({ source: SOURCE, group: GROUP, payload: Buffer.alloc(200, i), id: i });
}

/** Settles with what the port's watch calls back. */
function readiness(port: DgramPort): Promise<Readiness> {
  return new Promise((resolve) => port.watch(resolve));
}

test("a train leaves as the datagrams it stands for, to the peer that each message names", async () => {
  const [one, other, socket] = await Promise.all([openDgram(ANY), openDgram(ANY), openDgram(ANY)]);
  const packets = Array.from({ length: 40 }, (_, i) => datagram(i));
  const arrived = new Map([one, other].map((listener) => [listener, [] as string[]]));
  const done = [one, other].map(
    (listener) =>
      new Promise<void>((resolve) =>
        listener.on("message", (octets, from) => {
          assert.equal(from.port, socket.address().port);
          const list = arrived.get(listener)!;
          list.push(hex(octets));
          if (list.length === packets.length) resolve();
        }),
      ),
  );
  const arena = filledArena(
    [one, other].map((listener) => ({ address: "127.0.0.1", port: listener.address().port })),
    packets,
  );
  const { port, losses } = portOver(socket, arena);
  assert.equal(port.send(0, 2), 2, "two messages of 40 datagrams each");
  await Promise.all(done);
  const expected = packets.map((packet) => {
    const message = new Uint8Array(packet.length + 2);
    return hex(message.subarray(0, reference.amtEncapsulate(packet, message)));
  });
  for (const list of arrived.values()) assert.deepEqual(list, expected);
  assert.deepEqual(losses.refusals, []);
  port.close();
  for (const each of [one, other, socket]) each.close();
});

test("so many sends are in flight, the rest waits until there is room, which the watch tells", async () => {
  const socket = await openDgram(ANY);
  const to = { address: "127.0.0.1", port: socket.address().port };
  const arena = filledArena(
    Array.from({ length: 300 }, () => to),
    [datagram(1)],
  );
  const { port } = portOver(socket, arena);
  const taken = port.send(0, 300);
  assert.ok(taken > 0 && taken < 300, `${taken} were taken`);
  assert.equal(port.send(taken, 300 - taken), -EAGAIN);
  port.want(false, true);
  assert.deepEqual(await readiness(port), { readable: false, writable: true });
  assert.equal(port.send(taken, 300 - taken), 300 - taken);
  port.close();
  socket.close();
});

test("what the system refuses is told by its errno, and throws nothing", async () => {
  const socket = await openDgram({ address: "0.0.0.0", port: 0 });
  const broadcast = { address: "255.255.255.255", port: 9 };
  const arena = filledArena([broadcast, { address: "127.0.0.1", port: 0 }], [datagram(1)]);
  const { port, losses } = portOver(socket, arena);
  assert.equal(port.send(0, 2), 2);
  port.want(false, true);
  await readiness(port);
  assert.deepEqual(
    losses.refusals.toSorted((a, b) => a - b),
    [EACCES, EINVAL],
  );
  port.close();
  socket.close();
});

test("a full queue drops the newest, counts each, and keeps order", async () => {
  const [source, socket] = await Promise.all([openDgram(ANY), openDgram(ANY)]);
  const arena = viewArena(createArena(), 2 ** 40);
  const region = regionAddress(1);
  const { port, losses } = portOver(socket, arena, region);
  const payload = Buffer.alloc(60_000);
  let sent = 0;
  for (; losses.overflows < 3; sent++) {
    payload.writeUInt32BE(sent);
    const arrival = once(socket, "message");
    source.send(payload, socket.address().port, "127.0.0.1");
    await arrival;
  }
  assert.deepEqual(await readiness(port), { readable: true, writable: false });
  let received = 0;
  for (let count = port.receive(RX_CAPACITY); count > 0; count = port.receive(RX_CAPACITY))
    for (let i = 0; i < count; i++) {
      const header = region + RX_HEADERS + (i << MMSGHDR_SHIFT);
      assert.equal(arena.words[(header + MMSGHDR_LENGTH) >> 2], payload.length);
      const slot = region + RX_SLOTS + i * RX_SLOT + RX_HEADROOM;
      const number = Buffer.from(arena.octets.slice(slot, slot + 4)).readUInt32BE();
      assert.equal(number, received++);
    }
  assert.equal(received + losses.overflows, sent);
  assert.ok(received < RX_CAPACITY, "bounded by octets, not by the batch");
  port.close();
  source.close();
  socket.close();
});
