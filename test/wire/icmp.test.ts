import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOctets, writeU16, writeU32 } from "../../src/wire/octets.ts";
import { emitTooBig, parseTooBig, readHead } from "../../src/wire/icmp.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { pattern, udpDatagram } from "../lanes/packets.ts";
import { hex } from "../vectors/hex.ts";

const RELAY = "192.0.2.1";
const FLOW = { source: RELAY, group: "203.0.113.5" };
const FLOW_6 = { source: "2001:db8:2::1", group: "2001:db8:2::11" };

/** A message of ours as a router quotes it; `udpDatagram` puts port 5000 on both sides. */
const ours = (flow: typeof FLOW, length = 1_440): Uint8Array =>
  udpDatagram({ ...flow, payload: Uint8Array.of(6, 0, ...pattern(length - 2, 1)), port: 5_000 });

test("fragmentation needed: type 3, code 4, checksum, next-hop MTU, then the datagram (RFC 1191 §4)", () => {
  const head = hex(
    "45 00 05 dc 00 01 40 00 08 11 00 00 c6 33 64 01 e8 01 02 03 13 88 13 88 05 c8 00 00",
  );
  const message = emitTooBig(head, 4, 1_370);
  assert.deepEqual(message.subarray(0, 2), hex("03 04"));
  assert.deepEqual(message.subarray(4, 8), hex("00 00 05 5a"));
  assert.deepEqual(message.subarray(8), head);
  assert.equal(internetChecksum(message, 0, message.length), 0);
});

test("Packet Too Big: type 2, code 0, MTU in 32 bits; the checksum is the system's (RFC 4443 §3.2)", () => {
  const message = emitTooBig(ours(FLOW_6).subarray(0, 100), 6, 1_370);
  assert.deepEqual(message.subarray(0, 8), hex("02 00 00 00 00 00 05 5a"));
  assert.deepEqual(message.subarray(8), ours(FLOW_6).subarray(0, 100));
});

test("an error has at most 576 octets over IPv4 and 1,280 over IPv6, and quotes as much as fits (RFC 1812 §4.3.2.3)", () => {
  assert.equal(emitTooBig(ours(FLOW), 4, 1_370).length + 20, 576);
  assert.equal(emitTooBig(ours(FLOW_6), 6, 1_370).length + 40, 1_280);
  assert.equal(emitTooBig(ours(FLOW, 100), 4, 100).length, 8 + 28 + 100);
});

test("what a router says of a message of ours tells both ends, the MTU, and the payload's start", () => {
  for (const [family, flow] of [
    [4, FLOW],
    [6, FLOW_6],
  ] as const) {
    const said = parseTooBig(emitTooBig(ours(flow), family, 1_400), family)!;
    assert.deepEqual(said.from, { address: flow.source, port: 5_000 });
    assert.deepEqual(said.to, { address: flow.group, port: 5_000 });
    assert.equal(said.mtu, 1_400);
    assert.deepEqual(said.payload.subarray(0, 2), Uint8Array.of(6, 0));
    // Eight octets behind the header are all that RFC 792 demands.
    const least = ours(flow).subarray(0, (family === 4 ? 20 : 40) + 8);
    assert.equal(parseTooBig(emitTooBig(least, family, 1_400), family)!.payload.length, 0);
  }
});

test("a router that says no MTU means the next smaller of the usual ones (RFC 1191 §7)", () => {
  for (const [length, mtu] of [
    [1_440, 1_006],
    [1_490, 1_492],
    [60, 68],
  ] as const)
    assert.equal(parseTooBig(emitTooBig(ours(FLOW, length), 4, 0), 4)!.mtu, mtu);
});

