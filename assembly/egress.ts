// Accounts for what the host did with the transmit region's messages.
import {
  ARENA_BASE,
  ARENA_CONFIG,
  ARENA_TX,
  CONFIG_NOTED_TUNNELS,
  PUNT_UNSENT,
  STAGE_EGRESS,
  TALLY_CALLS,
  TALLY_MESSAGES,
  TALLY_NOTED,
  TALLY_OCTETS,
  TX_HEADERS,
  TX_LENGTHS,
  TX_SEGMENTS,
  TX_SESSIONS,
} from "./layout/arena";
import { MMSGHDR_NAME, MMSGHDR_NAME_LENGTH, MMSGHDR_SHIFT } from "./layout/system";
import { VERDICT_FORWARDED, VERDICT_PUNTED } from "./layout/verdict";
import { count, tally } from "./counters";
import { sessionUnsent } from "./l2tp/sessions";
import { punt } from "./punt";
import { hashKey } from "./memory/table";

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

/** The words of a sockaddr with family, port and address, in a tunnel's record. */
const SOCKADDR_WORDS: u32 = 3;

/**
 * Shows control whom message `first` of a relay was for, which the system finds too big: one for each
 * hash of a tunnel until control has looked.
 */
export function unsentTooBig(first: u32): void {
  const message = ARENA_TX + TX_HEADERS + ((<usize>first) << MMSGHDR_SHIFT);
  const name = <usize>(load<u64>(message, MMSGHDR_NAME) - load<u64>(ARENA_BASE));
  const noted = load<u32>(ARENA_CONFIG, CONFIG_NOTED_TUNNELS);
  const bit: u32 = 1 << (hashKey(name, SOCKADDR_WORDS) & 31);
  if (noted & bit) return;
  const length = load<u32>(message, MMSGHDR_NAME_LENGTH);
  if (punt(PUNT_UNSENT, 0, 0, name, length) != VERDICT_PUNTED) return;
  store<u32>(ARENA_CONFIG, noted | bit, CONFIG_NOTED_TUNNELS);
  tally(TALLY_NOTED, 1);
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
