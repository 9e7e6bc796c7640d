/**
 * One packet for every verdict that the core or a lane can give: what provokes it, at which stage,
 * and that it is counted there once and nowhere else.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as arena from "../../assembly/layout/arena.ts";
import { IPPROTO_IP, IP_PKTINFO } from "../../assembly/layout/system.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { verdictName } from "../../src/core/drops.ts";
import * as errno from "../../src/os/errno.ts";
import type { Arrival } from "../../src/ports/memory.ts";
import { amtVector } from "../vectors/amt.ts";
import { makeBed, type Bed } from "./bed.ts";
import { amtData, cmsg, mendIpv4, pattern, udpDatagram, tosControl, vnet } from "./packets.ts";

const RELAY: Endpoint = { address: "198.51.100.10", port: 2268 };
const FLOW = { source: "192.0.2.44", group: "232.1.2.3" };
const FLOW_6 = { source: "2001:db8::44", group: "ff3e::1234" };

const good = udpDatagram({ ...FLOW, payload: pattern(100, 1) });
const good6 = udpDatagram({ ...FLOW_6, payload: pattern(100, 1) });
const igmp = amtVector("Membership Query IGMPv3, G=1").slice(12, 48);

/** A datagram with other octets at `at`, its header checksum right. */
function changed(at: number, ...octets: number[]): Uint8Array {
  const packet = good.slice();
  packet.set(octets, at);
  return mendIpv4(packet);
}

function changed6(at: number, ...octets: number[]): Uint8Array {
  const packet = good6.slice();
  packet.set(octets, at);
  return packet;
}

interface Case {
  readonly what: string;
  readonly gives: number;
  readonly at: number;
  /** What stands before packets on the inner port; FRAME_IP unless said. */
  readonly frame?: number;
  readonly arrival: Arrival;
  /** Datagrams that it stands for; 1 unless said. */
  readonly datagrams?: number;
  /** What is special about the lane. */
  readonly prepare?: (bed: Bed) => void;
}

/** A case on a relay's AMT socket. */
function control(gives: number, what: string, octets: Uint8Array): Case {
  const from = { address: "203.0.113.5", port: 40_123 };
  return { what, gives, at: arena.STAGE_CONTROL, arrival: { octets, from } };
}

/** A case on a relay's ingress. */
function ingress(gives: number, what: string, octets: Uint8Array, more: Partial<Case> = {}): Case {
  return { what, gives, at: arena.STAGE_INGEST, arrival: { octets }, ...more };
}

/** A case of what a relay sends. */
function sending(gives: number, what: string, prepare: (bed: Bed) => void): Case {
  return { what, gives, at: arena.STAGE_EGRESS, arrival: { octets: good }, prepare };
}

/** A relay whose socket refuses every message with this errno. */
function refusing(number: number): (bed: Bed) => void {
  return (bed) => {
    bed.socket.send = () => -number;
  };
}

