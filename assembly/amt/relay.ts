// Second half of a relay's packet path: items become trains, trains become one message for each
// member of their route.
//
//   ingest.ts -> relayFill -> [nextTrain -> putPiece] -> [putMessages] -> the host sends -> egress.ts
//
// A train holds datagrams of one route in AMT headers, all of one length but perhaps the last: what
// UDP_SEGMENT cuts apart again. Its octets are written once; the messages to all the members share
// its iovecs. For a single member the payload of super-packets stays where it was received: the kernel then
// gathers it, in place of our copying it.
import { AMT_DATA_DATAGRAM } from "../layout/amt";
import {
  ARENA_CONFIG,
  ARENA_CURSOR,
  ARENA_TX,
  CONFIG_SEGMENTS,
  CURSOR_ITEM,
  CURSOR_MEMBER,
  CURSOR_MTU,
  CURSOR_NOW,
  CURSOR_PIECE,
  CURSOR_ROUTE,
  CURSOR_TRAIN,
  CURSOR_TRAINS,
  ITEM_FRAGMENTS,
  ITEM_KIND,
  ITEM_LENGTH,
  ITEM_NEXT,
  ITEM_PACKET,
  ITEM_PIECE,
  ITEM_PIECES,
  ITEM_SEGMENT_FRAGMENTS,
  ITEM_SEGMENTS,
  ITEM_WHOLE,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TRAIN_CAPACITY,
  TRAIN_CMSG,
  TRAIN_CMSG_ECN4,
  TRAIN_CMSG_ECN6,
  TRAIN_ECN,
  TRAIN_END,
  TRAIN_IOVEC_COUNT,
  TRAIN_IOVECS,
  TRAIN_LENGTH,
  TRAIN_LENGTH_MAX,
  TRAIN_OFFSET,
  TRAIN_SEGMENTS,
  TRAIN_SEGMENTS_MAX,
  TRAIN_SHIFT,
  TUNNEL_ECN,
  TX_CAPACITY,
  TX_HEADERS,
  TX_LENGTHS,
  TX_SEGMENTS,
  TX_STAGING,
  TX_STAGING_SIZE,
  TX_TRAINS,
} from "../layout/arena";
import {
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_TCLASS,
  IP_TOS,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SHIFT,
  SOCKADDR_IN_LENGTH,
  UDP_SEGMENT,
} from "../layout/system";
import { IPV4_HEADER, IPV6_HEADER, UDP_HEADER } from "../layout/ip";
import { VERDICT_TUNNEL_RATE } from "../layout/verdict";
import { putDataHeader } from "./data";
import { absolute } from "../batch";
import { CMSG_ROOM, putCmsgInt, putCmsgShort } from "../cmsg";
import { count } from "../counters";
import { ecnOf, ipv4HeaderLength, takeHop, udpHeaders } from "../datagram";
import { segmentPayload } from "../offload/segment";
import {
  putFragment,
  putSegment,
  putSegmentFragment,
  putSegmentHead,
  segmentFragmentLength,
} from "./pieces";
import {
  routeCount,
  routeDequeueAll,
  routeList,
  routeNext,
  TUNNEL_LENGTH,
  TUNNEL_SHIFT,
  tunnelAt,
} from "./routes";
import { isLimited, mayBeSent } from "./rate";
import { firstRound, nextRound, tunnelMtu } from "./rounds";

/** The most members of a route for whom payload stays where it is. */
const GATHERED_MEMBERS: u32 = 1;

/** Octets of the iovecs of a train whose payload does: two for each datagram. */
const GATHERED_IOVECS: u32 = (TRAIN_SEGMENTS_MAX * 2) << IOVEC_SHIFT;

/** Octets of the staging area that a train may take. */
const TRAIN_ROOM: u32 = 65536 + GATHERED_IOVECS;

// The iovecs of the train being made: the last one, and where it ends in memory.
let part: usize = 0;
let partEnd: usize = 0;

/**
 * Writes the next messages to the transmit region, at most TX_CAPACITY, and returns how many; 0
 * once everything that `ingest` linked has been written. The messages must have left before the
 * next call.
 */
