/** The loop around a target: take an input, change it, run it, keep it if it did something new or rare. */
import { SeededEntropy, mutate } from "./mutate.ts";
import type { FuzzTarget } from "./targets.ts";
import { toHex } from "../vectors/hex.ts";

/** What a run did, and to how many inputs. */
export interface FuzzOutcome {
  readonly inputs: number;
  /** How many inputs each word of the target was said of. */
  readonly words: ReadonlyMap<string, number>;
}

/** A promise that an input broke; `message` has the input. */
export class FuzzFailure extends Error {
  constructor(octets: Uint8Array, cause: unknown) {
    super(`input ${toHex(octets)}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** Inputs kept of each word; more would drown the seeds in what is refused at the first check. */
const KEPT = 4;

/** Runs while `more()` says so. Throws FuzzFailure for the first broken promise. */
export function fuzz(target: FuzzTarget, seed: number, more: () => boolean): FuzzOutcome {
  const random = new SeededEntropy(seed);
  const corpus = [...target.seeds];
  const parent = () => random.pick(random.below(2) === 0 ? target.seeds : corpus);
  const words = new Map<string, number>();
  let inputs = 0;
  for (; more(); inputs++) {
    const octets =
      inputs < target.seeds.length
        ? target.seeds[inputs]!.slice()
        : mutate(parent(), parent(), random);
    if (random.below(2) === 0) target.fix(octets);
    let word: string;
    try {
      word = target.run(octets.slice());
    } catch (cause) {
      throw new FuzzFailure(octets, cause);
    }
    const known = words.get(word) ?? 0;
    words.set(word, known + 1);
    if (known < KEPT) corpus.push(octets);
  }
  return { inputs, words };
}
