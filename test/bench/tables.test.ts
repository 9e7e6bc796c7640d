import assert from "node:assert/strict";
import { test } from "node:test";
import { markdown, plain, tablesOf } from "../../bench/tables.ts";
import { result } from "./demo-result.ts";

test("a result gives a row for each case and a column for each subject", () => {
  assert.deepEqual(tablesOf(result), [
    [
      ["median (least – greatest)", "new", "old"],
      ["sum", "5.00 ns (4.00 ns – 6.00 ns), 20.0 GB/s", "20.0 ns (12.0 ns – 20.0 ns), 5.00 GB/s"],
      ["copy", "–", "12.3 µs"],
    ],
    [
      ["times as fast", "new / old"],
      ["sum", "4.00 (2.00 – 5.00)"],
    ],
    [
      ["goal", "of", "asked", "median", ""],
      ["sum", "new", "≤ 4.00 ns", "5.00 ns", "missed"],
      ["sum", "new / old", "≥ 2.00", "4.00", "reached"],
    ],
  ]);
});

test("a table is lined up for the terminal and marked up for a page", () => {
  const table = [
    ["a", "bcd"],
    ["efg", "h"],
  ];
  assert.equal(plain(table), "a    bcd\nefg  h");
  assert.equal(markdown(table), "| a | bcd |\n| --- | --- |\n| efg | h |");
});
