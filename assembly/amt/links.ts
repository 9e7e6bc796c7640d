// Datagrams for the links of a gateway: Ethernet frames that its packet socket sends.
//
//   noteCopy, for each link of a datagram's route -> layCopies, once the device has got its own
//
// A datagram is not copied: its header's first octets, with one hop taken off, stand behind the
// Ethernet header, and all else goes from where it arrived. One that is larger than the link's MTU goes
// as IPv4 fragments, each behind a header of its own, or not at all.
import {
  ARENA_CURSOR,
  ARENA_KEY,
  ARENA_TX,
  COPY_FRAGMENT,
  COPY_LENGTH,
  COPY_LINK,
  COPY_PACKET,
  COPY_SHIFT,
  CURSOR_COPIES,
  CURSOR_LAID,
  LINK_MTU,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_FRAGMENTED,
  TX_CAPACITY,
  TX_HEADS,
  TX_HEAD_SHIFT,
  TX_PREFIXES,
  TX_PREFIX_SHIFT,
  TX_STAGING,
} from "../layout/arena";
import {
  IPV4_DESTINATION,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV6_DESTINATION,
  IPV6_SOURCE,
} from "../layout/ip";
import {
  ETHERNET_LENGTH,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  SOCKADDR_LL_ADDRESS,
} from "../layout/system";
import { VERDICT_INNER_LENGTH, VERDICT_LINK_MTU, VERDICT_TTL_EXPIRED } from "../layout/verdict";
import { putMessage } from "../batch";
import { count, tally } from "../counters";
import { be16, hasHops, ipv4HeaderLength, isIpv4, keyOf, storeBe16, takeHop } from "../datagram";
import { endsBeyond, mustStayWhole, show, unnoted } from "./fit";
import { copyOctets } from "../octets";
import { putFragmentHeader } from "./pieces";
import { TUNNEL_LENGTH, tunnelAt } from "./routes";

/** The source address of frames. */
const STATION_LENGTH: usize = 6;

/** The least MTU of a link that carries IPv4 (RFC 791 §3.2). */
const IPV4_LEAST_MTU: u32 = 68;

/** Notes that a datagram goes out on link `link`, unless it may not or does not fit there. */
export function noteCopy(packet: usize, length: i32, link: u32): void {
  const mtu = load<u32>(tunnelAt(link), LINK_MTU);
  if (!hasHops(packet)) return drop(VERDICT_TTL_EXPIRED);
  if (<u32>length <= mtu) return note(packet, length, link, 0);
  if (mustStayWhole(packet) || mtu < IPV4_LEAST_MTU) {
    // ICMP must not answer multicast (RFC 1812 §4.3.2.7), but for this reason (RFC 4443 §2.4 e.3).
    if (!isIpv4(packet)) tell(packet, length, link);
    return drop(VERDICT_LINK_MTU);
  }
  if (endsBeyond(packet, length)) return drop(VERDICT_INNER_LENGTH);
  const header = ipv4HeaderLength(packet);
  const payload = <u32>length - header;
  const size = (mtu - header) & ~7;
  for (let at: u32 = 0; at < payload; at += size)
    note(packet, header + min(size, payload - at), link, 1 + at);
  tally(TALLY_FRAGMENTED, 1);
}

/** Shows control a datagram that is too big for a link, one of a source until control has looked. */
function tell(packet: usize, length: i32, link: u32): void {
  keyOf(packet, ARENA_KEY);
  const bit = unnoted(ARENA_KEY);
  if (bit) show(bit, link, packet, length);
}

function note(packet: usize, length: i32, link: u32, fragment: u32): void {
  const copies = load<u32>(ARENA_CURSOR, CURSOR_COPIES);
  const copy = copyAt(copies);
  store<u32>(copy, <u32>packet, COPY_PACKET);
  store<u32>(copy, length, COPY_LENGTH);
  store<u32>(copy, link, COPY_LINK);
  store<u32>(copy, fragment, COPY_FRAGMENT);
  store<u32>(ARENA_CURSOR, copies + 1, CURSOR_COPIES);
}

function drop(verdict: i32): void {
  count(STAGE_EGRESS, STAGE_RECEIVED, 1);
  count(STAGE_EGRESS, verdict, 1);
}