const RELAY_CASES: readonly Case[] = [
  control(verdict.VERDICT_PUNTED, "a Relay Discovery", amtVector("Relay Discovery")),
  control(verdict.VERDICT_TRUNCATED, "an empty datagram", new Uint8Array(0)),
  control(verdict.VERDICT_AMT_VERSION, "version 1", Uint8Array.of(0x11, 0, 0, 0, 1, 2, 3, 4)),
  control(verdict.VERDICT_AMT_TYPE_UNKNOWN, "type 0", Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4)),
  control(verdict.VERDICT_AMT_TYPE_UNKNOWN, "type 8", Uint8Array.of(8, 0, 0, 0, 1, 2, 3, 4)),
  control(verdict.VERDICT_AMT_TYPE_ROLE, "data for a relay", amtData(good)),
  control(
    verdict.VERDICT_AMT_TYPE_ROLE,
    "an Advertisement for a relay",
    amtVector("Relay Advertisement (IPv4)"),
  ),
  control(verdict.VERDICT_AMT_LENGTH, "a Request cut short", amtVector("Request P=0").slice(0, 7)),
  control(verdict.VERDICT_TOO_BIG, "an Update larger than a punt", update(1_985)),
  ingress(verdict.VERDICT_FORWARDED, "a datagram that is wanted", good),
  ingress(verdict.VERDICT_PUNTED, "a query on the ingress", igmp),
  ingress(verdict.VERDICT_TRUNCATED, "an empty frame", new Uint8Array(0)),
  ingress(verdict.VERDICT_TRUNCATED, "less than a virtio_net_hdr", new Uint8Array(9), {
    frame: arena.FRAME_VNET,
  }),
  ingress(verdict.VERDICT_TRUNCATED, "a datagram cut short", good.slice(0, 127)),
  ingress(
    verdict.VERDICT_TRUNCATED,
    "a partial checksum behind the end",
    vnet(good, { flags: 1, start: 20, offset: 107 }),
    { frame: arena.FRAME_VNET },
  ),
  ingress(
    verdict.VERDICT_TRUNCATED,
    "a partial checksum in the IP header",
    vnet(good, { flags: 1, start: 2, offset: 0 }),
    { frame: arena.FRAME_VNET },
  ),
  ingress(verdict.VERDICT_INNER_VERSION, "neither IPv4 nor IPv6", changed(0, 0x55)),
  ingress(verdict.VERDICT_INNER_LENGTH, "a header of 16 octets", changed(0, 0x44)),
  ingress(
    verdict.VERDICT_INNER_CHECKSUM,
    "a wrong header checksum",
    changed(0).with(10, good[10]! ^ 1),
  ),
  ingress(verdict.VERDICT_NOT_MULTICAST, "unicast", changed(16, 192)),
  ingress(verdict.VERDICT_NOT_MULTICAST, "unicast of IPv6", changed6(24, 0x20)),
  ingress(verdict.VERDICT_LINK_SCOPE, "224.0.0.251", changed(16, 224, 0, 0, 251)),
  ingress(verdict.VERDICT_LINK_SCOPE, "ff02::/16", changed6(25, 0x02)),
  ingress(verdict.VERDICT_BAD_SOURCE, "from a group", changed(12, 224)),
  ingress(verdict.VERDICT_BAD_SOURCE, "from a group of IPv6", changed6(8, 0xff)),
  ingress(verdict.VERDICT_TTL_EXPIRED, "TTL 1", changed(8, 1)),
  ingress(verdict.VERDICT_TTL_EXPIRED, "hop limit 0", changed6(7, 0)),
  ingress(verdict.VERDICT_NO_ROUTE, "a group nobody joined", changed(16, 239)),
  ingress(verdict.VERDICT_NO_MEMBER, "a source everybody excludes", good, {
    prepare: (bed) => bed.commands.route(arena.COMMAND_MEMBER_REMOVE, FLOW.group, FLOW.source, 0),
  }),
  ingress(verdict.VERDICT_TOO_BIG, "larger than the tunnel, with DF", good, {
    prepare: (bed) => bed.commands.config(arena.CONFIG_TUNNEL_MTU, 127),
  }),
  ingress(verdict.VERDICT_TOO_BIG, "IPv6 larger than the tunnel", good6, {
    prepare: (bed) => bed.commands.config(arena.CONFIG_TUNNEL_MTU, 147),
  }),
  ingress(verdict.VERDICT_TOO_BIG, "a tunnel too small for a fragment", changed(6, 0, 0), {
    prepare: (bed) => bed.commands.config(arena.CONFIG_TUNNEL_MTU, 27),
  }),
  ingress(
    verdict.VERDICT_TOO_BIG,
    "segments larger than the tunnel",
    vnet(good, { type: 5, size: 80 }),
    {
      frame: arena.FRAME_VNET,
      datagrams: 2,
      prepare: (bed) => bed.commands.config(arena.CONFIG_TUNNEL_MTU, 107),
    },
  ),
  ingress(
    verdict.VERDICT_SEGMENT_KIND,
    "a super-packet of TCP",
    vnet(good, { type: 1, size: 80 }),
    { frame: arena.FRAME_VNET },
  ),
  ingress(verdict.VERDICT_SEGMENT_KIND, "segments of no octets", vnet(good, { type: 5, size: 0 }), {
    frame: arena.FRAME_VNET,
  }),
  ingress(verdict.VERDICT_FAMILY, "a payload without its destination", pattern(10, 1), {
    frame: arena.FRAME_UDP,
    arrival: { octets: pattern(10, 1), from: { address: FLOW.source, port: 5_000 } },
  }),
  ingress(verdict.VERDICT_TOO_BIG, "a payload larger than a datagram", new Uint8Array(0), {
    frame: arena.FRAME_UDP,
    arrival: {
      octets: new Uint8Array(65_508),
      from: { address: FLOW.source, port: 5_000 },
      control: cmsg(IPPROTO_IP, IP_PKTINFO, [0, 0, 0, 0, 0, 0, 0, 0, 232, 1, 2, 3]),
    },
  }),
  sending(verdict.VERDICT_FORWARDED, "a message that leaves", () => {}),
  sending(verdict.VERDICT_SEND_REFUSED, "ECONNREFUSED", refusing(errno.ECONNREFUSED)),
  sending(verdict.VERDICT_SEND_DENIED, "EPERM", refusing(errno.EPERM)),
  sending(verdict.VERDICT_SEND_DENIED, "EACCES", refusing(errno.EACCES)),
  sending(verdict.VERDICT_SEND_TOO_BIG, "EMSGSIZE", refusing(errno.EMSGSIZE)),
  sending(verdict.VERDICT_SEND_UNREACHABLE, "ENETUNREACH", refusing(errno.ENETUNREACH)),
  sending(verdict.VERDICT_SEND_UNREACHABLE, "EHOSTUNREACH", refusing(errno.EHOSTUNREACH)),
  sending(verdict.VERDICT_SEND_UNREACHABLE, "ENETDOWN", refusing(errno.ENETDOWN)),
  sending(verdict.VERDICT_SEND_NO_BUFFER, "ENOBUFS", refusing(errno.ENOBUFS)),
  sending(verdict.VERDICT_SEND_NO_BUFFER, "ENOMEM", refusing(errno.ENOMEM)),
  sending(verdict.VERDICT_SEND_FAILED, "EINVAL", refusing(errno.EINVAL)),
  sending(verdict.VERDICT_STOPPED, "a lane that stops while its outlet is full", (bed) => {
    bed.socket.room = 0;
  }),
];

