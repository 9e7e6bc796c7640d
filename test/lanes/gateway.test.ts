import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ARENA_TX,
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  CONFIG_SINK_PORT,
  CONFIG_SINK_USO,
  FRAME_IP,
  RELAY_SLOTS,
  SINK_PAYLOAD,
  SINK_TAP,
  SINK_TAP_PLAIN,
  SINK_TUN,
  SINK_TUN_PLAIN,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_DELIVERED,
  TALLY_OCTETS,
  TX_CAPACITY,
  TX_PREFIXES,
  TX_PREFIX_SHIFT,
} from "../../assembly/layout/arena.ts";
import { VNET_GSO_TYPE, VNET_GSO_UDP_L4 } from "../../assembly/layout/system.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { heardOf } from "../../src/engine/arena.ts";
import { unfold } from "../../src/engine/reference/offload.ts";
import { holds } from "../engine/holds.ts";
import { makeBed, type Bed } from "./bed.ts";
import { amtData, hex, join, mendIpv4, pattern, udpDatagram } from "./packets.ts";

const RELAY: Endpoint = { address: "198.51.100.10", port: 2268 };
const RELAY_6: Endpoint = { address: "2001:db8:5::10", port: 2268 };
const V4 = { source: "192.0.2.44", group: "232.1.2.3" };
const V6 = { source: "2001:db8::44", group: "ff3e::1234" };

const FLOWS = [V4, V6, { ...V4, source: "192.0.2.45" }];
const anyRelay = fc.constantFrom(RELAY, RELAY_6, { ...RELAY, port: 9 });
const anyNumber = fc.constantFrom(0, 1, 2, 63, RELAY_SLOTS - 1, RELAY_SLOTS, 1e6);
const relaySet = fc.record({
  kind: fc.constant("relay" as const),
  number: anyNumber,
  relay: fc.option(anyRelay, { nil: undefined }),
});
const sourceJoined = fc.record({
  kind: fc.constant("join" as const),
  flow: fc.constantFrom(...FLOWS),
  number: anyNumber,
});
const sent = fc.record({
  kind: fc.constant("data" as const),
  flow: fc.constantFrom(...FLOWS),
  from: anyRelay,
});

/** A gateway that receives both groups from any source, with a sink of this kind. */
function receiving(sink: number, simd = true): Bed {
  const bed = makeBed("gateway", FRAME_IP, simd);
  bed.commands.config(CONFIG_SINK, sink);
  bed.commands.relay(RELAY);
  for (const { group } of [V4, V6]) bed.commands.route(COMMAND_MEMBER_ADD, group, undefined, 0);
  bed.run();
  return bed;
}

function datagram(
  i: number,
  length = 100,
  from: { source: string; group: string } = V4,
): Uint8Array {
  return udpDatagram({ ...from, payload: pattern(length, i), id: i });
}

function delivered(bed: Bed): string[] {
  return bed.inner.departures.map(({ octets }) => hex(octets));
}

/** How many datagrams of the AMT socket got this verdict. */
function counted(bed: Bed, number: number): number {
  return bed.ledger().stages[STAGE_CONTROL]![number]!;
}

test("data is taken from the relay in use alone, address and port (RFC 7450 §5.2.3.6)", () => {
  const message = amtData(datagram(1));
  const strangers: Endpoint[] = [
    { ...RELAY, port: 2269 },
    { ...RELAY, address: "198.51.100.11" },
    { ...RELAY_6, address: "::ffff:198.51.100.10" },
    RELAY_6,
  ];
  const bed = receiving(SINK_TUN_PLAIN);
  bed.socket.arrivals.push(...strangers.map((from) => ({ octets: message, from })));
  bed.run();
  assert.deepEqual(delivered(bed), []);
  assert.equal(counted(bed, verdict.VERDICT_NOT_RELAY), strangers.length);
  bed.socket.arrivals.push({ octets: message, from: RELAY });
  bed.run();
  assert.deepEqual(delivered(bed), [hex(datagram(1))]);

  // Another relay takes over, this time one of IPv6.
  bed.commands.relay(RELAY_6);
  bed.run();
  for (const from of [
    RELAY,
    { ...RELAY_6, address: "2001:db8:5::11" },
    { ...RELAY_6, address: "2001:db9:5::10" },
    { ...RELAY_6, port: 1 },
    RELAY_6,
  ])
    bed.socket.arrivals.push({ octets: message, from });
  bed.run();
  assert.equal(delivered(bed).length, 2);
  assert.equal(counted(bed, verdict.VERDICT_NOT_RELAY), strangers.length + 4);

  bed.commands.relay(undefined);
  bed.run();
  for (const from of [RELAY, RELAY_6]) bed.socket.arrivals.push({ octets: message, from });
  bed.run();
  assert.equal(delivered(bed).length, 2);
});

