/**
 * Generated datagrams and messages that know their own verdict. A packet is built sound, then given
 * any set of defects; the verdict is that of the defect which a router meets first.
 */
import fc from "fast-check";
import * as amt from "../../assembly/layout/amt.ts";
import * as ip from "../../assembly/layout/ip.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { oracleChecksum } from "./oracle.ts";

/** Everything that can be wrong with a datagram, in the order in which it is noticed. */
const DEFECTS_IPV4 = [
  "empty",
  "version",
  "cut-header",
  "header-length",
  "total-length",
  "overrun",
  "checksum",
  "unicast",
  "link-scope",
  "source",
  "hops",
] as const;
const DEFECTS_IPV6 = [
  "empty",
  "version",
  "cut-header",
  "overrun",
  "unicast",
  "link-scope",
  "source",
  "hops",
] as const;

export type Defect = (typeof DEFECTS_IPV4)[number];

export interface Packet {
  readonly octets: Uint8Array;
  /** The datagram's own length; what follows in `octets` is no part of it. */
  readonly length: number;
  readonly defects: readonly Defect[];
}

/** The verdict that encapsulation gives, VERDICT_FORWARDED for a sound packet. */
export function encapsulationVerdict(packet: Packet): number {
  return verdictOf(packet.defects[0], verdict.VERDICT_TRUNCATED);
}

/** The verdict that decapsulation gives of the packet in a sound message: hops do not matter. */
export function decapsulationVerdict(packet: Packet): number {
  const defects = packet.defects.filter((defect) => defect !== "hops");
  return verdictOf(defects[0], verdict.VERDICT_INNER_LENGTH);
}

function verdictOf(defect: Defect | undefined, overrun: number): number {
  switch (defect) {
    case undefined:
      return verdict.VERDICT_FORWARDED;
    case "empty":
    case "cut-header":
      return verdict.VERDICT_TRUNCATED;
    case "version":
      return verdict.VERDICT_INNER_VERSION;
    case "header-length":
    case "total-length":
      return verdict.VERDICT_INNER_LENGTH;
    case "overrun":
      return overrun;
    case "checksum":
      return verdict.VERDICT_INNER_CHECKSUM;
    case "unicast":
      return verdict.VERDICT_NOT_MULTICAST;
    case "link-scope":
      return verdict.VERDICT_LINK_SCOPE;
    case "source":
      return verdict.VERDICT_BAD_SOURCE;
    case "hops":
      return verdict.VERDICT_TTL_EXPIRED;
  }
}

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const payload = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65, max: 9000 }).chain(octets) },
);
const trailer = fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 24 }));

/** Mostly none or one; else any set, in the table's order. */
function defectsOf<D extends Defect>(table: readonly D[]): fc.Arbitrary<D[]> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant<D[]>([]) },
    { weight: 3, arbitrary: fc.constantFrom(...table).map((defect): D[] => [defect]) },
    { weight: 2, arbitrary: fc.subarray([...table]) },
  );
}

/** Numbers that the defects draw on. */
const chance = fc.record({
  cut: fc.nat(),
  version: fc.constantFrom(0, 1, 2, 3, 5, 7, 8, 15),
  bit: fc.nat(),
  small: fc.nat({ max: 4 }),
  octet: fc.oneof(fc.constantFrom(0, 1, 127, 128, 223, 224, 240, 255), fc.nat({ max: 255 })),
});