/** A case on a gateway's AMT socket, from its relay. */
function data(gives: number, what: string, octets: Uint8Array, more: Partial<Case> = {}): Case {
  return { what, gives, at: arena.STAGE_CONTROL, arrival: { octets, from: RELAY }, ...more };
}

/** A case on the device of a gateway. */
function device(gives: number, what: string, octets: Uint8Array, frame = arena.FRAME_IP): Case {
  return { what, gives, at: arena.STAGE_DEVICE, frame, arrival: { octets } };
}

/** A gateway that hands payloads to a receiver. */
function payloads(bed: Bed): void {
  bed.commands.config(arena.CONFIG_SINK, arena.SINK_PAYLOAD);
}

function update(length: number): Uint8Array {
  const message = new Uint8Array(length);
  message[0] = 5;
  return message;
}

/** A frame of a TAP device with this EtherType. */
function ethernet(type: number, packet: Uint8Array): Uint8Array {
  return Uint8Array.from([...new Uint8Array(12), type >> 8, type & 255, ...packet]);
}

const wrongUdp = good.with(26, good[26]! ^ 1);

const GATEWAY_CASES: readonly Case[] = [
  data(verdict.VERDICT_FORWARDED, "data that is wanted", amtData(good)),
  data(verdict.VERDICT_PUNTED, "a Query", amtVector("Membership Query IGMPv3, G=1")),
  data(verdict.VERDICT_PUNTED, "an Advertisement", amtVector("Relay Advertisement (IPv4)")),
  data(verdict.VERDICT_TRUNCATED, "an empty datagram", new Uint8Array(0)),
  data(verdict.VERDICT_TRUNCATED, "an AMT header alone", Uint8Array.of(6, 0)),
  data(verdict.VERDICT_TRUNCATED, "half an IPv6 header", amtData(good6.slice(0, 39))),
  data(verdict.VERDICT_AMT_VERSION, "version 15", amtData(good).with(0, 0xf6)),
  data(verdict.VERDICT_AMT_TYPE_UNKNOWN, "type 15", amtData(good).with(0, 0x0f)),
  data(verdict.VERDICT_AMT_TYPE_ROLE, "a Request for a gateway", amtVector("Request P=0")),
  data(verdict.VERDICT_AMT_LENGTH, "a Query cut short", Uint8Array.of(4, 0, 1, 2)),
  data(verdict.VERDICT_NOT_RELAY, "data from a stranger", amtData(good), {
    arrival: { octets: amtData(good), from: { ...RELAY, port: 1 } },
  }),
  data(verdict.VERDICT_ECN, "congestion met by what is not ECN-capable", amtData(good), {
    arrival: { octets: amtData(good), from: RELAY, control: tosControl(3) },
  }),
  data(verdict.VERDICT_INNER_VERSION, "neither IPv4 nor IPv6", amtData(changed(0, 0x75))),
  data(verdict.VERDICT_INNER_LENGTH, "an inner datagram cut short", amtData(good.slice(0, 127))),
  data(verdict.VERDICT_INNER_LENGTH, "the same of IPv6", amtData(good6.slice(0, 147))),
  data(
    verdict.VERDICT_INNER_CHECKSUM,
    "a wrong header checksum",
    amtData(good.with(10, good[10]! ^ 1)),
  ),
  data(verdict.VERDICT_NOT_MULTICAST, "unicast", amtData(changed(16, 10))),
  data(verdict.VERDICT_LINK_SCOPE, "224.0.0.1", amtData(changed(16, 224, 0, 0, 1))),
  data(verdict.VERDICT_BAD_SOURCE, "from nowhere", amtData(changed(12, 0))),
  data(verdict.VERDICT_NO_ROUTE, "a group nobody wants", amtData(changed(16, 239))),
  data(verdict.VERDICT_NO_MEMBER, "a source nobody wants", amtData(good), {
    prepare: (bed) => bed.commands.route(arena.COMMAND_MEMBER_REMOVE, FLOW.group, FLOW.source, 0),
  }),
  data(verdict.VERDICT_NOT_UDP, "TCP for a receiver", amtData(changed(9, 6)), {
    prepare: payloads,
  }),
  data(verdict.VERDICT_NOT_UDP, "a UDP length of 7", amtData(good.with(24, 0).with(25, 7)), {
    prepare: payloads,
  }),
  data(
    verdict.VERDICT_NOT_UDP,
    "a UDP length behind the end",
    amtData(good.with(24, 0).with(25, 109)),
    { prepare: payloads },
  ),
  data(verdict.VERDICT_FRAGMENT, "a first fragment", amtData(changed(6, 0x20, 0)), {
    prepare: payloads,
  }),
  data(verdict.VERDICT_FRAGMENT, "a later fragment", amtData(changed(6, 0, 1)), {
    prepare: payloads,
  }),
  data(verdict.VERDICT_FRAGMENT, "a fragment of IPv6", amtData(changed6(6, 44)), {
    prepare: payloads,
  }),
  data(verdict.VERDICT_UDP_PORT, "another UDP port", amtData(good), {
    prepare(bed) {
      payloads(bed);
      bed.commands.config(arena.CONFIG_SINK_PORT, 5_001);
    },
  }),
  data(verdict.VERDICT_UDP_CHECKSUM, "a wrong UDP checksum", amtData(wrongUdp), {
    prepare: payloads,
  }),
  device(verdict.VERDICT_PUNTED, "a report of the host", igmp),
  device(verdict.VERDICT_PUNTED, "the same on TAP", ethernet(0x0800, igmp), arena.FRAME_ETHERNET),
  device(verdict.VERDICT_TRUNCATED, "19 octets", igmp.slice(0, 19)),
  device(verdict.VERDICT_TRUNCATED, "less than a link header", igmp, arena.FRAME_VNET_ETHERNET),
  device(verdict.VERDICT_INNER_VERSION, "neither IPv4 nor IPv6", igmp.with(0, 0x56)),
  device(verdict.VERDICT_NOT_MEMBERSHIP, "UDP", good),
  device(verdict.VERDICT_NOT_MEMBERSHIP, "UDP over IPv6", good6),
  device(verdict.VERDICT_NOT_MEMBERSHIP, "ARP", ethernet(0x0806, igmp), arena.FRAME_ETHERNET),
  device(verdict.VERDICT_TOO_BIG, "a report larger than a punt", join1985()),
];

