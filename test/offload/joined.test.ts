/**
 * Datagrams that UDP_GRO joined are what they are one by one: the same is written, and all is counted
 * alike. A train's segments share what was decided about the first as far as it holds for them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_LINKS,
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  CONFIG_SINK_USO,
  FRAME_IP,
  SINK_TAP,
  SINK_TUN,
  TALLY_RECEIVED_MESSAGES,
} from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { heardOf, readLedger, type Ledger } from "../../src/engine/arena.ts";
import { prepareHeader, type HeaderPlan } from "../../src/engine/session.ts";
import type { Arrival } from "../../src/ports/messages.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { Desk, planOf, SOCKET } from "../l2tp/desk.ts";
import { makeBed } from "../lanes/bed.ts";
import { amtData, hex, join, pattern, tosControl, udpDatagram, withEcn } from "../lanes/packets.ts";
import { Flow } from "./trains.ts";

const PEER = { address: "198.51.100.10", port: 2268 };
const TRAINS = 1_500;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** A train of `segments`, all of one length but perhaps the last, as one message and as many. */
function bothWays(segments: readonly Uint8Array[], control: Uint8Array): Record<Way, Arrival[]> {
  return {
    joined: [{ octets: join(segments), from: PEER, segment: segments[0]!.length, control }],
    single: segments.map((octets) => ({ octets, from: PEER, control })),
  };
}

type Way = "joined" | "single";

/** All that is counted but received messages. */
function booksOf({ stages, tallies }: Ledger): unknown {
  return { stages, tallies: tallies.with(TALLY_RECEIVED_MESSAGES, 0) };
}

/** Segments of one length, some of them spoilt, the last of them short at times. */
function trainOf(random: SeededEntropy, next: (i: number, length: number) => Uint8Array) {
  const count = 1 + random.below(random.below(2) ? 6 : 30);
  const length = 1 + random.below(300);
  return Array.from({ length: count }, (_, i) => {
    const isShort = i === count - 1 && random.below(2) > 0;
    const octets = next(i, isShort ? 1 + random.below(length) : length);
    // Mostly in the headers.
    const within = random.below(2) ? Math.min(70, octets.length) : octets.length;
    if (random.below(12) === 0) octets[random.below(within)]! ^= 1 << random.below(8);
    return octets;
  });
}

test("a gateway does with a train what it does with each of its datagrams", (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const random = new SeededEntropy(SEED);
  const counts = { messages: 0, datagrams: 0 };
  for (let turn = 0; turn < 20; turn++) {
    const sink = random.pick([SINK_TUN, SINK_TAP]);
    const settings: [number, number][] = [
      [CONFIG_SINK, sink],
      [CONFIG_SINK_USO, 1],
      [CONFIG_SINK_LIMIT, turn % 5 === 4 ? 300 : 0],
      [CONFIG_LINKS, turn % 5 === 3 ? 1 : 0],
    ];
    const gateway = () => {
      const bed = makeBed("gateway", FRAME_IP, turn % 2 === 0);
      for (const [field, value] of settings) bed.commands.config(field, value);
      bed.commands.relay(PEER);
      for (const group of ["232.1.2.3", "ff3e::1234"])
        bed.commands.route(COMMAND_MEMBER_ADD, group, undefined, 0);
      bed.run();
      return bed;
    };
    const beds = { joined: gateway(), single: gateway() };
    for (let train = 0; train < TRAINS / 20; train++) {
      const [source, group] = random.pick([
        ["192.0.2.44", "232.1.2.3"],
        ["2001:db8::44", "ff3e::1234"],
        ["192.0.2.44", "232.9.9.9"], // not wanted
      ] as const);
      const ecn = random.below(4);
      const id = random.below(65_536);
      const segments = trainOf(random, (i, length) => {
        const payload = pattern(length, i);
        const jump = random.below(20) === 0 ? 5 : 0;
        const one = udpDatagram({ source, group, payload, id: (id + i + jump) & 0xffff });
        return amtData(withEcn(one, random.below(15) === 0 ? random.below(4) : ecn));
      });
      const ways = bothWays(segments, tosControl(random.below(2) ? ecn : random.below(4)));
      for (const way of ["joined", "single"] as const) {
        beds[way].socket.arrivals.push(...ways[way]);
        beds[way].run();
        while (beds[way].punts.next());
      }
      const [joined, single] = (["joined", "single"] as const).map((way) =>
        beds[way].inner.departures.splice(0).map(({ octets }) => hex(octets)),
      );
      assert.deepEqual(joined, single);
      counts.messages += joined!.length;
      counts.datagrams += segments.length;
    }
    assert.deepEqual(booksOf(beds.joined.ledger()), booksOf(beds.single.ledger()));
    const [joined, single] = [beds.joined, beds.single].map(({ inner }) => inner.arena.memory);
    assert.deepEqual(heardOf(joined!), heardOf(single!));
  }
  assert.ok(counts.messages < counts.datagrams / 2, JSON.stringify(counts));
});

