import assert from "node:assert/strict";
import { test } from "node:test";
import {
  busiest,
  inside,
  partsInKernel,
  ran,
  spent,
  threads,
  type Profile,
} from "../../bench/system/threads.ts";

const frame = (functionName: string, url: string) => ({ functionName, url });

test("the core's and the collector's shares are of the window's whole time", () => {
  const profile: Profile = {
    startTime: 1_000,
    nodes: [
      { id: 1, callFrame: frame("relayFill", "wasm://wasm/1234") },
      { id: 2, callFrame: frame("turn", "file:///lane.js") },
      { id: 3, callFrame: frame("(idle)", "") },
      { id: 4, callFrame: frame("(garbage collector)", "") },
    ],
    samples: [1, 1, 2, 3, 4, 1],
    timeDeltas: [100, 100, 300, 500, 200, 1_000],
  };
  // The first sample is before the window, the last one after it.
  assert.deepEqual(inside(profile, 1_150, 3_150), { core: 0.05, collector: 0.1 });
  assert.deepEqual(inside(profile, 5_000, 6_000), { core: 0, collector: 0 });
});

test("the lane is the busiest thread but the main one, of those that were there before", () => {
  const from = new Map([
    [7, 0],
    [8, 20],
    [9, 1_000],
  ]);
  const to = new Map([
    [7, 1_800],
    [8, 30],
    [9, 1_001],
    [10, 100],
  ]);
  const had = spent(from, to);
  assert.deepEqual(Object.fromEntries(had), { 7: 1_800, 8: 10, 9: 1 });
  assert.equal(busiest(7, had), 8);
});

test("this process has threads with times of their own", () => {
  const here = threads(process.pid);
  assert.ok(here.size > 1);
  for (const ticks of here.values()) assert.ok(ticks >= 0);
});

test("a sample was taken in the kernel if its address is in the kernel's half", () => {
  const text = " 12 ffffffff81c02a40\n 12     7f3a5e0c11d0\n 13 ffff8000123456ab\n 12  e2f01\n\n";
  assert.deepEqual(Object.fromEntries(partsInKernel(text)), { 12: 1 / 3, 13: 1 });
});

test("a thread that waited for the core ran for a part of the time", () => {
  const from = new Map([
    [7, { running: 0, ready: 0 }],
    [8, { running: 100, ready: 100 }],
  ]);
  const to = new Map([
    [7, { running: 900, ready: 0 }],
    [8, { running: 400, ready: 200 }],
  ]);
  assert.equal(
    ran(from, to, (tid) => tid !== 7),
    0.75,
  );
});
