// Packets that came ahead of their turn: copied to slots of a pool, in order for each session, until
// those before them have come or waited for long enough. Then they are ready, and go out.
import { ARENA_HOLD, STAGE_EGRESS, STAGE_RECEIVED } from "../layout/arena";
import {
  HELD_FRAME,
  HELD_LENGTH,
  HELD_MARK,
  HELD_MAX,
  HELD_NEXT,
  HELD_NUMBER,
  HELD_SESSION,
  HELD_SHIFT,
  HELD_SLOTS,
  HELD_TIME,
  HOLD_COUNT,
  HOLD_FREE,
  HOLD_MADE,
  HOLD_READY,
  HOLD_READY_LAST,
  HOLD_SENT,
  HOLD_SESSIONS,
  SESSION_FLAGS,
  SESSION_HELD,
  SESSION_HELD_COUNT,
  SESSION_HOLDING,
  SESSION_NEXT_HOLDER,
} from "../layout/l2tp";
import { VERDICT_STOPPED } from "../layout/verdict";
import { count } from "../counters";
import { allocate } from "../memory/heap";

/** Makes the pool, if it is not there. False without memory. */
export function holdInit(): bool {
  if (load<u32>(ARENA_HOLD, HOLD_MADE)) return true;
  let shift: u32 = HELD_SHIFT;
  while (1 << (shift - HELD_SHIFT) < HELD_SLOTS) shift++;
  const pool = allocate(shift);
  if (!pool) return false;
  store<u32>(ARENA_HOLD, 1, HOLD_MADE);
  for (let i = 0; i < HELD_SLOTS; i++) putFree(pool + ((<usize>i) << HELD_SHIFT));
  return true;
}

/** How many packets wait for those before them. */
export function held(): u32 {
  return load<u32>(ARENA_HOLD, HOLD_COUNT);
}

/** True when a frame of this length can be held for this session. */
export function canHold(session: usize, length: i32): bool {
  if (length > (1 << HELD_SHIFT) - HELD_FRAME) return false;
  if (load<u32>(session, SESSION_HELD_COUNT) >= <u32>HELD_MAX) return false;
  return load<u32>(ARENA_HOLD, HOLD_FREE) != 0;
}

/**
 * Holds a copy of a frame with this number; `mask` is that of the numbers, `expected` the session's
 * next one. False for a number that is held already. Ask `canHold` first.
 */
export function hold(
  session: usize,
  frame: usize,
  length: i32,
  mark: u32,
  number: u32,
  expected: u32,
  mask: u32,
  now: u32,
): bool {
  // Most often the newest goes last; the list is short.
  let before = session + SESSION_HELD;
  const ahead = (number - expected) & mask;
  for (let next = load<u32>(before); next; next = load<u32>(before)) {
    const other = (load<u32>(next, HELD_NUMBER) - expected) & mask;
    if (other == ahead) return false;
    if (other > ahead) break;
    before = <usize>next + HELD_NEXT;
  }
  const slot = copyOf(session, frame, length, mark);
  store<u32>(slot, number, HELD_NUMBER);
  store<u32>(slot, now, HELD_TIME);
  store<u32>(slot, load<u32>(before), HELD_NEXT);
  store<u32>(before, <u32>slot);
  store<u32>(session, load<u32>(session, SESSION_HELD_COUNT) + 1, SESSION_HELD_COUNT);
  store<u32>(ARENA_HOLD, held() + 1, HOLD_COUNT);
  const flags = load<u32>(session, SESSION_FLAGS);
  if (!(flags & SESSION_HOLDING)) {
    store<u32>(session, flags | SESSION_HOLDING, SESSION_FLAGS);
    store<u32>(session, load<u32>(ARENA_HOLD, HOLD_SESSIONS), SESSION_NEXT_HOLDER);
    store<u32>(ARENA_HOLD, <u32>session, HOLD_SESSIONS);
  }
  return true;
}

/** The first packet that a session holds, or 0. */
export function firstHeld(session: usize): usize {
  return <usize>load<u32>(session, SESSION_HELD);
}

/** Makes the first packet that a session holds ready. */
export function readyFirst(session: usize): void {
  const slot = firstHeld(session);
  store<u32>(session, load<u32>(slot, HELD_NEXT), SESSION_HELD);
  store<u32>(session, load<u32>(session, SESSION_HELD_COUNT) - 1, SESSION_HELD_COUNT);
  store<u32>(ARENA_HOLD, held() - 1, HOLD_COUNT);
  putReady(slot);
}

