// From a tunnel to a device: datagrams become frames.
//
//   l2tpReceive -> l2tpReceiveFill -> [readHeader -> find -> open -> numbered] -> [place] -> the host writes
//
// A frame is written to the device from where it arrived. Where the device takes super-packets,
// segments of one flow become one message, with an iovec for the payload of each. All the frames of one fill are for one
// port: when the next is for another, the fill ends there.
import {
  ARENA_CURSOR,
  ARENA_KEY,
  CURSOR_COUNT,
  CURSOR_INLET,
  CURSOR_MESSAGE,
  CURSOR_NOW,
  CURSOR_OCTET,
  CURSOR_PORT,
  CURSOR_REGION,
  PUNT_FROM_SOCKET,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
} from "../layout/arena";
import {
  FRAME_MARK,
  HELD_FRAME,
  HELD_LENGTH,
  HELD_MARK,
  HELD_SESSION,
  PORT_KIND_MASK,
  PORT_MARKED,
  PORT_NONE,
  PORT_TRUNK,
  PORT_TSO,
  PORT_UDP,
  PORT_USO,
  PORT_VNET,
  PW_VLAN,
  SESSION_COOKIE,
  SESSION_COOKIES,
  SESSION_COOKIE_2,
  SESSION_COOKIE_LENGTH,
  SESSION_DEVICE,
  SESSION_FAMILY,
  SESSION_FLAGS,
  SESSION_HEARD,
  SESSION_ID,
  SESSION_PEER,
  SESSION_PEER_PORT,
  SESSION_PORT,
  SESSION_PSEUDOWIRE,
  SESSION_RX_COOKIE,
  SESSION_RX_ERRORS,
  SESSION_RX_INVALID,
  SESSION_RX_OCTETS,
  SESSION_RX_PACKETS,
  SESSION_SUBLAYER,
  SESSION_VERSION,
  SESSION_VLAN,
  SUBLAYER_ATM,
  SUBLAYER_ATM_BITS,
  SUBLAYER_FRAGMENT,
  SUBLAYER_LENGTH,
  SUBLAYER_NONE,
  SUBLAYER_S,
  SUBLAYER_V,
} from "../layout/l2tp";
import {
  AF_INET,
  IPPROTO_UDP,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_PORT,
  UDP_GRO,
  VNET_LENGTH,
} from "../layout/system";
import {
  VERDICT_ECN,
  VERDICT_FORWARDED,
  VERDICT_L2TP_COOKIE,
  VERDICT_L2TP_DEVICE,
  VERDICT_L2TP_FRAGMENT,
  VERDICT_L2TP_PAYLOAD,
  VERDICT_L2TP_SESSION,
  VERDICT_L2TP_VCCV,
  VERDICT_TRUNCATED,
} from "../layout/verdict";
import { rxAncillary, rxLength, rxName, rxNameLength, rxPacket } from "../batch";
import { count } from "../counters";
import { ecnOf } from "../datagram";
import { receivedEcn, takeEcn } from "../ecn";
import {
  deliveryAdd,
  deliveryBegin,
  deliveryCount,
  deliveryEnd,
  deliveryHasRoom,
  deliveryJoins,
  deliveryJoinsTrain,
  deliveryPrefix,
} from "../offload/delivery";
import { puntFrom } from "../punt";
import { headLength, headNumber, headNumbered, headStart, headVersion, readHeader } from "./header";
import { firstReady, freeSent, takeReady } from "./hold";
import { fitsPseudowire, innerDatagram, setVlan } from "./payload";
import { portKind } from "./ports";
import { expire, GO, numbered, staged, unnumbered } from "./sequence";
import { note, sessionFor } from "./sessions";

const NUMBER_V3: u32 = 0xffffff;

/** Begins a batch of `messages` messages from the socket of port `port`, at `now` milliseconds. */
export function l2tpReceive(region: usize, messages: u32, port: u32, now: u32): void {
  store<u32>(ARENA_CURSOR, <u32>region, CURSOR_REGION);
  store<u32>(ARENA_CURSOR, messages, CURSOR_COUNT);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MESSAGE);
  store<u32>(ARENA_CURSOR, 0, CURSOR_OCTET);
  store<u32>(ARENA_CURSOR, port, CURSOR_INLET);
  store<u32>(ARENA_CURSOR, now, CURSOR_NOW);
}