test("nothing else is taken for it: other types, codes and protocols, later fragments, a wrong checksum", () => {
  const changed = (at: number, value: number): Uint8Array => {
    const message = emitTooBig(ours(FLOW), 4, 1_400);
    message[at] = value;
    writeU16(message, 2, 0);
    writeU16(message, 2, internetChecksum(message, 0, message.length));
    return message;
  };
  assert.notEqual(parseTooBig(changed(1, 4), 4), undefined);
  for (const [at, value] of [
    [0, 5], // redirect
    [1, 3], // port unreachable
    [8, 0x65],
    [8, 0x44],
    [8 + 7, 1], // an offset
    [8 + 9, 6], // TCP
  ] as const)
    assert.equal(parseTooBig(changed(at, value), 4), undefined, `${at}: ${value}`);
  const wrong = emitTooBig(ours(FLOW), 4, 1_400);
  wrong[7]! ^= 1;
  assert.equal(parseTooBig(wrong, 4), undefined);
  const tcp = emitTooBig(ours(FLOW_6), 6, 1_400);
  tcp[8 + 6] = 6;
  assert.equal(parseTooBig(tcp, 6), undefined);
});

test("cut anywhere, a message or a datagram is read as less or not at all", () => {
  for (const [family, flow] of [
    [4, FLOW],
    [6, FLOW_6],
  ] as const) {
    const message = emitTooBig(ours(flow), family, 1_400);
    for (let length = 0; length < message.length; length++) {
      parseTooBig(message.subarray(0, length), family);
      readHead(ours(flow).subarray(0, length));
    }
    assert.equal(parseTooBig(message.subarray(0, 8 + 27), family), undefined);
  }
});

test("a datagram's head tells addresses and length", () => {
  for (const [family, flow, length] of [
    [4, FLOW, 1_468],
    [6, FLOW_6, 1_488],
  ] as const)
    assert.deepEqual(readHead(ours(flow).subarray(0, 200)), {
      family,
      source: flow.source,
      destination: flow.group,
      length,
      unanswerable: false,
    });
  assert.equal(readHead(hex("55 00")), undefined);
});

test("errors, redirects and later fragments are not answered by an error (RFC 1122 §3.2.2, RFC 4443 §2.4)", () => {
  const ipv4 = (change: (octets: Uint8Array) => void): boolean => {
    const octets = ours(FLOW).slice();
    change(octets);
    return readHead(octets)!.unanswerable;
  };
  const icmp = (type: number) => (octets: Uint8Array) => {
    octets[9] = 1;
    octets[20] = type;
  };
  for (const type of [3, 4, 5, 11, 12]) assert.ok(ipv4(icmp(type)), `type ${type}`);
  for (const type of [0, 8, 13]) assert.ok(!ipv4(icmp(type)), `type ${type}`);
  assert.ok(ipv4((octets) => (octets[7] = 1)));
  assert.ok(!ipv4((octets) => (octets[6] = 0x20)), "the first fragment may be");

  /** An IPv6 datagram with these headers behind the first. */
  const ipv6 = (next: number, ...rest: number[]): boolean => {
    const octets = new Uint8Array(40 + rest.length);
    octets[0] = 0x60;
    octets[6] = next;
    octets.set(addressOctets(FLOW_6.source), 8);
    octets.set(addressOctets(FLOW_6.group), 24);
    octets.set(rest, 40);
    return readHead(octets)!.unanswerable;
  };
  for (const type of [1, 2, 3, 4, 127, 137]) assert.ok(ipv6(58, type), `type ${type}`);
  for (const type of [128, 135]) assert.ok(!ipv6(58, type), `type ${type}`);
  const options = [0, 1, 4, 0, 0, 0, 0];
  assert.ok(ipv6(0, 58, ...options, 2), "behind Hop-by-Hop");
  assert.ok(!ipv6(0, 17, ...options, 2));
  assert.ok(ipv6(60, 44, ...options, 17, 0, 0, 8, 0, 0, 0, 0), "a later fragment");
  assert.ok(!ipv6(44, 17, 0, 0, 1, 0, 0, 0, 0), "the first fragment");
  assert.ok(ipv6(0, 58, 200), "headers that lead beyond what is there");
});

test("the MTU of ICMPv6 has 32 bits", () => {
  const message = emitTooBig(ours(FLOW_6), 6, 0);
  writeU32(message, 4, 0xffff_fff0);
  assert.equal(parseTooBig(message, 6)!.mtu, 0xffff_fff0);
});
