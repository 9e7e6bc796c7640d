// Sequence numbers on receipt (RFC 3931 §4.6.1 and appendix C, RFC 2661 §5.4): which packet goes on,
// waits, or came too late.
import { ARENA_CURSOR, CURSOR_NOW } from "../layout/arena";
import {
  HELD_NUMBER,
  HELD_TIME,
  L2TP_V2,
  SESSION_EXPECTED,
  SESSION_FLAGS,
  SESSION_HOLD,
  SESSION_IGNORE_SEQUENCE,
  SESSION_MIRROR,
  SESSION_NEED_SEQUENCE,
  SESSION_OLD_LAST,
  SESSION_OLD_MAX,
  SESSION_OLD_RUN,
  SESSION_RX_MISSING,
  SESSION_RX_OLD,
  SESSION_RX_REORDERED,
  SESSION_RX_UNNUMBERED,
  SESSION_SEND_SEQUENCE,
  SESSION_STARTED,
  SESSION_VERSION,
} from "../layout/l2tp";
import { VERDICT_FORWARDED, VERDICT_L2TP_OLD, VERDICT_L2TP_UNNUMBERED } from "../layout/verdict";
import { canHold, firstHeld, firstHolder, hold, holderAfter, readyCopy, readyFirst } from "./hold";
import { note } from "./sessions";

/** The packet goes on now; after it what has become ready. */
export const GO: i32 = 0;
/** The packet was copied: it waits, or is ready behind others. */
const KEPT: i32 = -1;

/** Decides about an unnumbered packet. Returns GO, KEPT or a verdict. */
export function unnumbered(session: usize, frame: usize, length: i32, mark: u32): i32 {
  const flags = load<u32>(session, SESSION_FLAGS);
  if (flags & SESSION_IGNORE_SEQUENCE) return GO;
  if (flags & SESSION_MIRROR) store<u32>(session, flags & ~SESSION_SEND_SEQUENCE, SESSION_FLAGS);
  if (flags & SESSION_NEED_SEQUENCE) {
    note(session, SESSION_RX_UNNUMBERED, 1);
    return VERDICT_L2TP_UNNUMBERED;
  }
  return giveUpAll(session) ? behindReady(session, frame, length, mark) : GO;
}

/** Decides about a packet with a number. Returns GO, KEPT or a verdict. */
export function numbered(session: usize, number: u32, frame: usize, length: i32, mark: u32): i32 {
  const flags = load<u32>(session, SESSION_FLAGS);
  if (flags & SESSION_IGNORE_SEQUENCE) return GO;
  if (flags & SESSION_MIRROR) store<u32>(session, flags | SESSION_SEND_SEQUENCE, SESSION_FLAGS);
  const mask = numbers(session);
  if (!load<u32>(session, SESSION_STARTED)) {
    store<u32>(session, 1, SESSION_STARTED);
    store<u32>(session, number, SESSION_EXPECTED);
  }
  const ahead = distance(session, number, mask);
  if (ahead > mask >> 1) return old(session, number, mask, frame, length, mark);
  store<u32>(session, 0, SESSION_OLD_RUN);
  if (ahead == 0) {
    expect(session, number + 1, mask);
    readySuccessors(session, mask);
    return GO;
  }
  const patience = load<u32>(session, SESSION_HOLD);
  if (patience) {
    // Without room those that wait longest go on, and what they waited for is given up.
    let kept = false;
    for (; firstHeld(session) && !canHold(session, length); kept = true) giveUp(session);
    const left = distance(session, number, mask);
    if (left > mask >> 1) return late(session);
    if (left == 0 && kept) {
      expect(session, number + 1, mask);
      const verdict = behindReady(session, frame, length, mark);
      readySuccessors(session, mask);
      return verdict;
    }
    if (canHold(session, length)) {
      const now = load<u32>(ARENA_CURSOR, CURSOR_NOW);
      const expected = load<u32>(session, SESSION_EXPECTED);
      if (!hold(session, frame, length, mark, number, expected, mask, now)) return late(session);
      note(session, SESSION_RX_REORDERED, 1);
      return KEPT;
    }
  }
  const kept = giveUpAll(session);
  if (distance(session, number, mask) > mask >> 1) return late(session);
  note(session, SESSION_RX_MISSING, distance(session, number, mask));
  expect(session, number + 1, mask);
  return kept ? behindReady(session, frame, length, mark) : GO;
}