test("a route's data is taken from its own relay alone, whatever moves (RFC 7450 §5.2.3.6)", (t) => {
  holds(
    t,
    fc.property(fc.array(fc.oneof(relaySet, sourceJoined, sent), { maxLength: 60 }), (steps) => {
      for (const simd of [true, false]) {
        const bed = makeBed("gateway", FRAME_IP, simd);
        bed.commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
        const relays = new Map<number, Endpoint>();
        const routes = new Map<string, number>();
        const heard = new Uint32Array(RELAY_SLOTS);
        let delivered = 0;
        const drops = new Map<number, number>();
        const seen = (number: number) => drops.set(number, (drops.get(number) ?? 0) + 1);
        for (const step of steps) {
          if (step.kind === "relay") {
            if (step.relay === undefined) relays.delete(step.number);
            else if (step.number < RELAY_SLOTS) relays.set(step.number, step.relay);
            bed.commands.relay(step.relay, step.number);
          } else if (step.kind === "join") {
            const { source, group } = step.flow;
            bed.commands.route(COMMAND_ROUTE_REMOVE, group, source);
            bed.commands.route(COMMAND_MEMBER_ADD, group, source, 0);
            if (step.number > 0) bed.commands.routeRelay(group, source, step.number);
            routes.set(source, step.number);
          } else {
            const octets = amtData(udpDatagram({ ...step.flow, payload: pattern(9, 1) }));
            bed.socket.arrivals.push({ octets, from: step.from });
            const number = routes.get(step.flow.source);
            if (number === undefined) seen(verdict.VERDICT_NO_ROUTE);
            else if (relays.get(number) !== step.from) seen(verdict.VERDICT_NOT_RELAY);
            else {
              delivered++;
              heard[number]!++;
            }
          }
          bed.run();
        }
        assert.equal(bed.inner.departures.length, delivered);
        for (const [number, times] of drops) assert.equal(counted(bed, number), times);
        assert.deepEqual(heardOf(bed.inner.arena.memory), heard);
      }
    }),
  );
});

test("a joined train is cut into its datagrams, the last one shorter (UDP_GRO)", () => {
  for (const simd of [true, false]) {
    const bed = receiving(SINK_TUN_PLAIN, simd);
    const train = Array.from({ length: 40 }, (_, i) => datagram(i, i === 39 ? 17 : 1000));
    const segment = amtData(train[0]!).length;
    bed.socket.arrivals.push({ octets: join(train.map(amtData)), from: RELAY, segment });
    // One alone, smaller than what the kernel says that it joined.
    bed.socket.arrivals.push({ octets: amtData(datagram(50)), from: RELAY, segment });
    // A whole number of segments: none is left over at the end.
    const equal = [datagram(60), datagram(61)];
    bed.socket.arrivals.push({
      octets: join(equal.map(amtData)),
      from: RELAY,
      segment: amtData(equal[0]!).length,
    });
    bed.run();
    assert.deepEqual(delivered(bed), [...train, datagram(50), ...equal].map(hex));
    assert.equal(counted(bed, STAGE_RECEIVED), 43);
  }
});

test("one bad datagram of a train leaves the others alone", () => {
  const bed = receiving(SINK_TUN_PLAIN);
  const train = [0, 1, 2, 3].map((i) => amtData(datagram(i)));
  train[1]![0] = 0x16;
  train[2]![2 + 11]! ^= 1; // the inner header's checksum
  bed.socket.arrivals.push({ octets: join(train), from: RELAY, segment: train[0]!.length });
  bed.run();
  assert.deepEqual(delivered(bed), [datagram(0), datagram(3)].map(hex));
  assert.equal(counted(bed, verdict.VERDICT_AMT_VERSION), 1);
  assert.equal(counted(bed, verdict.VERDICT_INNER_CHECKSUM), 1);
});

test("more packets than the transmit region holds leave in order, however the outlet fills", () => {
  const bed = receiving(SINK_TUN);
  const sent: string[] = [];
  for (let i = 0; i < 60; i++) {
    const count = 1 + ((i * 17) % 48);
    const last = i % 3 === 0 ? 10 : 200;
    const train = Array.from({ length: count }, (_, j) =>
      datagram(i * 100 + j, j === count - 1 ? last : 200),
    );
    sent.push(...train.map((one) => "00".repeat(10) + hex(one)));
    const messages = train.map(amtData);
    bed.socket.arrivals.push({
      octets: join(messages),
      from: RELAY,
      segment: messages[0]!.length,
    });
  }
  assert.ok(sent.length > TX_CAPACITY + 100);
  for (let step = 0; step < 10_000 && bed.inner.departures.length < sent.length; step++) {
    bed.inner.room = [0, 1, 700, 3, 64][step % 5]!;
    bed.inner.becomeWritable();
    bed.run();
  }
  assert.deepEqual(delivered(bed), sent);
  const { stages } = bed.ledger();
  assert.equal(stages[STAGE_CONTROL]![verdict.VERDICT_FORWARDED], sent.length);
  assert.equal(stages[STAGE_EGRESS]![verdict.VERDICT_FORWARDED], sent.length);
  assert.equal(stages[STAGE_EGRESS]![STAGE_RECEIVED], sent.length);
});

