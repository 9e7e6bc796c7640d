import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Millis } from "../../../src/core/machine.ts";
import { Attempts, type AttemptsInput } from "../../../src/protocols/driad/attempts.ts";
import type { Candidate } from "../../../src/protocols/driad/candidates.ts";
import { seededEntropy } from "../../sim/entropy.ts";

const relay = (n: number): Candidate => ({
  endpoint: { address: `192.0.2.${n}`, port: 2268 },
  precedence: n,
  discoveryOptional: false,
});
const RELAYS = [1, 2, 3].map(relay);
const list = (candidates: readonly Candidate[]): AttemptsInput => ({
  kind: "candidates",
  candidates,
});

/** The outputs of one input as "attempt 1", "exhausted". */
function given(attempts: Attempts, input: AttemptsInput, now: Millis): string[] {
  attempts.handle(input, now);
  const said: string[] = [];
  for (let out = attempts.poll(); out; out = attempts.poll())
    said.push("candidate" in out ? `${out.kind} ${out.candidate.precedence}` : out.kind);
  return said;
}

/** All outputs until `end`, each with its time. */
function run(attempts: Attempts, end: Millis): string[] {
  const said: string[] = [];
  for (let at = attempts.deadline(); at !== undefined && at <= end; at = attempts.deadline())
    said.push(...given(attempts, { kind: "timeout" }, at).map((what) => `${at} ${what}`));
  return said;
}

test("trials start in order, 250 ms apart, until one wins (RFC 8777 §2.3, RFC 8305 §5)", () => {
  const attempts = new Attempts(seededEntropy(1));
  assert.deepEqual(given(attempts, list(RELAYS), 1_000), ["attempt 1"]);
  assert.deepEqual(run(attempts, 1_400), ["1250 attempt 2"]);
  assert.deepEqual(given(attempts, { kind: "stop" }, 1_400), []);
  assert.equal(attempts.deadline(), undefined);
});

test("a trial that fails lets the next start at once; the last one's failure ends the search", () => {
  const attempts = new Attempts(seededEntropy(1));
  given(attempts, list(RELAYS.slice(0, 2)), 0);
  assert.deepEqual(given(attempts, { kind: "failed", candidate: RELAYS[0]! }, 10), ["attempt 2"]);
  assert.deepEqual(given(attempts, { kind: "failed", candidate: RELAYS[1]! }, 20), ["exhausted"]);
  assert.equal(attempts.deadline(), undefined);
});

test("a trial without an end is abandoned after 10 s", () => {
  const attempts = new Attempts(seededEntropy(1));
  given(attempts, list(RELAYS.slice(0, 2)), 0);
  assert.deepEqual(run(attempts, 60_000), [
    "250 attempt 2",
    "10000 abandon 1",
    "10250 abandon 2",
    "10250 exhausted",
  ]);
});

test("relays on hold-down are not tried (RFC 8777 §2.5.4.1)", () => {
  const attempts = new Attempts(seededEntropy(1));
  const hold = (n: number): AttemptsInput => ({
    kind: "hold",
    relay: relay(n).endpoint,
    reason: "limit",
  });
  given(attempts, hold(1), 0);
  given(attempts, list(RELAYS), 0);
  assert.deepEqual(given(attempts, hold(3), 1), []);
  assert.deepEqual(given(attempts, { kind: "failed", candidate: RELAYS[1]! }, 2), ["exhausted"]);
  assert.deepEqual(given(attempts, list(RELAYS.slice(0, 1)), 599_999), ["exhausted"]);
  assert.deepEqual(given(attempts, list(RELAYS.slice(0, 1)), 600_001), ["attempt 1"]);
});

test("relays that are learned late join the search; trials that run go on", () => {
  const attempts = new Attempts(seededEntropy(1));
  given(attempts, list(RELAYS.slice(0, 1)), 0);
  assert.deepEqual(given(attempts, list(RELAYS), 60), []);
  assert.deepEqual(run(attempts, 2_000), ["250 attempt 2", "500 attempt 3"]);
  assert.deepEqual(given(attempts, list([]), 2_500), []);
});

test("nothing to try is said at once", () => {
  assert.deepEqual(given(new Attempts(seededEntropy(1)), list([]), 5), ["exhausted"]);
});

test("whatever happens, trials start 250 ms apart unless one failed, and every search ends", () => {
  const step = fc.record({
    wait: fc.nat(700),
    what: fc.constantFrom("list", "failed", "hold", "stop"),
    n: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const attempts = new Attempts(seededEntropy(1));
      let now = 0;
      let startedAt = Number.NEGATIVE_INFINITY;
      let failed = true;
      const check = (said: readonly string[], at: Millis) => {
        for (const one of said.filter((text) => text.includes("attempt"))) {
          assert.ok(failed || at - startedAt >= 250, one);
          [startedAt, failed] = [at, false];
        }
      };
      for (const { wait, what, n } of steps) {
        for (
          let at = attempts.deadline();
          at !== undefined && at <= now + wait;
          at = attempts.deadline()
        )
          check(given(attempts, { kind: "timeout" }, at), at);
        now += wait;
        if (what === "failed") failed = true;
        const input: AttemptsInput =
          what === "list"
            ? list(RELAYS)
            : what === "stop"
              ? { kind: "stop" }
              : what === "failed"
                ? { kind: "failed", candidate: relay(n) }
                : { kind: "hold", relay: relay(n).endpoint, reason: "lost" };
        check(given(attempts, input, now), now);
      }
      run(attempts, now + 60_000);
      assert.equal(attempts.deadline(), undefined);
    }),
  );
});
