// A gateway's packet path: messages from the relay become packets for the device, or payloads for a
// receiver.
//
//   gatewayReceive -> gatewayFill -> [decapsulate -> wanted -> deliver] -> the host writes -> sent
//
// One received message can be a train that UDP_GRO joined: each of its segments is a datagram of
// its own. Segments are delivered from where they arrived; nothing is copied.
import { AMT_DATA, AMT_DATA_DATAGRAM } from "./layout/amt";
import {
  ARENA_CONFIG,
  ARENA_CURSOR,
  ARENA_KEY,
  ARENA_TX,
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  CONFIG_SINK_NAME,
  CONFIG_SINK_NAME_LENGTH,
  CONFIG_SINK_PORT,
  CURSOR_COUNT,
  CURSOR_MESSAGE,
  CURSOR_OCTET,
  CURSOR_REGION,
  SINK_PAYLOAD,
  SINK_TAP,
  SINK_TAP_PLAIN,
  SINK_TUN,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_DELIVERED,
  TX_CAPACITY,
  TX_HEADERS,
  TX_IOVECS,
  TX_LENGTHS,
  TX_PREFIXES,
  TX_PREFIX_SHIFT,
  TX_SEGMENTS,
} from "./layout/arena";
import {
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV6_DESTINATION,
  IPV6_NEXT_HEADER,
  PROTOCOL_FRAGMENT,
  UDP_CHECKSUM,
  UDP_DESTINATION_PORT,
  UDP_HEADER,
  UDP_LENGTH,
} from "./layout/ip";
import {
  ETHERNET_LENGTH,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  IPPROTO_UDP,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SHIFT,
  UDP_GRO,
  VNET_LENGTH,
} from "./layout/system";
import {
  VERDICT_ECN,
  VERDICT_FORWARDED,
  VERDICT_FRAGMENT,
  VERDICT_NOT_RELAY,
  VERDICT_NOT_UDP,
  VERDICT_NO_MEMBER,
  VERDICT_NO_ROUTE,
  VERDICT_STOPPED,
  VERDICT_UDP_CHECKSUM,
  VERDICT_UDP_PORT,
} from "./layout/verdict";
import { decapsulate, messageType } from "./amt";
import { absolute, rxAncillary, rxLength, rxName, rxPacket } from "./batch";
import { puntMessage } from "./control";
import { count, tallied, tally } from "./counters";
import { be16, isIpv4, keyOf, storeBe16, udpHeaders } from "./datagram";
import { receivedEcn, takeEcn } from "./ecn";
import { hearRelay, isRelay } from "./relays";
import { routeCount, routeFor, routeHash, routeRelay } from "./routes";
import { udpSum } from "./transport";

/** Begins a batch of `messages` messages from a gateway's AMT socket; `gatewayFill` goes on. */
export function gatewayReceive(region: usize, messages: u32): void {
  store<u32>(ARENA_CURSOR, <u32>region, CURSOR_REGION);
  store<u32>(ARENA_CURSOR, messages, CURSOR_COUNT);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MESSAGE);
  store<u32>(ARENA_CURSOR, 0, CURSOR_OCTET);
}

/**
 * Writes the next packets to the transmit region, at most TX_CAPACITY, and returns how many; 0 once
 * the batch is done. The packets must have left before the next call.
 */
export function gatewayFill(): u32 {
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const messages = load<u32>(ARENA_CURSOR, CURSOR_COUNT);
  let message = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  let octet = load<i32>(ARENA_CURSOR, CURSOR_OCTET);
  let packets: u32 = 0;
  while (message < messages && packets < <u32>TX_CAPACITY) {
    const length = rxLength(region, message);
    const size = segmentSize(region, message, length);
    const ecn = receivedEcn(region, message);
    const start = rxPacket(region, message);
    // An empty datagram is one segment, too.
    do {
      const room = min(size, length - octet);
      const verdict = segment(region, message, start + octet, room, ecn, packets);
      count(STAGE_CONTROL, STAGE_RECEIVED, 1);
      count(STAGE_CONTROL, verdict, 1);
      if (verdict == VERDICT_FORWARDED) packets++;
      octet += size;
    } while (octet < length && packets < <u32>TX_CAPACITY);
    if (octet >= length) {
      message++;
      octet = 0;
    }
  }
  store<u32>(ARENA_CURSOR, message, CURSOR_MESSAGE);
  store<i32>(ARENA_CURSOR, octet, CURSOR_OCTET);
  count(STAGE_EGRESS, STAGE_RECEIVED, packets);
  return packets;
}

/** Octets of each datagram in a received message: what UDP_GRO says, else all of it. */
function segmentSize(region: usize, message: u32, length: i32): i32 {
  const gro = rxAncillary(region, message, IPPROTO_UDP, UDP_GRO);
  const size = gro ? load<i32>(gro) : 0;
  return size > 0 ? size : max(length, 1);
}

/** Decides about one datagram; a wanted one becomes packet `at` of the transmit region. */
function segment(region: usize, i: u32, message: usize, room: i32, outerEcn: u32, at: u32): i32 {
  if (messageType(message, room) != AMT_DATA) return puntMessage(region, i, message, room, false);
  const length = decapsulate(message, room);
  if (length < 0) return -length;
  const packet = message + AMT_DATA_DATAGRAM;
  const verdict = wanted(packet, rxName(region, i));
  if (verdict != VERDICT_FORWARDED) return verdict;
  if (!takeEcn(packet, outerEcn)) return VERDICT_ECN;
  if (load<u32>(ARENA_CONFIG, CONFIG_SINK) == SINK_PAYLOAD)
    return deliverPayload(packet, length, at);
  if (!admit()) return VERDICT_STOPPED;
  deliver(packet, length, at);
  return VERDICT_FORWARDED;
}

