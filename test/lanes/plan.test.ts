import assert from "node:assert/strict";
import { test } from "node:test";
import { ARENA_FLOWS } from "../../assembly/layout/arena.ts";
import { regionAddress, regionOf } from "../../src/lanes/plan.ts";

test("AMT sockets share a receive region, and all other inlets another", () => {
  const [first, second] = [0, 1].map(regionAddress);
  const places = [0, 1, 2, 70].map((place) => regionOf(place));
  assert.deepEqual(places, [first, second, second, second]);
  assert.deepEqual([regionOf(1, true), regionOf(2, false)], [first, second]);
  assert.equal(regionAddress(2), ARENA_FLOWS);
});
