/** Randomness that a seed repeats. */
import type { Entropy } from "../../src/core/machine.ts";

/** The generator "sfc32" of PractRand, warmed up from one 32-bit seed. */
export function seededEntropy(seed: number): Entropy {
  let a = 0;
  let b = seed | 0;
  let c = 0x9e3779b9;
  let counter = 1;
  const u32 = () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) u32();
  return { u32, fraction: () => u32() / 0x1_0000_0000 };
}
