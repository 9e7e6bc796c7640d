import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ARENA_COMMANDS,
  ARENA_PUNTS,
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_SLOTS,
  CONFIG_SINK,
  FRAME_ETHERNET,
  FRAME_IP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  PUNT_FROM_DEVICE,
  PUNT_FROM_SOCKET,
  PUNT_SLOTS,
  RING_HEAD,
  RING_TAIL,
  SINK_TUN_PLAIN,
  TALLY_COMMANDS,
  TX_CAPACITY,
} from "../../assembly/layout/arena.ts";
import type { Endpoint } from "../../src/core/address.ts";
import type { Punt } from "../../src/engine/arena.ts";
import { frameHeader } from "../../src/lanes/plan.ts";
import { AMT_VECTORS, amtVector } from "../vectors/amt.ts";
import { makeBed, type Bed } from "./bed.ts";
import { amtData, hex, join, pattern, udpDatagram } from "./packets.ts";

const GATEWAY: Endpoint = { address: "203.0.113.5", port: 40_123 };
const GATEWAY_6: Endpoint = { address: "2001:db8:6::5", port: 40_124 };
const RELAY: Endpoint = { address: "198.51.100.10", port: 2268 };
const FLOW = { source: "192.0.2.44", group: "232.1.2.3" };

const query = amtVector("Membership Query IGMPv3, G=1");

function punts(bed: Bed): Punt[] {
  const all: Punt[] = [];
  for (let punt = bed.punts.next(); punt; punt = bed.punts.next()) all.push(punt);
  return all;
}

test("a relay's control messages reach the control thread whole, in order, with their senders", () => {
  const bed = makeBed("relay");
  const messages = AMT_VECTORS.map(({ octets }) => octets);
  const forRelay = messages.filter((octets) => [1, 3, 5, 7].includes(octets[0]!));
  assert.ok(forRelay.length > 8);
  for (const [i, octets] of messages.entries())
    bed.socket.arrivals.push({ octets, from: i % 2 === 0 ? GATEWAY : GATEWAY_6 });
  bed.run();
  const got = punts(bed);
  assert.deepEqual(
    got.map(({ octets }) => hex(octets)),
    forRelay.map(hex),
  );
  for (const [i, octets] of forRelay.entries()) {
    assert.equal(got[i]!.kind, PUNT_FROM_SOCKET);
    assert.deepEqual(got[i]!.from, messages.indexOf(octets) % 2 === 0 ? GATEWAY : GATEWAY_6);
  }
});

test("a gateway's control messages are punted from within a train, between data", () => {
  const bed = makeBed("gateway");
  bed.commands.relay(RELAY);
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 0);
  bed.run();
  const data = amtData(udpDatagram({ ...FLOW, payload: pattern(query.length - 30, 1) }));
  assert.equal(data.length, query.length);
  bed.socket.arrivals.push({
    octets: join([data, query, data, amtVector("Relay Advertisement (IPv4)")]),
    from: RELAY,
    segment: query.length,
  });
  bed.run();
  assert.deepEqual(
    punts(bed).map(({ octets, from }) => [hex(octets), from]),
    [query, amtVector("Relay Advertisement (IPv4)")].map((octets) => [hex(octets), RELAY]),
  );
  assert.equal(bed.inner.departures.length, 2);
});

test("IGMP and MLD of the host are punted whatever stands before them", () => {
  const igmp = query.slice(12, 48);
  const mld = amtVector("Membership Query MLDv2, G=1 L=1, IPv6 underlay").slice(12, 88);
  for (const frame of [FRAME_IP, FRAME_VNET, FRAME_ETHERNET, FRAME_VNET_ETHERNET]) {
    const bed = makeBed("gateway", frame);
    for (const packet of [igmp, mld]) {
      const before = new Uint8Array(frameHeader(frame));
      if (frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET)
        before.set(packet === igmp ? [0x08, 0x00] : [0x86, 0xdd], before.length - 2);
      bed.inner.arrivals.push({ octets: join([before, packet]) });
    }
    bed.run();
    assert.deepEqual(
      punts(bed).map(({ kind, from, octets }) => [kind, from, hex(octets)]),
      [igmp, mld].map((octets) => [PUNT_FROM_DEVICE, undefined, hex(octets)]),
    );
  }
});