export function relayFill(): u32 {
  let train = <usize>load<u32>(ARENA_CURSOR, CURSOR_TRAIN);
  let room = TX_STAGING_SIZE;
  let staged: u32 = 0;
  if (train) {
    // The train that is being sent stays where it is; new ones go behind it, or before it.
    const offset = load<u32>(train, TRAIN_OFFSET);
    staged = load<u32>(train, TRAIN_END);
    if (staged + TRAIN_ROOM > <u32>TX_STAGING_SIZE) {
      staged = 0;
      room = offset;
    }
  }
  let messages: u32 = 0;
  for (let trains = 1; messages < <u32>TX_CAPACITY;) {
    if (!train) {
      if (trains == TRAIN_CAPACITY || staged + TRAIN_ROOM > <u32>room) {
        if (messages) break;
        // No tunnel may be sent any of these trains: their places are free again.
        staged = 0;
        room = TX_STAGING_SIZE;
        trains = 0;
      }
      train = nextTrain(staged);
      if (!train) break;
      staged = load<u32>(train, TRAIN_END);
      trains++;
    }
    const route = <usize>load<u32>(ARENA_CURSOR, CURSOR_ROUTE);
    const first = load<u32>(ARENA_CURSOR, CURSOR_MEMBER);
    const mtu = load<u32>(ARENA_CURSOR, CURSOR_MTU);
    let next = first;
    if (!mtu && !isLimited()) {
      const members = min<u32>(routeCount(route) - first, TX_CAPACITY - messages);
      putMessages(train, routeList(route) + ((<usize>first) << 2), members, messages);
      messages += members;
      next += members;
    } else {
      for (; next < routeCount(route) && messages < <u32>TX_CAPACITY; next++) {
        const place = routeList(route) + ((<usize>next) << 2);
        const tunnel = load<u32>(place);
        if (mtu && tunnelMtu(tunnel) != mtu) continue;
        if (isLimited() && !isWithin(train, tunnel)) continue;
        putMessages(train, place, 1, messages++);
      }
    }
    if (next == routeCount(route)) {
      train = 0;
      next = 0;
    }
    store<u32>(ARENA_CURSOR, next, CURSOR_MEMBER);
  }
  store<u32>(ARENA_CURSOR, <u32>train, CURSOR_TRAIN);
  return messages;
}

/** Writes the train's message for each of `members` tunnels of `list`, from message `at` on. */
function putMessages(train: usize, list: usize, members: u32, at: u32): void {
  const segments = load<u32>(train, TRAIN_SEGMENTS);
  const length = load<u32>(train, TRAIN_LENGTH);
  const iovecs = absolute(load<u32>(train, TRAIN_IOVECS));
  const parts = load<u32>(train, TRAIN_IOVEC_COUNT);
  const control = segments > 1 ? absolute(train + TRAIN_CMSG) : 0;
  const controlLength = segments > 1 ? CMSG_ROOM : 0;
  const marked = load<u32>(train, TRAIN_ECN) != 0;
  const tunnels = tunnelAt(0);
  const base = absolute(0);
  let message = ARENA_TX + TX_HEADERS + ((<usize>at) << MMSGHDR_SHIFT);
  let note = ARENA_TX + ((<usize>at) << 2);
  const end = list + ((<usize>members) << 2);
  for (; list < end; list += 4, note += 4, message += 1 << MMSGHDR_SHIFT) {
    const tunnel = tunnels + ((<usize>load<u32>(list)) << TUNNEL_SHIFT);
    store<u64>(message, base + tunnel, MMSGHDR_NAME);
    const nameLength = load<u32>(tunnel, TUNNEL_LENGTH);
    store<u32>(message, nameLength & 0xff, MMSGHDR_NAME_LENGTH);
    store<u64>(message, iovecs, MMSGHDR_IOV);
    store<u64>(message, parts, MMSGHDR_IOV_COUNT);
    store<u64>(message, control, MMSGHDR_CONTROL);
    store<u64>(message, controlLength, MMSGHDR_CONTROL_LENGTH);
    store<u32>(message, 0, MMSGHDR_FLAGS);
    if (marked && nameLength & TUNNEL_ECN) mark(message, train, nameLength, controlLength);
    store<u32>(note, segments, TX_SEGMENTS);
    store<u32>(note, length, TX_LENGTHS);
  }
  count(STAGE_EGRESS, STAGE_RECEIVED, segments * members);
}

