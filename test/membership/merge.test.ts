import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EVERYTHING,
  NOTHING,
  isEmpty,
  mergeFilters,
  sameFilter,
} from "../../src/membership/filter.ts";
import { MergedMembership } from "../../src/membership/merge.ts";
import type { GroupFilter } from "../../src/wire/membership.ts";
import { filters } from "./arbitraries.ts";
import { exclude, include, NAMES, sortedFilter } from "./support.ts";

const { group, other } = NAMES[4];
const [a, b] = [NAMES[4].source("a1"), NAMES[4].source("b1")];

test("merging as members change gives what merging all of them anew does (RFC 3376 §3.2)", () => {
  const calls = fc.array(fc.tuple(fc.nat(4), fc.constantFrom(group, other), filters), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(calls, (steps) => {
      const merged = new MergedMembership<number>();
      const members = new Map([
        [group, new Map<number, GroupFilter>()],
        [other, new Map<number, GroupFilter>()],
      ]);
      for (const [key, where, filter] of steps) {
        const all = members.get(where)!;
        const before = mergeFilters(all.values());
        if (isEmpty(filter)) all.delete(key);
        else all.set(key, filter);
        const after = mergeFilters(all.values());
        const told = merged.set(key, where, filter);
        // Told if and only if it changed, and told right.
        if (sameFilter(before, after)) assert.equal(told, undefined);
        else assert.deepEqual(sortedFilter(told!), sortedFilter(after));
        assert.deepEqual(sortedFilter(merged.filter(where)), sortedFilter(after));
        assert.equal(merged.members(where), all.size);
      }
      const held = [...members].filter(([, all]) => all.size > 0);
      assert.equal(merged.size, held.length);
      assert.deepEqual(
        new Map([...merged].map(([where, filter]) => [where, sortedFilter(filter)])),
        new Map(held.map(([where, all]) => [where, sortedFilter(mergeFilters(all.values()))])),
      );
    }),
    { numRuns: 500 },
  );
});

test("the last member's leaving is told as INCLUDE of nothing (RFC 4605 §4.1)", () => {
  const merged = new MergedMembership<string>();
  assert.deepEqual(merged.set("one", group, EVERYTHING), EVERYTHING);
  assert.equal(merged.set("two", group, include(a)), undefined);
  assert.deepEqual(merged.set("one", group, NOTHING), include(a));
  assert.deepEqual(merged.set("two", group, NOTHING), NOTHING);
  assert.equal(merged.set("two", group, NOTHING), undefined);
  assert.equal(merged.size, 0);
  assert.deepEqual(merged.filter(group), NOTHING);
});

test("a member that swaps what it includes for what it excludes is counted once (RFC 3376 §3.2)", () => {
  const merged = new MergedMembership<string>();
  merged.set("one", group, exclude(a, b));
  assert.deepEqual(merged.set("two", group, include(b)), exclude(a));
  assert.deepEqual(merged.set("two", group, exclude(b)), exclude(b));
});

test("a hundred thousand members of a group cost no more than their own sources each", () => {
  const merged = new MergedMembership<number>();
  const members = 100_000;
  // A walk over the members at each call would take minutes here.
  for (let i = 0; i < members; i++) merged.set(i, group, i % 2 === 0 ? include(a) : exclude(a, b));
  assert.deepEqual(merged.filter(group), exclude(b));
  for (let i = 0; i < members; i += 2) merged.set(i, group, NOTHING);
  assert.deepEqual(sortedFilter(merged.filter(group)), sortedFilter(exclude(a, b)));
  assert.equal(merged.members(group), members / 2);
  for (let i = 1; i < members; i += 2) merged.set(i, group, NOTHING);
  assert.equal(merged.size, 0);
});
