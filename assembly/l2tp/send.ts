// From a device to a tunnel: frames become datagrams.
//
//   l2tpSend -> l2tpSendFill -> [take -> putHeader -> join or begin a train] -> the host sends
//
// The header is written before the frame, where it was read. Consecutive frames of one session and
// one length are a train: one message with an iovec for each, which UDP_SEGMENT cuts apart again. A
// super-packet is cut: each segment's headers are made in the staging area, its payload stays where it
// was read, and both are an iovec of the same train.
// All the messages of one fill are for one socket.
import {
  ARENA_CURSOR,
  ARENA_TX,
  CURSOR_COUNT,
  CURSOR_INLET,
  CURSOR_MESSAGE,
  CURSOR_NOW,
  CURSOR_PORT,
  CURSOR_REGION,
  STAGE_DEVICE,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_COMPLETED,
  TALLY_SEGMENTED,
  TRAIN_LENGTH_MAX,
  TRAIN_SEGMENTS_MAX,
  TX_CAPACITY,
  TX_CONTROL,
  TX_CONTROL_SHIFT,
  TX_HEADERS,
  TX_IOVECS,
  TX_IOVECS_CAPACITY,
  TX_LENGTHS,
  TX_SEGMENTS,
  TX_SESSIONS,
  TX_STAGING,
  TX_STAGING_SIZE,
} from "../layout/arena";
import {
  FRAME_MARK,
  PORT_KIND_MASK,
  PORT_MARKED,
  PORT_TRUNK,
  PORT_TSO,
  PORT_USO,
  PORT_VNET,
  SESSION_CLASS,
  SESSION_ECN,
  SESSION_FAMILY,
  SESSION_FLAGS,
  SESSION_FRAME_MAX,
  SESSION_PORT,
  SESSION_PSEUDOWIRE,
  SESSION_SEGMENT_MAX,
  SESSION_SOCKADDR,
  SESSION_SOCKADDR_LENGTH,
  SESSION_TOS,
  SESSION_TRAINS,
  SESSION_TX_ERRORS,
  SESSION_TX_OCTETS,
  SESSION_TX_PACKETS,
  SUBLAYER_ATM_BITS,
} from "../layout/l2tp";
import { IPV4_TOS } from "../layout/ip";
import {
  AF_INET,
  CMSG_DATA,
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
  UDP_SEGMENT,
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_NONE,
  VNET_GSO_TYPE,
  VNET_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../layout/system";
import {
  VERDICT_FORWARDED,
  VERDICT_L2TP_DEVICE,
  VERDICT_L2TP_PAYLOAD,
  VERDICT_L2TP_VLAN,
  VERDICT_SEGMENT_KIND,
  VERDICT_TOO_BIG,
  VERDICT_TRUNCATED,
} from "../layout/verdict";
import { absolute, rxLength, rxPacket } from "../batch";
import { checksum, sumWords } from "../checksum";
import { CMSG_ROOM, putCmsgInt, putCmsgShort } from "../cmsg";
import { count, tally } from "../counters";
import { isIpv4, storeBe16 } from "../datagram";
import { headerLength, putHeader } from "./header";
import {
  lengthOfSegment,
  openSuper,
  putSegmentHeaders,
  segmentHeaders,
  segmentLength,
  segmentPayload,
  segments,
} from "../offload/segment";
import { fitsPseudowire, innerDatagram, isTagged, vlanOf } from "./payload";
import { portKind, portSession } from "./ports";
import { note } from "./sessions";

/** Segments of one super-packet at most, and octets of room for the headers of each. */
const SUPER_SEGMENTS: u32 = TX_CAPACITY - 1;
const SUPER_HEADERS: usize = 256;

const ECN: u32 = 0x03; // of a traffic class (RFC 3168 §5)

/** Begins a batch of `messages` frames read from port `port` at `now` milliseconds. */
export function l2tpSend(region: usize, messages: u32, port: u32, now: u32): void {
  store<u32>(ARENA_CURSOR, <u32>region, CURSOR_REGION);
  store<u32>(ARENA_CURSOR, messages, CURSOR_COUNT);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MESSAGE);
  store<u32>(ARENA_CURSOR, port, CURSOR_INLET);
  store<u32>(ARENA_CURSOR, now, CURSOR_NOW);
}

