// Memory handed out on demand, in blocks of a power of two. Never in a packet's path: only tables
// that grow ask for it, between batches.
import { ARENA_HEAP_END, ARENA_HEAP_FREE, ARENA_HEAP_NEXT } from "../layout/arena";

const PAGE: usize = 65536;
const GROWTH: usize = 32 * PAGE; // memory grows by multiples of 2 MiB, which a huge page can back
const SMALLEST: u32 = 6; // 64 octets, a cache line

/** Starts the heap at `start`; it goes to the end of memory and grows it. */
export function heapInit(start: usize): void {
  store<u32>(ARENA_HEAP_NEXT, <u32>start);
  store<u32>(ARENA_HEAP_END, <u32>(<usize>memory.size() * PAGE));
  memory.fill(ARENA_HEAP_FREE, 0, 32 * 4);
}

/** The power of two, as an exponent, of the block that holds `length` octets. */
export function blockShift(length: u32): u32 {
  return max<u32>(SMALLEST, 32 - clz(length - 1));
}

/** A zeroed block of 2^`shift` octets, aligned to a cache line; 0 when there is no more memory. */
export function allocate(shift: u32): usize {
  const list = ARENA_HEAP_FREE + ((<usize>shift) << 2);
  const block = <usize>load<u32>(list);
  if (!block) return extend((<usize>1) << shift); // memory never used is zero
  store<u32>(list, load<u32>(block));
  memory.fill(block, 0, (<usize>1) << shift);
  return block;
}

/** Gives a block of 2^`shift` octets back. */
export function release(block: usize, shift: u32): void {
  const list = ARENA_HEAP_FREE + ((<usize>shift) << 2);
  store<u32>(block, load<u32>(list));
  store<u32>(list, <u32>block);
}

/** The next `length` octets never handed out before. */
function extend(length: usize): usize {
  let next = <usize>load<u32>(ARENA_HEAP_NEXT);
  const end = <usize>load<u32>(ARENA_HEAP_END);
  if (next + length > end || next + length < next) {
    const pages = ((length + GROWTH - 1) & ~(GROWTH - 1)) / PAGE;
    const before = memory.grow(<i32>pages);
    if (before < 0) return 0;
    const start = <usize>before * PAGE;
    // Usually our own region goes on; if another part of the program grew the memory, a new begins.
    if (start != end) next = start;
    store<u32>(ARENA_HEAP_END, <u32>(start + pages * PAGE));
  }
  store<u32>(ARENA_HEAP_NEXT, <u32>(next + length));
  return next;
}
