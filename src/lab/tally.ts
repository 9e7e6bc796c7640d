/** Counts what became of a numbered stream: what came, what is missing, what came twice or late. */

export interface TallySummary {
  /** Packets that came, each copy counted. */
  readonly received: number;
  /** Lowest and highest sequence number that came; -1 if none did. */
  readonly first: number;
  readonly last: number;
  /** Numbers that never came, from `first` to the end of the stream. */
  readonly lost: number;
  /** Further copies of a number. */
  readonly duplicated: number;
  /** Numbers that came for the first time after a higher one. */
  readonly outOfOrder: number;
}

export class Tally {
  #seen = new Uint8Array(8_192);
  #received = 0;
  #distinct = 0;
  #duplicated = 0;
  #outOfOrder = 0;
  #first = -1;
  #last = -1;

  /** Takes note of a packet; `sequence` is a whole number from 0. */
  add(sequence: number): void {
    this.#received++;
    const at = sequence >>> 3;
    const bit = 1 << (sequence & 7);
    if (at >= this.#seen.length) {
      const larger = new Uint8Array(Math.max(at + 1, 2 * this.#seen.length));
      larger.set(this.#seen);
      this.#seen = larger;
    }
    if ((this.#seen[at]! & bit) !== 0) {
      this.#duplicated++;
      return;
    }
    this.#seen[at]! |= bit;
    this.#distinct++;
    if (sequence < this.#last) this.#outOfOrder++;
    else this.#last = sequence;
    if (this.#first < 0 || sequence < this.#first) this.#first = sequence;
  }

  /** `sent` is how many numbers the source used, if known; else the last that came ends it. */
  summary(sent = this.#last + 1): TallySummary {
    const end = Math.max(sent, this.#last + 1);
    return {
      received: this.#received,
      first: this.#first,
      last: this.#last,
      lost: this.#first < 0 ? 0 : end - this.#first - this.#distinct,
      duplicated: this.#duplicated,
      outOfOrder: this.#outOfOrder,
    };
  }
}
