/** When queries leave: how many in a time, and how long before the next try (RFC 8777 §2.7). */
import { setTimeout as sleep } from "node:timers/promises";
import type { Entropy, Millis } from "../../core/machine.ts";

const QUERIES = 10;
const WINDOW: Millis = 100;
/** The longest wait for an answer. */
const WAIT_MOST: Millis = 120_000;

/** The wait of the `round`-th try, 0 for the first: uniform from `first` to `first` * 2^round. */
export function answerWait(entropy: Entropy, round: number, first: Millis): Millis {
  const most = Math.min(first * 2 ** round, WAIT_MOST);
  return first + entropy.fraction() * (most - first);
}

/** At most 10 queries in any 100 ms. */
export class Pace {
  /** When the last queries left, or will leave. */
  readonly #turns: Millis[] = [];

  /** How long the next query must wait from `now` on; its turn is taken. */
  take(now: Millis): Millis {
    const before = this.#turns.length === QUERIES ? this.#turns.shift()! + WINDOW : now;
    const turn = Math.max(now, before);
    this.#turns.push(turn);
    return turn - now;
  }

  /** Waits for the next turn; false if `signal` ends the wait. */
  async turn(now: Millis, signal: AbortSignal): Promise<boolean> {
    const wait = this.take(now);
    try {
      if (wait > 0) await sleep(wait, undefined, { signal });
      return !signal.aborted;
    } catch {
      return false;
    }
  }
}