/** True if a tunnel may be sent the train now, its outer headers included; else it is dropped. */
function isWithin(train: usize, tunnel: u32): bool {
  const segments = load<u32>(train, TRAIN_SEGMENTS);
  const nameLength = load<u32>(tunnelAt(tunnel), TUNNEL_LENGTH) & 0xff;
  const header = nameLength == SOCKADDR_IN_LENGTH ? IPV4_HEADER : IPV6_HEADER;
  const octets = load<u32>(train, TRAIN_LENGTH) + segments * (header + UDP_HEADER);
  if (mayBeSent(tunnel, octets, load<u32>(ARENA_CURSOR, CURSOR_NOW))) return true;
  count(STAGE_EGRESS, STAGE_RECEIVED, segments);
  count(STAGE_EGRESS, VERDICT_TUNNEL_RATE, segments);
  return false;
}

/** Lets a message bear the train's ECN field: RFC 6040's normal mode (RFC 9601 §4). */
function mark(message: usize, train: usize, nameLength: u32, controlLength: u64): void {
  const isV4 = (nameLength & 0xff) == SOCKADDR_IN_LENGTH;
  const control = train + (isV4 ? TRAIN_CMSG_ECN4 : TRAIN_CMSG_ECN6);
  store<u64>(message, absolute(control), MMSGHDR_CONTROL);
  store<u64>(message, CMSG_ROOM + controlLength, MMSGHDR_CONTROL_LENGTH);
}

/**
 * Makes the next train at octet `staged` of the staging area and moves the cursor past what it
 * took; 0 when no route has items left.
 */
function nextTrain(staged: u32): usize {
  let item = <usize>load<u32>(ARENA_CURSOR, CURSOR_ITEM);
  let piece = load<u32>(ARENA_CURSOR, CURSOR_PIECE);
  if (!item) {
    item = nextRoute();
    if (!item) return 0;
    piece = 0;
  }
  const made = load<u32>(ARENA_CURSOR, CURSOR_TRAINS);
  store<u32>(ARENA_CURSOR, made + 1, CURSOR_TRAINS);
  const train = ARENA_TX + TX_TRAINS + ((<usize>(made & (TRAIN_CAPACITY - 1))) << TRAIN_SHIFT);
  const iovecs = ARENA_TX + TX_STAGING + <usize>staged;
  const gathered = isGathered(item);
  const start = iovecs + (gathered ? GATHERED_IOVECS : 1 << IOVEC_SHIFT);
  let to = start;
  part = iovecs - (1 << IOVEC_SHIFT);
  partEnd = 0;
  const segmentsMax = load<u32>(ARENA_CONFIG, CONFIG_SEGMENTS);
  const size = messageLength(item, piece);
  const ecn = ecnOf(<usize>load<u32>(item, ITEM_PACKET));
  let length: u32 = 0;
  let segments: u32 = 0;
  while (item && segments < segmentsMax) {
    const next = messageLength(item, piece);
    if (ecnOf(<usize>load<u32>(item, ITEM_PACKET)) != ecn) break;
    if (next > size || length + next > <u32>TRAIN_LENGTH_MAX) break;
    if (gathered && load<u32>(item, ITEM_KIND) == ITEM_SEGMENTS) {
      to += putGathered(item, piece, to, next);
    } else {
      putPiece(item, piece, to, next - AMT_DATA_DATAGRAM);
      addPart(to, next);
      to += next;
    }
    length += next;
    segments++;
    piece++;
    if (piece == load<u32>(item, ITEM_PIECES)) {
      item = load<u32>(item, ITEM_NEXT);
      piece = 0;
    }
    if (next < size) break;
  }
  store<u32>(ARENA_CURSOR, <u32>item, CURSOR_ITEM);
  store<u32>(ARENA_CURSOR, piece, CURSOR_PIECE);
  store<u32>(train, ecn, TRAIN_ECN);
  store<u32>(train, <u32>iovecs, TRAIN_IOVECS);
  store<u32>(train, <u32>((part - iovecs) >> IOVEC_SHIFT) + 1, TRAIN_IOVEC_COUNT);
  store<u32>(train, staged, TRAIN_OFFSET);
  // The next one's iovecs are aligned.
  store<u32>(train, (<u32>(to + 15 - (ARENA_TX + TX_STAGING))) & ~15, TRAIN_END);
  finishTrain(train, length, size, segments);
  return train;
}

/** True if the payload of segments is to stay where it is in a train that begins with this item. */
function isGathered(item: usize): bool {
  const route = <usize>load<u32>(ARENA_CURSOR, CURSOR_ROUTE);
  return load<u32>(item, ITEM_KIND) == ITEM_SEGMENTS && routeCount(route) <= GATHERED_MEMBERS;
}

