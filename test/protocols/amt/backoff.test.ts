import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { newNonce, retryWait } from "../../../src/protocols/amt/backoff.ts";
import { seededEntropy } from "../../sim/entropy.ts";

test("the wait is uniform between 1 s and 2^n s, up to the longest (RFC 7450 §5.2.3.4)", () => {
  const at = (fraction: number, retry: number) =>
    retryWait({ u32: () => 0, fraction: () => fraction }, retry, 120_000);
  assert.deepEqual([at(0, 0), at(0.99, 0)], [1_000, 1_000]);
  assert.deepEqual([at(0, 3), at(0.5, 3)], [1_000, 4_500]);
  assert.deepEqual([at(0, 10), at(0.5, 10)], [1_000, 60_500]);
});

test("no wait is shorter than 1 s or longer than the longest, however often it was tried", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(2_000),
      fc.integer({ min: 1_000, max: 200_000 }),
      (seed, n, most) => {
        const wait = retryWait(seededEntropy(seed), n, most);
        assert.ok(wait >= 1_000 && wait <= most);
      },
    ),
  );
});

test("no nonce is zero (RFC 7450 §5.1.1.4)", () => {
  assert.notEqual(newNonce({ u32: () => 0, fraction: () => 0 }), 0);
  assert.equal(newNonce({ u32: () => 5, fraction: () => 0 }), 5);
});