/** Begins a batch of what has been held for long enough at `now` milliseconds. */
export function l2tpExpire(now: u32): void {
  l2tpReceive(0, 0, 0, now);
  expire(now);
}

// The frame that goes on next, if there is one.
let frame: usize = 0;
let frameLength: i32 = 0;
let frameMark: u32 = 0;
let frameSession: usize = 0;
let frameIp: i32 = 0; // octets before its IP header; negative if it can't become part of a super-packet

/**
 * Writes the next frames to the transmit region, all for the port at CURSOR_PORT, and returns how
 * many messages they are; 0 once the batch is done. They must have left before the next call.
 */
export function l2tpReceiveFill(): u32 {
  freeSent();
  deliveryBegin();
  for (;;) {
    if (frame) {
      if (!place()) break;
      frame = 0;
      if (sharedHead && frameIp >= 0) share();
      continue;
    }
    const slot = firstReady();
    if (slot) {
      setFrame(
        <usize>load<u32>(slot, HELD_SESSION),
        slot + HELD_FRAME,
        load<i32>(slot, HELD_LENGTH),
        load<u32>(slot, HELD_MARK),
      );
      const placed = place();
      frame = 0;
      if (!placed) break;
      takeReady();
      continue;
    }
    if (!nextDatagram()) break;
  }
  return deliveryEnd();
}

function setFrame(session: usize, at: usize, length: i32, mark: u32): void {
  frameSession = session;
  frame = at;
  frameLength = length;
  frameMark = mark;
}

// What is alike for all datagrams of a message: found out at its first one.
let segmentSize: i32 = 0; // octets of each but the last
let messageEcn: u32 = 0;
// The session that the datagram before it in the same message was for, or 0.
let lastSession: usize = 0;
let lastVersion: u32 = 0;
let lastId: u32 = 0;
let isShared: bool = false; // what `open` decides holds for others with the same headers, too

// Octets before the frame of the datagram before, if what was decided about that one holds for any
// that follows it in the message with the same octets there, and becomes one super-packet with it.
let sharedHead: i32 = 0;

/** Delivers those of the message's next datagrams that become one with the one before. */
function share(): void {
  const octet = load<i32>(ARENA_CURSOR, CURSOR_OCTET);
  if (!octet) return; // that one was its message's last
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const message = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  const start = rxPacket(region, message);
  const end = start + rxLength(region, message);
  const joined = deliveryJoinsTrain(start + octet, end, segmentSize, sharedHead, frameIp);
  note(frameSession, SESSION_HEARD, joined);
  count(STAGE_CONTROL, STAGE_RECEIVED, joined);
  count(STAGE_CONTROL, VERDICT_FORWARDED, joined);
  noteDelivered(joined);
  advance(region, message, octet + <i32>joined * segmentSize);
}

/** Goes on to octet `octet` of a message, or to the next message. */
function advance(region: usize, message: u32, octet: i32): void {
  const done = octet >= rxLength(region, message);
  store<u32>(ARENA_CURSOR, done ? message + 1 : message, CURSOR_MESSAGE);
  store<i32>(ARENA_CURSOR, done ? 0 : octet, CURSOR_OCTET);
}

/** Decides about the batch's next datagram. False when there is none. */
function nextDatagram(): bool {
  sharedHead = 0;
  const message = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  if (message >= load<u32>(ARENA_CURSOR, CURSOR_COUNT)) return false;
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const octet = load<i32>(ARENA_CURSOR, CURSOR_OCTET);
  const length = rxLength(region, message);
  if (octet == 0) {
    const gro = rxAncillary(region, message, IPPROTO_UDP, UDP_GRO);
    segmentSize = gro && load<i32>(gro) > 0 ? load<i32>(gro) : max(length, 1);
    messageEcn = receivedEcn(region, message);
    lastSession = 0;
  }
  const rest = length - octet;
  const at = rxPacket(region, message) + octet;
  const verdict = datagram(region, message, at, min(segmentSize, rest));
  count(STAGE_CONTROL, STAGE_RECEIVED, 1);
  count(STAGE_CONTROL, verdict, 1);
  advance(region, message, octet + segmentSize);
  return true;
}