/** Lays the next noted copies out as messages, as many as there is room for. Returns how many. */
export function layCopies(): u32 {
  const copies = load<u32>(ARENA_CURSOR, CURSOR_COPIES);
  const laid = load<u32>(ARENA_CURSOR, CURSOR_LAID);
  const more = min<u32>(copies - laid, TX_CAPACITY);
  for (let i: u32 = 0; i < more; i++) layCopy(copyAt(laid + i), i);
  const isDone = laid + more == copies;
  store<u32>(ARENA_CURSOR, isDone ? 0 : laid + more, CURSOR_LAID);
  if (isDone) store<u32>(ARENA_CURSOR, 0, CURSOR_COPIES);
  return more;
}

function layCopy(copy: usize, at: u32): void {
  const packet = <usize>load<u32>(copy, COPY_PACKET);
  const record = tunnelAt(load<u32>(copy, COPY_LINK));
  const length = load<i32>(copy, COPY_LENGTH);
  const fragment = load<u32>(copy, COPY_FRAGMENT);
  if (fragment) return layFragment(packet, fragment - 1, record, length, at);
  const prefix = ARENA_TX + TX_PREFIXES + ((<usize>at) << TX_PREFIX_SHIFT);
  const head = putFrameHead(prefix, packet, record + SOCKADDR_LL_ADDRESS);
  const nameLength = load<u32>(record, TUNNEL_LENGTH);
  const rest = length - <i32>head;
  putMessage(at, record, nameLength, prefix, ETHERNET_LENGTH + head, packet + head, rest, length);
}

/** Lays message `at` out: a fragment of `length` octets, with `before` octets of payload before it. */
function layFragment(packet: usize, before: u32, record: usize, length: i32, at: u32): void {
  const header = ipv4HeaderLength(packet);
  const rest = length - <i32>header;
  const more = header + before + <u32>rest < be16(packet + IPV4_TOTAL_LENGTH);
  const frame = ARENA_TX + TX_HEADS + ((<usize>at) << TX_HEAD_SHIFT);
  putGroupAddress(frame, packet);
  copyOctets(frame + STATION_LENGTH, record + SOCKADDR_LL_ADDRESS, STATION_LENGTH);
  putFragmentHeader(packet, before, more, frame + ETHERNET_LENGTH, length);
  takeHop(frame + ETHERNET_LENGTH);
  const nameLength = load<u32>(record, TUNNEL_LENGTH);
  const octets = packet + header + before;
  putMessage(at, record, nameLength, frame, ETHERNET_LENGTH + header, octets, rest, length);
}

/**
 * Writes the Ethernet header and the first octets of the IP header, those up to the source address
 * or, with IPv6, up to the hop limit, with one hop taken off. Returns how many of the IP header.
 */
function putFrameHead(frame: usize, packet: usize, station: usize): usize {
  const head: usize = isIpv4(packet) ? IPV4_SOURCE : IPV6_SOURCE;
  putGroupAddress(frame, packet);
  copyOctets(frame + STATION_LENGTH, station, STATION_LENGTH);
  copyOctets(frame + ETHERNET_LENGTH, packet, head);
  takeHop(frame + ETHERNET_LENGTH);
  return head;
}

/** Destination and type of a multicast packet's Ethernet header (RFC 1112 §6.4, RFC 2464 §7). */
export function putGroupAddress(header: usize, packet: usize): void {
  if (isIpv4(packet)) {
    store<u8>(header, 0x01);
    store<u8>(header, 0x00, 1);
    store<u8>(header, 0x5e, 2);
    store<u8>(header, load<u8>(packet, IPV4_DESTINATION + 1) & 0x7f, 3);
    store<u16>(header, load<u16>(packet, IPV4_DESTINATION + 2), 4);
    storeBe16(header + ETHERNET_TYPE, ETHERTYPE_IPV4);
  } else {
    store<u16>(header, 0x3333);
    store<u32>(header, load<u32>(packet, IPV6_DESTINATION + 12), 2);
    storeBe16(header + ETHERNET_TYPE, ETHERTYPE_IPV6);
  }
}

function copyAt(i: u32): usize {
  return ARENA_TX + TX_STAGING + ((<usize>i) << COPY_SHIFT);
}
