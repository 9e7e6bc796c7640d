/**
 * Many deadlines, one minimum: a binary heap that knows where each key lies. Machines with more
 * than a few timers keep one of these; `deadline` is its `next`.
 */
import type { Millis } from "./machine.ts";

/** At most one deadline for each key; keys compare as those of a Map. Every change is O(log n). */
export class Timers<K> {
  readonly #positions = new Map<K, number>();
  readonly #keys: K[] = [];
  readonly #times: Millis[] = [];
  /** Counts arms, so that deadlines of the same time come due in the order they were set. */
  readonly #turns: number[] = [];
  #turn = 0;

  /** How many deadlines are set. */
  get size(): number {
    return this.#keys.length;
  }

  /** Sets the deadline of `key`, in place of the one it may have. */
  set(key: K, at: Millis): void {
    let position = this.#positions.get(key);
    if (position === undefined) {
      position = this.#keys.length;
      this.#keys.push(key);
      this.#times.push(at);
      this.#turns.push(this.#turn++);
      this.#positions.set(key, position);
    } else {
      this.#times[position] = at;
      this.#turns[position] = this.#turn++;
    }
    this.#settle(position);
  }

  /** The deadline of `key`; undefined when none is set. */
  get(key: K): Millis | undefined {
    const position = this.#positions.get(key);
    return position === undefined ? undefined : this.#times[position];
  }

  /** Unsets the deadline of `key`; false when there was none. */
  delete(key: K): boolean {
    const position = this.#positions.get(key);
    if (position === undefined) return false;
    this.#positions.delete(key);
    const last = this.#keys.length - 1;
    if (position !== last) {
      this.#keys[position] = this.#keys[last]!;
      this.#times[position] = this.#times[last]!;
      this.#turns[position] = this.#turns[last]!;
      this.#positions.set(this.#keys[position], position);
    }
    this.#keys.pop();
    this.#times.pop();
    this.#turns.pop();
    if (position !== last) this.#settle(position);
    return true;
  }

  /** The earliest deadline; undefined when none is set. */
  next(): Millis | undefined {
    return this.#times[0];
  }

  /** Unsets and returns the key whose deadline is the earliest, if that is not after `now`. */
  take(now: Millis): K | undefined {
    if (this.#keys.length === 0 || this.#times[0]! > now) return undefined;
    const key = this.#keys[0]!;
    this.delete(key);
    return key;
  }

  /** Unsets all. */
  clear(): void {
    this.#positions.clear();
    this.#keys.length = 0;
    this.#times.length = 0;
    this.#turns.length = 0;
  }

  /** Moves what lies at `position` up or down to where the heap is in order. */
  #settle(position: number): void {
    const keys = this.#keys;
    const key = keys[position]!;
    const at = this.#times[position]!;
    const turn = this.#turns[position]!;
    const start = position;
    while (position > 0) {
      const above = (position - 1) >> 1;
      if (!this.#before(at, turn, above)) break;
      this.#move(above, position);
      position = above;
    }
    for (let below = 2 * position + 1; below < keys.length; below = 2 * position + 1) {
      const other = below + 1;
      if (other < keys.length && this.#before(this.#times[other]!, this.#turns[other]!, below))
        below = other;
      if (this.#before(at, turn, below)) break;
      this.#move(below, position);
      position = below;
    }
    if (position === start) return;
    keys[position] = key;
    this.#times[position] = at;
    this.#turns[position] = turn;
    this.#positions.set(key, position);
  }

  /** True when a deadline is due before the one at `position`. */
  #before(at: Millis, turn: number, position: number): boolean {
    const other = this.#times[position]!;
    return at < other || (at === other && turn < this.#turns[position]!);
  }

  #move(from: number, to: number): void {
    const key = this.#keys[from]!;
    this.#keys[to] = key;
    this.#times[to] = this.#times[from]!;
    this.#turns[to] = this.#turns[from]!;
    this.#positions.set(key, to);
  }
}
