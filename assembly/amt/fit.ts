// Whether datagrams fit the tunnels (RFC 7450 §5.3.3.6.2). One that is too large for a tunnel is cut
// into IPv4 fragments, or dropped if it must not be; then control is shown it, to tell its source. So
// is each datagram of a super-packet.
import { AMT_DATA_DATAGRAM } from "../layout/amt";
import {
  ARENA_CONFIG,
  ARENA_TX,
  CONFIG_LEAST_MTU,
  CONFIG_NOTED,
  CONFIG_TUNNEL_MTU,
  ITEM_CUT,
  ITEM_CUTS,
  ITEM_FRAGMENTS,
  ITEM_KEY,
  ITEM_KIND,
  ITEM_LENGTH,
  ITEM_PACKET,
  ITEM_PARTIAL,
  ITEM_PIECE,
  ITEM_PIECES,
  ITEM_SEGMENTS,
  ITEM_SEGMENT_FRAGMENTS,
  KEY_ANY_SOURCE,
  KEY_KIND,
  KEY_SOURCE,
  PUNT_HEAD,
  PUNT_TOO_BIG,
  TALLY_COMPLETED,
  TALLY_NOTED,
  TRAIN_LENGTH_MAX,
  TX_STAGING,
} from "../layout/arena";
import { IPV4_DF, IPV4_FRAGMENT, IPV4_OFFSET_MASK, UDP_CHECKSUM, UDP_HEADER } from "../layout/ip";
import {
  VERDICT_FORWARDED,
  VERDICT_INNER_LENGTH,
  VERDICT_PUNTED,
  VERDICT_TOO_BIG,
} from "../layout/verdict";
import { checksum } from "../checksum";
import { tally } from "../counters";
import { be16, ipv4HeaderLength, isIpv4, storeBe16, udpHeaders } from "../datagram";
import { putSegment } from "./pieces";
import { puntFrom } from "../punt";
import { hashKey } from "../memory/table";

/** The words of a key's source. */
const SOURCE_WORDS: u32 = 2;

/** The largest inner datagram of the lane's tunnels; a message must fit a train as well. */
export function laneMtu(): u32 {
  return min<u32>(load<u32>(ARENA_CONFIG, CONFIG_TUNNEL_MTU), TRAIN_LENGTH_MAX - AMT_DATA_DATAGRAM);
}

/** A datagram of this length fits every tunnel of the lane. */
export function leastMtu(): u32 {
  return min(load<u32>(ARENA_CONFIG, CONFIG_LEAST_MTU), laneMtu());
}

/** The datagrams that an item stands for: a super-packet is those that it was made of. */
export function datagramsOf(item: usize): u32 {
  const kind = load<u32>(item, ITEM_KIND);
  if (kind == ITEM_SEGMENTS) return load<u32>(item, ITEM_PIECES);
  if (kind != ITEM_SEGMENT_FRAGMENTS) return 1;
  const cuts = load<u32>(item, ITEM_CUTS);
  return (load<u32>(item, ITEM_PIECES) + cuts - 1) / cuts;
}

/** How many of them leave in fragments. */
export function fragmentedOf(item: usize): u32 {
  const kind = load<u32>(item, ITEM_KIND);
  if (kind == ITEM_FRAGMENTS) return 1;
  if (kind != ITEM_SEGMENT_FRAGMENTS) return 0;
  // The last segment may be so short that it leaves whole.
  const cuts = load<u32>(item, ITEM_CUTS);
  return datagramsOf(item) - <u32>(load<u32>(item, ITEM_PIECES) % cuts == 1);
}

/** The length of the largest datagram that an item stands for. */
export function datagramLength(item: usize): u32 {
  const length = load<u32>(item, ITEM_LENGTH);
  if (!isSuper(item)) return length;
  const headers = udpHeaders(<usize>load<u32>(item, ITEM_PACKET), length);
  return min<u32>(headers + load<u32>(item, ITEM_PIECE), length);
}

/** The verdict on an item longer than `least`, which all the lane's tunnels take. */
export function fitLane(item: usize, least: u32): i32 {
  if (datagramLength(item) <= least) return VERDICT_FORWARDED;
  if (mustStayWhole(<usize>load<u32>(item, ITEM_PACKET))) note(item);
  return fit(item, laneMtu());
}