/** Lets packets go on that have waited for long enough at `now`. */
export function expire(now: u32): void {
  for (let at = firstHolder(); load<u32>(at); at = holderAfter(at)) {
    const session = <usize>load<u32>(at);
    const patience = load<u32>(session, SESSION_HOLD);
    for (let slot = firstHeld(session); slot; slot = firstHeld(session)) {
      if (now - load<u32>(slot, HELD_TIME) < patience) break;
      giveUp(session);
    }
  }
}

/** How far a number is ahead of what is expected; more than half the numbers: behind it. */
function distance(session: usize, number: u32, mask: u32): u32 {
  return (number - load<u32>(session, SESSION_EXPECTED)) & mask;
}

function expect(session: usize, number: u32, mask: u32): void {
  store<u32>(session, number & mask, SESSION_EXPECTED);
}

/** Makes held packets ready as long as each is the expected one. */
function readySuccessors(session: usize, mask: u32): void {
  for (let slot = firstHeld(session); slot; slot = firstHeld(session)) {
    const number = load<u32>(slot, HELD_NUMBER);
    if (distance(session, number, mask) != 0) return;
    expect(session, number + 1, mask);
    readyFirst(session);
  }
}

/** Waits no longer for what comes before the first held packet. */
function giveUp(session: usize): void {
  const mask = numbers(session);
  const number = load<u32>(firstHeld(session), HELD_NUMBER);
  note(session, SESSION_RX_MISSING, distance(session, number, mask));
  expect(session, number, mask);
  readySuccessors(session, mask);
}

/** Makes all that is held ready. True if there was anything. */
function giveUpAll(session: usize): bool {
  if (!firstHeld(session)) return false;
  while (firstHeld(session)) giveUp(session);
  return true;
}

/** Puts a packet behind what has just become ready. */
function behindReady(session: usize, frame: usize, length: i32, mark: u32): i32 {
  return readyCopy(session, frame, length, mark) ? KEPT : GO;
}

/** The largest sequence number, and the mask of all. */
function numbers(session: usize): u32 {
  return load<u16>(session, SESSION_VERSION) == L2TP_V2 ? 0xffff : 0xffffff;
}

/**
 * A number that has been passed. A run of them, each one more than the last, means that the peer
 * has started anew: then its numbers are taken over.
 */
function old(session: usize, number: u32, mask: u32, frame: usize, length: i32, mark: u32): i32 {
  const follows = ((load<u32>(session, SESSION_OLD_LAST) + 1) & mask) == number;
  const run = follows ? load<u32>(session, SESSION_OLD_RUN) + 1 : 1;
  store<u32>(session, number, SESSION_OLD_LAST);
  store<u32>(session, run, SESSION_OLD_RUN);
  const most = load<u32>(session, SESSION_OLD_MAX);
  if (most == 0 || run < most) return late(session);
  store<u32>(session, 0, SESSION_OLD_RUN);
  const kept = giveUpAll(session);
  expect(session, number + 1, mask);
  return kept ? behindReady(session, frame, length, mark) : GO;
}

function late(session: usize): i32 {
  note(session, SESSION_RX_OLD, 1);
  return VERDICT_L2TP_OLD;
}

/** What a verdict of this module means to the stage's counters. */
export function staged(verdict: i32): i32 {
  return verdict == KEPT ? VERDICT_FORWARDED : verdict;
}
