// Datagrams that leave in several pieces: super-packets as the UDP datagrams they stand for, large
// ones as IPv4 fragments (RFC 791 §3.2), and the large segments of super-packets as both: piece N is
// then fragment N modulo ITEM_CUTS of segment N over ITEM_CUTS.
import {
  ITEM_CUT,
  ITEM_CUTS,
  ITEM_LENGTH,
  ITEM_PACKET,
  ITEM_PIECE,
  ITEM_PIECES,
} from "../layout/arena";
import {
  IPV4_CHECKSUM,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_MF,
  IPV4_TOTAL_LENGTH,
  UDP_CHECKSUM,
  UDP_HEADER,
  UDP_LENGTH,
} from "../layout/ip";
import { checksum, copyWords, sumWords } from "../checksum";
import { be16, ipv4HeaderLength, storeBe16 } from "../datagram";
import {
  isOpen,
  openUdp,
  putSegmentHeaders,
  segmentHeaders,
  segmentPayload as payloadOfSegment,
} from "../offload/segment";
import { putSplitChecksum } from "../transport";

const OPTION_END = 0;
const OPTION_NOP: u8 = 1;
const OPTION_COPIED = 0x80; // the option stands in every fragment

/** Writes segment `piece` of a super-packet: a UDP datagram of `length` octets. */
export function putSegment(item: usize, piece: u32, to: usize, length: u32): void {
  const headers = openSegment(item, piece);
  const payload = copyWords(to + headers, payloadOfSegment(piece), length - headers);
  putSegmentHeaders(piece, to, length, payload);
}

/**
 * Writes the headers of such a datagram alone, whose payload stays at `payloadOfSegment(piece)`. Returns
 * their octets.
 */
export function putSegmentHead(item: usize, piece: u32, to: usize, length: u32): u32 {
  const headers = openSegment(item, piece);
  putSegmentHeaders(piece, to, length, sumWords(payloadOfSegment(piece), length - headers));
  return headers;
}

/** Takes up the super-packet for its segment `piece`. Returns the octets of a segment's headers. */
function openSegment(item: usize, piece: u32): u32 {
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  if (piece == 0 || !isOpen(packet))
    openUdp(packet, load<u32>(item, ITEM_LENGTH), load<u32>(item, ITEM_PIECE));
  return segmentHeaders();
}

/** Writes fragment `piece` of an IPv4 datagram: `length` octets with header. */
export function putFragment(item: usize, piece: u32, to: usize, length: u32): void {
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  const header = ipv4HeaderLength(packet);
  const at = piece * load<u32>(item, ITEM_PIECE);
  memory.copy(to + header, packet + header + at, length - header);
  putFragmentHeader(packet, at, piece + 1 < load<u32>(item, ITEM_PIECES), to, length);
}

/** Writes the header of a fragment of `length` octets that begins `at` octets after the header. */
export function putFragmentHeader(
  packet: usize,
  at: u32,
  more: bool,
  to: usize,
  length: u32,
): void {
  const header = ipv4HeaderLength(packet);
  memory.copy(to, packet, header);
  if (at > 0) dropOptions(to, header);
  // What is itself a fragment keeps its place, and its own "more" in the last piece.
  const field = be16(packet + IPV4_FRAGMENT) + (at >> 3);
  storeBe16(to + IPV4_FRAGMENT, more ? field | IPV4_MF : field);
  finishIpv4(to, length);
}

/** Octets of fragment `piece` of a super-packet's segments, with its header. */
export function segmentFragmentLength(item: usize, piece: u32): u32 {
  const ip = ipv4HeaderLength(<usize>load<u32>(item, ITEM_PACKET));
  const cuts = load<u32>(item, ITEM_CUTS);
  const rest = UDP_HEADER + segmentPayload(item, ip, piece / cuts);
  const cut = load<u32>(item, ITEM_CUT);
  const left = ip + rest - (piece % cuts) * cut;
  // A last segment that fits as a whole may be a little longer than a fragment.
  return piece + 1 == load<u32>(item, ITEM_PIECES) ? left : min<u32>(left, ip + cut);
}

/** Writes fragment `piece` of an IPv4 super-packet's segments: `length` octets with header. */
export function putSegmentFragment(item: usize, piece: u32, to: usize, length: u32): void {
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  const ip = ipv4HeaderLength(packet);
  const cuts = load<u32>(item, ITEM_CUTS);
  const segment = piece / cuts;
  const at = (piece % cuts) * load<u32>(item, ITEM_CUT); // in the segment's IP payload
  const payload = segmentPayload(item, ip, segment);
  const from = packet + ip + UDP_HEADER + segment * load<u32>(item, ITEM_PIECE);
  putFragmentHeader(packet, at, at + length - ip < <u32>UDP_HEADER + payload, to, length);
  if (at == 0) {
    memory.copy(to + ip, packet + ip, UDP_HEADER);
    memory.copy(to + ip + UDP_HEADER, from, length - ip - UDP_HEADER);
    putSegmentUdp(to, to + ip, sumWords(from, payload), payload);
  } else {
    memory.copy(to + ip, from + at - UDP_HEADER, length - ip);
  }
  storeBe16(to + IPV4_ID, be16(to + IPV4_ID) + segment);
  finishIpv4(to, length);
}

/** Octets of UDP payload in a segment of an IPv4 super-packet with `ip` octets of IP header. */
function segmentPayload(item: usize, ip: u32, segment: u32): u32 {
  const size = load<u32>(item, ITEM_PIECE);
  return min(size, load<u32>(item, ITEM_LENGTH) - ip - UDP_HEADER - segment * size);
}

/** Sets length and checksum of a UDP header whose payload has `length` octets and the sum `payload`. */
function putSegmentUdp(packet: usize, udp: usize, payload: u32, length: u32): void {
  storeBe16(udp + UDP_LENGTH, UDP_HEADER + length);
  store<u16>(udp, 0, UDP_CHECKSUM);
  putSplitChecksum(packet, udp, UDP_HEADER + length, payload);
}

/** Sets length and checksum of an IPv4 header whose other fields are right. */
function finishIpv4(packet: usize, length: u32): void {
  storeBe16(packet + IPV4_TOTAL_LENGTH, length);
  store<u16>(packet, 0, IPV4_CHECKSUM);
  storeBe16(packet + IPV4_CHECKSUM, checksum(packet, ipv4HeaderLength(packet), 0));
}

/** Blanks the options that only the first fragment carries. */
function dropOptions(packet: usize, header: u32): void {
  const end = packet + header;
  for (let at = packet + IPV4_HEADER; at < end;) {
    const type = load<u8>(at);
    if (type == OPTION_END) return;
    if (type == OPTION_NOP) {
      at++;
      continue;
    }
    // An option too short or too long ends the walk: the rest is blanked, whatever it was.
    let length: usize = at + 1 < end ? load<u8>(at, 1) : 0;
    if (length < 2 || at + length > end) {
      memory.fill(at, OPTION_NOP, end - at);
      return;
    }
    if (!(type & OPTION_COPIED)) memory.fill(at, OPTION_NOP, length);
    at += length;
  }
}