// The frame being looked at: what `take` found.
let frame: usize = 0;
let frameLength: i32 = 0;
let frameMark: u32 = 0;
let frameSession: usize = 0;
let frameSuper: bool = false; // it is a super-packet, which openSuper has taken up

// The message being made.
let train: usize = 0; // its session, 0 before the first
let trainSize: u32 = 0; // octets of its first datagram
let trainLength: u32 = 0;
let trainSegments: u32 = 0;
let trainClass: u32 = 0;
let trainVector: usize = 0; // its first iovec
let trainOpen: bool = false; // more datagrams may follow

// The messages made so far, their iovecs, and octets of the staging area in use.
let messages: u32 = 0;
let vector: usize = 0;
let staged: usize = 0;

/**
 * Writes the next messages to the transmit region, all for the port at CURSOR_PORT, and returns how
 * many; 0 once the batch is done. The messages must have left before the next call.
 */
export function l2tpSendFill(): u32 {
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const frames = load<u32>(ARENA_CURSOR, CURSOR_COUNT);
  let next = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  messages = 0;
  vector = ARENA_TX + TX_IOVECS;
  staged = 0;
  train = 0;
  for (; next < frames; next++) {
    const verdict = take(rxPacket(region, next), rxLength(region, next));
    // A super-packet stands for the frames that it is cut into.
    const datagrams: u32 = frameSuper && verdict == VERDICT_FORWARDED ? segments : 1;
    if (verdict == VERDICT_FORWARDED) {
      const port = load<u32>(frameSession, SESSION_PORT);
      const begun = train != 0 || messages > 0;
      if (begun && (port != load<u32>(ARENA_CURSOR, CURSOR_PORT) || !hasRoom(datagrams))) break;
      store<u32>(ARENA_CURSOR, port, CURSOR_PORT);
    }
    count(STAGE_DEVICE, STAGE_RECEIVED, datagrams);
    count(STAGE_DEVICE, verdict, datagrams);
    if (verdict != VERDICT_FORWARDED) {
      if (frameSession) note(frameSession, SESSION_TX_ERRORS, 1);
      continue;
    }
    const trafficClass = classOf();
    if (frameSuper) putSegments(trafficClass);
    else putFrame(trafficClass);
    note(frameSession, SESSION_TX_PACKETS, datagrams);
    count(STAGE_EGRESS, STAGE_RECEIVED, datagrams);
  }
  if (train) finish();
  store<u32>(ARENA_CURSOR, next, CURSOR_MESSAGE);
  return messages;
}

/** True when the region has room for what one more frame becomes. */
function hasRoom(datagrams: u32): bool {
  if (messages + 1 + datagrams > <u32>TX_CAPACITY) return false;
  const room = (<usize>datagrams * 2) << IOVEC_SHIFT;
  const end: usize = ARENA_TX + TX_IOVECS + (TX_IOVECS_CAPACITY << IOVEC_SHIFT);
  if (vector + room > end) return false;
  return staged + <usize>datagrams * SUPER_HEADERS <= <usize>TX_STAGING_SIZE;
}

/** Adds the frame where it stands. */
function putFrame(trafficClass: u32): void {
  const header = putHeader(frameSession, frame, frameLength, frameMark);
  const length = header + frameLength;
  if (!joins(length, trafficClass)) begin(length, trafficClass);
  putVector(frame - header, length);
  addDatagram(length);
  note(frameSession, SESSION_TX_OCTETS, frameLength);
}

/** Adds the segments of a super-packet. */
function putSegments(trafficClass: u32): void {
  tally(TALLY_SEGMENTED, 1);
  const inner = segmentHeaders();
  for (let i: u32 = 0; i < segments; i++) {
    const octets = lengthOfSegment(i);
    const to = ARENA_TX + TX_STAGING + staged + SUPER_HEADERS - inner;
    putSegmentHeaders(i, to, octets, sumWords(segmentPayload(i), octets - inner));
    const header = putHeader(frameSession, to, octets, frameMark);
    const length = header + octets;
    if (!joins(length, trafficClass)) begin(length, trafficClass);
    putVector(to - header, header + inner);
    putVector(segmentPayload(i), octets - inner);
    addDatagram(length);
    staged += SUPER_HEADERS;
    note(frameSession, SESSION_TX_OCTETS, octets);
  }
}

