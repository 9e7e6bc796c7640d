/** A gateway's data on its way to its device and downstream interfaces. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  CONFIG_LINKS,
  CONFIG_NOTED,
  CONFIG_SINK,
  FRAME_IP,
  PUNT_HEAD,
  PUNT_TOO_BIG,
  SINK_TUN_PLAIN,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_FRAGMENTED,
  TX_CAPACITY,
} from "../../assembly/layout/arena.ts";
import { IPV4_TTL, IPV6_HOP_LIMIT } from "../../assembly/layout/ip.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import type { Endpoint, Family } from "../../src/core/address.ts";
import * as errno from "../../src/os/errno.ts";
import { holds } from "../engine/holds.ts";
import { makeBed, type Bed } from "./bed.ts";
import { tunnelled } from "./fragments.ts";
import { amtData, hex, join, mendIpv4, pattern, udpDatagram } from "./packets.ts";

const RELAY: Endpoint = { address: "198.51.100.10", port: 2268 };
const FLOWS = {
  4: { source: "192.0.2.44", group: "239.129.2.3" },
  6: { source: "2001:db8::44", group: "ff0e::1234" },
} as const;
/** The downstream interfaces, by index; the members of each are as `src/runtime/gateway.ts` has them. */
const LINKS = [
  { index: 7, station: "0a0000000007", mtu: 1500 },
  { index: 9, station: "0a0000000009", mtu: 600 },
] as const;
const GROUP_ADDRESS = { 4: "01005e010203", 6: "333300001234" } as const;
const ETHERTYPE = { 4: "0800", 6: "86dd" } as const;

function memberOf(link: number, family: Family): number {
  return 1 + 2 * link + (family === 6 ? 1 : 0);
}

/** A gateway with a device and the interfaces; nothing is wanted yet. */
function gateway(simd = true): Bed {
  const bed = makeBed("gateway", FRAME_IP, simd);
  bed.commands.config(CONFIG_SINK, SINK_TUN_PLAIN);
  bed.commands.config(CONFIG_LINKS, 2 * LINKS.length);
  bed.commands.relay(RELAY);
  for (const [i, { index, station, mtu }] of LINKS.entries())
    for (const family of [4, 6] as const)
      bed.commands.link(memberOf(i, family), {
        family,
        index,
        station: Uint8Array.from(Buffer.from(station, "hex")),
        mtu,
      });
  return bed;
}

/** A datagram with this TTL or hop limit. */
function datagram(family: Family, payload: number, ttl: number, id = 1, df = true): Uint8Array {
  const packet = udpDatagram({ ...FLOWS[family], payload: pattern(payload, id), id, df });
  packet[family === 4 ? IPV4_TTL : IPV6_HOP_LIMIT] = ttl;
  return family === 4 ? mendIpv4(packet) : packet;
}

/** Its frames on an interface, as the reference engine forwards it; none if it is too large. */
function frames(packet: Uint8Array, family: Family, link: number): string[] {
  const head = GROUP_ADDRESS[family] + LINKS[link]!.station + ETHERTYPE[family];
  return (tunnelled(packet, LINKS[link]!.mtu) ?? []).map((piece) => head + hex(piece));
}

function frame(packet: Uint8Array, family: Family, link: number): string {
  return frames(packet, family, link)[0]!;
}

function egress(bed: Bed, number: number): number {
  return bed.ledger().stages[STAGE_EGRESS]![number]!;
}

interface Sent {
  readonly link: number | undefined;
  readonly octets: string;
}

function sent(bed: Bed): Sent[] {
  const departures = [...bed.inner.departures, ...bed.links.departures];
  return departures.map(({ octets, link }) => ({ link, octets: hex(octets) }));
}

