import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EVERYTHING,
  NOTHING,
  changeRecords,
  difference,
  isEmpty,
  mergeFilters,
  sameFilter,
  wants,
} from "../../src/membership/filter.ts";
import { filters, SOURCES } from "./arbitraries.ts";
import { exclude, include, sortedFilter } from "./support.ts";

const [a, b, c, d] = SOURCES as [string, string, string, string];

test("INCLUDE filters merge into INCLUDE of all their sources (RFC 3376 §3.2)", () => {
  assert.deepEqual(
    sortedFilter(mergeFilters([include(a, b), include(b, c), include()])),
    include(a, b, c),
  );
  assert.deepEqual(mergeFilters([]), NOTHING);
});

test("EXCLUDE filters merge into EXCLUDE of what all exclude and nobody includes (RFC 3376 §3.2)", () => {
  assert.deepEqual(
    mergeFilters([exclude(a, b, c, d), exclude(b, c, d), include(d)]),
    exclude(b, c),
  );
  assert.deepEqual(mergeFilters([include(a), EVERYTHING, exclude(b)]), EVERYTHING);
});

test("a merged filter wants a source just when one of the merged ones does (RFC 3376 §3.2)", () => {
  fc.assert(
    fc.property(fc.array(filters), (all) => {
      const merged = mergeFilters(all);
      for (const source of SOURCES)
        assert.equal(
          wants(merged, source),
          all.some((filter) => wants(filter, source)),
        );
    }),
  );
});

test("filters are the same when they want the same sources in the same mode", () => {
  fc.assert(
    fc.property(filters, filters, (one, other) => {
      const same =
        one.mode === other.mode &&
        SOURCES.every((source) => wants(one, source) === wants(other, source));
      assert.equal(sameFilter(one, other), same);
      assert.ok(sameFilter(one, { mode: one.mode, sources: one.sources.toReversed() }));
    }),
  );
});

test("only INCLUDE of nothing is no membership (RFC 3376 §3.1)", () => {
  assert.ok(isEmpty(NOTHING));
  assert.ok(!isEmpty(EVERYTHING));
  assert.ok(!isEmpty(include(a)));
});

test("a difference keeps what the second list lacks", () => {
  assert.deepEqual(difference([a, b, c], [b, d]), [a, c]);
  assert.deepEqual(difference([a], []), [a]);
});

test("a change from INCLUDE to INCLUDE is ALLOW of the new and BLOCK of the old (RFC 3376 §5.1)", () => {
  assert.deepEqual(changeRecords(include(a, b), include(b, c)), [
    { kind: "allow", sources: [c] },
    { kind: "block", sources: [a] },
  ]);
});

test("a change from EXCLUDE to EXCLUDE is ALLOW of the old and BLOCK of the new (RFC 3376 §5.1)", () => {
  assert.deepEqual(changeRecords(exclude(a, b), exclude(b, c)), [
    { kind: "allow", sources: [a] },
    { kind: "block", sources: [c] },
  ]);
});

test("a change of mode is TO_EX or TO_IN with the new list (RFC 3376 §5.1)", () => {
  assert.deepEqual(changeRecords(include(a), exclude(b)), [{ kind: "to-ex", sources: [b] }]);
  assert.deepEqual(changeRecords(exclude(a), include(b)), [{ kind: "to-in", sources: [b] }]);
  assert.deepEqual(changeRecords(exclude(), include()), [{ kind: "to-in", sources: [] }]);
});

test("empty ALLOW and BLOCK records are left out (RFC 3376 §5.1)", () => {
  assert.deepEqual(changeRecords(include(a), include(a, b)), [{ kind: "allow", sources: [b] }]);
  assert.deepEqual(changeRecords(include(a, b), include(a)), [{ kind: "block", sources: [b] }]);
  assert.deepEqual(changeRecords(exclude(a, b), exclude(b, a)), []);
});
