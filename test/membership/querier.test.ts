import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_GROUP_LIMIT,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_SOURCE_LIMIT,
} from "../../assembly/layout/verdict.ts";
import type { Address } from "../../src/core/address.ts";
import { EVERYTHING, NOTHING } from "../../src/membership/filter.ts";
import { MembershipRouter } from "../../src/membership/router.ts";
import type {
  GroupFilter,
  MembershipMessage,
  MembershipQuery,
  RecordKind,
} from "../../src/wire/membership.ts";
import {
  LAST_MEMBER,
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
} from "./support.ts";

/** What a row wants to be asked: the sources of Q(G,X), and Q(G) as "group". */
type Asked = readonly (readonly string[] | "group")[];

/** INCLUDE (a1, a2) takes a record of (a1, n1): what is forwarded, asked, and forwarded unanswered. */
const FROM_INCLUDE: readonly (readonly [RecordKind, string, Asked, string])[] = [
  ["is-in", "include a1 a2 n1", [], "include a1 a2 n1"],
  ["allow", "include a1 a2 n1", [], "include a1 a2 n1"],
  ["block", "include a1 a2", [["a1"]], "include a2"],
  ["to-in", "include a1 a2 n1", [["a2"]], "include a1 n1"],
  ["is-ex", "exclude n1", [], "exclude n1"],
  ["to-ex", "exclude n1", [["a1"]], "exclude a1 n1"],
];

/** EXCLUDE (X = x1, x2; Y = y1, y2) takes a record of (x1, y1, n1). */
const FROM_EXCLUDE: readonly (readonly [RecordKind, string, Asked, string])[] = [
  ["is-in", "exclude y2", [], "exclude y2"],
  ["allow", "exclude y2", [], "exclude y2"],
  ["is-ex", "exclude y1", [], "exclude y1"],
  ["to-ex", "exclude y1", [["n1", "x1"]], "exclude n1 x1 y1"],
  ["block", "exclude y1 y2", [["n1", "x1"]], "exclude n1 x1 y1 y2"],
  ["to-in", "exclude y2", ["group", ["x2"]], "include n1 x1 y1"],
];

