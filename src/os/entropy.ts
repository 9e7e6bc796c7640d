/** Randomness for the machines, from the system's generator. */
import { randomFillSync } from "node:crypto";
import type { Entropy } from "../core/machine.ts";

/** Words fetched at a time. */
const STOCK = 256;

/** Entropy that nobody can predict. */
export class SystemEntropy implements Entropy {
  readonly #words = new Uint32Array(STOCK);
  #used = STOCK;

  u32(): number {
    if (this.#used === STOCK) {
      randomFillSync(this.#words);
      this.#used = 0;
    }
    const word = this.#words[this.#used]!;
    // A nonce or secret that was handed out is not kept.
    this.#words[this.#used++] = 0;
    return word;
  }

  /** All 53 bits of a number's fraction are random. */
  fraction(): number {
    const high = this.u32() >>> 6;
    const low = this.u32() >>> 5;
    return (high * 2 ** 27 + low) / 2 ** 53;
  }
}
