/** Random octets and changes of octets, all from one seed. */
import type { Entropy } from "../../src/core/machine.ts";

/** A generator that gives the same numbers for the same seed (Steele and Vigna's SplitMix, 32 bits). */
export class SeededEntropy implements Entropy {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  u32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }
  fraction(): number {
    return this.u32() / 0x1_0000_0000;
  }
  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.fraction() * count);
  }
  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}

/** What length, count and flag fields go wrong with. */
const TELLING = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 24, 40, 58, 127, 128, 254, 255];
const LONGEST = 2048;

/** One to four changes of an input, on a copy; `other` lends parts. */
export function mutate(octets: Uint8Array, other: Uint8Array, random: SeededEntropy): Uint8Array {
  let changed: Uint8Array = octets.slice();
  for (let changes = 1 + random.below(4); changes > 0; changes--)
    changed = random.pick(CHANGES)(changed, other, random);
  return changed.slice(0, LONGEST);
}

type Change = (octets: Uint8Array, other: Uint8Array, random: SeededEntropy) => Uint8Array;

const CHANGES: readonly Change[] = [
  // A bit turned over.
  (octets, _, random) => {
    if (octets.length > 0) octets[random.below(octets.length)]! ^= 1 << random.below(8);
    return octets;
  },
  // An octet that means something.
  (octets, _, random) => {
    if (octets.length > 0) octets[random.below(octets.length)] = random.pick(TELLING);
    return octets;
  },
  // Any octet.
  (octets, _, random) => {
    if (octets.length > 0) octets[random.below(octets.length)] = random.u32();
    return octets;
  },
  // A u16 near the length of what is there.
  (octets, _, random) => {
    if (octets.length < 2) return octets;
    const value = Math.max(0, octets.length - random.below(60));
    octets.set([value >> 8, value], random.below(octets.length - 1));
    return octets;
  },
  // Cut short.
  (octets, _, random) => octets.slice(0, random.below(octets.length + 1)),
  // Octets more at the end.
  (octets, other, random) => join(octets, other.subarray(random.below(other.length + 1))),
  // A part taken out.
  (octets, _, random) => {
    const start = random.below(octets.length + 1);
    const end = Math.min(octets.length, start + 1 + random.below(20));
    return join(octets.subarray(0, start), octets.subarray(end));
  },
  // A part put in.
  (octets, other, random) => {
    const at = random.below(octets.length + 1);
    const start = random.below(other.length + 1);
    const part = other.subarray(start, start + 1 + random.below(20));
    return join(octets.subarray(0, at), part, octets.subarray(at));
  },
  // The tail of another input.
  (octets, other, random) => {
    const at = random.below(octets.length + 1);
    return join(octets.subarray(0, at), other.subarray(Math.min(at, other.length)));
  },
];

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
