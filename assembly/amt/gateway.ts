// A gateway's packet path: messages from the relay become packets for the device, or payloads for a
// receiver.
//
//   gatewayReceive -> gatewayFill -> [decapsulate -> wanted -> deliver] -> the host writes -> sent
//
// One received message can be a train that UDP_GRO joined: each of its segments is a datagram of
// its own. Segments are delivered from where they arrived; nothing is copied.
import { AMT_DATA, AMT_DATA_DATAGRAM } from "../layout/amt";
import {
  ARENA_CONFIG,
  ARENA_CURSOR,
  ARENA_KEY,
  CONFIG_LINKS,
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  CONFIG_SINK_NAME,
  CONFIG_SINK_NAME_LENGTH,
  CONFIG_SINK_PORT,
  CONFIG_SINK_USO,
  CURSOR_COPIES,
  CURSOR_COUNT,
  CURSOR_MESSAGE,
  CURSOR_OCTET,
  CURSOR_PACKETS,
  CURSOR_PORT,
  CURSOR_REGION,
  PORT_LINKS,
  PORT_OUTLET,
  SINK_PAYLOAD,
  SINK_TAP,
  SINK_TAP_PLAIN,
  SINK_TUN,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_DELIVERED,
  TX_CAPACITY,
} from "../layout/arena";
import {
  IPV4_FRAGMENT,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV6_NEXT_HEADER,
  PROTOCOL_FRAGMENT,
  UDP_CHECKSUM,
  UDP_DESTINATION_PORT,
  UDP_HEADER,
  UDP_LENGTH,
} from "../layout/ip";
import { ETHERNET_LENGTH, IPPROTO_UDP, UDP_GRO, VNET_LENGTH } from "../layout/system";
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
} from "../layout/verdict";
import { decapsulate, messageType } from "./data";
import { putMessage, rxAncillary, rxLength, rxName, rxPacket } from "../batch";
import { puntMessage } from "./control";
import { count, tallied, tally } from "../counters";
import { be16, ecnOf, isIpv4, keyOf, udpHeaders } from "../datagram";
import { ECN_NOT, receivedEcn, takeEcn } from "../ecn";
import {
  deliveryAdd,
  deliveryBegin,
  deliveryEnd,
  deliveryHasRoom,
  deliveryJoins,
  deliveryJoinsTrain,
  deliveryPrefix,
} from "../offload/delivery";
import { hearRelay, isRelay } from "./relays";
import { routeCount, routeFor, routeHash, routeList, routeRelay } from "./routes";
import { udpSum } from "../transport";
import { layCopies, noteCopy, putGroupAddress } from "./links";

/** The member of a route that stands for the device, or for a receiver. */
const MEMBER_DEVICE: u32 = 0;

/** Begins a batch of `messages` messages from a gateway's AMT socket; `gatewayFill` goes on. */
export function gatewayReceive(region: usize, messages: u32): void {
  store<u32>(ARENA_CURSOR, <u32>region, CURSOR_REGION);
  store<u32>(ARENA_CURSOR, messages, CURSOR_COUNT);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MESSAGE);
  store<u32>(ARENA_CURSOR, 0, CURSOR_OCTET);
  store<u32>(ARENA_CURSOR, 0, CURSOR_COPIES);
}

/**
 * Writes the next packets to the transmit region, at most TX_CAPACITY, all for the port at
 * CURSOR_PORT, and returns how many; 0 once the batch is done. The packets must have left before the
 * next call. Of one lot the device's come first, and then the links'.
 */
export function gatewayFill(): u32 {
  if (!load<u32>(ARENA_CURSOR, CURSOR_COPIES)) {
    store<u32>(ARENA_CURSOR, PORT_OUTLET, CURSOR_PORT);
    const packets = takeMore();
    if (packets > 0) return packets;
  }
  store<u32>(ARENA_CURSOR, PORT_LINKS, CURSOR_PORT);
  const copies = layCopies();
  count(STAGE_EGRESS, STAGE_RECEIVED, copies);
  return copies;
}

/**
 * Goes on with the batch until the transmit region has no room for one more. Returns how many packets
 * stand there for the device; what is for links is noted.
 */
