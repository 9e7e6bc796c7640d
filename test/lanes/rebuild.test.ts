/** Datagrams whose headers an ordinary UDP socket took off: they leave as if it had not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_UDP,
  RX_UDP_PORT,
  STAGE_INGEST,
} from "../../assembly/layout/arena.ts";
import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IP_PKTINFO,
  IP_TTL,
} from "../../assembly/layout/system.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { parseAddress, type Address } from "../../src/core/address.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import type { Arrival } from "../../src/ports/memory.ts";
import { makeBed, type Bed } from "./bed.ts";
import { cmsg, hex, join, pattern, udpDatagram, type UdpSpec } from "./packets.ts";

const PORT = 5_004;
const reference = createReferenceEngine();

const FLOWS = [
  { source: "192.0.2.44", group: "232.1.2.3" },
  { source: "2001:db8::44", group: "ff3e::1234" },
] as const;

/** IP_PKTINFO or IPV6_PKTINFO: the interface, and the group that the datagram went to. */
function pktinfo(group: Address): Uint8Array {
  const octets = [...parseAddress(group)!];
  return octets.length === 4
    ? cmsg(IPPROTO_IP, IP_PKTINFO, [2, 0, 0, 0, 192, 0, 2, 1, ...octets])
    : cmsg(IPPROTO_IPV6, IPV6_PKTINFO, [...octets, 2, 0, 0, 0]);
}

/** IP_TTL or IPV6_HOPLIMIT, an int each. */
function hops(group: Address, ttl: number): Uint8Array {
  return group.includes(":")
    ? cmsg(IPPROTO_IPV6, IPV6_HOPLIMIT, [ttl, 0, 0, 0])
    : cmsg(IPPROTO_IP, IP_TTL, [ttl, 0, 0, 0]);
}

function relaying(simd = true): Bed {
  const bed = makeBed("relay", FRAME_UDP, simd);
  const view = new DataView(bed.inner.arena.memory.buffer);
  view.setUint16(regionAddress(1) + RX_UDP_PORT, PORT);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
  for (const { source, group } of FLOWS) bed.commands.route(COMMAND_MEMBER_ADD, group, source, 0);
  bed.run();
  return bed;
}

function arrival(spec: UdpSpec, control: readonly Uint8Array[]): Arrival {
  return {
    octets: spec.payload,
    from: { address: spec.source, port: PORT },
    control: join(control),
  };
}

/** What the reference engine relays of the datagram that the sender sent. */
function relayed(spec: UdpSpec): string {
  const datagram = udpDatagram({ ...spec, port: PORT, df: false });
  const message = new Uint8Array(datagram.length + 2);
  return hex(message.subarray(0, reference.amtEncapsulate(datagram, message)));
}

test("a rebuilt datagram leaves as the one that its sender sent, at every length and TTL", () => {
  const spec = fc.record({
    flow: fc.constantFrom(...FLOWS),
    payload: fc.uint8Array({ maxLength: 1_600 }),
    ttl: fc.integer({ min: 2, max: 255 }),
    ttlFirst: fc.boolean(),
  });
  for (const simd of [true, false]) {
    const bed = relaying(simd);
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 20 }), (specs) => {
        const sent = specs.map(({ flow, payload, ttl }) => ({ ...flow, payload, ttl }));
        for (const [i, one] of sent.entries()) {
          const control = [pktinfo(one.group), hops(one.group, one.ttl)];
          bed.inner.arrivals.push(
            arrival(one, specs[i]!.ttlFirst ? control.toReversed() : control),
          );
        }
        bed.socket.departures.length = 0;
        bed.run();
        // Order holds within a flow only.
        assert.deepEqual(
          bed.socket.departures.map(({ octets }) => hex(octets)).toSorted(),
          sent.map(relayed).toSorted(),
        );
      }),
      { numRuns: 200 },
    );
  }
});

test("a checksum that comes out as zero is sent as all ones (RFC 768)", () => {
  const bed = relaying();
  for (const flow of FLOWS) {
    // The payload's one word is the complement of all else, so that the sum is minus zero.
    const zero = udpDatagram({ ...flow, port: PORT, payload: Uint8Array.of(0, 0) });
    const rest = new DataView(zero.buffer).getUint16(zero.length - 4);
    const spec = { ...flow, payload: Uint8Array.of(rest >> 8, rest & 255) };
    bed.inner.arrivals.push(arrival(spec, [pktinfo(flow.group)]));
  }
  bed.run();
  assert.deepEqual(
    bed.socket.departures.map(({ octets }) => hex(octets.subarray(-4, -2))),
    ["ffff", "ffff"],
  );
});

