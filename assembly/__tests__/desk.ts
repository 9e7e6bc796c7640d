// What the specs share: a fresh arena, octets from text, seeded numbers. The arena's fixed regions
// lie where the release has them; the specs' own memory begins at 64 MiB, and the heap of the code
// under test at HEAP.
import { ARENA_CRC, ARENA_HEAP_NEXT, ARENA_SEED } from "../layout/arena";
import { heapInit } from "../memory/heap";
import { routesInit } from "../amt/routes";

/** Where the heap under test begins: behind all that a spec takes. */
export const HEAP: usize = 112 << 20;

/** Octets free for a spec, on a page of their own. */
export const SCRATCH: usize = 0x400000;

/** Zeroes the arena's values and what earlier specs left in the heap, and makes empty tables. */
export function freshArena(): void {
  const end = <usize>load<u32>(ARENA_HEAP_NEXT);
  if (end > HEAP) memory.fill(HEAP, 0, end - HEAP);
  memory.fill(0x400, 0, ARENA_CRC - 0x400);
  store<u64>(ARENA_SEED, 0x123456789abcdef0);
  heapInit(HEAP);
  routesInit();
}

/** Writes hexadecimal `text`, with or without spaces, to `at`; returns how many octets. */
export function octets(at: usize, text: string): i32 {
  let count = 0;
  let high = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 32) continue;
    const digit = code < 58 ? code - 48 : code - 87;
    if (high < 0) {
      high = digit;
    } else {
      store<u8>(at + count++, (high << 4) | digit);
      high = -1;
    }
  }
  return count;
}

/** The text of `length` octets at `at`. */
export function text(at: usize, length: i32): string {
  let all = "";
  for (let i = 0; i < length; i++) {
    const octet = load<u8>(at + i);
    all += "0123456789abcdef".charAt(octet >> 4) + "0123456789abcdef".charAt(octet & 15);
  }
  return all;
}

let state: u32 = 1;

export function seed(value: u32): void {
  state = value;
}

/** The next number of the generator "xorshift32" (Marsaglia), never 0. */
export function random(): u32 {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

/** A number below `count`. */
export function below(count: u32): u32 {
  return random() % count;
}
