import assert from "node:assert/strict";
import { test } from "node:test";
import { monotonic } from "../../src/os/clock.ts";
import { SystemEntropy } from "../../src/os/entropy.ts";

void test("the clock counts milliseconds of the host and never goes back", () => {
  const before = Number(process.hrtime.bigint()) / 1e6;
  let last = 0;
  for (let i = 0; i < 1_000; i++) {
    const now = monotonic();
    assert.ok(now >= last);
    last = now;
  }
  const after = Number(process.hrtime.bigint()) / 1e6;
  assert.ok(before <= last + 1e-3 && last <= after + 1e-3, `${before} ${last} ${after}`);
});

void test("entropy fills every bit of a word and of a fraction, without repetition", () => {
  const entropy = new SystemEntropy();
  const words = Array.from({ length: 2_000 }, () => entropy.u32());
  assert.ok(words.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32));
  for (let bit = 0; bit < 32; bit++) {
    const ones = words.filter((word) => (word >>> bit) & 1).length;
    // Ten standard deviations from the mean.
    assert.ok(Math.abs(ones - 1_000) < 224, `bit ${bit} is set in ${ones} of 2,000 words`);
  }
  assert.ok(new Set(words).size > 1_990);
  const fractions = Array.from({ length: 2_000 }, () => entropy.fraction());
  assert.ok(fractions.every((fraction) => fraction >= 0 && fraction < 1));
  const mean = fractions.reduce((sum, fraction) => sum + fraction, 0) / fractions.length;
  assert.ok(Math.abs(mean - 0.5) < 0.065, `${mean}`);
  assert.ok(fractions.some((fraction) => (fraction * 2 ** 53) % 2 === 1));
});
