import assert from "node:assert/strict";
import { test } from "node:test";
import * as layout from "../../assembly/layout/verdict.ts";
import { DROPS, verdictName } from "../../src/core/drops.ts";

/** Verdicts that are no drops, and the count of counters, which is no verdict. */
const NO_DROPS = ["VERDICT_FORWARDED", "VERDICT_PUNTED", "VERDICT_ROOM"];

/** ["VERDICT_TRUNCATED", 2] and so on, by number. */
const constants = Object.entries(layout)
  .filter(([name]) => !NO_DROPS.includes(name))
  .toSorted(([, a], [, b]) => a - b);

test("every drop verdict has just one row, spelled alike, and every row a verdict", () => {
  const rows = DROPS.map(({ verdict, name }): [string, number] => [
    `VERDICT_${name.toUpperCase().replaceAll("-", "_")}`,
    verdict,
  ]);
  assert.deepEqual(
    rows.toSorted(([, a], [, b]) => a - b),
    constants,
  );
});

test("no two verdicts share a number, and all have a counter", () => {
  const numbers = [layout.VERDICT_FORWARDED, layout.VERDICT_PUNTED, ...constants.map(([, n]) => n)];
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from(numbers, (_, i) => i),
  );
  assert.ok(numbers.length <= layout.VERDICT_ROOM);
});

test("every row says something, and no two the same", () => {
  for (const { meaning } of DROPS) assert.match(meaning, /^\S.*\S$/);
  assert.equal(new Set<string>(DROPS.map(({ meaning }) => meaning)).size, DROPS.length);
});

test("a verdict's name is that of its row", () => {
  assert.equal(verdictName(layout.VERDICT_FORWARDED), "forwarded");
  assert.equal(verdictName(layout.VERDICT_PUNTED), "punted");
  for (const { verdict, name } of DROPS) assert.equal(verdictName(verdict), name);
  assert.equal(verdictName(127), "verdict-127");
});