for (const family of [4, 6] as const) {
  const { group, other, router: own, lower, higher, unspecified, host, source } = NAMES[family];
  const [a1, a2] = [source("a1"), source("a2")];
  const protocol = family === 4 ? "IGMP" : "MLD";

  /** A querier that has been up long enough to be past its startup queries. */
  function link(limits = {}): MembershipRouter {
    const router = new MembershipRouter(options("querier", family, limits));
    router.handle({ kind: "start" }, -200_000);
    advance(router, -1);
    drain(router);
    return router;
  }

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

  function held(router: MembershipRouter): string {
    const filter = new Map(router.filters()).get(group) ?? NOTHING;
    const names = ["a1", "a2", "n1", "x1", "x2", "y1", "y2"];
    return [filter.mode, ...names.filter((name) => filter.sources.includes(source(name)))].join(
      " ",
    );
  }

  /** A query for the members of `group` that are left. */
  function asked(what: Partial<MembershipQuery> = {}): Told {
    return sorted({ kind: "query", query: query({ group, maxResponse: 1_000, ...what }) });
  }

  /** What came out up to `until`, but for General Queries. */
  function specific(router: MembershipRouter, until: number): (readonly [number, Told])[] {
    return advance(router, until)
      .filter(({ out }) => out.kind !== "query" || out.query.group !== undefined)
      .map(({ when, out }) => [when, sorted(out)] as const);
  }

  /** When General Queries came up to `until`. */
  function general(router: MembershipRouter, until: number): number[] {
    return advance(router, until)
      .filter(({ out }) => out.kind === "query" && out.query.group === undefined)
      .map(({ when }) => when);
  }

  function checkRow(
    router: MembershipRouter,
    record: readonly string[],
    row: (typeof FROM_INCLUDE)[number],
  ): void {
    const [kind, now, queries, later] = row;
    const out = tell(router, host(1), report(group, [kind, record.map(source)]), 20_000);
    assert.deepEqual(
      out.filter((one) => one.kind === "query"),
      queries.map((sources) =>
        sources === "group" ? asked() : asked({ sources: sources.map(source) }),
      ),
    );
    assert.equal(held(router), now);
    advance(router, 20_000 + LAST_MEMBER);
    assert.equal(held(router), later);
  }

  for (const row of FROM_INCLUDE)
    test(`${protocol}: a querier in INCLUDE takes ${row[0]} (RFC 3376 §6.4, RFC 3810 §7.4)`, () => {
      const router = link();
      tell(router, host(1), report(group, ["is-in", [a1, a2]]), 0);
      checkRow(router, ["a1", "n1"], row);
    });

  for (const row of FROM_EXCLUDE)
    test(`${protocol}: a querier in EXCLUDE takes ${row[0]} (RFC 3376 §6.4, RFC 3810 §7.4)`, () => {
      const router = link();
      tell(router, host(1), report(group, ["is-ex", [source("y1"), source("y2")]]), 0);
      tell(router, host(1), report(group, ["allow", [source("x1"), source("x2")]]), 10_000);
      checkRow(router, ["x1", "y1", "n1"], row);
    });

  test(`${protocol}: a querier starts with a few queries close together (RFC 3376 §8.6, §8.7; RFC 3810 §9.6, §9.7)`, () => {
    const router = new MembershipRouter({
      ...options("querier", family),
      timers: { ...options("querier", family).timers, robustness: 3 },
    });
    router.handle({ kind: "start" }, 0);
    assert.deepEqual(drain(router), [{ kind: "query", query: query({ robustness: 3 }) }]);
    assert.deepEqual(general(router, 400_000), [31_250, 62_500, 187_500, 312_500]);
  });

  test(`${protocol}: QRV is 0 where the Robustness Variable does not fit (RFC 3376 §4.1.6)`, () => {
    const router = new MembershipRouter({
      ...options("querier", family),
      timers: { ...options("querier", family).timers, robustness: 8 },
    });
    router.handle({ kind: "start" }, 0);
    assert.deepEqual(drain(router), [{ kind: "query", query: query({ robustness: 0 }) }]);
  });

  test(`${protocol}: a querier that was not started listens and says nothing (RFC 3376 §6.6.3)`, () => {
    const router = new MembershipRouter(options("querier", family));
    assert.deepEqual(tell(router, host(1), report(group, ["to-ex", []]), 0), [told(EVERYTHING)]);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 0), []);
    assert.deepEqual(advance(router, 2 * LIFETIME), [{ when: LIFETIME, out: told(NOTHING) }]);
  });

  test(`${protocol}: the last member is asked for a few times, then gone (RFC 3376 §6.6.3.1, RFC 3810 §7.6.3.1)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 5_000), [asked()]);
    // The host says it again; that changes nothing.
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 5_500), []);
    assert.deepEqual(specific(router, 20_000), [
      [6_000, asked()],
      [7_000, told(NOTHING)],
    ]);
    assert.equal(router.groupCount, 0);
  });

  test(`${protocol}: a member that answers keeps the group, and later queries say so (RFC 3376 §6.6.3.1)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    tell(router, host(1), report(group, ["to-in", []]), 5_000);
    assert.deepEqual(tell(router, host(2), report(group, ["is-ex", []]), 5_400), []);
    assert.deepEqual(specific(router, 100_000), [[6_000, asked({ suppress: true })]]);
    assert.deepEqual(specific(router, LIFETIME + 5_400), [[LIFETIME + 5_400, told(NOTHING)]]);
  });

  test(`${protocol}: the last sources are asked for, S set for those answered (RFC 3376 §6.6.3.2, RFC 3810 §7.6.3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1, a2]]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1, a2]]), 5_000), [
      asked({ sources: [a1, a2] }),
    ]);
    // The host says it again; that changes nothing.
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a1, a2]]), 5_200), []);
    tell(router, host(2), report(group, ["is-in", [a2]]), 5_300);
    assert.deepEqual(specific(router, 20_000), [
      [6_000, asked({ sources: [a2], suppress: true })],
      [6_000, asked({ sources: [a1] })],
      [7_000, told(include(a2))],
    ]);
  });

  test(`${protocol}: sources left one after the other are each asked for in full (RFC 3376 §6.6.3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1, a2]]), 0);
    tell(router, host(1), report(group, ["block", [a1]]), 5_000);
    assert.deepEqual(tell(router, host(1), report(group, ["block", [a2]]), 5_500), [
      asked({ sources: [a1, a2] }),
    ]);
    assert.deepEqual(specific(router, 20_000), [
      [6_500, asked({ sources: [a2] })],
      [7_000, told(include(a2))],
      [7_500, told(NOTHING)],
    ]);
  });

  test(`${protocol}: a group's query makes one for its renewed sources superfluous (RFC 3376 §6.6.3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(1), report(group, ["to-in", []]), 5_000), [
      asked(),
      asked({ sources: [a1] }),
    ]);
    tell(router, host(2), report(group, ["is-in", [a1]]), 5_500);
    assert.deepEqual(specific(router, 20_000), [
      [6_000, asked()],
      [7_000, told(include(a1))],
    ]);
  });

  test(`${protocol}: Last Member Query Count may differ from the Robustness Variable (RFC 3376 §8.9)`, () => {
    const router = new MembershipRouter({
      ...options("querier", family),
      timers: { ...options("querier", family).timers, lastMemberQueryCount: 3 },
    });
    router.handle({ kind: "start" }, 0);
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    tell(router, host(1), report(group, ["to-in", []]), 5_000);
    assert.deepEqual(specific(router, 20_000), [
      [6_000, asked()],
      [7_000, asked()],
      [8_000, told(NOTHING)],
    ]);
  });

  test(`${protocol}: the router of the lower address queries, until it is silent (RFC 3376 §6.6.2, RFC 3810 §7.6.2)`, () => {
    const router = link();
    const others = query({ robustness: 3, queryInterval: 60_000 });
    tell(router, higher, others, 0);
    tell(router, own, others, 0);
    tell(router, unspecified, others, 0);
    assert.deepEqual(general(router, 100_000).length, 1);
    tell(router, lower, others, 100_000);
    // Other Querier Present: its robustness times its interval, and half a response interval.
    assert.deepEqual(general(router, 284_999), []);
    tell(router, lower, others, 284_999);
    assert.deepEqual(general(router, 600_000), [469_999, 594_999]);
  });

  test(`${protocol}: another querier's robustness and interval are taken over (RFC 3376 §4.1.6, §4.1.7)`, () => {
    const router = link();
    tell(router, lower, query({ robustness: 3, queryInterval: 60_000 }), 0);
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    const gone = (until: number): number[] => specific(router, until).map(([when]) => when);
    assert.deepEqual(gone(500_000), [3 * 60_000 + 10_000]);
    // None given: our own.
    tell(router, lower, query({ robustness: 0, queryInterval: 0 }), 500_000);
    tell(router, host(1), report(group, ["to-ex", []]), 500_000);
    assert.deepEqual(gone(900_000), [500_000 + LIFETIME]);
  });

  test(`${protocol}: a router that does not query leaves timers to the querier's queries (RFC 3376 §6.6.1, RFC 3810 §7.6.1)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    tell(router, host(1), report(other, ["allow", [a1, a2]]), 0);
    tell(router, host(1), report(group, ["to-in", []]), 900);
    // The other querier silences what was still to be asked.
    tell(router, lower, query(), 1_000);
    tell(router, host(1), report(group, ["is-ex", []]), 1_100);
    tell(router, host(1), report(group, ["to-in", []]), 1_200);
    tell(router, lower, query({ group, suppress: true }), 1_300);
    tell(router, lower, query({ group: other, sources: [a1], suppress: true }), 1_300);
    assert.deepEqual(specific(router, 100_000), []);
    tell(router, lower, query({ group }), 100_000);
    tell(router, lower, query({ group: other, sources: [a1] }), 100_500);
    assert.deepEqual(specific(router, 110_000), [
      [102_000, told(NOTHING)],
      [102_500, told(include(a2), other)],
    ]);
    assert.deepEqual(tell(router, lower, query({ group: "no group" }), 110_000), []);
  });

  test(`${protocol}: without an address any other querier wins (RFC 3376 §6.6.2)`, () => {
    const { address: _, ...anonymous } = options("querier", family);
    const router = new MembershipRouter(anonymous);
    router.handle({ kind: "start" }, 0);
    drain(router);
    tell(router, unspecified, query(), 1);
    assert.equal(general(router, 31_250).length, 1);
    tell(router, higher, query(), 32_000);
    assert.deepEqual(general(router, 200_000), []);
  });

  test(`${protocol}: an older report stands for IS_EX of nothing (RFC 3376 §7.3.2, RFC 3810 §8.3.2)`, () => {
    const router = link();
    tell(router, host(1), report(group, ["allow", [a1]]), 0);
    assert.deepEqual(tell(router, host(2), join(group), 1_000), [told(EVERYTHING)]);
    assert.deepEqual(specific(router, LIFETIME + 1_000), [[LIFETIME + 1_000, told(NOTHING)]]);
  });

  test(`${protocol}: an older leave asks for the rest of the group (RFC 3376 §7.3.2, RFC 3810 §8.3.2)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    assert.deepEqual(tell(router, host(1), leave(group), 1_000), [asked()]);
    assert.deepEqual(specific(router, 10_000), [
      [2_000, asked()],
      [3_000, told(NOTHING)],
    ]);
  });

  test(`${protocol}: with an older member present no source can be blocked (RFC 3376 §7.3.2, RFC 3810 §8.3.2)`, () => {
    const router = link();
    tell(router, host(1), join(group), 0);
    assert.deepEqual(tell(router, host(2), report(group, ["block", [a1]]), 1_000), []);
    assert.deepEqual(tell(router, host(2), report(group, ["to-ex", [a1]]), 2_000), []);
    assert.equal(held(router), "exclude");
    // Once it has not been heard for its interval, sources count again.
    for (const at of [125_000, 250_000]) tell(router, host(2), report(group, ["is-ex", []]), at);
    assert.deepEqual(tell(router, host(2), report(group, ["block", [a1]]), LIFETIME - 1), []);
    assert.deepEqual(tell(router, host(2), report(group, ["block", [a1]]), LIFETIME), [
      asked({ sources: [a1] }),
    ]);
    assert.deepEqual(tell(router, host(2), report(group, ["to-ex", [a2]]), LIFETIME + 1), [
      asked({ sources: [a2] }),
    ]);
  });

  test(`${protocol}: groups and sources above the limits are refused`, () => {
    const router = link({ groups: 1, sources: 1 });
    assert.deepEqual(tell(router, host(1), report(group, ["allow", [a1, a2]]), 0), [
      { kind: "dropped", drop: VERDICT_SOURCE_LIMIT },
      told(include(a1)),
    ]);
    assert.deepEqual(tell(router, host(1), join(other), 0), [
      { kind: "dropped", drop: VERDICT_GROUP_LIMIT },
    ]);
    assert.equal(router.groupCount, 1);
  });

  test(`${protocol}: clearing forgets the members and stops querying`, () => {
    const router = link();
    tell(router, host(1), report(group, ["to-ex", []]), 0);
    tell(router, host(1), report(group, ["to-in", []]), 0);
    router.handle({ kind: "clear" }, 500);
    assert.deepEqual(drain(router), [told(NOTHING)]);
    assert.equal(router.deadline(), undefined);
    router.handle({ kind: "start" }, 1_000);
    assert.equal(drain(router).length, 1);
    assert.equal(router.deadline(), 1_000 + 31_250);
  });

  test(`${protocol}: an older querier asks groups alone, in its version (RFC 3376 §7.3.1, RFC 3810 §8.3.1)`, () => {
    const router = new MembershipRouter({ ...options("querier", family), generation: 2 });
    router.handle({ kind: "start" }, 0);
    assert.equal(general(router, 200_000).length, 3);
    const start = 200_000;
    tell(router, host(1), join(group), start);
    // Hosts that know it for an older one say nothing else; those that do not yet, are not asked.
    tell(router, host(2), report(other, ["is-in", [a1, a2]]), start);
    assert.deepEqual(tell(router, host(2), report(other, ["block", [a1]]), start), []);
    assert.deepEqual(tell(router, host(2), report(other, ["to-in", [a1]]), start), []);
    assert.deepEqual(tell(router, host(1), leave(group), start), [asked({ generation: 2 })]);
    assert.deepEqual(specific(router, start + LAST_MEMBER), [
      [start + 1_000, asked({ generation: 2 })],
      [start + LAST_MEMBER, told(NOTHING)],
    ]);
    // What could not be asked for ends by its own timers.
    assert.deepEqual(specific(router, start + LIFETIME), [
      [start + LIFETIME, told(NOTHING, other)],
    ]);
  });

  test(`${protocol}: an older querier of another router is told of (RFC 3376 §7.3.1, RFC 3810 §8.3.1)`, () => {
    const heard = (what: Partial<MembershipQuery>, generation?: 1 | 2 | 3): Told[] => {
      const router = new MembershipRouter({
        ...options("querier", family),
        ...(generation === undefined ? {} : { generation }),
      });
      router.handle({ kind: "start" }, 0);
      drain(router);
      return tell(router, higher, query(what), 1);
    };
    const older = { kind: "older-querier", generation: 2, from: higher } as const;
    assert.deepEqual(heard({ generation: 2 }), [older]);
    assert.deepEqual(heard({ generation: 2, group }), []);
    assert.deepEqual(heard({ generation: 2 }, 2), []);
    assert.deepEqual(heard({ generation: 3 }, 2), []);
    assert.deepEqual(heard({}), []);
    if (family === 4) assert.deepEqual(heard({ generation: 1 }, 2), [{ ...older, generation: 1 }]);
  });

  test(`${protocol}: the election goes by the address that the link has now (RFC 3376 §6.6.2, RFC 3810 §7.6.2)`, () => {
    const router = link();
    assert.equal(router.querier, "self");
    router.handle(from(higher, query()), 0);
    assert.equal(router.querier, "self");
    // Without an address any other router's is lower.
    router.handle({ kind: "address", address: undefined }, 1);
    router.handle(from(higher, query()), 2);
    assert.equal(router.querier, higher);
    advance(router, 2 + LIFETIME);
    assert.equal(router.querier, "self");
    router.handle({ kind: "address", address: lower }, 300_000);
    router.handle(from(own, query()), 300_001);
    assert.equal(router.querier, "self");
    router.handle({ kind: "clear" }, 300_002);
    assert.equal(router.querier, undefined);
  });
}

