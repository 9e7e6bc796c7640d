import assert from "node:assert/strict";
import { test } from "node:test";
import { figure, ratio, type Result } from "../../bench/result.ts";
import { markdown, plain, tablesOf } from "../../bench/tables.ts";

const fast = figure(
  { case: "sum", subject: "new", unit: "ns/packet", octets: 100, goal: { atMost: 4 } },
  [4, 5, 6],
);
const slow = figure({ case: "sum", subject: "old", unit: "ns/packet", octets: 100 }, [20, 20, 12]);
const lone = figure({ case: "copy", subject: "old", unit: "ns/packet" }, [12_345]);

const result: Result = {
  suite: "demo",
  takenAt: "2026-01-01T00:00:00.000Z",
  effort: "full",
  machine: {
    cpu: "a cpu",
    cores: 2,
    memoryGiB: 1,
    kernel: "Linux",
    node: "v20",
    v8: "11",
    versions: {},
    commit: "c0ffee",
    load: 0,
  },
  settings: {},
  figures: [fast, slow, lone],
  ratios: [ratio(fast, slow, { atLeast: 2 })],
  notes: [],
};

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