const ipv4: fc.Arbitrary<Packet> = fc
  .record({
    header: octets(ip.IPV4_HEADER),
    options: fc.nat({ max: 10 }).chain((words) => octets(words * 4)),
    ttl: fc.oneof(fc.constantFrom(2, 255), fc.integer({ min: 2, max: 255 })),
    source: fc.integer({ min: 1, max: 223 }),
    group: fc.tuple(fc.integer({ min: 224, max: 239 }), fc.nat({ max: 255 })),
    payload,
    trailer,
    chance,
    defects: defectsOf(DEFECTS_IPV4),
  })
  .map((made) => {
    const { chance } = made;
    const has = (defect: Defect) => (made.defects as readonly Defect[]).includes(defect);
    const headerLength = ip.IPV4_HEADER + made.options.length;
    const length = headerLength + made.payload.length;
    const packet = joined(made.header, made.options, made.payload, made.trailer);
    const view = new DataView(packet.buffer);
    packet[0] = 0x40 | (headerLength / 4);
    view.setUint16(ip.IPV4_TOTAL_LENGTH, length);
    packet[ip.IPV4_TTL] = has("hops") ? chance.bit % 2 : made.ttl;
    packet[ip.IPV4_SOURCE] = made.source;
    if (has("source")) packet[ip.IPV4_SOURCE] = chance.octet < 128 ? 0 : 224 + (chance.octet % 32);
    packet[ip.IPV4_DESTINATION] = made.group[0];
    packet[ip.IPV4_DESTINATION + 1] = made.group[1];
    // A nonzero third octet keeps 224.0.x.y out of 224.0.0.0/24.
    if (packet[ip.IPV4_DESTINATION + 2] === 0) packet[ip.IPV4_DESTINATION + 2] = 1;
    if (has("link-scope")) packet.set([224, 0, 0], ip.IPV4_DESTINATION);
    if (has("unicast"))
      packet[ip.IPV4_DESTINATION] = chance.octet < 224 ? chance.octet : 0xf0 | chance.octet;
    if (has("total-length"))
      view.setUint16(
        ip.IPV4_TOTAL_LENGTH,
        chance.octet < 128 ? headerLength - 1 : chance.cut % headerLength,
      );
    repairIpv4(packet);
    if (has("checksum")) flip(packet, 4 * 8 + (chance.bit % ((headerLength - 4) * 8)));
    if (has("header-length")) packet[0] = 0x40 | chance.small;
    return damaged(packet, length, ip.IPV4_HEADER, made);
  });

const ipv6: fc.Arbitrary<Packet> = fc
  .record({
    header: octets(ip.IPV6_HEADER),
    hops: fc.oneof(fc.constantFrom(2, 255), fc.integer({ min: 2, max: 255 })),
    source: fc.nat({ max: 254 }),
    scope: fc.integer({ min: 3, max: 15 }),
    payload,
    trailer,
    chance,
    defects: defectsOf(DEFECTS_IPV6),
  })
  .map((made) => {
    const { chance } = made;
    const has = (defect: Defect) => (made.defects as readonly Defect[]).includes(defect);
    const length = ip.IPV6_HEADER + made.payload.length;
    const packet = joined(made.header, made.payload, made.trailer);
    const view = new DataView(packet.buffer);
    packet[0] = 0x60 | (made.header[0]! & 0x0f);
    view.setUint16(ip.IPV6_PAYLOAD_LENGTH, made.payload.length);
    packet[ip.IPV6_HOP_LIMIT] = has("hops") ? chance.bit % 2 : made.hops;
    packet[ip.IPV6_SOURCE] = made.source;
    packet[ip.IPV6_SOURCE + 15]! |= 1; // not "::"
    if (has("source"))
      if (chance.octet < 128) packet[ip.IPV6_SOURCE] = 0xff;
      else packet.fill(0, ip.IPV6_SOURCE, ip.IPV6_SOURCE + 16);
    const flags = made.header[ip.IPV6_DESTINATION + 1]! & 0xf0;
    packet[ip.IPV6_DESTINATION] = has("unicast") ? chance.octet % 255 : 0xff;
    packet[ip.IPV6_DESTINATION + 1] = flags | (has("link-scope") ? chance.bit % 3 : made.scope);
    return damaged(packet, length, ip.IPV6_HEADER, made);
  });

export const datagram: fc.Arbitrary<Packet> = fc.oneof(ipv4, ipv6);

/** The defects that both families share, last because they cut the packet. */
function damaged(
  packet: Uint8Array,
  length: number,
  header: number,
  made: { chance: { cut: number; version: number }; defects: readonly Defect[] },
): Packet {
  const { chance, defects } = made;
  let end = packet.length;
  if (defects.includes("version")) packet[0] = (chance.version << 4) | (packet[0]! & 0x0f);
  // A packet that is all header cannot be cut after it: what is left is a cut header.
  const found = new Set(defects);
  if (found.has("overrun") && length === header) {
    found.delete("overrun");
    found.add("cut-header");
  }
  if (found.has("overrun")) end = header + (chance.cut % (length - header));
  if (found.has("cut-header")) end = 1 + (chance.cut % (header - 1));
  if (found.has("empty")) end = 0;
  const order = header === ip.IPV4_HEADER ? DEFECTS_IPV4 : DEFECTS_IPV6;
  return {
    octets: packet.slice(0, end),
    length,
    defects: order.filter((defect) => found.has(defect)),
  };
}

