/** What a result says of its machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { describeMachine, watchStolen } from "../../bench/machine.ts";

test("time that the host took away is a share of what all processors had", async () => {
  const stolen = watchStolen();
  await setTimeout(100);
  const share = stolen();
  assert.ok(share >= 0 && share <= 100, `${share} %`);
});

test("a result names the processors and the commit", () => {
  const { cores, commit } = describeMachine();
  assert.ok(cores >= 1);
  assert.match(commit, /^([0-9a-f]{40}\+?|unknown)$/);
});
