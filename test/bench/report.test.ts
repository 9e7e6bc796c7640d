import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMITS } from "../../bench/limits.ts";
import { plot } from "../../bench/plot.ts";
import { report } from "../../bench/report.ts";
import { figure } from "../../bench/result.ts";
import { result } from "./demo-result.ts";

/** Where the medians lie, in the order of the marks. */
function dots(svg: string): number[] {
  return [...svg.matchAll(/<circle cx="([\d.]+)"/g)].map((match) => Number(match[1]));
}

function marks(...medians: number[]) {
  return medians.map((value, i) =>
    figure({ case: `case ${i}`, subject: "one", unit: "ns/packet" }, [value]),
  );
}

test("a plot that begins at zero has medians in proportion", () => {
  const [zero = 0, half = 0, full = 0] = dots(plot(marks(0, 50, 100), "ns/packet"));
  assert.equal(half - zero, full - half);
  assert.ok(full > half);
});

test("a plot of values that differ much has decades of one width", () => {
  const [one = 0, ten = 0, most = 0] = dots(plot(marks(1, 10, 1_000), "ns/packet"));
  assert.ok(Math.abs((most - ten) / (ten - one) - 2) < 0.01);
});

test("figures that are zero or below it still make a plot", () => {
  for (const values of [[0], [-5, 0], [-5, 3, 900]])
    for (const x of dots(plot(marks(...values), "ns"))) assert.ok(Number.isFinite(x));
});

test("a report says what a suite is held against, and why it does not reach that", () => {
  const { against, rest } = LIMITS["fanout"]!;
  const page = report([{ ...result, suite: "fanout" }]);
  assert.ok(page.includes(against) && page.includes(rest));
});

test("a report has every suite's figures, ratios, goals and machine, and nothing from elsewhere", () => {
  const page = report([result, { ...result, suite: "a<b" }]);
  assert.equal([...page.matchAll(/<svg /g)].length, 4);
  for (const words of ["demo", "a&lt;b", "5.00 ns", "missed", "2 of 4 reached", "a cpu", "c0ffee"])
    assert.ok(page.includes(words), words);
  assert.doesNotMatch(page, /<script|<link|https?:|url\(|a<b/);
  assert.match(page, /prefers-color-scheme:dark/);
});