test("a source's own route decides alone; the group's decides for all other sources", () => {
  for (const { source, group } of [V4, V6]) {
    const other = source.replace(/4$/, "5");
    const bed = receiving(SINK_TUN_PLAIN);
    const push = (from: string): void => {
      const octets = amtData(udpDatagram({ source: from, group, payload: pattern(9, 1) }));
      bed.socket.arrivals.push({ octets, from: RELAY });
      bed.run();
    };
    const seen = (): number[] => [
      bed.inner.departures.length,
      counted(bed, verdict.VERDICT_NO_MEMBER),
      counted(bed, verdict.VERDICT_NO_ROUTE),
    ];
    // EXCLUDE {source}: everyone but the source is wanted.
    bed.commands.route(COMMAND_ROUTE_ADD, group, source);
    bed.run();
    push(source);
    push(other);
    assert.deepEqual(seen(), [1, 1, 0]);
    // INCLUDE {source}: nobody else.
    bed.commands.route(COMMAND_MEMBER_ADD, group, source, 0);
    bed.commands.route(COMMAND_ROUTE_REMOVE, group, undefined);
    bed.run();
    push(source);
    push(other);
    assert.deepEqual(seen(), [2, 1, 1]);
    // Left, but for the route; then altogether.
    bed.commands.route(COMMAND_MEMBER_REMOVE, group, source, 0);
    bed.run();
    push(source);
    bed.commands.route(COMMAND_ROUTE_REMOVE, group, source);
    bed.run();
    push(source);
    assert.deepEqual(seen(), [2, 2, 2]);
  }
});

test("each sink gets before a packet what its kind wants (RFC 1112 §6.4, RFC 2464 §7)", () => {
  const vnet = "00".repeat(10);
  const ethernet4 = "01005e010203" + "0200000008dc" + "0800";
  const ethernet6 = "333300001234" + "0200000008dc" + "86dd";
  for (const [sink, before4, before6] of [
    [SINK_TUN_PLAIN, "", ""],
    [SINK_TUN, vnet, vnet],
    [SINK_TAP_PLAIN, ethernet4, ethernet6],
    [SINK_TAP, vnet + ethernet4, vnet + ethernet6],
  ] as const) {
    const bed = receiving(sink);
    // What an earlier packet left in the prefixes must not show.
    new Uint8Array(bed.inner.arena.memory.buffer).fill(
      0xa5,
      ARENA_TX + TX_PREFIXES,
      ARENA_TX + TX_PREFIXES + (TX_CAPACITY << TX_PREFIX_SHIFT),
    );
    const [four, six] = [datagram(1), datagram(2, 60, V6)];
    for (const one of [four, six]) bed.socket.arrivals.push({ octets: amtData(one), from: RELAY });
    bed.run();
    assert.deepEqual(delivered(bed), [before4 + hex(four), before6 + hex(six)]);
  }
});

test("the group's Ethernet address takes 23 bits of it (RFC 1112 §6.4)", () => {
  const bed = receiving(SINK_TAP_PLAIN);
  bed.commands.route(COMMAND_MEMBER_ADD, "239.255.129.7", undefined, 0);
  bed.run();
  const one = datagram(1, 5, { source: "192.0.2.44", group: "239.255.129.7" });
  bed.socket.arrivals.push({ octets: amtData(one), from: RELAY });
  bed.run();
  assert.equal(delivered(bed)[0]!.slice(0, 12), "01005e7f8107");
});

test("octets after the inner datagram are left out", () => {
  const bed = receiving(SINK_TUN_PLAIN);
  for (const one of [datagram(1), datagram(2, 60, V6)])
    bed.socket.arrivals.push({
      octets: Uint8Array.from([...amtData(one), 1, 2, 3, 4, 5]),
      from: RELAY,
    });
  bed.run();
  assert.deepEqual(delivered(bed), [datagram(1), datagram(2, 60, V6)].map(hex));
});

