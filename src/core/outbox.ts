/** The outputs of a machine that wait for `poll`. */

/** A queue: first in, first out. */
export class Outbox<T> {
  #items: T[] = [];
  #next = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the oldest; undefined when there is none. */
  poll(): T | undefined {
    if (this.#next === this.#items.length) {
      if (this.#next > 0) {
        this.#items = [];
        this.#next = 0;
      }
      return undefined;
    }
    return this.#items[this.#next++];
  }
}
