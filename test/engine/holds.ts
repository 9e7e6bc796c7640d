/** Runs a property and prints its seed, so that any run can be repeated with `SEED=number`. */
import type { TestContext } from "node:test";
import fc from "fast-check";

/** Fails with the smallest counterexample unless `property` holds on `numRuns` samples. */
export function holds<T>(t: TestContext, property: fc.IProperty<T>, numRuns = 300): void {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 0x7fffffff));
  t.diagnostic(`seed ${seed}`);
  fc.assert(property, { seed, numRuns });
}