/** Makes a copy of a frame ready, behind what is ready already. False without a slot. */
export function readyCopy(session: usize, frame: usize, length: i32, mark: u32): bool {
  if (length > (1 << HELD_SHIFT) - HELD_FRAME || !load<u32>(ARENA_HOLD, HOLD_FREE)) return false;
  putReady(copyOf(session, frame, length, mark));
  return true;
}

/** The first ready packet, or 0. */
export function firstReady(): usize {
  return <usize>load<u32>(ARENA_HOLD, HOLD_READY);
}

/** Takes the first ready packet for sending: its slot is kept until `freeSent`. */
export function takeReady(): void {
  const slot = firstReady();
  store<u32>(ARENA_HOLD, load<u32>(slot, HELD_NEXT), HOLD_READY);
  store<u32>(slot, load<u32>(ARENA_HOLD, HOLD_SENT), HELD_NEXT);
  store<u32>(ARENA_HOLD, <u32>slot, HOLD_SENT);
}

/** Frees the slots whose messages have left. */
export function freeSent(): void {
  let slot = <usize>load<u32>(ARENA_HOLD, HOLD_SENT);
  while (slot) {
    const next = <usize>load<u32>(slot, HELD_NEXT);
    putFree(slot);
    slot = next;
  }
  store<u32>(ARENA_HOLD, 0, HOLD_SENT);
}

/** Drops all that a session holds, or has ready, and forgets the session. */
export function holdForget(session: usize): void {
  let dropped: u32 = 0;
  while (firstHeld(session)) {
    readyFirst(session);
  }
  let last: usize = 0;
  for (let slot = firstReady(); slot;) {
    const next = <usize>load<u32>(slot, HELD_NEXT);
    if (<usize>load<u32>(slot, HELD_SESSION) == session) {
      if (last) store<u32>(last, <u32>next, HELD_NEXT);
      else store<u32>(ARENA_HOLD, <u32>next, HOLD_READY);
      putFree(slot);
      dropped++;
    } else {
      last = slot;
    }
    slot = next;
  }
  store<u32>(ARENA_HOLD, <u32>last, HOLD_READY_LAST);
  count(STAGE_EGRESS, STAGE_RECEIVED, dropped);
  count(STAGE_EGRESS, VERDICT_STOPPED, dropped);
  if (!(load<u32>(session, SESSION_FLAGS) & SESSION_HOLDING)) return;
  let at = ARENA_HOLD + HOLD_SESSIONS;
  while (<usize>load<u32>(at) != session) at = <usize>load<u32>(at) + SESSION_NEXT_HOLDER;
  unlink(at);
}

/** The place that names the first session with held packets; follow with `holderAfter`. */
export function firstHolder(): usize {
  return ARENA_HOLD + HOLD_SESSIONS;
}

/**
 * The place after `at`, which must name a session: that of the next session, or `at` itself when
 * its session holds nothing any more and was taken from the list.
 */
export function holderAfter(at: usize): usize {
  const session = <usize>load<u32>(at);
  if (firstHeld(session)) return session + SESSION_NEXT_HOLDER;
  unlink(at);
  return at;
}

function unlink(at: usize): void {
  const session = <usize>load<u32>(at);
  store<u32>(at, load<u32>(session, SESSION_NEXT_HOLDER));
  store<u32>(session, load<u32>(session, SESSION_FLAGS) & ~SESSION_HOLDING, SESSION_FLAGS);
}

/** Takes a free slot, which must be there, and copies a frame to it. */
function copyOf(session: usize, frame: usize, length: i32, mark: u32): usize {
  const slot = <usize>load<u32>(ARENA_HOLD, HOLD_FREE);
  store<u32>(ARENA_HOLD, load<u32>(slot, HELD_NEXT), HOLD_FREE);
  store<u32>(slot, <u32>session, HELD_SESSION);
  store<u32>(slot, length, HELD_LENGTH);
  store<u32>(slot, mark, HELD_MARK);
  memory.copy(slot + HELD_FRAME, frame, length);
  return slot;
}

function putReady(slot: usize): void {
  store<u32>(slot, 0, HELD_NEXT);
  if (firstReady()) store<u32>(<usize>load<u32>(ARENA_HOLD, HOLD_READY_LAST), <u32>slot, HELD_NEXT);
  else store<u32>(ARENA_HOLD, <u32>slot, HOLD_READY);
  store<u32>(ARENA_HOLD, <u32>slot, HOLD_READY_LAST);
}

function putFree(slot: usize): void {
  store<u32>(slot, load<u32>(ARENA_HOLD, HOLD_FREE), HELD_NEXT);
  store<u32>(ARENA_HOLD, <u32>slot, HOLD_FREE);
}