test("a punt without a sender shows none, whoever's punt was in its slot before", () => {
  const bed = makeBed("gateway", FRAME_IP);
  for (let i = 0; i < PUNT_SLOTS; i++) bed.socket.arrivals.push({ octets: query, from: RELAY });
  bed.run();
  assert.equal(punts(bed).length, PUNT_SLOTS);
  bed.inner.arrivals.push({ octets: query.slice(12, 48) });
  bed.run();
  assert.deepEqual(
    punts(bed).map(({ from }) => from),
    [undefined],
  );
});

test("of ICMPv6 only the MLD types are punted (RFC 2710 §3, RFC 3810 §5)", () => {
  const bed = makeBed("gateway", FRAME_IP);
  const mld = amtVector("Membership Query MLDv2, G=1 L=1, IPv6 underlay").slice(12, 88);
  for (let type = 0; type < 256; type++) bed.inner.arrivals.push({ octets: mld.with(48, type) });
  bed.run();
  assert.deepEqual(
    punts(bed).map(({ octets }) => octets[48]),
    [130, 131, 132, 143],
  );
});

test("on a relay's ingress, membership is punted and the data around it goes on", () => {
  const bed = makeBed("relay", FRAME_IP);
  bed.commands.tunnel(0, GATEWAY);
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 0);
  bed.run();
  const data = udpDatagram({ ...FLOW, payload: pattern(50, 1) });
  for (const octets of [data, query.slice(12, 48), data]) bed.inner.arrivals.push({ octets });
  bed.run();
  assert.equal(bed.socket.departures.length, 2);
  assert.deepEqual(
    punts(bed).map(({ octets }) => hex(octets)),
    [hex(query.slice(12, 48))],
  );
});

test("the control thread is told of punts once, until it has looked", () => {
  const bed = makeBed("relay");
  const push = (): void => {
    bed.socket.arrivals.push({ octets: amtVector("Relay Discovery"), from: GATEWAY });
    bed.run();
  };
  for (let i = 0; i < 5; i++) push();
  assert.equal(bed.doorbells.punts, 1);
  assert.equal(punts(bed).length, 5);
  bed.punts.answer();
  push();
  assert.equal(bed.doorbells.punts, 2);
});

test("the lane is told of commands once, until it has looked", () => {
  const bed = makeBed("relay");
  for (let i = 0; i < 5; i++) bed.commands.tunnel(i, GATEWAY);
  assert.equal(bed.doorbells.commands, 1);
  bed.lane.commands();
  bed.commands.tunnel(5, GATEWAY);
  assert.equal(bed.doorbells.commands, 2);
});

test("commands that come while the outlet is full are applied after it, and later ones are told", () => {
  const bed = makeBed("relay", FRAME_IP);
  bed.commands.tunnel(0, GATEWAY);
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 0);
  bed.run();
  bed.socket.room = 0;
  bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(4, 0) }) });
  bed.run();
  assert.equal(bed.lane.idle, false);
  const before = bed.doorbells.commands;
  bed.commands.tunnel(1, GATEWAY);
  bed.lane.commands();
  assert.equal(bed.ledger().tallies[TALLY_COMMANDS], 2, "not within a batch");
  bed.socket.room = Infinity;
  bed.socket.becomeWritable();
  assert.equal(bed.ledger().tallies[TALLY_COMMANDS], 3);
  bed.commands.tunnel(2, GATEWAY);
  assert.equal(bed.doorbells.commands, before + 2);
});