function takeMore(): u32 {
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const messages = load<u32>(ARENA_CURSOR, CURSOR_COUNT);
  let message = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  let octet = load<i32>(ARENA_CURSOR, CURSOR_OCTET);
  store<u32>(ARENA_CURSOR, 0, CURSOR_PACKETS);
  deliveryBegin();
  while (message < messages && hasRoom()) {
    const length = rxLength(region, message);
    const size = segmentSize(region, message, length);
    const ecn = receivedEcn(region, message);
    const start = rxPacket(region, message);
    // An empty datagram is one segment, too.
    do {
      const room = min(size, length - octet);
      const verdict = segment(region, message, start + octet, room, ecn);
      count(STAGE_CONTROL, STAGE_RECEIVED, 1);
      count(STAGE_CONTROL, verdict, 1);
      octet += size;
      // A segment that becomes one with those before it shares what was decided about them.
      if (isShared) octet += size * share(start + octet, start + length, size);
    } while (octet < length && hasRoom());
    if (octet >= length) {
      message++;
      octet = 0;
    }
  }
  store<u32>(ARENA_CURSOR, message, CURSOR_MESSAGE);
  store<i32>(ARENA_CURSOR, octet, CURSOR_OCTET);
  // A receiver's payloads, or what is for the device.
  const payloads = load<u32>(ARENA_CURSOR, CURSOR_PACKETS);
  return payloads ? payloads : deliveryEnd();
}

/** True while one more datagram finds room, for the device and for every link. */
function hasRoom(): bool {
  if (load<u32>(ARENA_CURSOR, CURSOR_PACKETS) >= <u32>TX_CAPACITY) return false;
  if (!deliveryHasRoom()) return false;
  const copies = load<u32>(ARENA_CURSOR, CURSOR_COPIES);
  return copies + load<u32>(ARENA_CONFIG, CONFIG_LINKS) <= <u32>TX_CAPACITY;
}

/** Octets of each datagram in a received message: what UDP_GRO says, else all of it. */
function segmentSize(region: usize, message: u32, length: i32): i32 {
  const gro = rxAncillary(region, message, IPPROTO_UDP, UDP_GRO);
  const size = gro ? load<i32>(gro) : 0;
  return size > 0 ? size : max(length, 1);
}

// Whether what was decided about the last datagram holds for any that becomes one super-packet with
// it, and that one's relay.
let isShared: bool = false;
let sharedRelay: u32 = 0;

/**
 * Delivers those of a train's segments from `at` to `end`, of `size` octets each, that become one with
 * the one before. Returns how many.
 */
function share(at: usize, end: usize, size: i32): u32 {
  const joined = deliveryJoinsTrain(at, end, size, AMT_DATA_DATAGRAM, 0);
  count(STAGE_CONTROL, STAGE_RECEIVED, joined);
  count(STAGE_CONTROL, VERDICT_FORWARDED, joined);
  count(STAGE_EGRESS, STAGE_RECEIVED, joined);
  hearRelay(sharedRelay, joined);
  tally(TALLY_DELIVERED, joined);
  return joined;
}

/** Decides about one datagram; a wanted one is delivered to every member of its route. */
function segment(region: usize, i: u32, message: usize, room: i32, outerEcn: u32): i32 {
  isShared = false;
  if (messageType(message, room) != AMT_DATA) return puntMessage(region, i, message, room, false);
  const length = decapsulate(message, room);
  if (length < 0) return -length;
  const packet = message + AMT_DATA_DATAGRAM;
  keyOf(packet, ARENA_KEY);
  const route = routeFor(ARENA_KEY, routeHash(ARENA_KEY));
  if (!route) return VERDICT_NO_ROUTE;
  if (!routeCount(route)) return VERDICT_NO_MEMBER;
  // From the relay that was asked for it (RFC 7450 §5.2.3.6).
  const relay = routeRelay(route);
  if (!isRelay(relay, rxName(region, i))) return VERDICT_NOT_RELAY;
  hearRelay(relay, 1);
  if (!takeEcn(packet, outerEcn)) return VERDICT_ECN;
  if (load<u32>(ARENA_CONFIG, CONFIG_SINK) == SINK_PAYLOAD) return deliverPayload(packet, length);
  if (!admit()) return VERDICT_STOPPED;
  // Whether this source of this group is wanted, and by whom (RFC 7450 §5.2.3.6).
  const list = routeList(route);
  const links = load<u32>(ARENA_CONFIG, CONFIG_LINKS);
  for (let place: u32 = 0, members = routeCount(route); place < members; place++) {
    const member = load<u32>(list + ((<usize>place) << 2));
    if (member != MEMBER_DEVICE) {
      if (member <= links) noteCopy(packet, length, member);
    } else if (deliver(packet, length)) {
      // Its mark was, or has become, that of the outer header, or there is none to take over; and
      // there is no limit that ends the delivery.
      const alike = outerEcn == ECN_NOT || outerEcn == ecnOf(packet);
      isShared = alike && !load<u32>(ARENA_CONFIG, CONFIG_SINK_LIMIT);
      sharedRelay = relay;
    }
  }
  return VERDICT_FORWARDED;
}

