import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VERDICT_SOURCE_LIMIT, VERDICT_SOURCE_NEEDED } from "../../assembly/layout/verdict.ts";
import { isEmpty, sameFilter } from "../../src/membership/filter.ts";
import { mergeFilters } from "../../src/membership/filter.ts";
import { ANY_SOURCE, SourceRouter } from "../../src/runtime/source-router.ts";
import type { GroupFilter } from "../../src/wire/membership.ts";
import { holds } from "../engine/holds.ts";
import { exclude, include, NOTHING } from "../protocols/amt/rig.ts";

const GROUPS = ["232.1.1.1", "232.1.1.2", "239.1.1.1"];
const SOURCES = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
const [G1, G2] = GROUPS as [string, string];
const [S1, S2, S3] = SOURCES as [string, string, string];

const filters: fc.Arbitrary<GroupFilter> = fc.record({
  mode: fc.constantFrom("include" as const, "include" as const, "exclude" as const),
  sources: fc.subarray(SOURCES),
});

/** A router, with what its parts add up to: by slot and group, the filter. */
class Sum {
  readonly drops: number[] = [];
  readonly slots = new Map<number, Map<string, GroupFilter>>();
  readonly router: SourceRouter;

  constructor(options: { bySource?: boolean; anySource?: boolean; sources?: number } = {}) {
    const all = { bySource: true, anySource: true, sources: 100, ...options };
    this.router = new SourceRouter(all, (drop) => this.drops.push(drop));
  }

  route(group: string, filter: GroupFilter): void {
    for (const part of this.router.route(group, filter)) {
      const groups = this.slots.get(part.slot) ?? new Map<string, GroupFilter>();
      this.slots.set(part.slot, groups);
      if (isEmpty(part.filter)) groups.delete(group);
      else groups.set(group, part.filter);
      if (part.slot !== ANY_SOURCE && !isEmpty(part.filter)) {
        assert.deepEqual(part.filter, include(part.source!));
        assert.equal(this.router.sourceOf(part.slot), part.source);
        assert.equal(this.router.slotOf(group, part.source!), part.slot);
      }
      if (groups.size === 0) this.slots.delete(part.slot);
    }
  }

  /** What all slots together want of a group. */
  wanted(group: string): GroupFilter {
    return mergeFilters([...this.slots.values()].flatMap((groups) => groups.get(group) ?? []));
  }
}

test("the parts of all slots add up to what is wanted, and no source has two slots", (t) => {
  const step = fc.tuple(fc.constantFrom(...GROUPS), filters);
  holds(
    t,
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const sum = new Sum();
      const wanted = new Map<string, GroupFilter>();
      for (const [group, filter] of steps) {
        sum.route(group, filter);
        wanted.set(group, filter);
        for (const one of GROUPS)
          assert.ok(sameFilter(sum.wanted(one), wanted.get(one) ?? NOTHING), one);
        const owners = [...sum.slots.keys()]
          .filter((slot) => slot !== ANY_SOURCE)
          .map((slot) => sum.router.sourceOf(slot));
        assert.equal(new Set(owners).size, owners.length);
        assert.ok(owners.every((source) => source !== undefined));
        assert.ok([...sum.slots.keys()].every((slot) => slot <= SOURCES.length));
      }
      assert.deepEqual(sum.drops, []);
    }),
  );
});

test("what is new comes before what is over", () => {
  const { router } = new Sum();
  router.route(G1, include(S1));
  const order = (filter: GroupFilter) =>
    router.route(G1, filter).map((part) => `${part.source} ${isEmpty(part.filter) ? "-" : "+"}`);
  assert.deepEqual(order(include(S2)), [`${S2} +`, `${S1} -`]);
  assert.deepEqual(order(exclude()), ["undefined +", `${S2} -`]);
  assert.deepEqual(order(include(S3)), [`${S3} +`, "undefined -"]);
});

test("a group without sources needs a relay of its own, or is refused and counted", () => {
  const sum = new Sum({ anySource: false });
  sum.route(G1, include(S1));
  sum.route(G1, exclude(S2));
  assert.ok(isEmpty(sum.wanted(G1)));
  assert.deepEqual(sum.drops, [VERDICT_SOURCE_NEEDED]);
  sum.route(G1, include(S1));
  assert.deepEqual(sum.wanted(G1), include(S1));
});

test("a group that any source may send to has one relay, also for sources that have slots", () => {
  const { router } = new Sum();
  router.route(G1, include(S1));
  router.route(G2, include(S1));
  const slot = router.slotOf(G1, S1);
  assert.notEqual(slot, ANY_SOURCE);
  router.route(G1, exclude());
  assert.equal(router.slotOf(G1, S1), ANY_SOURCE);
  assert.equal(router.slotOf(G2, S1), slot);
});

test("sources beyond the limit are refused, until one goes", () => {
  const sum = new Sum({ sources: 2 });
  sum.route(G1, include(S1, S2, S3));
  assert.deepEqual(sum.wanted(G1), include(S1, S2));
  assert.deepEqual(sum.drops, [VERDICT_SOURCE_LIMIT]);
  sum.route(G1, include(S2));
  sum.route(G1, include(S2, S3));
  assert.deepEqual(sum.wanted(G1), include(S2, S3));
});

test("where relays are not found by source, one slot has all", () => {
  const sum = new Sum({ bySource: false });
  sum.route(G1, include(S1, S2));
  sum.route(G2, exclude());
  assert.deepEqual([...sum.slots.keys()], [ANY_SOURCE]);
  assert.deepEqual(sum.wanted(G1), include(S1, S2));
});