/** Looks at what came from the device: whose frame it is, and whether it may be sent. */
function take(packet: usize, octets: i32): i32 {
  const inlet = load<u32>(ARENA_CURSOR, CURSOR_INLET);
  const kind = portKind(inlet);
  const isTrunk = (kind & PORT_KIND_MASK) == PORT_TRUNK;
  frame = packet;
  frameLength = octets;
  frameMark = 0;
  frameSuper = false;
  frameSession = 0;
  if (kind & PORT_VNET) frameLength -= VNET_LENGTH;
  if ((kind & PORT_KIND_MASK) == PORT_MARKED) {
    if (octets < FRAME_MARK) return VERDICT_TRUNCATED;
    if (load<u32>(packet) & ~SUBLAYER_ATM_BITS) return VERDICT_L2TP_PAYLOAD;
    frameMark = load<u32>(packet);
    frame += FRAME_MARK;
    frameLength -= FRAME_MARK;
  }
  if (isTrunk && !isTagged(frame, frameLength)) return VERDICT_L2TP_VLAN;
  frameSession = portSession(inlet, isTrunk ? vlanOf(frame) : 0);
  if (!frameSession) return isTrunk ? VERDICT_L2TP_VLAN : VERDICT_L2TP_DEVICE;
  const pseudowire = <u32>load<u16>(frameSession, SESSION_PSEUDOWIRE);
  if (!fitsPseudowire(pseudowire, frame, frameLength, frameMark)) return VERDICT_L2TP_PAYLOAD;
  frameSuper =
    kind & PORT_VNET ? load<u8>(frame - VNET_LENGTH, VNET_GSO_TYPE) != VNET_GSO_NONE : false;
  if (frameSuper) {
    const verdict = takeSuper(pseudowire, kind);
    if (verdict != VERDICT_FORWARDED) return verdict;
  }
  const room = TRAIN_LENGTH_MAX - <i32>headerLength(frameSession);
  const length = frameSuper ? segmentLength : frameLength;
  if (length > min(load<i32>(frameSession, SESSION_FRAME_MAX), room)) return VERDICT_TOO_BIG;
  return kind & PORT_VNET && !frameSuper ? complete() : VERDICT_FORWARDED;
}

/** Takes up a super-packet, for `putSegments` to cut. */
function takeSuper(pseudowire: u32, kind: u32): i32 {
  if (!(kind & (PORT_TSO | PORT_USO))) return VERDICT_SEGMENT_KIND;
  const inner = innerDatagram(pseudowire, frame, frameLength);
  if (!inner) return VERDICT_SEGMENT_KIND;
  const verdict = openSuper(frame, frameLength, <i32>(inner - frame), frame - VNET_LENGTH);
  return verdict == VERDICT_FORWARDED && segments > SUPER_SEGMENTS ? VERDICT_SEGMENT_KIND : verdict;
}

/** Completes a checksum that the host left to the device. */
function complete(): i32 {
  const vnet = frame - VNET_LENGTH;
  if (!(load<u8>(vnet, VNET_FLAGS) & VNET_NEEDS_CHECKSUM)) return VERDICT_FORWARDED;
  const start = <i32>load<u16>(vnet, VNET_CHECKSUM_START);
  const offset = <i32>load<u16>(vnet, VNET_CHECKSUM_OFFSET);
  if (start + offset + 2 > frameLength) return VERDICT_TRUNCATED;
  const sum = checksum(frame + start, frameLength - start, 0);
  // Zero would mean "none" to UDP; to others 0xffff is as good (RFC 768, RFC 1624 §3).
  storeBe16(frame + start + offset, sum == 0 ? 0xffff : sum);
  store<u8>(vnet, load<u8>(vnet, VNET_FLAGS) & ~VNET_NEEDS_CHECKSUM, VNET_FLAGS);
  tally(TALLY_COMPLETED, 1);
  return VERDICT_FORWARDED;
}

