// What a tunnel may be sent: a leaky bucket for each, of octets that drain with time. Nothing of it is
// touched unless there is a limit.
import { ARENA_CONFIG, ARENA_RATES, CONFIG_BURST, CONFIG_RATE } from "../layout/arena";
import { slabAt, slabReach } from "../memory/slab";

// A tunnel's record.
const RATE_LEVEL: usize = 0; // u32: octets in the bucket
const RATE_AT: usize = 4; // u32: milliseconds, when that was so
const RATE_SHIFT: u32 = 3;

/** True when there is a limit. */
export function isLimited(): bool {
  return load<u32>(ARENA_CONFIG, CONFIG_RATE) != 0;
}

/** Makes room for a tunnel's record, where there is a limit. False without memory. */
export function rateReach(tunnel: u32): bool {
  return !isLimited() || slabReach(ARENA_RATES, tunnel, RATE_SHIFT);
}

/** True if a tunnel may be sent `octets` at `now` milliseconds; then they are in its bucket. */
export function mayBeSent(tunnel: u32, octets: u32, now: u32): bool {
  const record = slabAt(ARENA_RATES, tunnel, RATE_SHIFT);
  const drained = <u64>(now - load<u32>(record, RATE_AT)) * load<u32>(ARENA_CONFIG, CONFIG_RATE);
  const before = <u64>load<u32>(record, RATE_LEVEL);
  const level = (before > drained ? before - drained : 0) + octets;
  const may = level <= <u64>load<u32>(ARENA_CONFIG, CONFIG_BURST);
  store<u32>(record, <u32>(may ? level : level - octets), RATE_LEVEL);
  store<u32>(record, now, RATE_AT);
  return may;
}
