import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_ANY_SOURCE,
  VERDICT_FAMILY,
  VERDICT_GROUP_LIMIT,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_NOT_MULTICAST,
  VERDICT_SOURCE_LIMIT,
  VERDICT_UNROUTABLE_GROUP,
} from "../../assembly/layout/verdict.ts";
import type { Address } from "../../src/core/address.ts";
import { EVERYTHING, NOTHING } from "../../src/membership/filter.ts";
import { MembershipRouter } from "../../src/membership/router.ts";
import type { GroupFilter, MembershipMessage, RecordKind } from "../../src/wire/membership.ts";
import {
  LIFETIME,
  NAMES,
  advance,
  drain,
  exclude,
  from,
  include,
  join,
  leave,
  options,
  query,
  report,
  sorted,
  type Told,
  sortedFilter,
} from "./support.ts";

/** Query interval and query response interval: what a Leave by one of several members leaves. */
const HOLD = 135_000;

/** What one record makes of a reporter's INCLUDE (a1, a2), without any query to be sent. */
const FROM_INCLUDE: readonly (readonly [RecordKind, GroupFilter["mode"], readonly string[]])[] = [
  ["is-in", "include", ["a1", "a2", "n1"]],
  ["allow", "include", ["a1", "a2", "n1"]],
  ["block", "include", ["a2"]],
  ["to-in", "include", ["a1", "n1"]],
  ["is-ex", "exclude", ["n1"]],
  ["to-ex", "exclude", ["a1", "n1"]],
];

/** The same of EXCLUDE (X = x1, x2; Y = y1, y2) with a record of (x1, y1, n1). */
const FROM_EXCLUDE: readonly (readonly [RecordKind, GroupFilter["mode"], readonly string[]])[] = [
  ["is-in", "exclude", ["y2"]],
  ["allow", "exclude", ["y2"]],
  ["is-ex", "exclude", ["y1"]],
  ["to-ex", "exclude", ["n1", "x1", "y1"]],
  ["block", "exclude", ["n1", "x1", "y1", "y2"]],
  ["to-in", "include", ["n1", "x1", "y1"]],
];