/** Goes on to the route's next round or the next route. Returns the first item to send, or 0. */
function nextRoute(): usize {
  let route = <usize>load<u32>(ARENA_CURSOR, CURSOR_ROUTE);
  if (!route) return 0;
  let item = nextRound(route);
  while (!item) {
    item = <usize>routeDequeueAll(route);
    if (item) {
      item = firstRound(route, item);
    } else {
      // This route's items are all sent.
      route = routeNext(route);
      store<u32>(ARENA_CURSOR, <u32>route, CURSOR_ROUTE);
      if (!route) return 0;
    }
  }
  return item;
}

/** Octets of the message that a piece of an item becomes. */
function messageLength(item: usize, piece: u32): u32 {
  const length = load<u32>(item, ITEM_LENGTH);
  const kind = load<u32>(item, ITEM_KIND);
  if (kind == ITEM_WHOLE) return length + AMT_DATA_DATAGRAM;
  if (kind == ITEM_SEGMENT_FRAGMENTS) return segmentFragmentLength(item, piece) + AMT_DATA_DATAGRAM;
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  const header =
    kind == ITEM_FRAGMENTS ? ipv4HeaderLength(packet) : <u32>udpHeaders(packet, length);
  const size = load<u32>(item, ITEM_PIECE);
  return header + min(size, length - header - piece * size) + AMT_DATA_DATAGRAM;
}

/** Writes the message of a piece, whose datagram has `length` octets, to `to`. */
function putPiece(item: usize, piece: u32, to: usize, length: u32): void {
  const packet = <usize>load<u32>(item, ITEM_PACKET);
  const datagram = to + AMT_DATA_DATAGRAM;
  putDataHeader(to);
  const kind = load<u32>(item, ITEM_KIND);
  if (kind == ITEM_WHOLE) {
    memory.copy(datagram, packet, length);
  } else if (kind == ITEM_FRAGMENTS) {
    putFragment(item, piece, datagram, length);
  } else if (kind == ITEM_SEGMENT_FRAGMENTS) {
    putSegmentFragment(item, piece, datagram, length);
  } else {
    putSegment(item, piece, datagram, length);
  }
  takeHop(datagram);
}

/**
 * Writes the headers of the message of a segment, of `length` octets, to `to`, and adds them and the
 * payload to the train. Returns the octets of the headers.
 */
function putGathered(item: usize, piece: u32, to: usize, length: u32): u32 {
  const datagram = to + AMT_DATA_DATAGRAM;
  putDataHeader(to);
  const head =
    AMT_DATA_DATAGRAM + putSegmentHead(item, piece, datagram, length - AMT_DATA_DATAGRAM);
  takeHop(datagram);
  addPart(to, head);
  addPart(segmentPayload(piece), length - head);
  return head;
}

/** Adds octets to the train: to its last iovec, if they follow that in memory. */
function addPart(at: usize, length: u32): void {
  if (at == partEnd) {
    store<u64>(part, load<u64>(part, IOVEC_LENGTH) + length, IOVEC_LENGTH);
  } else {
    part += 1 << IOVEC_SHIFT;
    store<u64>(part, absolute(at), IOVEC_BASE);
    store<u64>(part, length, IOVEC_LENGTH);
  }
  partEnd = at + length;
}

/** Writes what the messages of a train share but its iovecs: its segment size for the kernel. */
function finishTrain(train: usize, length: u32, size: u32, segments: u32): void {
  store<u32>(train, segments, TRAIN_SEGMENTS);
  store<u32>(train, length, TRAIN_LENGTH);
  putCmsgShort(train + TRAIN_CMSG, IPPROTO_UDP, UDP_SEGMENT, size);
  const ecn = load<u32>(train, TRAIN_ECN);
  if (!ecn) return;
  putCmsgInt(train + TRAIN_CMSG_ECN4, IPPROTO_IP, IP_TOS, ecn);
  putCmsgInt(train + TRAIN_CMSG_ECN6, IPPROTO_IPV6, IPV6_TCLASS, ecn);
  const after = train + TRAIN_CMSG_ECN6 + CMSG_ROOM;
  putCmsgShort(after, IPPROTO_UDP, UDP_SEGMENT, size);
}
