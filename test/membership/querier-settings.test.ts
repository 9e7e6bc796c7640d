import assert from "node:assert/strict";
import { test } from "node:test";
import { MembershipRouter } from "../../src/membership/router.ts";
import { LIFETIME, NAMES, advance, drain, from, join, leave, options, report } from "./support.ts";

for (const family of [4, 6] as const)
  test(`Startup Query Interval and Count of IPv${family} are settings (RFC 3376 §8.6, RFC 3810 §9.6)`, () => {
    const base = options("querier", family);
    const timers = { ...base.timers, startupQueryInterval: 3_000, startupQueryCount: 4 };
    const router = new MembershipRouter({ ...base, timers });
    router.handle({ kind: "start" }, 0);
    drain(router);
    assert.deepEqual(
      advance(router, 140_000).map(({ when }) => when),
      [3_000, 6_000, 9_000, 134_000],
    );
  });

test("an IGMPv1 querier asks no group, knows no leave, and its members time out (RFC 3376 §7.3.1)", () => {
  const { group, host } = NAMES[4];
  const router = new MembershipRouter({ ...options("querier", 4), generation: 1 });
  router.handle({ kind: "start" }, 0);
  drain(router);
  router.handle(from(host(1), join(group, 1)), 1);
  drain(router);
  router.handle(from(host(1), leave(group)), 2);
  router.handle(from(host(1), report(group, ["to-in", []])), 3);
  assert.deepEqual(drain(router), []);
  const gone = advance(router, 300_000).filter(({ out }) => out.kind === "filter");
  assert.deepEqual(
    gone.map(({ when }) => when),
    [1 + LIFETIME],
  );
  assert.deepEqual(
    advance(router, 600_000).map(({ out }) => out.kind === "query" && out.query.generation),
    [1, 1],
  );
});