/** Decides about one datagram; what may go on at once is left in `frame`. */
function datagram(region: usize, i: u32, at: usize, length: i32): i32 {
  const inlet = load<u32>(ARENA_CURSOR, CURSOR_INLET);
  const kind = portKind(inlet);
  const fault = readHeader(kind, at, length);
  if (fault) return fault;
  const name = rxName(region, i);
  if (!headVersion)
    return puntFrom(inlet, PUNT_FROM_SOCKET, headStart, headLength, name, rxNameLength(region, i));
  const id = load<u32>(ARENA_KEY, SESSION_ID);
  if (!lastSession || id != lastId || headVersion != lastVersion) {
    lastSession = find(inlet, kind, name);
    lastId = id;
    lastVersion = headVersion;
  }
  if (!lastSession) return VERDICT_L2TP_SESSION;
  note(lastSession, SESSION_HEARD, 1);
  const verdict = open(lastSession, messageEcn);
  if (frame && isShared) sharedHead = <i32>(frame - at);
  return verdict;
}

/** The session of a datagram that `readHeader` has read, or 0. */
function find(inlet: u32, kind: u32, name: usize): usize {
  store<u32>(ARENA_KEY, inlet, SESSION_PORT);
  store<u16>(ARENA_KEY, <u16>headVersion, SESSION_VERSION);
  store<u16>(ARENA_KEY, kind == PORT_UDP ? load<u16>(name, SOCKADDR_PORT) : 0, SESSION_PEER_PORT);
  const family = load<u16>(name, SOCKADDR_FAMILY);
  store<u32>(ARENA_KEY, family, SESSION_FAMILY);
  if (family == AF_INET) {
    store<u64>(ARENA_KEY, load<u32>(name, SOCKADDR_IN_ADDRESS), SESSION_PEER);
    store<u64>(ARENA_KEY, 0, SESSION_PEER + 8);
  } else {
    store<u64>(ARENA_KEY, load<u64>(name, SOCKADDR_IN6_ADDRESS), SESSION_PEER);
    store<u64>(ARENA_KEY, load<u64>(name, SOCKADDR_IN6_ADDRESS + 8), SESSION_PEER + 8);
  }
  const session = sessionFor();
  if (session || kind == PORT_UDP || family == AF_INET) return session;
  // A keyed IPv6 tunnel is known by its addresses alone (RFC 8159 §3).
  store<u32>(ARENA_KEY, 0, SESSION_ID);
  return sessionFor();
}

/**
 * Checks what follows the identifier: cookie, sublayer, payload, sequence number, congestion mark.
 * What may go on at once is left in `frame`. Returns its verdict.
 */
function open(session: usize, ecn: u32): i32 {
  let at = headStart;
  let length = headLength;
  const cookie = <i32>load<u8>(session, SESSION_COOKIE_LENGTH);
  const sublayer = <u32>load<u8>(session, SESSION_SUBLAYER);
  if (length < cookie + (sublayer == SUBLAYER_NONE ? 0 : SUBLAYER_LENGTH)) {
    note(session, SESSION_RX_INVALID, 1);
    return VERDICT_TRUNCATED;
  }
  if (!isCookie(session, at, cookie)) {
    note(session, SESSION_RX_COOKIE, 1);
    return VERDICT_L2TP_COOKIE;
  }
  at += cookie;
  length -= cookie;
  let hasNumber = headNumbered;
  let number = headNumber;
  let mark: u32 = 0;
  if (sublayer != SUBLAYER_NONE) {
    const word = bswap<u32>(load<u32>(at));
    const bits = word >> 24;
    const isFragment = sublayer != SUBLAYER_ATM && (bits & SUBLAYER_FRAGMENT) != 0;
    if (bits & SUBLAYER_V || isFragment) {
      note(session, SESSION_RX_INVALID, 1);
      return bits & SUBLAYER_V ? VERDICT_L2TP_VCCV : VERDICT_L2TP_FRAGMENT;
    }
    hasNumber = (bits & SUBLAYER_S) != 0;
    number = word & NUMBER_V3;
    if (sublayer == SUBLAYER_ATM) mark = bits & SUBLAYER_ATM_BITS;
    at += SUBLAYER_LENGTH;
    length -= SUBLAYER_LENGTH;
  }
  const pseudowire = <u32>load<u16>(session, SESSION_PSEUDOWIRE);
  if (!fitsPseudowire(pseudowire, at, length, mark)) {
    note(session, SESSION_RX_ERRORS, 1);
    return VERDICT_L2TP_PAYLOAD;
  }
  if (portKind(load<u32>(session, SESSION_DEVICE)) == PORT_NONE) return VERDICT_L2TP_DEVICE;
  // A number is another one each time. A mark is the same if it was, or has become, that of the outer header.
  isShared = !hasNumber;
  if (ecn) {
    const inner = innerDatagram(pseudowire, at, length);
    if (inner && !takeEcn(inner, ecn)) return VERDICT_ECN;
    if (inner && ecnOf(inner) != ecn) isShared = false;
  }
  const verdict = hasNumber
    ? numbered(session, number, at, length, mark)
    : unnumbered(session, at, length, mark);
  if (verdict == GO) setFrame(session, at, length, mark);
  return staged(verdict);
}

