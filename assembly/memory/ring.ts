// Single-producer single-consumer rings. Both indices run freely and wrap; each has one writer. The
// producer fills slots, then publishes them by storing RING_TAIL; the consumer reads them, then
// gives them back by storing RING_HEAD. The two lie on cache lines of their own.
import { RING_HEAD, RING_SLOTS, RING_TAIL } from "../layout/arena";

/** How many slots wait for the consumer. */
export function ringWaiting(ring: usize): u32 {
  return atomic.load<u32>(ring, RING_TAIL) - load<u32>(ring, RING_HEAD);
}

/** The next slot to fill in a ring of `slots` slots of 2^`shift` octets, or 0 when it is full. */
export function ringFree(ring: usize, slots: u32, shift: u32): usize {
  const tail = load<u32>(ring, RING_TAIL);
  if (tail - atomic.load<u32>(ring, RING_HEAD) == slots) return 0;
  return ring + RING_SLOTS + (((<usize>tail) & (slots - 1)) << shift);
}

/** Hands the slot that `ringFree` gave to the consumer. */
export function ringPublish(ring: usize): void {
  atomic.store<u32>(ring, load<u32>(ring, RING_TAIL) + 1, RING_TAIL);
}

/** The oldest filled slot of a ring that is not empty. */
export function ringOldest(ring: usize, slots: u32, shift: u32): usize {
  return ring + RING_SLOTS + (((<usize>load<u32>(ring, RING_HEAD)) & (slots - 1)) << shift);
}

/** Gives the oldest filled slot back to the producer. */
export function ringRelease(ring: usize): void {
  atomic.store<u32>(ring, load<u32>(ring, RING_HEAD) + 1, RING_HEAD);
}