/** The traffic class to send the frame with. */
function classOf(): u32 {
  const flags = load<u32>(frameSession, SESSION_FLAGS);
  const own = <u32>load<u8>(frameSession, SESSION_CLASS);
  if (!(flags & (SESSION_ECN | SESSION_TOS))) return own;
  const pseudowire = <u32>load<u16>(frameSession, SESSION_PSEUDOWIRE);
  const inner = innerDatagram(pseudowire, frame, frameLength);
  if (!inner) return own;
  const word = bswap<u16>(load<u16>(inner));
  const theirs: u32 = isIpv4(inner) ? load<u8>(inner, IPV4_TOS) : (word >> 4) & 0xff;
  const dscp = (flags & SESSION_TOS ? theirs : own) & ~ECN;
  return dscp | ((flags & SESSION_ECN ? theirs : own) & ECN);
}

/** True when a datagram of `length` octets can join the train. */
function joins(length: u32, trafficClass: u32): bool {
  if (!trainOpen || train != frameSession || trafficClass != trainClass) return false;
  if (length > trainSize || trainLength + length > <u32>TRAIN_LENGTH_MAX) return false;
  return trainSegments < <u32>TRAIN_SEGMENTS_MAX;
}

/** Begins a message whose first datagram has `length` octets; ends the one before. */
function begin(length: u32, trafficClass: u32): void {
  if (train) finish();
  const flags = load<u32>(frameSession, SESSION_FLAGS);
  train = frameSession;
  trainSize = length;
  trainLength = 0;
  trainSegments = 0;
  trainClass = trafficClass;
  trainVector = vector;
  trainOpen = (flags & SESSION_TRAINS) != 0 && length <= load<u32>(train, SESSION_SEGMENT_MAX);
}

/** Counts a datagram that was added to the message. */
function addDatagram(length: u32): void {
  trainLength += length;
  trainSegments++;
  trainOpen = trainOpen && length == trainSize;
}

function putVector(at: usize, length: u32): void {
  store<u64>(vector, absolute(at), IOVEC_BASE);
  store<u64>(vector, length, IOVEC_LENGTH);
  vector += 1 << IOVEC_SHIFT;
}

/** Ends the message. */
function finish(): void {
  const message = ARENA_TX + TX_HEADERS + ((<usize>messages) << MMSGHDR_SHIFT);
  const control = ARENA_TX + TX_CONTROL + ((<usize>messages) << TX_CONTROL_SHIFT);
  let end = control;
  if (trainClass) {
    const isV4 = load<u32>(train, SESSION_FAMILY) == AF_INET;
    const level = isV4 ? IPPROTO_IP : IPPROTO_IPV6;
    putCmsgInt(end, level, isV4 ? IP_TOS : IPV6_TCLASS, trainClass);
    end += CMSG_ROOM;
  }
  if (trainSegments > 1) {
    putCmsgShort(end, IPPROTO_UDP, UDP_SEGMENT, trainSize);
    end += CMSG_ROOM;
  }
  store<u64>(message, absolute(train + SESSION_SOCKADDR), MMSGHDR_NAME);
  store<u32>(message, load<u32>(train, SESSION_SOCKADDR_LENGTH), MMSGHDR_NAME_LENGTH);
  store<u64>(message, absolute(trainVector), MMSGHDR_IOV);
  store<u64>(message, (vector - trainVector) >> IOVEC_SHIFT, MMSGHDR_IOV_COUNT);
  store<u64>(message, end > control ? absolute(control) : 0, MMSGHDR_CONTROL);
  store<u64>(message, end - control, MMSGHDR_CONTROL_LENGTH);
  store<u32>(message, 0, MMSGHDR_FLAGS);
  const row = ARENA_TX + ((<usize>messages) << 2);
  store<u32>(row, trainSegments, TX_SEGMENTS);
  store<u32>(row, trainLength, TX_LENGTHS);
  store<u32>(row, <u32>train, TX_SESSIONS);
  messages++;
  train = 0;
  trainOpen = false;
}