/**
 * Whether the reception state wants this source of this group, from the sender at sockaddr `name`
 * (RFC 7450 §5.2.3.6): the relay that was asked for it.
 */
function wanted(packet: usize, name: usize): i32 {
  keyOf(packet, ARENA_KEY);
  const route = routeFor(ARENA_KEY, routeHash(ARENA_KEY));
  if (!route) return VERDICT_NO_ROUTE;
  if (!routeCount(route)) return VERDICT_NO_MEMBER;
  const relay = routeRelay(route);
  if (!isRelay(relay, name)) return VERDICT_NOT_RELAY;
  hearRelay(relay);
  return VERDICT_FORWARDED;
}

/** Lays a datagram out for the device, after what the device wants before it. */
function deliver(packet: usize, length: i32, at: u32): void {
  const sink = load<u32>(ARENA_CONFIG, CONFIG_SINK);
  const prefix = ARENA_TX + TX_PREFIXES + ((<usize>at) << TX_PREFIX_SHIFT);
  let prefixLength: usize = 0;
  if (sink == SINK_TUN || sink == SINK_TAP) {
    store<u64>(prefix, 0); // virtio_net_hdr: a plain packet with complete checksums
    store<u16>(prefix, 0, 8);
    prefixLength = VNET_LENGTH;
  }
  if (sink == SINK_TAP || sink == SINK_TAP_PLAIN) {
    putEthernetHeader(prefix + prefixLength, packet);
    prefixLength += ETHERNET_LENGTH;
  }
  putPacket(at, prefix, prefixLength, packet, length);
}

/** Ethernet header of a multicast packet (RFC 1112 §6.4, RFC 2464 §7). */
function putEthernetHeader(header: usize, packet: usize): void {
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
  // A locally administered unicast address that spells the AMT port.
  store<u32>(header, 0x00000002, 6);
  store<u16>(header, 0xdc08, 10);
}

/** Lays a datagram's UDP payload out for a receiver. Returns the verdict. */
function deliverPayload(packet: usize, length: i32, at: u32): i32 {
  const headers = udpHeaders(packet, length);
  if (!headers) return isFragment(packet) ? VERDICT_FRAGMENT : VERDICT_NOT_UDP;
  const udp = packet + headers - UDP_HEADER;
  const udpLength = <i32>be16(udp + UDP_LENGTH);
  if (udpLength < UDP_HEADER || udpLength > length - headers + UDP_HEADER) return VERDICT_NOT_UDP;
  const port = load<u32>(ARENA_CONFIG, CONFIG_SINK_PORT);
  if (port && be16(udp + UDP_DESTINATION_PORT) != port) return VERDICT_UDP_PORT;
  const unchecked = isIpv4(packet) && load<u16>(udp, UDP_CHECKSUM) == 0;
  if (!unchecked && udpSum(packet, udp, udpLength) != 0xffff) return VERDICT_UDP_CHECKSUM;
  if (!admit()) return VERDICT_STOPPED;
  putPacket(at, packet, 0, udp + UDP_HEADER, udpLength - UDP_HEADER);
  return VERDICT_FORWARDED;
}

/** True for a part of a datagram: with IPv6, where the Fragment header comes first. */
function isFragment(packet: usize): bool {
  if (isIpv4(packet)) return (be16(packet + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) != 0;
  return load<u8>(packet, IPV6_NEXT_HEADER) == PROTOCOL_FRAGMENT;
}

/** Counts a delivery towards the limit; false when that is reached. */
function admit(): bool {
  const limit = load<u32>(ARENA_CONFIG, CONFIG_SINK_LIMIT);
  if (limit && tallied(TALLY_DELIVERED) >= limit) return false;
  tally(TALLY_DELIVERED, 1);
  return true;
}

/** Writes the message and the two iovecs of packet `at`. */
function putPacket(at: u32, prefix: usize, prefixLength: usize, octets: usize, length: i32): void {
  const iovecs = ARENA_TX + TX_IOVECS + ((<usize>at) << (IOVEC_SHIFT + 1));
  store<u64>(iovecs, absolute(prefix), IOVEC_BASE);
  store<u64>(iovecs, prefixLength, IOVEC_LENGTH);
  store<u64>(iovecs, absolute(octets), (1 << IOVEC_SHIFT) + IOVEC_BASE);
  store<u64>(iovecs, length, (1 << IOVEC_SHIFT) + IOVEC_LENGTH);
  const message = ARENA_TX + TX_HEADERS + ((<usize>at) << MMSGHDR_SHIFT);
  const nameLength = load<u32>(ARENA_CONFIG, CONFIG_SINK_NAME_LENGTH);
  store<u64>(message, absolute(ARENA_CONFIG + CONFIG_SINK_NAME), MMSGHDR_NAME);
  store<u32>(message, nameLength, MMSGHDR_NAME_LENGTH);
  store<u64>(message, absolute(iovecs), MMSGHDR_IOV);
  store<u64>(message, 2, MMSGHDR_IOV_COUNT);
  store<u64>(message, 0, MMSGHDR_CONTROL);
  store<u64>(message, 0, MMSGHDR_CONTROL_LENGTH);
  store<u32>(message, 0, MMSGHDR_FLAGS);
  const note = ARENA_TX + ((<usize>at) << 2);
  store<u32>(note, 1, TX_SEGMENTS);
  store<u32>(note, length, TX_LENGTHS);
}
