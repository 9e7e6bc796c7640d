// IP datagrams: what is checked before one goes on, and what changes when it does.
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV4_TOS,
  IPV4_TTL,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_UDP,
  UDP_HEADER,
} from "./layout/ip";
import { KEY_GROUP, KEY_KIND, KEY_SOURCE } from "./layout/arena";
import {
  VERDICT_BAD_SOURCE,
  VERDICT_INNER_CHECKSUM,
  VERDICT_INNER_LENGTH,
  VERDICT_INNER_VERSION,
  VERDICT_LINK_SCOPE,
  VERDICT_NOT_MULTICAST,
  VERDICT_TRUNCATED,
} from "./layout/verdict";
import { fold, sumWords, updateChecksum } from "./checksum";

/** A 16-bit number in network order. */
export function be16(address: usize): u32 {
  return bswap<u16>(load<u16>(address));
}

/** Stores a 16-bit number in network order. */
export function storeBe16(address: usize, value: u32): void {
  store<u16>(address, bswap<u16>(<u16>value));
}

/** Octets of an IPv4 header, from its first octet. */
export function ipv4HeaderLength(packet: usize): u32 {
  return (load<u8>(packet) & 0x0f) << 2;
}

export function isIpv4(packet: usize): bool {
  return load<u8>(packet) >> 4 == 4;
}

/**
 * Checks the multicast datagram at `packet`, which has `room` octets. Returns the datagram's
 * length, or a negated verdict; `tooLong` is the one for a datagram longer than the room.
 */
export function checkMulticast(packet: usize, room: i32, tooLong: i32): i32 {
  if (room < 1) return -VERDICT_TRUNCATED;
  const version = load<u8>(packet) >> 4;
  if (version == 4) return checkIpv4(packet, room, tooLong);
  if (version == 6) return checkIpv6(packet, room, tooLong);
  return -VERDICT_INNER_VERSION;
}

function checkIpv4(packet: usize, room: i32, tooLong: i32): i32 {
  if (room < IPV4_HEADER) return -VERDICT_TRUNCATED;
  const header = <i32>ipv4HeaderLength(packet);
  const length = <i32>be16(packet + IPV4_TOTAL_LENGTH);
  if (header < IPV4_HEADER || length < header) return -VERDICT_INNER_LENGTH;
  if (length > room) return -tooLong;
  if (sumIpv4(packet, header) != 0xffff) return -VERDICT_INNER_CHECKSUM;
  const group = bswap<u32>(load<u32>(packet, IPV4_DESTINATION));
  if (group >> 28 != 0xe) return -VERDICT_NOT_MULTICAST;
  if (group >> 8 == 0xe00000) return -VERDICT_LINK_SCOPE;
  const source = load<u8>(packet, IPV4_SOURCE);
  if (source == 0 || source >= 224) return -VERDICT_BAD_SOURCE;
  return length;
}

/** The folded sum of an IPv4 header of `header` octets: 0xffff when its checksum is right. */
export function sumIpv4(packet: usize, header: u32): u32 {
  if (header != IPV4_HEADER) return sumWords(packet, header);
  return fold(
    <u64>load<u32>(packet) +
      load<u32>(packet, 4) +
      load<u32>(packet, 8) +
      load<u32>(packet, 12) +
      load<u32>(packet, 16),
  );
}

/** The folded sum of what differs between the IPv4 headers of a train: length, identification, checksum. */
export function sumVariedIpv4(packet: usize): u32 {
  return fold(
    <u64>load<u16>(packet, IPV4_TOTAL_LENGTH) +
      load<u16>(packet, IPV4_ID) +
      load<u16>(packet, IPV4_CHECKSUM),
  );
}

