// Messages for a device: each a prefix and a frame where it arrived, or the segments of one flow as
// one super-packet, with an iovec for the payload of each.
import {
  ARENA_TX,
  TX_CAPACITY,
  TX_HEADERS,
  TX_IOVECS,
  TX_IOVECS_CAPACITY,
  TX_LENGTHS,
  TX_PREFIXES,
  TX_PREFIX_SHIFT,
  TX_SEGMENTS,
  TX_SESSIONS,
} from "../layout/arena";
import {
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_SHIFT,
} from "../layout/system";
import { absolute, putMessageHeader } from "../batch";
import { sameOctets } from "../octets";
import { groupBegin, groupEnd, groupFinish, groupJoins, groupPayload } from "./group";

// The messages made so far, their iovecs, and the first iovec of the last message.
let messages: u32 = 0;
let vectors: u32 = 0;
let firstVector: u32 = 0;
let linkLength: i32 = 0; // octets of link header in the last message's prefix

/** Begins anew with no message. */
export function deliveryBegin(): void {
  messages = 0;
  vectors = 0;
  groupEnd();
}

/** How many messages there are. */
export function deliveryCount(): u32 {
  return messages;
}

/** True when one more frame finds room. */
export function deliveryHasRoom(): bool {
  return messages < <u32>TX_CAPACITY && vectors + 2 <= <u32>TX_IOVECS_CAPACITY;
}

/**
 * Makes the frame part of the last message, if they are segments of one flow; `ip` is where its IP
 * header stands, or negative. False otherwise.
 */
export function deliveryJoins(frame: usize, length: i32, ip: i32): bool {
  if (messages == 0 || !groupJoins(frame, length, ip)) return false;
  putVector(frame + groupPayload(), length - groupPayload());
  noteJoined(1, length);
  return true;
}

/**
 * Makes part of the last message as many as can be of the segments that follow a frame of it in a
 * train: each of `step` octets, from `at` to `end` at most, of which `head` octets must be as they are
 * in the segment before and the rest is a frame as for `deliveryJoins`. Returns how many.
 */
export function deliveryJoinsTrain(at: usize, end: usize, step: i32, head: i32, ip: i32): u32 {
  let joined: u32 = 0;
  const length = step - head;
  for (; at + step <= end && deliveryHasRoom(); at += step, joined++) {
    if (!sameOctets(at, at - step, head) || !groupJoins(at + head, length, ip)) break;
    putVector(at + head + groupPayload(), length - groupPayload());
  }
  if (joined) noteJoined(joined, length);
  return joined;
}

/** Where what precedes the next message's frame is to be written, a virtio_net_hdr first. */
export function deliveryPrefix(): usize {
  return ARENA_TX + TX_PREFIXES + ((<usize>messages) << TX_PREFIX_SHIFT);
}

/**
 * Adds a message: `prefixLength` octets at `deliveryPrefix`, of which the last `link` are a link
 * header, then the frame. `tcp` and `udp` say which super-packets the device takes.
 */
export function deliveryAdd(
  prefixLength: i32,
  link: i32,
  frame: usize,
  length: i32,
  ip: i32,
  tcp: bool,
  udp: bool,
): void {
  const prefix = deliveryPrefix();
  if (messages > 0) finish();
  groupBegin(frame, length, ip, tcp, udp);
  linkLength = link;
  firstVector = vectors;
  const message = ARENA_TX + TX_HEADERS + ((<usize>messages) << MMSGHDR_SHIFT);
  putMessageHeader(message, 0, 0, vectorAt(vectors), 0); // the count is known at its end
  putVector(prefix, prefixLength);
  putVector(frame, length);
  const row = rowAt(messages);
  store<u32>(row, 1, TX_SEGMENTS);
  store<u32>(row, length, TX_LENGTHS);
  store<u32>(row, 0, TX_SESSIONS);
  messages++;
}

/** Ends the last message. Returns how many there are. */
export function deliveryEnd(): u32 {
  if (messages > 0) finish();
  return messages;
}

/** Writes what could be known only now. */
function finish(): void {
  const last = messages - 1;
  groupFinish(ARENA_TX + TX_PREFIXES + ((<usize>last) << TX_PREFIX_SHIFT), linkLength);
  groupEnd();
  const message = ARENA_TX + TX_HEADERS + ((<usize>last) << MMSGHDR_SHIFT);
  store<u64>(message, vectors - firstVector, MMSGHDR_IOV_COUNT);
}

/** Counts `frames` frames of `length` octets to the last message. */
function noteJoined(frames: u32, length: i32): void {
  const row = rowAt(messages - 1);
  store<u32>(row, load<u32>(row, TX_SEGMENTS) + frames, TX_SEGMENTS);
  store<u32>(row, load<u32>(row, TX_LENGTHS) + frames * length, TX_LENGTHS);
}

function rowAt(i: u32): usize {
  return ARENA_TX + ((<usize>i) << 2);
}

function vectorAt(i: u32): usize {
  return ARENA_TX + TX_IOVECS + ((<usize>i) << IOVEC_SHIFT);
}

function putVector(octets: usize, length: i32): void {
  const vector = vectorAt(vectors++);
  store<u64>(vector, absolute(octets), IOVEC_BASE);
  store<u64>(vector, length, IOVEC_LENGTH);
}