/**
 * Lays a datagram out for the device, after what the device wants before it. Segments of one flow
 * become a super-packet, unless links need the datagrams as they came: true where that may be.
 */
function deliver(packet: usize, length: i32): bool {
  count(STAGE_EGRESS, STAGE_RECEIVED, 1);
  const joins =
    load<u32>(ARENA_CONFIG, CONFIG_SINK_USO) != 0 && !load<u32>(ARENA_CONFIG, CONFIG_LINKS);
  const ip = joins ? 0 : -1;
  if (deliveryJoins(packet, length, ip)) return true;
  const sink = load<u32>(ARENA_CONFIG, CONFIG_SINK);
  const prefix = deliveryPrefix();
  let vnet = 0;
  let link = 0;
  if (sink == SINK_TUN || sink == SINK_TAP) {
    store<u64>(prefix, 0); // virtio_net_hdr: a plain packet with complete checksums
    store<u16>(prefix, 0, 8);
    vnet = VNET_LENGTH;
  }
  if (sink == SINK_TAP || sink == SINK_TAP_PLAIN) {
    putEthernetHeader(prefix + vnet, packet);
    link = ETHERNET_LENGTH;
  }
  deliveryAdd(vnet + link, link, packet, length, ip, false, true);
  return joins;
}

/** Ethernet header of a packet on a TAP device. */
function putEthernetHeader(header: usize, packet: usize): void {
  putGroupAddress(header, packet);
  // A locally administered unicast address that spells the AMT port.
  store<u32>(header, 0x00000002, 6);
  store<u16>(header, 0xdc08, 10);
}

/** Lays a datagram's UDP payload out for a receiver. Returns the verdict. */
function deliverPayload(packet: usize, length: i32): i32 {
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
  count(STAGE_EGRESS, STAGE_RECEIVED, 1);
  putPacket(nextPacket(), packet, 0, udp + UDP_HEADER, udpLength - UDP_HEADER);
  return VERDICT_FORWARDED;
}

/** True for a part of a datagram: with IPv6, where the Fragment header comes first. */
function isFragment(packet: usize): bool {
  if (isIpv4(packet)) return (be16(packet + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) != 0;
  return load<u8>(packet, IPV6_NEXT_HEADER) == PROTOCOL_FRAGMENT;
}

/** The number of a receiver's next message. */
function nextPacket(): u32 {
  const at = load<u32>(ARENA_CURSOR, CURSOR_PACKETS);
  store<u32>(ARENA_CURSOR, at + 1, CURSOR_PACKETS);
  return at;
}

/** Counts a delivery towards the limit; false when that is reached. */
function admit(): bool {
  const limit = load<u32>(ARENA_CONFIG, CONFIG_SINK_LIMIT);
  if (limit && tallied(TALLY_DELIVERED) >= limit) return false;
  tally(TALLY_DELIVERED, 1);
  return true;
}

/** Writes packet `at` as a receiver takes it: its socket by name. */
function putPacket(at: u32, prefix: usize, prefixLength: usize, octets: usize, length: i32): void {
  const nameLength = load<u32>(ARENA_CONFIG, CONFIG_SINK_NAME_LENGTH);
  const name = ARENA_CONFIG + CONFIG_SINK_NAME;
  putMessage(at, name, nameLength, prefix, prefixLength, octets, length, length);
}