/** Sees to it that every piece of an item is at most `mtu` octets long. Returns the verdict. */
export function fit(item: usize, mtu: u32): i32 {
  const length = load<u32>(item, ITEM_LENGTH);
  if (datagramLength(item) <= mtu) return VERDICT_FORWARDED;
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  if (mustStayWhole(packet)) return VERDICT_TOO_BIG;
  if (endsBeyond(packet, length)) return VERDICT_INNER_LENGTH;
  const header = ipv4HeaderLength(packet);
  if (mtu < header + 8) return VERDICT_TOO_BIG;
  const piece = (mtu - header) & ~7;
  if (isSuper(item)) {
    const size = load<u32>(item, ITEM_PIECE);
    const segments = datagramsOf(item);
    const cuts = (UDP_HEADER + size + piece - 1) / piece;
    const last = length - header - (segments - 1) * size; // the last segment's IP payload
    store<u32>(item, ITEM_SEGMENT_FRAGMENTS, ITEM_KIND);
    const lastCuts = header + last <= mtu ? 1 : (last + piece - 1) / piece;
    store<u32>(item, (segments - 1) * cuts + lastCuts, ITEM_PIECES);
    store<u32>(item, piece, ITEM_CUT);
    store<u32>(item, cuts, ITEM_CUTS);
    return VERDICT_FORWARDED;
  }
  store<u32>(item, ITEM_FRAGMENTS, ITEM_KIND);
  store<u32>(item, (length - header + piece - 1) / piece, ITEM_PIECES);
  store<u32>(item, piece, ITEM_PIECE);
  return VERDICT_FORWARDED;
}

/** True for an item that stands for several UDP datagrams. */
function isSuper(item: usize): bool {
  const kind = load<u32>(item, ITEM_KIND);
  return kind == ITEM_SEGMENTS || kind == ITEM_SEGMENT_FRAGMENTS;
}

/** A fragment that ends behind the largest datagram would overflow its pieces' offsets. */
export function endsBeyond(packet: usize, length: u32): bool {
  const place = be16(packet + IPV4_FRAGMENT);
  return ((place & IPV4_OFFSET_MASK) << 3) + length > 0xffff;
}

/** True for what no router may fragment. */
export function mustStayWhole(packet: usize): bool {
  return !isIpv4(packet) || (be16(packet + IPV4_FRAGMENT) & IPV4_DF) != 0;
}

/**
 * Shows control the head of a datagram that some tunnel does not take, if its source was asked for:
 * one for each hash of a source until control has looked.
 */
function note(item: usize): void {
  const key = item + ITEM_KEY;
  if (load<u64>(key, KEY_KIND) & KEY_ANY_SOURCE) return;
  const bit = unnoted(key);
  if (!bit) return;
  let packet = <usize>load<u32>(item, ITEM_PACKET);
  const length = datagramLength(item);
  if (isSuper(item)) {
    // Nothing is staged yet.
    putSegment(item, 0, ARENA_TX + TX_STAGING, length);
    packet = ARENA_TX + TX_STAGING;
  } else if (load<u32>(item, ITEM_PARTIAL)) {
    complete(item);
  }
  show(bit, 0, packet, length);
}

/** The bit of CONFIG_NOTED for a key's source, or 0 if it is set. */
export function unnoted(key: usize): u32 {
  const bit: u32 = 1 << (hashKey(key + KEY_SOURCE, SOURCE_WORDS) & 31);
  return load<u32>(ARENA_CONFIG, CONFIG_NOTED) & bit ? 0 : bit;
}

/** Shows control the head of a datagram that is too big for port `port`, and sets the bit. */
export function show(bit: u32, port: u32, packet: usize, length: u32): void {
  const head = min<u32>(length, PUNT_HEAD);
  if (puntFrom(port, PUNT_TOO_BIG, packet, head, 0, 0) != VERDICT_PUNTED) return;
  store<u32>(ARENA_CONFIG, load<u32>(ARENA_CONFIG, CONFIG_NOTED) | bit, CONFIG_NOTED);
  tally(TALLY_NOTED, 1);
}

/** Completes a checksum of which only the pseudo-header's part is there. */
export function complete(item: usize): void {
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  const partial = load<u32>(item, ITEM_PARTIAL);
  const start = <usize>(partial >> 16);
  const offset = <usize>(partial & 0xffff);
  const sum = checksum(packet + start, <usize>load<u32>(item, ITEM_LENGTH) - start, 0);
  storeBe16(packet + start + offset, sum == 0 && offset == UDP_CHECKSUM ? 0xffff : sum);
  store<u32>(item, 0, ITEM_PARTIAL);
  tally(TALLY_COMPLETED, 1);
}