test("the control thread is told of a punt that comes to light when the outlet has room again", () => {
  const bed = makeBed("gateway", FRAME_IP);
  bed.commands.relay(RELAY);
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 0);
  bed.run();
  const data = amtData(udpDatagram({ ...FLOW, payload: pattern(query.length - 30, 1) }));
  // The query is behind more data than the transmit region holds.
  const train = join(Array<Uint8Array>(TX_CAPACITY / 8 + 1).fill(data));
  for (let i = 0; i < 8; i++)
    bed.socket.arrivals.push({ octets: train, from: RELAY, segment: data.length });
  bed.socket.arrivals.push({ octets: query, from: RELAY });
  bed.inner.room = 1;
  bed.run();
  assert.equal(bed.doorbells.punts, 0);
  bed.inner.room = Infinity;
  bed.inner.becomeWritable();
  assert.equal(bed.doorbells.punts, 1);
  assert.equal(punts(bed).length, 1);
});

test("commands that the ring has no room for wait, and are applied in their order", () => {
  const bed = makeBed("gateway", FRAME_IP);
  bed.commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
  bed.commands.relay(RELAY);
  // Each group is joined, left, and every third one joined again: only the order tells which.
  const groups = Array.from({ length: 5_000 }, (_, i) => `239.1.${i >> 8}.${i & 255}`);
  for (const [i, group] of groups.entries()) {
    bed.commands.route(COMMAND_MEMBER_ADD, group, undefined, 0);
    bed.commands.route(COMMAND_MEMBER_REMOVE, group, undefined, 0);
    if (i % 3 === 0) bed.commands.route(COMMAND_MEMBER_ADD, group, undefined, 0);
  }
  const total = 2 + 10_000 + 1_667;
  assert.equal(bed.commands.backlog, total - COMMAND_SLOTS);
  bed.run();
  assert.equal(bed.commands.backlog, 0);
  assert.equal(bed.ledger().tallies[TALLY_COMMANDS], total);
  for (const group of groups) {
    const octets = amtData(udpDatagram({ source: FLOW.source, group, payload: pattern(4, 0) }));
    bed.socket.arrivals.push({ octets, from: RELAY });
  }
  bed.run();
  assert.deepEqual(
    bed.inner.departures.map(({ octets }) => octets.subarray(16, 20).join(".")),
    groups.filter((_, i) => i % 3 === 0),
  );
});

test("a long list of commands does not hold packets up", () => {
  const bed = makeBed("relay");
  for (let i = 0; i < 2_000; i++) bed.commands.tunnel(i, GATEWAY);
  bed.lane.commands();
  const applied = bed.ledger().tallies[TALLY_COMMANDS]!;
  assert.ok(applied > 0 && applied < 500, `${applied} at once`);
});

test("both rings keep order while their indices pass 2^32", () => {
  const bed = makeBed("relay", FRAME_IP);
  const words = new Uint32Array(bed.inner.arena.memory.buffer);
  for (const ring of [ARENA_COMMANDS, ARENA_PUNTS])
    for (const index of [RING_TAIL, RING_HEAD]) words[(ring + index) >> 2] = 2 ** 32 - 700;
  const before = amtVector("Request P=0");
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 500; i++) {
      bed.commands.tunnel(i, { address: "10.0.0.1", port: round * 500 + i });
      const request = before.slice();
      new DataView(request.buffer).setUint32(4, round * 500 + i);
      bed.socket.arrivals.push({ octets: request, from: GATEWAY });
    }
    bed.run();
    assert.deepEqual(
      punts(bed).map(({ octets }) => new DataView(octets.buffer).getUint32(4)),
      Array.from({ length: 500 }, (_, i) => round * 500 + i),
    );
  }
  assert.ok(words[(ARENA_PUNTS + RING_TAIL) >> 2]! < 2_000, "the index has wrapped");
  assert.equal(bed.ledger().tallies[TALLY_COMMANDS], 2_000);
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 7);
  bed.run();
  bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(4, 0) }) });
  bed.run();
  assert.deepEqual(bed.socket.departures[0]!.to, { address: "10.0.0.1", port: 1_507 });
});