test("a receiver gets UDP payloads alone, at the endpoint it names", () => {
  const sink: Endpoint = { address: "127.0.0.1", port: 7777 };
  const bed = receiving(SINK_PAYLOAD);
  bed.commands.sinkName(sink);
  bed.run();
  for (const one of [datagram(1), datagram(2, 0), datagram(3, 60, V6)])
    bed.socket.arrivals.push({ octets: amtData(one), from: RELAY });
  // IPv4 options, and octets behind the UDP datagram that are none of it.
  const whole = udpDatagram({ ...V4, payload: pattern(20, 4), options: Uint8Array.of(1, 1, 1, 0) });
  const padded = join([whole, pattern(7, 5)]);
  new DataView(padded.buffer).setUint16(2, padded.length);
  mendIpv4(padded);
  bed.socket.arrivals.push({ octets: amtData(padded), from: RELAY });
  bed.run();
  assert.deepEqual(
    delivered(bed),
    [pattern(100, 1), pattern(0, 2), pattern(60, 3), pattern(20, 4)].map(hex),
  );
  for (const { to } of bed.inner.departures) assert.deepEqual(to, sink);
  const { tallies } = bed.ledger();
  assert.equal(tallies[TALLY_DELIVERED], 4);
  assert.equal(tallies[TALLY_OCTETS], 180);
});

test("a receiver gets nothing whose UDP checksum is wrong, at any octet (RFC 768)", () => {
  for (const from of [V4, V6]) {
    const bed = receiving(SINK_PAYLOAD);
    const sound = datagram(1, 41, from);
    const udp = sound.length - 49;
    let pushed = 0;
    for (let at = udp + 6; at < sound.length; at++) {
      const broken = sound.slice();
      broken[at]! ^= 0x40;
      bed.socket.arrivals.push({ octets: amtData(broken), from: RELAY });
      pushed++;
    }
    bed.run();
    assert.deepEqual(delivered(bed), []);
    assert.equal(counted(bed, verdict.VERDICT_UDP_CHECKSUM), pushed);
  }
});

test("a zero UDP checksum means none with IPv4, and is wrong with IPv6 (RFC 8200 §8.1)", () => {
  const bed = receiving(SINK_PAYLOAD);
  for (const from of [V4, V6]) {
    const none = datagram(1, 40, from);
    new DataView(none.buffer).setUint16(none.length - 48 + 6, 0);
    bed.socket.arrivals.push({ octets: amtData(none), from: RELAY });
  }
  bed.run();
  assert.deepEqual(delivered(bed), [hex(pattern(40, 1))]);
  assert.equal(counted(bed, verdict.VERDICT_UDP_CHECKSUM), 1);
});

test("a receiver may want one UDP port, and a number of payloads", () => {
  const bed = receiving(SINK_PAYLOAD);
  bed.commands.config(CONFIG_SINK_PORT, 5004);
  bed.commands.config(CONFIG_SINK_LIMIT, 3);
  bed.run();
  for (let i = 0; i < 5; i++)
    for (const port of [5004, 5005]) {
      const one = udpDatagram({ ...V4, payload: pattern(10, i), port });
      bed.socket.arrivals.push({ octets: amtData(one), from: RELAY });
    }
  bed.run();
  assert.deepEqual(
    delivered(bed),
    [0, 1, 2].map((i) => hex(pattern(10, i))),
  );
  assert.equal(counted(bed, verdict.VERDICT_UDP_PORT), 5);
  assert.equal(counted(bed, verdict.VERDICT_STOPPED), 2);
  assert.equal(bed.ledger().tallies[TALLY_DELIVERED], 3);
});

for (const sink of [SINK_TUN, SINK_TAP])
  test(`segments of one flow are one super-packet for a device that takes such (${sink === SINK_TUN ? "TUN" : "TAP"})`, () => {
    const link = sink === SINK_TUN ? 0 : 14;
    const bed = receiving(sink);
    bed.commands.config(CONFIG_SINK_USO, 1);
    bed.run();
    const trains = [V4, V6].map((from) =>
      Array.from({ length: 20 }, (_, i) => datagram(i, i === 19 ? 50 : 1_316, from)),
    );
    for (const train of trains) {
      const messages = train.map(amtData);
      bed.socket.arrivals.push({
        octets: join(messages),
        from: RELAY,
        segment: messages[0]!.length,
      });
    }
    bed.run();
    assert.equal(bed.inner.departures.length, 2);
    for (const [i, { octets }] of bed.inner.departures.entries()) {
      assert.equal(octets[VNET_GSO_TYPE], VNET_GSO_UDP_L4);
      const frames = unfold(octets, link).map((frame) => hex(frame.subarray(link)));
      assert.deepEqual(frames, trains[i]!.map(hex));
    }
    const { stages } = bed.ledger();
    assert.equal(stages[STAGE_EGRESS]![STAGE_RECEIVED], 40);
    assert.equal(stages[STAGE_EGRESS]![verdict.VERDICT_FORWARDED], 40);
  });