function join1985(): Uint8Array {
  const report = new Uint8Array(1_985);
  report.set(igmp);
  return report;
}

/** The lane of a case, with two routes of one member each. */
function bedOf(role: "relay" | "gateway", one: Case, simd: boolean): Bed {
  const bed = makeBed(role, one.frame ?? arena.FRAME_IP, simd);
  bed.commands.config(arena.CONFIG_SINK, arena.SINK_TUN_PLAIN);
  bed.commands.relay(RELAY);
  bed.commands.tunnel(0, { address: "203.0.113.5", port: 40_123 });
  for (const { group, source } of [FLOW, FLOW_6])
    bed.commands.route(arena.COMMAND_MEMBER_ADD, group, source, 0);
  one.prepare?.(bed);
  bed.run();
  return bed;
}

for (const [role, cases] of [
  ["relay", RELAY_CASES],
  ["gateway", GATEWAY_CASES],
] as const)
  for (const one of cases) {
    const { what, gives, at, arrival, datagrams = 1 } = one;
    test(`${role}, stage ${at}: ${what} is ${verdictName(gives)}`, () => {
      for (const simd of [true, false]) {
        const bed = bedOf(role, one, simd);
        const port = at === arena.STAGE_CONTROL ? bed.socket : bed.inner;
        port.arrivals.push(arrival);
        bed.run();
        bed.lane.stop();
        const { stages } = bed.ledger();
        const row = stages[at]!;
        assert.deepEqual(
          row.flatMap((count, number) => (count > 0 ? [[number, count]] : [])),
          [
            [gives, datagrams],
            [arena.STAGE_RECEIVED, datagrams],
          ],
        );
      }
    });
  }

