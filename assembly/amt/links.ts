// Datagrams for the links of a gateway: Ethernet frames that its packet socket sends.
//
//   noteCopy, for each link of a datagram's route -> layCopies, once the device has got its own
//
// A datagram is not copied: its header's first octets, with one hop taken off, stand behind the
// Ethernet header, and all else goes from where it arrived.
import {
  ARENA_CURSOR,
  ARENA_TX,
  COPY_LENGTH,
  COPY_LINK,
  COPY_PACKET,
  COPY_SHIFT,
  CURSOR_COPIES,
  LINK_MTU,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TX_PREFIXES,
  TX_PREFIX_SHIFT,
  TX_STAGING,
} from "../layout/arena";
import { IPV4_DESTINATION, IPV4_SOURCE, IPV6_DESTINATION, IPV6_SOURCE } from "../layout/ip";
import {
  ETHERNET_LENGTH,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  SOCKADDR_LL_ADDRESS,
} from "../layout/system";
import { VERDICT_LINK_MTU, VERDICT_TTL_EXPIRED } from "../layout/verdict";
import { putMessage } from "../batch";
import { count } from "../counters";
import { hasHops, isIpv4, storeBe16, takeHop } from "../datagram";
import { TUNNEL_LENGTH, tunnelAt } from "./routes";

/** The source address of frames. */
const STATION_LENGTH: usize = 6;

/** Notes that a datagram goes out on link `link`, unless it may not or does not fit there. */
export function noteCopy(packet: usize, length: i32, link: u32): void {
  const verdict = linkVerdict(packet, length, load<u32>(tunnelAt(link), LINK_MTU));
  if (verdict != 0) {
    count(STAGE_EGRESS, STAGE_RECEIVED, 1);
    count(STAGE_EGRESS, verdict, 1);
    return;
  }
  const copies = load<u32>(ARENA_CURSOR, CURSOR_COPIES);
  const copy = copyAt(copies);
  store<u32>(copy, <u32>packet, COPY_PACKET);
  store<u32>(copy, length, COPY_LENGTH);
  store<u32>(copy, link, COPY_LINK);
  store<u32>(ARENA_CURSOR, copies + 1, CURSOR_COPIES);
}

/** Lays all noted copies out as messages. Returns how many. */
export function layCopies(): u32 {
  const copies = load<u32>(ARENA_CURSOR, CURSOR_COPIES);
  for (let i: u32 = 0; i < copies; i++) layCopy(copyAt(i), i);
  store<u32>(ARENA_CURSOR, 0, CURSOR_COPIES);
  return copies;
}

function layCopy(copy: usize, at: u32): void {
  const packet = <usize>load<u32>(copy, COPY_PACKET);
  const record = tunnelAt(load<u32>(copy, COPY_LINK));
  const length = load<i32>(copy, COPY_LENGTH);
  const prefix = ARENA_TX + TX_PREFIXES + ((<usize>at) << TX_PREFIX_SHIFT);
  const head = putFrameHead(prefix, packet, record + SOCKADDR_LL_ADDRESS);
  const nameLength = load<u32>(record, TUNNEL_LENGTH);
  const rest = length - <i32>head;
  putMessage(at, record, nameLength, prefix, ETHERNET_LENGTH + head, packet + head, rest, length);
}

/** Why a datagram may not go out on a link of this MTU, or 0. */
export function linkVerdict(packet: usize, length: i32, mtu: u32): i32 {
  if (!hasHops(packet)) return VERDICT_TTL_EXPIRED;
  return <u32>length > mtu ? VERDICT_LINK_MTU : 0;
}

/**
 * Writes the Ethernet header and the first octets of the IP header, those up to the source address
 * or, with IPv6, up to the hop limit, with one hop taken off. Returns how many of the IP header.
 */
export function putFrameHead(frame: usize, packet: usize, station: usize): usize {
  const head: usize = isIpv4(packet) ? IPV4_SOURCE : IPV6_SOURCE;
  putGroupAddress(frame, packet);
  memory.copy(frame + STATION_LENGTH, station, STATION_LENGTH);
  memory.copy(frame + ETHERNET_LENGTH, packet, head);
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