test("a pseudowire does with a train what it does with each of its datagrams", (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const random = new SeededEntropy(SEED);
  const counts = { messages: 0, datagrams: 0 };
  for (let turn = 0; turn < 30; turn++) {
    const version = random.pick([2, 3] as const);
    const cookie = new Uint8Array(version === 3 ? 4 * random.below(3) : 0).fill(7);
    const sublayer = version === 3 && random.below(2) ? l2tp.SUBLAYER_DEFAULT : l2tp.SUBLAYER_NONE;
    const numbers = version === 2 && random.below(2) > 0;
    const common = { version, udp: true, cookie, sublayer, numbers, length: turn % 4 === 1 };
    const headers = [1, 2].map((id) => prepareHeader({ ...common, id } satisfies HeaderPlan));
    const sequence = random.pick(["accept", "ignore"] as const);
    const end = () => {
      const desk = new Desk(l2tp.PORT_UDP, turn % 2 === 0);
      for (const id of [1, 2]) {
        const device = 10 + id;
        desk.port(device, l2tp.PORT_FRAMES | l2tp.PORT_VNET | l2tp.PORT_TSO | l2tp.PORT_USO);
        const plan = planOf(device, { id: 9 }, { cookie, sublayer, sequence, inheritEcn: true });
        desk.session(id, { port: SOCKET, version, peer: PEER, id }, plan);
      }
      return desk;
    };
    const ends = { joined: end(), single: end() };
    let number = 0;
    for (let train = 0; train < TRAINS / 30; train++) {
      const flow = new Flow(random, 1);
      const isNumbered = random.below(3) === 0;
      const mixed = random.below(4) === 0;
      const segments = trainOf(random, (_, length) => {
        const header = headers[mixed ? random.below(2) : 0]!;
        const frame = flow.segment(length, random.below(20) === 0 ? 8 : 0);
        const datagram = Uint8Array.from([...header.octets, ...frame]);
        const view = new DataView(datagram.buffer);
        // What is beyond the stated length is not part of the message.
        const beyond = random.below(8) ? 0 : random.below(4);
        if (header.lengthAt) view.setUint16(header.lengthAt, datagram.length - beyond);
        if (isNumbered && header.sequenceAt) {
          if (random.below(8)) number++; // else the same one again
          if (version === 2) view.setUint16(header.sequenceAt, number);
          else view.setUint32(header.sequenceAt, l2tp.SUBLAYER_S * 2 ** 24 + number);
        }
        return datagram;
      });
      const ways = bothWays(segments, tosControl(random.below(3) ? 0 : random.below(4)));
      const [joined, single] = (["joined", "single"] as const).map((way) => {
        const written = ends[way].receive(ways[way]);
        while (ends[way].punts.next());
        return written.map(({ port, octets }) => `${port} ${hex(octets)}`);
      });
      assert.deepEqual(joined, single);
      counts.messages += joined!.length;
      counts.datagrams += segments.length;
    }
    const [joined, single] = [ends.joined, ends.single];
    assert.deepEqual(booksOf(readLedger(joined.arena)), booksOf(readLedger(single.arena)));
    for (const id of [1, 2]) assert.deepEqual(joined.counters(id), single.counters(id));
  }
  assert.ok(counts.messages < counts.datagrams * 0.7, JSON.stringify(counts));
});
