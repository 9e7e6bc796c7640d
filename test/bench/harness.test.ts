import assert from "node:assert/strict";
import { test } from "node:test";
import { runSuite, type Suite } from "../../bench/harness.ts";
import type { Result } from "../../bench/result.ts";

async function run(fault: string): Promise<Result> {
  const module = new URL(`./broken-suite.js?${fault}`, import.meta.url).href;
  const { suite } = (await import(module)) as { suite: Suite };
  return runSuite("test", module, suite, "sanity", () => {});
}

test("a suite gives a figure for each subject and the ratios between them", async () => {
  const { figures, ratios } = await run("");
  assert.deepEqual(
    figures.map(({ case: name, subject, goal }) => [name, subject, goal]),
    [
      ["add", "one", { atMost: 1e9 }],
      ["add", "two", undefined],
    ],
  );
  for (const { median } of figures) assert.ok(median > 0 && Number.isFinite(median));
  assert.equal(ratios[0]?.median, figures[1]!.median / figures[0]!.median);
});

test("a case that throws while it is timed fails the run", async () => {
  await assert.rejects(run("throws"), /a case that throws/);
});

test("a case that changes its answer fails the run", async () => {
  await assert.rejects(run("forgets"), /add: \d+ instead of 4950/);
});

test("subjects that answer differently fail the run", async () => {
  await assert.rejects(run("differs"), /add: two answers 4951, but one answers 4950/);
});

test("a suite without cases fails the run", async () => {
  await assert.rejects(run("empty"), /without cases/);
});
