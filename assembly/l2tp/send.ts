// From a device to a tunnel: frames become datagrams.
//
//   l2tpSend -> l2tpSendFill -> [take -> putHeader -> join or begin a train] -> the host sends
//
// The header is written before the frame, where it was read. Consecutive frames of one session and
// one length are a train: one message with an iovec for each, which UDP_SEGMENT cuts apart again.
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
  TRAIN_LENGTH_MAX,
  TRAIN_SEGMENTS_MAX,
  TX_CONTROL,
  TX_CONTROL_SHIFT,
  TX_HEADERS,
  TX_IOVECS,
  TX_LENGTHS,
  TX_SEGMENTS,
  TX_SESSIONS,
} from "../layout/arena";
import {
  FRAME_MARK,
  PORT_KIND_MASK,
  PORT_MARKED,
  PORT_TRUNK,
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
import { checksum } from "../checksum";
import { CMSG_ROOM, putCmsgInt, putCmsgShort } from "../cmsg";
import { count, tally } from "../counters";
import { isIpv4, storeBe16 } from "../datagram";
import { headerLength, putHeader } from "./header";
import { fitsPseudowire, innerDatagram, isTagged, vlanOf } from "./payload";
import { portKind, portSession } from "./ports";
import { note } from "./sessions";

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

// The message being made.
let train: usize = 0; // its session, 0 before the first
let trainSize: u32 = 0; // octets of its first datagram
let trainLength: u32 = 0;
let trainSegments: u32 = 0;
let trainClass: u32 = 0;
let trainOpen: bool = false; // more datagrams may follow

/**
 * Writes the next messages to the transmit region, all for the port at CURSOR_PORT, and returns how
 * many; 0 once the batch is done. The messages must have left before the next call.
 */
export function l2tpSendFill(): u32 {
  const region = <usize>load<u32>(ARENA_CURSOR, CURSOR_REGION);
  const messages = load<u32>(ARENA_CURSOR, CURSOR_COUNT);
  let next = load<u32>(ARENA_CURSOR, CURSOR_MESSAGE);
  let made: u32 = 0;
  let iovec = ARENA_TX + TX_IOVECS;
  let datagrams: u32 = 0;
  train = 0;
  for (; next < messages; next++) {
    const verdict = take(rxPacket(region, next), rxLength(region, next));
    if (verdict == VERDICT_FORWARDED) {
      const port = load<u32>(frameSession, SESSION_PORT);
      if (datagrams > 0 && port != load<u32>(ARENA_CURSOR, CURSOR_PORT)) break;
      store<u32>(ARENA_CURSOR, port, CURSOR_PORT);
    }
    count(STAGE_DEVICE, STAGE_RECEIVED, 1);
    count(STAGE_DEVICE, verdict, 1);
    if (verdict != VERDICT_FORWARDED) {
      if (frameSession) note(frameSession, SESSION_TX_ERRORS, 1);
      continue;
    }
    const trafficClass = classOf();
    const header = putHeader(frameSession, frame, frameLength, frameMark);
    const length = header + frameLength;
    if (!joins(length, trafficClass)) {
      if (train) finish(made++);
      begin(made, iovec, length, trafficClass);
    }
    store<u64>(iovec, absolute(frame - header), IOVEC_BASE);
    store<u64>(iovec, length, IOVEC_LENGTH);
    iovec += 1 << IOVEC_SHIFT;
    trainLength += length;
    trainSegments++;
    trainOpen = trainOpen && length == trainSize;
    datagrams++;
    note(frameSession, SESSION_TX_PACKETS, 1);
    note(frameSession, SESSION_TX_OCTETS, frameLength);
  }
  if (train) finish(made++);
  store<u32>(ARENA_CURSOR, next, CURSOR_MESSAGE);
  count(STAGE_EGRESS, STAGE_RECEIVED, datagrams);
  return made;
}

/** Looks at what came from the device: whose frame it is, and whether it may be sent. */
function take(packet: usize, length: i32): i32 {
  const inlet = load<u32>(ARENA_CURSOR, CURSOR_INLET);
  const kind = portKind(inlet);
  const isTrunk = (kind & PORT_KIND_MASK) == PORT_TRUNK;
  frame = packet;
  frameLength = length;
  frameMark = 0;
  frameSession = 0;
  if (kind & PORT_VNET) frameLength -= VNET_LENGTH;
  if ((kind & PORT_KIND_MASK) == PORT_MARKED) {
    if (length < FRAME_MARK) return VERDICT_TRUNCATED;
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
  const room = TRAIN_LENGTH_MAX - <i32>headerLength(frameSession);
  if (frameLength > min(load<i32>(frameSession, SESSION_FRAME_MAX), room)) return VERDICT_TOO_BIG;
  return kind & PORT_VNET ? complete() : VERDICT_FORWARDED;
}

/** Completes a checksum that the host left to the device. */
function complete(): i32 {
  const vnet = frame - VNET_LENGTH;
  if (load<u8>(vnet, VNET_GSO_TYPE) != VNET_GSO_NONE) return VERDICT_SEGMENT_KIND;
  if (!(load<u8>(vnet, VNET_FLAGS) & VNET_NEEDS_CHECKSUM)) return VERDICT_FORWARDED;
  const start = <i32>load<u16>(vnet, VNET_CHECKSUM_START);
  const offset = <i32>load<u16>(vnet, VNET_CHECKSUM_OFFSET);
  if (start + offset + 2 > frameLength) return VERDICT_TRUNCATED;
  const sum = checksum(frame + start, frameLength - start, 0);
  // Zero would mean "none" to UDP; to others 0xffff is as good (RFC 768, RFC 1624 §3).
  storeBe16(frame + start + offset, sum == 0 ? 0xffff : sum);
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

/** Begins message `i` with a datagram of `length` octets. */
function begin(i: u32, iovec: usize, length: u32, trafficClass: u32): void {
  const flags = load<u32>(frameSession, SESSION_FLAGS);
  train = frameSession;
  trainSize = length;
  trainLength = 0;
  trainSegments = 0;
  trainClass = trafficClass;
  trainOpen = (flags & SESSION_TRAINS) != 0 && length <= load<u32>(train, SESSION_SEGMENT_MAX);
  const message = ARENA_TX + TX_HEADERS + ((<usize>i) << MMSGHDR_SHIFT);
  store<u64>(message, absolute(train + SESSION_SOCKADDR), MMSGHDR_NAME);
  store<u32>(message, load<u32>(train, SESSION_SOCKADDR_LENGTH), MMSGHDR_NAME_LENGTH);
  store<u64>(message, absolute(iovec), MMSGHDR_IOV);
  store<u32>(message, 0, MMSGHDR_FLAGS);
}

/** Ends message `i`: what could be known only now. */
function finish(i: u32): void {
  const message = ARENA_TX + TX_HEADERS + ((<usize>i) << MMSGHDR_SHIFT);
  const control = ARENA_TX + TX_CONTROL + ((<usize>i) << TX_CONTROL_SHIFT);
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
  store<u64>(message, trainSegments, MMSGHDR_IOV_COUNT);
  store<u64>(message, end > control ? absolute(control) : 0, MMSGHDR_CONTROL);
  store<u64>(message, end - control, MMSGHDR_CONTROL_LENGTH);
  const row = ARENA_TX + ((<usize>i) << 2);
  store<u32>(row, trainSegments, TX_SEGMENTS);
  store<u32>(row, trainLength, TX_LENGTHS);
  store<u32>(row, <u32>train, TX_SESSIONS);
}