for (const family of [4, 6] as const) {
  const { group, other, ssm, linkLocal, unicast, unspecified, host, source } = NAMES[family];
  const [a1, a2] = [source("a1"), source("a2")];
  const protocol = family === 4 ? "IGMP" : "MLD";

  function link(limits = {}): MembershipRouter {
    return new MembershipRouter(options("tracked", family, limits));
  }

  /** Hands one message in; answers what comes out. */
  function tell(
    router: MembershipRouter,
    address: Address,
    message: MembershipMessage,
    now: number,
  ): Told[] {
    router.handle(from(address, message), now);
    return drain(router).map(sorted);
  }

  function told(filter: GroupFilter, where: Address = group): Told {
    return sorted({ kind: "filter", group: where, filter });
  }

  function held(router: MembershipRouter): GroupFilter {
    return sortedFilter(new Map(router.filters()).get(group) ?? NOTHING);
  }

  for (const [kind, mode, names] of FROM_INCLUDE) {
    test(`${protocol}: a tracked reporter's INCLUDE takes ${kind} at once (RFC 3376 §6.4, RFC 7450 §5.3.3.4)`, () => {
      const router = link();
      tell(router, host(1), report(group, ["is-in", [a1, a2]]), 0);
      router.handle(from(host(1), report(group, [kind, [a1, source("n1")]])), 20_000);
      assert.deepEqual(held(router), sortedFilter({ mode, sources: names.map(source) }));
      assert.ok(drain(router).every((out) => out.kind === "filter"));
    });
  }

  for (const [kind, mode, names] of FROM_EXCLUDE) {
    test(`${protocol}: a tracked reporter's EXCLUDE takes ${kind} at once (RFC 3376 §6.4, RFC 7450 §5.3.3.4)`, () => {
      const router = link();
      tell(router, host(1), report(group, ["is-ex", [source("y1"), source("y2")]]), 0);
      tell(router, host(1), report(group, ["allow", [source("x1"), source("x2")]]), 10_000);
      const record = ["x1", "y1", "n1"].map(source);
      router.handle(from(host(1), report(group, [kind, record])), 20_000);
      assert.deepEqual(held(router), sortedFilter({ mode, sources: names.map(source) }));
      assert.ok(drain(router).every((out) => out.kind === "filter"));
    });
  }

  test(`${protocol}: a membership that is not renewed ends after its interval (RFC 3376 §8.4, RFC 7450 §5.3.3.4)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    tell(router, host(1), report(other, ["to-ex", []]), 1_000);
    tell(router, host(1), report(group, ["is-in", [a1]]), 125_000);
    assert.deepEqual(advance(router, 10 * LIFETIME), [
      { when: 1_000 + LIFETIME, out: told(NOTHING, other) },
      { when: 125_000 + LIFETIME, out: told(NOTHING) },
    ]);
    assert.equal(router.groupCount, 0);
    assert.equal(router.deadline(), undefined);
  });

  test(`${protocol}: a message after a deadline that nobody kept finds the old state gone (RFC 3376 §6.5)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["allow", [a2]]), LIFETIME), [
      told(NOTHING),
      told(include(a2)),
    ]);
  });

  test(`${protocol}: BLOCK and ALLOW in one report are one change (RFC 3376 §5.1)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(
      tell(router, host(1), report(group, ["block", [a1]], ["allow", [a2]]), 1_000),
      [told(include(a2))],
    );
  });

  test(`${protocol}: the records of one report count in their order (RFC 3376 §6.4)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", [a1]]), 0);
    // As a new member the reporter does not want a2; as an old one it would, until asked.
    const again = report(group, ["to-in", []], ["is-ex", [a2]]);
    assert.deepEqual(tell(router, host(1), again, 1_000), [told(exclude(a2))]);
  });

  test(`${protocol}: a report that renews says nothing (RFC 3376 §6.4)`, () => {
    const router = link();
    assert.deepEqual(tell(router, host(1), report(group, ["allow", [a1, a2]]), 0), [
      told(include(a1, a2)),
    ]);
    assert.deepEqual(tell(router, host(1), report(group, ["is-in", [a2, a1]]), 5_000), []);
  });

  test(`${protocol}: leaving what was never joined leaves no state (RFC 3376 §6.4)`, () => {
    const router = link();
    const messages = [
      report(group, ["is-in", []], ["to-in", []], ["block", [a1]], ["allow", []]),
      leave(group),
      report(group),
    ];
    for (const message of messages) assert.deepEqual(tell(router, host(1), message, 0), []);
    assert.equal(router.groupCount, 0);
    assert.equal(router.deadline(), undefined);
  });

  test(`${protocol}: what one reporter leaves, another keeps (RFC 7450 §5.3.3.4)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1, a2]]), 0);
    tell(router, host(2), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1, a2]]), 1_000), [
      told(include(a1)),
    ]);
    assert.deepEqual(tell(router, host(3), report(group, ["to-in", []]), 1_000), []);
    assert.deepEqual(tell(router, host(2), report(group, ["to-in", []]), 1_000), [told(NOTHING)]);
    assert.equal(router.groupCount, 0);
  });

  test(`${protocol}: what is forwarded is what all reporters want together (RFC 3376 §3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", [a1, a2]]), 0);
    assert.deepEqual(tell(router, host(2), report(group, ["allow", [a1]]), 0), [told(exclude(a2))]);
    assert.deepEqual(tell(router, host(3), report(group, ["to-ex", []]), 0), [told(EVERYTHING)]);
    assert.deepEqual(tell(router, host(3), report(group, ["to-in", []]), 1), [told(exclude(a2))]);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 2), [told(include(a1))]);
  });

  test(`${protocol}: reporters without an address are one reporter`, () => {
    const router = link();
    tell(router, unspecified, report(group, ["allow", [a1]]), 0);
    tell(router, unspecified, report(group, ["allow", [a2]]), 0);
    assert.deepEqual(tell(router, unspecified, report(group, ["block", [a1]]), 1), [
      told(include(a2)),
    ]);
  });

  test(`${protocol}: the only older reporter's leave ends the group at once (RFC 2236 §3, RFC 2710 §4)`, () => {
    const router = link();
    assert.deepEqual(tell(router, host(1), join(group), 0), [told(EVERYTHING)]);
    assert.deepEqual(tell(router, host(1), join(group), 5_000), []);
    assert.deepEqual(tell(router, host(1), leave(group), 9_000), [told(NOTHING)]);
    assert.equal(router.groupCount, 0);
    assert.equal(router.deadline(), undefined);
  });

  test(`${protocol}: an older reporter's leave does not cut off one that keeps silent (RFC 2236 §3, RFC 2710 §4)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    tell(router, host(2), join(group), 1_000);
    // From here on the first always answers first, and the second keeps silent.
    for (let at = 125_000; at < 1_000_000; at += 125_000) tell(router, host(1), join(group), at);
    assert.deepEqual(tell(router, host(1), leave(group), 1_000_000), []);
    assert.deepEqual(advance(router, 1_000_000 + HOLD - 1), []);
    assert.deepEqual(tell(router, host(2), join(group), 1_000_000 + HOLD - 1), []);
    assert.deepEqual(tell(router, host(2), leave(group), 1_200_000), [told(NOTHING)]);
  });

  test(`${protocol}: after a leave by one of several older reporters nobody is waited for long (RFC 7450 §5.3.3.4)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    tell(router, host(2), join(group), 0);
    tell(router, host(1), leave(group), 10_000);
    assert.deepEqual(advance(router, LIFETIME), [{ when: 10_000 + HOLD, out: told(NOTHING) }]);
  });

  test(`${protocol}: a leave by a host that never reported waits for those that did`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    assert.deepEqual(tell(router, host(2), leave(group), 1_000), []);
    assert.deepEqual(advance(router, LIFETIME), [{ when: 1_000 + HOLD, out: told(NOTHING) }]);
  });

  test(`${protocol}: a newer reporter counts as another member when an older one leaves (RFC 3376 §7.2.2)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    tell(router, host(2), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), leave(group), 1_000), []);
    assert.deepEqual(advance(router, LIFETIME - 1), [
      { when: 1_000 + HOLD, out: told(include(a1)) },
    ]);
  });

  test(`${protocol}: a reporter that turns from older to newer leaves at once (RFC 3376 §7.3.2)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["is-ex", [a1]]), 1_000), []);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", [a1]]), 2_000), [
      told(include(a1)),
    ]);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1]]), 3_000), [told(NOTHING)]);
  });

  test(`${protocol}: one that turns newer does not take the others' membership along (RFC 3376 §7.3.2)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    tell(router, host(2), join(group), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 1_000), []);
    assert.deepEqual(held(router), EVERYTHING);
    assert.deepEqual(tell(router, host(2), leave(group), 2_000), [told(NOTHING)]);
  });

  test(`${protocol}: a reporter that turns from newer to older leaves at once (RFC 3376 §7.3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), join(group), 1_000), [told(EVERYTHING)]);
    assert.deepEqual(tell(router, host(1), leave(group), 2_000), [told(NOTHING)]);
    tell(router, host(1), report(group, ["to-ex", []]), 3_000);
    assert.deepEqual(tell(router, host(1), leave(group), 4_000), [told(NOTHING)]);
  });

  test(`${protocol}: reporters above the limit share a record that no leave cuts (RFC 7450 §5.3.3.4)`, () => {
    const router = link({ reporters: 2 });
    for (let i = 1; i <= 4; i++) tell(router, host(i), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 1_000), []);
    assert.deepEqual(tell(router, host(2), report(group, ["to-in", []]), 1_000), []);
    assert.deepEqual(tell(router, host(3), report(group, ["block", [a1]]), 1_000), []);
    assert.deepEqual(held(router), include(a1));
    assert.deepEqual(advance(router, LIFETIME), [{ when: 1_000 + HOLD, out: told(NOTHING) }]);
  });

  test(`${protocol}: a place among the reporters is free again once its last group has gone`, () => {
    const router = link({ reporters: 1 });
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    tell(router, host(1), report(other, ["allow", [a1]]), 0);
    tell(router, host(1), report(group, ["to-in", []]), 1);
    tell(router, host(2), report(group, ["allow", [a1]]), 2);
    assert.deepEqual(tell(router, host(2), report(group, ["block", [a1]]), 3), []);
    tell(router, host(1), report(other, ["to-in", []]), 4);
    tell(router, host(2), report(other, ["allow", [a1]]), 5);
    assert.deepEqual(tell(router, host(2), report(other, ["block", [a1]]), 6), [
      told(NOTHING, other),
    ]);
    tell(router, host(1), report(other, ["allow", [a1]]), 7);
    router.handle({ kind: "clear" }, 8);
    drain(router);
    tell(router, host(2), report(group, ["allow", [a1]]), 9);
    assert.deepEqual(tell(router, host(2), report(group, ["block", [a1]]), 10), [told(NOTHING)]);
  });

  test(`${protocol}: older reporters above the limit are waited for (RFC 7450 §5.3.3.4)`, () => {
    const router = link({ reporters: 2 });
    for (let i = 1; i <= 4; i++) tell(router, host(i), join(group), 0);
    for (const i of [1, 2, 3]) assert.deepEqual(tell(router, host(i), leave(group), 1_000), []);
    assert.deepEqual(held(router), EVERYTHING);
    assert.deepEqual(advance(router, LIFETIME), [{ when: 1_000 + HOLD, out: told(NOTHING) }]);
  });

  test(`${protocol}: groups above the limit are refused; refreshes and leaves still work (RFC 7450 §5.3.3.4)`, () => {
    const router = link({ groups: 1 });
    const refused: Told = { kind: "dropped", drop: VERDICT_GROUP_LIMIT };
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), report(other, ["allow", [a1]]), 1), [refused]);
    assert.deepEqual(tell(router, host(1), join(other), 2), [refused]);
    assert.deepEqual(tell(router, host(1), report(group, ["is-in", [a1]]), 3), []);
    assert.deepEqual(tell(router, host(2), report(group, ["allow", [a2]]), 4), [
      told(include(a1, a2)),
    ]);
    tell(router, host(2), report(group, ["block", [a2]]), 5);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1]]), 6), [told(NOTHING)]);
    assert.deepEqual(tell(router, host(1), join(other), 7), [told(EVERYTHING, other)]);
  });

  test(`${protocol}: sources above the limit are refused, over all reporters (RFC 7450 §5.3.3.4)`, () => {
    const router = link({ sources: 2 });
    const refused: Told = { kind: "dropped", drop: VERDICT_SOURCE_LIMIT };
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(2), report(group, ["allow", [a2, source("a3")]]), 1), [
      refused,
      told(include(a1, a2)),
    ]);
    assert.deepEqual(tell(router, host(3), report(group, ["allow", [a1]]), 2), [refused]);
    assert.deepEqual(tell(router, host(1), report(group, ["is-in", [a1]]), 3), []);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1]]), 4), [told(include(a2))]);
    assert.deepEqual(tell(router, host(3), report(group, ["to-ex", [a1, a2]]), 5), [
      refused,
      told(exclude(a1)),
    ]);
  });

  test(`${protocol}: groups that no router forwards are refused`, () => {
    const router = link();
    for (const [address, drop] of [
      [linkLocal, VERDICT_UNROUTABLE_GROUP],
      [unicast, VERDICT_NOT_MULTICAST],
      [NAMES[family === 4 ? 6 : 4].group, VERDICT_FAMILY],
      ["", VERDICT_FAMILY],
    ] as const)
      for (const message of [join(address), leave(address), report(address, ["allow", [a1]])])
        assert.deepEqual(tell(router, host(1), message, 0), [{ kind: "dropped", drop }]);
    assert.equal(router.groupCount, 0);
  });

  test(`${protocol}: a source-specific group is joined by source only (RFC 4604)`, () => {
    const router = link();
    const refused: Told = { kind: "dropped", drop: VERDICT_ANY_SOURCE };
    const messages = [
      join(ssm),
      leave(ssm),
      report(ssm, ["is-ex", [a1]]),
      report(ssm, ["to-ex", []]),
    ];
    for (const message of messages) assert.deepEqual(tell(router, host(1), message, 0), [refused]);
    assert.deepEqual(tell(router, host(1), report(ssm, ["allow", [a1]]), 0), [
      told(include(a1), ssm),
    ]);
    assert.deepEqual(tell(router, host(1), report(ssm, ["to-ex", []]), 1), [refused]);
    assert.deepEqual(tell(router, host(1), report(ssm, ["to-in", []]), 2), [told(NOTHING, ssm)]);
  });

  test(`${protocol}: a query is no business of a relay's endpoint (RFC 7450 §5.3.3.4)`, () => {
    assert.deepEqual(tell(link(), host(1), query(), 0), [
      { kind: "dropped", drop: VERDICT_MEMBERSHIP_TYPE },
    ]);
  });

  test(`${protocol}: a tracked link never queries, not even when started (RFC 7450 §5.3.3.4)`, () => {
    const router = link();
    router.handle({ kind: "start" }, 0);
    tell(router, host(1), join(group), 0);
    assert.deepEqual(advance(router, 2 * LIFETIME), [{ when: LIFETIME, out: told(NOTHING) }]);
  });

  test(`${protocol}: clearing takes all memberships away at once (RFC 7450 §5.3.3.5)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", [a1]]), 0);
    tell(router, host(2), join(other), 0);
    router.handle({ kind: "clear" }, 1_000);
    assert.deepEqual(drain(router), [told(NOTHING), told(NOTHING, other)]);
    assert.equal(router.groupCount, 0);
    assert.equal(router.deadline(), undefined);
    assert.deepEqual([...router.filters()], []);
  });
}
