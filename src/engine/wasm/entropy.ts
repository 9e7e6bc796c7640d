/** Randomness from the Web Crypto that every host of WebAssembly has. */
import type { Entropy } from "../../core/machine.ts";

const word = new Uint32Array(1);

export const webEntropy: Entropy = {
  u32: () => crypto.getRandomValues(word)[0] ?? 0,
  fraction: () => webEntropy.u32() / 2 ** 32,
};
