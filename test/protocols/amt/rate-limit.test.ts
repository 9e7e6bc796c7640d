import assert from "node:assert/strict";
import { test } from "node:test";
import { VERDICT_RATE_LIMIT } from "../../../assembly/layout/verdict.ts";
import { RateLimiter, type RateLimits } from "../../../src/protocols/amt/rate-limit.ts";
import { emitDiscovery, emitRequest, emitTeardown } from "../../../src/wire/amt.ts";
import {
  G,
  GATEWAY,
  OTHER,
  S,
  datagram,
  fate,
  given,
  newRelay,
  proven,
  record,
  report,
} from "./rig.ts";

const MANY = { perAddress: 1_000_000, strangers: 1_000_000 };
const FREE: RateLimits = { discovery: MANY, request: MANY, update: MANY };
const limits = (perAddress: number, strangers: number): RateLimits => ({
  ...FREE,
  request: { perAddress, strangers },
});

/** How many of `count` Requests at one moment are admitted. */
function admitted(limiter: RateLimiter, count: number, now: number, from = "10.0.0.1"): number {
  let sum = 0;
  for (let i = 0; i < count; i++) if (limiter.admits("request", from, true, now)) sum++;
  return sum;
}

test("two seconds' worth may come at once, then as much as the rate allows", () => {
  const limiter = new RateLimiter(limits(10, 1_000));
  assert.equal(admitted(limiter, 100, 5_000), 20);
  assert.equal(admitted(limiter, 100, 5_099), 0);
  assert.equal(admitted(limiter, 100, 5_100), 1);
  assert.equal(admitted(limiter, 100, 6_100), 10);
  assert.equal(admitted(limiter, 100, 60_000), 20);
});

test("one address does not use up another's, one kind not another's", () => {
  const limiter = new RateLimiter(limits(1, 1_000));
  assert.equal(admitted(limiter, 9, 0, "10.0.0.1"), 2);
  assert.equal(admitted(limiter, 9, 0, "10.0.0.2"), 2);
  assert.equal(limiter.admits("update", "10.0.0.1", true, 0), true);
});

test("strangers share a limit that those with a tunnel do not come under", () => {
  const limiter = new RateLimiter(limits(1_000, 5));
  for (let i = 0; i < 100; i++) limiter.admits("request", `10.0.0.${i}`, true, 0);
  assert.equal(limiter.admits("request", "10.0.1.1", true, 0), false);
  assert.equal(limiter.admits("request", "10.0.1.1", false, 0), true);
});

test("the table stays bounded under random addresses, and forgets the one unused longest", () => {
  const limiter = new RateLimiter(limits(1, 1_000_000));
  assert.equal(admitted(limiter, 9, 0, "10.9.9.9"), 2);
  for (let i = 0; i < 200_000; i++) {
    limiter.admits("request", `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, true, 0);
    if (i % 10_000 === 0) assert.equal(admitted(limiter, 9, 0, "10.9.9.9"), 0);
  }
  assert.equal(limiter.size, 65_536);
});

test("a relay drops what is too much, and answers again later (RFC 7450 §6.1)", () => {
  const few = { perAddress: 1, strangers: 1_000 };
  const relay = newRelay({ rates: { discovery: few, request: few, update: few } });
  const request = emitRequest(1, { family: 4, ecn: false });
  const fates = (octets: Uint8Array, now: number, from = GATEWAY) =>
    Array.from({ length: 3 }, () => fate(given(relay, datagram(octets, from), now)));
  const limited = ["accepted", "accepted", VERDICT_RATE_LIMIT];
  assert.deepEqual(fates(emitDiscovery(1), 0), limited);
  assert.deepEqual(fates(request, 0), limited);
  assert.deepEqual(fates(request, 0, OTHER), limited);
  const proof = proven(relay, 10_000);
  const update = report(proof, record("allow", G, S));
  assert.deepEqual(fates(update, 10_000), limited);
  assert.equal(
    fate(given(relay, datagram(emitTeardown({ ...proof, gateway: GATEWAY })), 10_000)),
    VERDICT_RATE_LIMIT,
  );
  assert.deepEqual(fates(request, 20_000), limited);
});

test("two Requests every two seconds, as the Linux driver sends, are far from any limit", () => {
  const relay = newRelay({
    rates: { ...FREE, request: { perAddress: 2, strangers: 10 } },
  });
  for (let now = 0; now < 600_000; now += 2_000)
    for (const family of [4, 6] as const) {
      const octets = emitRequest(now + 1, { family, ecn: false, misplacedP: true });
      assert.equal(fate(given(relay, datagram(octets, OTHER), now)), "accepted");
    }
});