test("each interface and the device get what they want, as the reference engine forwards it", (t) => {
  holds(
    t,
    fc.property(
      fc.boolean(),
      fc.array(
        fc.record({
          family: fc.constantFrom<Family>(4, 6),
          payload: fc.oneof(fc.integer({ min: 0, max: 1400 }), fc.constantFrom(572, 573, 9000)),
          df: fc.boolean(),
          ttl: fc.constantFrom(0, 1, 2, 3, 64, 255),
        }),
        { minLength: 1, maxLength: 40 },
      ),
      fc.record({ 4: fc.subarray([0, 1, 2]), 6: fc.subarray([0, 1, 2]) }),
      (simd, packets, wanting) => {
        const bed = gateway(simd);
        // 0 is the device, then the interfaces.
        for (const family of [4, 6] as const)
          for (const who of wanting[family])
            bed.commands.route(
              COMMAND_MEMBER_ADD,
              FLOWS[family].group,
              undefined,
              who === 0 ? 0 : memberOf(who - 1, family),
            );
        bed.run();
        const device: Sent[] = [];
        const links: Sent[] = [];
        const drops = { ttl: 0, mtu: 0 };
        let fragmented = 0;
        for (const [id, { family, payload, df, ttl }] of packets.entries()) {
          const packet = datagram(family, payload, ttl, id, df);
          bed.socket.arrivals.push({ octets: amtData(packet), from: RELAY });
          for (const who of wanting[family]) {
            const link = LINKS[who - 1];
            if (!link) device.push({ link: undefined, octets: hex(packet) });
            else if (ttl <= 1) drops.ttl++;
            else {
              const all = frames(packet, family, who - 1);
              if (all.length === 0) drops.mtu++;
              if (all.length > 1) fragmented++;
              links.push(...all.map((octets) => ({ link: link.index, octets })));
            }
          }
        }
        bed.run();
        assert.deepEqual(sent(bed), [...device, ...links]);
        assert.equal(egress(bed, verdict.VERDICT_TTL_EXPIRED), drops.ttl);
        assert.equal(egress(bed, verdict.VERDICT_LINK_MTU), drops.mtu);
        assert.equal(bed.ledger().tallies[TALLY_FRAGMENTED], fragmented);
        const copies = device.length + links.length;
        assert.equal(egress(bed, verdict.VERDICT_FORWARDED), copies);
        assert.equal(egress(bed, STAGE_RECEIVED), copies + drops.ttl + drops.mtu);
      },
    ),
    60,
  );
});

test("the device gets a datagram as it came, whatever interfaces do with it (RFC 7450 §5.2.3.6)", () => {
  const bed = gateway();
  for (const member of [memberOf(0, 4), 0, memberOf(1, 4)])
    bed.commands.route(COMMAND_MEMBER_ADD, FLOWS[4].group, undefined, member);
  bed.run();
  const packet = datagram(4, 100, 9);
  bed.socket.arrivals.push({ octets: amtData(packet), from: RELAY });
  bed.run();
  assert.deepEqual(sent(bed), [
    { link: undefined, octets: hex(packet) },
    { link: 7, octets: frame(packet, 4, 0) },
    { link: 9, octets: frame(packet, 4, 1) },
  ]);
});

test("one interface's leave takes nothing from the other", () => {
  const bed = gateway();
  for (const link of [0, 1])
    bed.commands.route(COMMAND_MEMBER_ADD, FLOWS[6].group, undefined, memberOf(link, 6));
  bed.commands.route(COMMAND_MEMBER_REMOVE, FLOWS[6].group, undefined, memberOf(0, 6));
  bed.run();
  bed.socket.arrivals.push({ octets: amtData(datagram(6, 10, 5)), from: RELAY });
  bed.run();
  assert.deepEqual(
    sent(bed).map(({ link }) => link),
    [9],
  );
});