test("a punt ring that is full drops what comes next, at each stage that punts", () => {
  for (const [role, stage] of [
    ["relay", arena.STAGE_CONTROL],
    ["relay", arena.STAGE_INGEST],
    ["gateway", arena.STAGE_CONTROL],
    ["gateway", arena.STAGE_DEVICE],
  ] as const) {
    const bed = makeBed(role, arena.FRAME_IP);
    const port = stage === arena.STAGE_CONTROL ? bed.socket : bed.inner;
    const message =
      stage !== arena.STAGE_CONTROL
        ? igmp
        : amtVector(role === "relay" ? "Relay Discovery" : "Relay Advertisement (IPv4)");
    const push = (count: number): void => {
      for (let i = 0; i < count; i++) port.arrivals.push({ octets: message, from: RELAY });
      bed.run();
    };
    push(arena.PUNT_SLOTS + 3);
    const row = (): readonly number[] => bed.ledger().stages[stage]!;
    assert.equal(row()[verdict.VERDICT_PUNTED], arena.PUNT_SLOTS);
    assert.equal(row()[verdict.VERDICT_PUNT_FULL], 3);
    // Once the control thread has read one, one more is taken.
    assert.deepEqual(bed.punts.next()!.octets, message);
    push(2);
    assert.equal(row()[verdict.VERDICT_PUNTED], arena.PUNT_SLOTS + 1);
    assert.equal(row()[verdict.VERDICT_PUNT_FULL], 4);
    let left = 0;
    for (; bed.punts.next(); left++);
    assert.equal(left, arena.PUNT_SLOTS);
  }
});

/** The verdicts that a folder's sources name, other than in a comment. */
function named(folder: string): Set<string> {
  const root = new URL(`../../../${folder}/`, import.meta.url);
  const names = new Set<string>();
  for (const file of readdirSync(root).filter((name) => name.endsWith(".ts"))) {
    const code = readFileSync(new URL(file, root), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    for (const [name] of code.matchAll(/VERDICT_[A-Z_]+/g)) names.add(name);
  }
  return names;
}

test("every verdict that the core or a lane can give is provoked above", () => {
  const possible = new Set(
    ["assembly", "assembly/amt", "src/lanes"].flatMap((at) => [...named(at)]),
  );
  const provoked = new Set([...RELAY_CASES, ...GATEWAY_CASES].map(({ gives }) => gives));
  provoked.add(verdict.VERDICT_PUNT_FULL); // by the test of the full punt ring
  provoked.add(verdict.VERDICT_LINK_MTU); // by test/lanes/links.test.ts
  provoked.add(verdict.VERDICT_QUEUE_FULL); // by test/lanes/local-lane.test.ts
  provoked.add(verdict.VERDICT_TUNNEL_RATE); // by test/lanes/rate.test.ts
  provoked.add(verdict.VERDICT_OTHER_INGRESS); // by test/lanes/ingress.test.ts
  const numbers = verdict as Readonly<Record<string, number>>;
  assert.ok(possible.size > 25, "the sources were found");
  assert.deepEqual(
    [...possible].filter((name) => !provoked.has(numbers[name]!)),
    [],
  );
});