function checkIpv6(packet: usize, room: i32, tooLong: i32): i32 {
  if (room < IPV6_HEADER) return -VERDICT_TRUNCATED;
  const length = <i32>be16(packet + IPV6_PAYLOAD_LENGTH) + IPV6_HEADER;
  if (length > room) return -tooLong;
  if (load<u8>(packet, IPV6_DESTINATION) != 0xff) return -VERDICT_NOT_MULTICAST;
  if ((load<u8>(packet, IPV6_DESTINATION + 1) & 0x0f) <= 2) return -VERDICT_LINK_SCOPE;
  if (load<u8>(packet, IPV6_SOURCE) == 0xff) return -VERDICT_BAD_SOURCE;
  if ((load<u64>(packet, IPV6_SOURCE) | load<u64>(packet, IPV6_SOURCE + 8)) == 0)
    return -VERDICT_BAD_SOURCE;
  return length;
}

/** The ECN field of a datagram (RFC 3168 §5). */
export function ecnOf(packet: usize): u32 {
  // IPv6's traffic class lies across the first two octets.
  return isIpv4(packet) ? load<u8>(packet, IPV4_TOS) & 3 : (load<u8>(packet, 1) >> 4) & 3;
}

/** Sets the ECN field of a datagram, and mends the IPv4 header checksum. */
export function setEcn(packet: usize, ecn: u32): void {
  if (!isIpv4(packet)) {
    store<u8>(packet, (load<u8>(packet, 1) & 0xcf) | (ecn << 4), 1);
    return;
  }
  const old = be16(packet); // version, header length and TOS are one word of the checksum
  const now = (old & ~3) | ecn;
  storeBe16(packet, now);
  storeBe16(packet + IPV4_CHECKSUM, updateChecksum(be16(packet + IPV4_CHECKSUM), old, now));
}

/** True when a router may forward the datagram once more. */
export function hasHops(packet: usize): bool {
  return load<u8>(packet + (isIpv4(packet) ? IPV4_TTL : IPV6_HOP_LIMIT)) > 1;
}

/** Takes one from the TTL or hop limit, and mends the IPv4 header checksum. */
export function takeHop(packet: usize): void {
  if (!isIpv4(packet)) {
    store<u8>(packet, load<u8>(packet, IPV6_HOP_LIMIT) - 1, IPV6_HOP_LIMIT);
    return;
  }
  const old = be16(packet + IPV4_TTL); // TTL and protocol are one word of the checksum
  const now = old - 0x100;
  storeBe16(packet + IPV4_TTL, now);
  storeBe16(packet + IPV4_CHECKSUM, updateChecksum(be16(packet + IPV4_CHECKSUM), old, now));
}

/** Writes the (S,G) key of a checked datagram to `key`. */
export function keyOf(packet: usize, key: usize): void {
  if (isIpv4(packet)) {
    store<u64>(key, 4, KEY_KIND);
    store<u64>(key, load<u32>(packet, IPV4_DESTINATION), KEY_GROUP);
    store<u64>(key, 0, KEY_GROUP + 8);
    store<u64>(key, load<u32>(packet, IPV4_SOURCE), KEY_SOURCE);
    store<u64>(key, 0, KEY_SOURCE + 8);
  } else {
    store<u64>(key, 6, KEY_KIND);
    store<u64>(key, load<u64>(packet, IPV6_DESTINATION), KEY_GROUP);
    store<u64>(key, load<u64>(packet, IPV6_DESTINATION + 8), KEY_GROUP + 8);
    store<u64>(key, load<u64>(packet, IPV6_SOURCE), KEY_SOURCE);
    store<u64>(key, load<u64>(packet, IPV6_SOURCE + 8), KEY_SOURCE + 8);
  }
}

/** Octets of IP and UDP header of an unfragmented UDP datagram, or 0. */
export function udpHeaders(packet: usize, length: i32): i32 {
  let header = IPV6_HEADER;
  if (isIpv4(packet)) {
    header = <i32>ipv4HeaderLength(packet);
    if (load<u8>(packet, IPV4_PROTOCOL) != PROTOCOL_UDP) return 0;
    if (be16(packet + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) return 0;
  } else if (load<u8>(packet, IPV6_NEXT_HEADER) != PROTOCOL_UDP) {
    return 0;
  }
  header += UDP_HEADER;
  return header <= length ? header : 0;
}
