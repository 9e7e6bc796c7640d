// The kernel's packet ring, which lies in the arena: frames of one size, taken in order and given
// back in order (packet(7), TPACKET_V2). A frame's packet is read where it lies, so frames go back
// only after all that was made of them has been sent.
//
// The kernel fills a frame and then sets TP_STATUS_USER; storing TP_STATUS_KERNEL gives it back.
import {
  TPACKET2_MAC,
  TPACKET2_SNAPLEN,
  TPACKET2_STATUS,
  TP_STATUS_COPY,
  TP_STATUS_KERNEL,
  TP_STATUS_USER,
} from "./layout/system";
import { linkHeader } from "./batch";

/** Frame `i` of a ring of 2^`frames` frames of 2^`shift` octets; `i` runs freely. */
function frameAt(ring: usize, frames: u32, shift: u32, i: u32): usize {
  return ring + ((<usize>(i & ((1 << frames) - 1))) << shift);
}

/**
 * How many frames wait from frame `next` on, at most `most`: those that are whole, or, negated, those
 * that were cut short and wait whole in the socket's queue; never some of both.
 */
export function framesReady(ring: usize, frames: u32, shift: u32, next: u32, most: u32): i32 {
  const wanted = load<u32>(frameAt(ring, frames, shift, next)) & TP_STATUS_COPY;
  const end = min<u32>(most, 1 << frames);
  let count: u32 = 0;
  for (; count < end; count++) {
    const frame = frameAt(ring, frames, shift, next + count);
    const status = atomic.load<u32>(frame, TPACKET2_STATUS);
    if (!(status & TP_STATUS_USER) || (status & TP_STATUS_COPY) != wanted) break;
  }
  return wanted ? -(<i32>count) : <i32>count;
}

/** Gives `count` frames back to the kernel. */
export function framesRelease(ring: usize, frames: u32, shift: u32, first: u32, count: u32): void {
  for (let i: u32 = 0; i < count; i++)
    atomic.store<u32>(frameAt(ring, frames, shift, first + i), TP_STATUS_KERNEL, TPACKET2_STATUS);
}

/** Where the packet of frame `i` starts, after the link header. */
export function framePacket(ring: usize, frames: u32, shift: u32, i: u32, frame: u32): usize {
  const at = frameAt(ring, frames, shift, i);
  return at + load<u16>(at, TPACKET2_MAC) + linkHeader(frame);
}

/** Octets of that packet, which starts at `packet`, that the frame holds. */
export function frameRoom(ring: usize, frames: u32, shift: u32, i: u32, frame: u32): i32 {
  return load<i32>(frameAt(ring, frames, shift, i), TPACKET2_SNAPLEN) - linkHeader(frame);
}
