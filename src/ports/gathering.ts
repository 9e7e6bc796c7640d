/**
 * When a lane lets packets gather. A packet that arrives while a thread waits wakes it, which costs the
 * sender more than its call; one that arrives while the thread sleeps by the clock costs nothing, and
 * leaves in a train with others.
 */
import type { Millis } from "../core/machine.ts";

/** A batch is fast if its packets came no further apart than this, on average since the batch before. */
const APART: Millis = 0.04;

/** Fast batches in a row that are none of a rate: a sender that was held up makes good for it. */
const STREAK = 16;

/** A batch of so many packets needs no more for its trains. */
const ENOUGH = 32;

export class Gathering {
  #before = 0;
  #streak = 0;

  /** Whether more are to gather after a batch of `count` packets that is all sent `now`. */
  after(count: number, now: Millis): boolean {
    const elapsed = now - this.#before;
    this.#before = now;
    this.#streak = elapsed < count * APART ? this.#streak + 1 : 0;
    return this.#streak > STREAK && count < ENOUGH;
  }
}
