/** What a machine has to say and nobody has taken yet. */

/** A queue that holds no memory while it is empty, as most machines' queues are. */
export class Outputs<T> {
  #items: T[] | undefined;
  #next = 0;

  push(item: T): void {
    if (this.#items === undefined) this.#items = [item];
    else this.#items.push(item);
  }

  /** Takes the oldest; undefined if there is none. */
  take(): T | undefined {
    if (this.#items === undefined) return undefined;
    const item = this.#items[this.#next++];
    if (this.#next === this.#items.length) {
      this.#items = undefined;
      this.#next = 0;
    }
    return item;
  }
}
