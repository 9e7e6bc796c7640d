// Counters of one lane: what became of every packet, by stage, and a few totals.
import { ARENA_COUNTERS, ARENA_TALLIES, STAGE_SHIFT } from "./layout/arena";

/** Counts `packets` packets that got this verdict at this stage. */
export function count(stage: usize, verdict: i32, packets: u32): void {
  const counter = ARENA_COUNTERS + (stage << STAGE_SHIFT) + ((<usize>verdict) << 3);
  store<u64>(counter, load<u64>(counter) + packets);
}

/** Adds to one of the TALLY_* totals. */
export function tally(which: usize, amount: u32): void {
  const counter = ARENA_TALLIES + (which << 3);
  store<u64>(counter, load<u64>(counter) + amount);
}

/** One of the TALLY_* totals. */
export function tallied(which: usize): u64 {
  return load<u64>(ARENA_TALLIES + (which << 3));
}