{
  const { group, host, source } = NAMES[4];

  test("IGMP: with an IGMPv1 member present no leave counts (RFC 3376 §7.3.2)", () => {
    const router = new MembershipRouter(options("querier", 4));
    router.handle({ kind: "start" }, 0);
    router.handle(from(host(1), join(group, 1)), 0);
    drain(router);
    router.handle(from(host(2), leave(group)), 1_000);
    router.handle(from(host(2), report(group, ["to-in", [source("a1")]])), 2_000);
    assert.deepEqual(drain(router), []);
    assert.deepEqual([...router.filters()], [[group, EVERYTHING]]);
    // The IGMPv1 member is no longer there; an IGMPv2 one is.
    router.handle(from(host(2), join(group, 2)), LIFETIME - 1);
    router.handle(from(host(2), leave(group)), LIFETIME);
    assert.ok(drain(router).some((out) => out.kind === "query" && out.query.group === group));
  });

  test("IGMP: a query of IGMPv1 takes no part in the election (RFC 2236 §4)", () => {
    const router = new MembershipRouter(options("querier", 4));
    router.handle({ kind: "start" }, 0);
    router.handle(from(NAMES[4].lower, query({ generation: 1, robustness: 0 })), 1);
    drain(router);
    assert.equal(advance(router, 31_250).length, 1);
  });

  test("MLD: an IGMPv1 report is no message of MLD", () => {
    const router = new MembershipRouter(options("querier", 6));
    router.handle(from(NAMES[6].host(1), join(NAMES[6].group, 1)), 0);
    assert.deepEqual(drain(router), [{ kind: "dropped", drop: VERDICT_MEMBERSHIP_TYPE }]);
  });

  test("addresses are compared as numbers, not as text (RFC 3376 §6.6.2, RFC 3810 §7.6.2)", () => {
    for (const [family, own, smaller] of [
      [4, "192.0.2.10", "192.0.2.9"],
      [6, "fe80::10", "fe80::9"],
    ] as const) {
      const router = new MembershipRouter({ ...options("querier", family), address: own });
      router.handle({ kind: "start" }, 0);
      drain(router);
      router.handle(from(smaller, query()), 1);
      assert.deepEqual(advance(router, 200_000), []);
    }
  });

  test("the records of one report are one change on a native link too (RFC 3376 §6.4)", () => {
    const router = new MembershipRouter(options("querier", 4));
    router.handle(from(host(1), report(group, ["allow", [source("a1")]])), 0);
    drain(router);
    const swap = report(group, ["to-ex", [source("a1")]], ["to-in", [source("a2")]]);
    router.handle(from(host(1), swap), 1);
    const filters = drain(router);
    assert.deepEqual(filters, [{ kind: "filter", group, filter: exclude() }]);
  });
}