/** Writes the right checksum to an IPv4 header that fits; leaves any other packet as it is. */
export function repairIpv4(packet: Uint8Array): void {
  const headerLength = (packet[0]! & 0x0f) * 4;
  if (packet[0]! >> 4 !== 4 || headerLength < ip.IPV4_HEADER || headerLength > packet.length)
    return;
  packet.fill(0, ip.IPV4_CHECKSUM, ip.IPV4_CHECKSUM + 2);
  const sum = oracleChecksum(packet.subarray(0, headerLength));
  packet[ip.IPV4_CHECKSUM] = sum >> 8;
  packet[ip.IPV4_CHECKSUM + 1] = sum & 0xff;
}

/** Octets of a length; beyond 300 they all follow from one number, so that failures shrink fast. */
export function octetsOf(lengths: fc.Arbitrary<number>): fc.Arbitrary<Uint8Array> {
  const long = fc.tuple(lengths, fc.nat()).map(([length, seed]) => {
    let state = seed | 1;
    return Uint8Array.from({ length }, () => {
      state = Math.imul(state, 0x0019_660d) + 0x3c6e_f35f;
      return state >>> 24;
    });
  });
  return fc.oneof(fc.uint8Array({ maxLength: 300 }), long);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function flip(packet: Uint8Array, bit: number): void {
  packet[bit >> 3]! ^= 1 << (bit & 7);
}

/** A sound Multicast Data message of a packet; `reserved` goes to its second octet. */
export function messageOf(packet: Uint8Array, reserved: number): Uint8Array {
  const message = new Uint8Array(amt.AMT_DATA_DATAGRAM + packet.length);
  message.set([amt.AMT_DATA, reserved]);
  message.set(packet, amt.AMT_DATA_DATAGRAM);
  return message;
}

/**
 * Octets for which no verdict is foreseen: packets with octets overwritten, bits flipped, an end cut
 * off; the IPv4 checksum is mended in half of them, so that what lies behind it is reached.
 */
const mangled: fc.Arbitrary<Uint8Array> = fc
  .record({
    packet: datagram,
    edits: fc.array(fc.tuple(fc.nat({ max: 59 }), fc.nat({ max: 255 })), { maxLength: 4 }),
    flips: fc.array(fc.nat({ max: 479 }), { maxLength: 3 }),
    repair: fc.boolean(),
    keep: fc.oneof(fc.constant(Infinity), fc.nat({ max: 80 })),
  })
  .map(({ packet, edits, flips, repair, keep }) => {
    const octets = packet.octets.slice();
    for (const [offset, value] of edits) if (offset < octets.length) octets[offset] = value;
    for (const bit of flips) if (bit >> 3 < octets.length) flip(octets, bit);
    if (repair && octets.length > 0) repairIpv4(octets);
    return octets.slice(0, Math.min(octets.length, keep));
  });

/** Any octets at all, mangled datagrams, or datagrams that know their verdict. */
export const anyDatagram: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  mangled,
  datagram.map((packet) => packet.octets),
);

/** The same behind AMT's two octets, which are mostly those of Multicast Data. */
export const anyMessage: fc.Arbitrary<Uint8Array> = fc
  .record({
    first: fc.oneof(
      { weight: 6, arbitrary: fc.constant(amt.AMT_DATA) },
      { weight: 1, arbitrary: fc.nat({ max: 255 }) },
    ),
    reserved: fc.nat({ max: 255 }),
    inner: anyDatagram,
    keep: fc.oneof({ weight: 6, arbitrary: fc.constant(Infinity) }, fc.nat({ max: 3 })),
  })
  .map(({ first, reserved, inner, keep }) => {
    const message = messageOf(inner, reserved);
    message[0] = first;
    return message.slice(0, Math.min(message.length, keep));
  });