/** Compares the cookie in constant time with the one or two that are valid. */
function isCookie(session: usize, at: usize, length: i32): bool {
  if (length == 0) return true;
  const first = difference(session + SESSION_COOKIE, at, length);
  if (!(load<u32>(session, SESSION_FLAGS) & SESSION_COOKIES)) return first == 0;
  const second = difference(session + SESSION_COOKIE_2, at, length);
  return ((<i32>(first == 0)) | (<i32>(second == 0))) != 0;
}

function difference(cookie: usize, at: usize, length: i32): u64 {
  if (length == 4) return load<u32>(cookie) ^ load<u32>(at);
  return load<u64>(cookie) ^ load<u64>(at);
}

/**
 * Lays `frame` out for its session's device. False when the region is full, or is for another port.
 */
function place(): bool {
  const port = load<u32>(frameSession, SESSION_DEVICE);
  if (deliveryCount() > 0 && load<u32>(ARENA_CURSOR, CURSOR_PORT) != port) return false;
  if (!deliveryHasRoom()) return false;
  store<u32>(ARENA_CURSOR, port, CURSOR_PORT);
  const kind = portKind(port);
  // Other pseudowires' frames have no tag that could be set.
  if (
    (kind & PORT_KIND_MASK) == PORT_TRUNK &&
    load<u16>(frameSession, SESSION_PSEUDOWIRE) == PW_VLAN
  )
    setVlan(frame, load<u16>(frameSession, SESSION_VLAN));
  const tcp = (kind & PORT_TSO) != 0;
  const udp = (kind & PORT_USO) != 0;
  frameIp = tcp || udp ? datagramAt() : -1;
  noteDelivered(1);
  if (!deliveryJoins(frame, frameLength, frameIp))
    deliveryAdd(putPrefix(kind), 0, frame, frameLength, frameIp, tcp, udp);
  return true;
}

/** Counts frames of `frameLength` octets for the device. */
function noteDelivered(frames: u32): void {
  note(frameSession, SESSION_RX_PACKETS, frames);
  note(frameSession, SESSION_RX_OCTETS, frames * frameLength);
  count(STAGE_EGRESS, STAGE_RECEIVED, frames);
}

/** What the device wants before the frame. Returns its length. */
function putPrefix(kind: u32): i32 {
  const prefix = deliveryPrefix();
  if (kind & PORT_VNET) {
    store<u64>(prefix, 0); // virtio_net_hdr: a plain frame with complete checksums
    store<u16>(prefix, 0, 8);
    return VNET_LENGTH;
  }
  if ((kind & PORT_KIND_MASK) != PORT_MARKED) return 0;
  store<u32>(prefix, frameMark);
  return FRAME_MARK;
}

/** Octets before the IP header of the frame, or -1 without one. */
function datagramAt(): i32 {
  const pseudowire = <u32>load<u16>(frameSession, SESSION_PSEUDOWIRE);
  const inner = innerDatagram(pseudowire, frame, frameLength);
  return inner ? <i32>(inner - frame) : -1;
}
