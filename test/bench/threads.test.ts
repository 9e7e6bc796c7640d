import assert from "node:assert/strict";
import { test } from "node:test";
import { control, inside, lane, threads, type Profile } from "../../bench/system/threads.ts";

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

test("the lane is the busiest thread but the main one, which is control", () => {
  const from = new Map([
    [7, { user: 0, system: 0 }],
    [8, { user: 10, system: 10 }],
    [9, { user: 500, system: 500 }],
  ]);
  const to = new Map([
    [7, { user: 900, system: 900 }],
    [8, { user: 12, system: 18 }],
    [9, { user: 501, system: 500 }],
    [10, { user: 50, system: 50 }],
  ]);
  assert.deepEqual(lane(7, from, to), { user: 2, system: 8 });
  assert.deepEqual(control(7, from, to), { user: 900, system: 900 });
});

test("this process has threads with times of their own", () => {
  const here = threads(process.pid);
  assert.ok(here.size > 1);
  for (const { user, system } of here.values()) assert.ok(user >= 0 && system >= 0);
});