test("a sender's TTL that is not told counts as 64, and one that is spent drops", () => {
  for (const flow of FLOWS) {
    const bed = relaying();
    const spec = { ...flow, payload: pattern(30, 1), ttl: 64 };
    bed.inner.arrivals.push(arrival(spec, [pktinfo(flow.group)]));
    bed.inner.arrivals.push(arrival(spec, [pktinfo(flow.group), hops(flow.group, 1)]));
    bed.run();
    assert.deepEqual(
      bed.socket.departures.map(({ octets }) => hex(octets)),
      [relayed(spec)],
    );
    assert.equal(bed.ledger().stages[STAGE_INGEST]![verdict.VERDICT_TTL_EXPIRED], 1);
  }
});

test("the largest payload is rebuilt, and one octet more is dropped", () => {
  for (const { source, group } of FLOWS) {
    const headers = group.includes(":") ? 48 : 28;
    const bed = relaying();
    for (const length of [65_505 - headers, 65_535 - headers, 65_536 - headers])
      bed.inner.arrivals.push(
        arrival({ source, group, payload: pattern(length, 1) }, [pktinfo(group)]),
      );
    bed.run();
    const whole = relayed({ source, group, payload: pattern(65_505 - headers, 1), ttl: 64 });
    assert.equal(hex(bed.socket.departures[0]!.octets), whole);
    // The next one fits a datagram but no message: IPv4 is cut, IPv6 must not be.
    const row = bed.ledger().stages[STAGE_INGEST]!;
    assert.equal(bed.socket.departures.length, headers === 28 ? 3 : 1);
    assert.equal(row[verdict.VERDICT_TOO_BIG], headers === 28 ? 1 : 2);
  }
});

test("without its destination, or with that of another family, a payload is dropped", () => {
  const [four, six] = FLOWS;
  const bed = relaying();
  const payload = pattern(10, 1);
  bed.inner.arrivals.push(arrival({ ...four, payload }, []));
  bed.inner.arrivals.push(arrival({ ...four, payload }, [pktinfo(six.group)]));
  bed.inner.arrivals.push(arrival({ ...six, payload }, [pktinfo(four.group)]));
  bed.inner.arrivals.push(arrival({ ...four, payload }, [hops(four.group, 9)]));
  // Cut in the middle of its destination, as MSG_CTRUNC would be.
  bed.inner.arrivals.push(arrival({ ...four, payload }, [pktinfo(four.group).subarray(0, 20)]));
  // Of a length that would lead back to where it started.
  const endless = pktinfo(four.group);
  new DataView(endless.buffer).setUint32(0, 0xffff_fff8, true);
  bed.inner.arrivals.push(arrival({ ...four, payload }, [endless]));
  bed.run();
  assert.equal(bed.socket.departures.length, 0);
  assert.equal(bed.ledger().stages[STAGE_INGEST]![verdict.VERDICT_FAMILY], 6);
});

test("what an earlier datagram left in a slot shows in none that follows", () => {
  const bed = relaying();
  const [four, six] = FLOWS;
  for (const flow of [six, four, six, four]) {
    const spec = { ...flow, payload: pattern(77, 3), ttl: 9 };
    bed.socket.departures.length = 0;
    bed.inner.arrivals.push(arrival(spec, [pktinfo(flow.group), hops(flow.group, 9)]));
    bed.run();
    assert.equal(hex(bed.socket.departures[0]!.octets), relayed(spec));
  }
});

test("rebuilt datagrams of one flow join trains, and large ones are cut like any other", () => {
  const bed = relaying();
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.config(CONFIG_TUNNEL_MTU, 1_000);
  bed.run();
  const [four] = FLOWS;
  const specs = [500, 500, 500, 2_000].map((length, i) => ({
    ...four,
    payload: pattern(length, i),
    ttl: 64,
  }));
  for (const spec of specs) bed.inner.arrivals.push(arrival(spec, [pktinfo(four.group)]));
  bed.run();
  const left = bed.socket.departures.map(({ octets }) => octets);
  assert.deepEqual(left.slice(0, 3).map(hex), specs.slice(0, 3).map(relayed));
  const joined = join(left.slice(3).map((octets) => octets.subarray(22)));
  assert.equal(hex(joined.subarray(8)), hex(specs[3]!.payload));
});