test("more copies than the transmit region holds all leave, however the outlet fills", () => {
  const bed = gateway();
  for (const member of [0, memberOf(0, 4), memberOf(1, 4)])
    bed.commands.route(COMMAND_MEMBER_ADD, FLOWS[4].group, undefined, member);
  bed.run();
  const packets = Array.from({ length: TX_CAPACITY }, (_, id) => datagram(4, 50, 5, id));
  for (let i = 0; i < packets.length; i += 16) {
    const train = packets.slice(i, i + 16).map(amtData);
    bed.socket.arrivals.push({ octets: join(train), from: RELAY, segment: train[0]!.length });
  }
  for (let step = 0; step < 10_000 && sent(bed).length < 3 * packets.length; step++) {
    for (const port of [bed.inner, bed.links]) {
      port.room = [0, 1, 700, 3, 64][step % 5]!;
      port.becomeWritable();
    }
    bed.run();
  }
  const all = sent(bed);
  for (const [link, expected] of [
    [undefined, packets.map(hex)],
    [7, packets.map((packet) => frame(packet, 4, 0))],
    [9, packets.map((packet) => frame(packet, 4, 1))],
  ] as const)
    assert.deepEqual(
      all.filter((one) => one.link === link).map(({ octets }) => octets),
      expected,
    );
  assert.equal(egress(bed, verdict.VERDICT_FORWARDED), 3 * packets.length);
});

test("control is shown one IPv6 datagram of a source that is too big for a link, until it has looked (RFC 4443 §2.4)", () => {
  const bed = gateway();
  for (const family of [4, 6] as const)
    for (const link of [0, 1])
      bed.commands.route(
        COMMAND_MEMBER_ADD,
        FLOWS[family].group,
        undefined,
        memberOf(link, family),
      );
  const push = (family: Family): Uint8Array => {
    const packet = datagram(family, 1_000, 9);
    bed.socket.arrivals.push({ octets: amtData(packet), from: RELAY });
    bed.run();
    return packet;
  };
  push(4);
  assert.equal(bed.punts.next(), undefined, "ICMP must not answer IPv4 multicast");
  for (let turn = 0; turn < 2; turn++) {
    const packet = push(6);
    push(6);
    const punt = bed.punts.next()!;
    assert.deepEqual([punt.kind, punt.port], [PUNT_TOO_BIG, memberOf(1, 6)]);
    assert.equal(hex(punt.octets), hex(packet.subarray(0, PUNT_HEAD)));
    assert.equal(bed.punts.next(), undefined);
    bed.commands.config(CONFIG_NOTED, 0);
    bed.run();
  }
  assert.equal(egress(bed, verdict.VERDICT_LINK_MTU), 5);
});

test("more fragments than the transmit region holds all leave, however the outlet fills", () => {
  for (const room of [0, 1, 700, 1_500]) {
    const bed = gateway();
    for (const member of [memberOf(0, 4), memberOf(1, 4)])
      bed.commands.route(COMMAND_MEMBER_ADD, FLOWS[4].group, undefined, member);
    bed.run();
    const expected: string[][] = [[], []];
    for (let id = 0; id < 24; id++) {
      const packet = datagram(4, 60_000 + id, 9, id, false);
      bed.socket.arrivals.push({ octets: amtData(packet), from: RELAY });
      for (const link of [0, 1]) expected[link]!.push(...frames(packet, 4, link));
    }
    bed.links.room = room;
    bed.run();
    bed.links.room = Infinity;
    bed.links.becomeWritable();
    bed.run();
    for (const [i, { index }] of LINKS.entries())
      assert.deepEqual(
        sent(bed)
          .filter(({ link }) => link === index)
          .map(({ octets }) => octets),
        expected[i],
      );
    assert.ok(expected.flat().length > 3 * TX_CAPACITY);
  }
});

test("an interface that is down or gone loses its own copies alone", () => {
  for (const [refusal, reason] of [
    [errno.ENETDOWN, verdict.VERDICT_SEND_UNREACHABLE],
    [errno.ENXIO, verdict.VERDICT_SEND_UNREACHABLE],
    [errno.ENOBUFS, verdict.VERDICT_SEND_NO_BUFFER],
  ] as const) {
    const bed = gateway();
    for (const link of [0, 1])
      bed.commands.route(COMMAND_MEMBER_ADD, FLOWS[4].group, undefined, memberOf(link, 4));
    bed.run();
    bed.links.refusals.push(refusal);
    bed.socket.arrivals.push({ octets: amtData(datagram(4, 10, 5)), from: RELAY });
    bed.run();
    assert.deepEqual(
      sent(bed).map(({ link }) => link),
      [9],
    );
    assert.equal(egress(bed, reason), 1);
  }
});
