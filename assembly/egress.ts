// Accounts for what the host did with the transmit region's messages.
import {
  ARENA_TX,
  STAGE_EGRESS,
  TALLY_CALLS,
  TALLY_MESSAGES,
  TALLY_OCTETS,
  TX_LENGTHS,
  TX_SEGMENTS,
  TX_SESSIONS,
} from "./layout/arena";
import { VERDICT_FORWARDED } from "./layout/verdict";
import { count, tally } from "./counters";
import { sessionUnsent } from "./l2tp/sessions";

/** Counts messages `first` to `first + messages - 1` as taken by the kernel in one call. */
export function sent(first: u32, messages: u32): void {
  let segments: u32 = 0;
  let octets: u32 = 0;
  let note = ARENA_TX + ((<usize>first) << 2);
  const end = note + ((<usize>messages) << 2);
  for (; note < end; note += 4) {
    segments += load<u32>(note, TX_SEGMENTS);
    octets += load<u32>(note, TX_LENGTHS);
  }
  count(STAGE_EGRESS, VERDICT_FORWARDED, segments);
  tally(TALLY_OCTETS, octets);
  tally(TALLY_MESSAGES, messages);
  tally(TALLY_CALLS, 1);
}

/** Counts messages `first` to `first + messages - 1` as dropped for `verdict`. */
export function unsent(first: u32, messages: u32, verdict: i32): void {
  let note = ARENA_TX + ((<usize>first) << 2);
  const end = note + ((<usize>messages) << 2);
  for (; note < end; note += 4) {
    const segments = load<u32>(note, TX_SEGMENTS);
    count(STAGE_EGRESS, verdict, segments);
    const session = <usize>load<u32>(note, TX_SESSIONS);
    if (session) sessionUnsent(session, segments);
  }
}
