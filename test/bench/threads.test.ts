import assert from "node:assert/strict";
import { test } from "node:test";
import { coreShare, lane, threads, type Profile } from "../../bench/system/threads.ts";

const frame = (functionName: string, url: string) => ({ functionName, url });

test("the core's share is WebAssembly's part of the busy time in the window", () => {
  const profile: Profile = {
    startTime: 1_000,
    nodes: [
      { id: 1, callFrame: frame("relayFill", "wasm://wasm/1234") },
      { id: 2, callFrame: frame("turn", "file:///lane.js") },
      { id: 3, callFrame: frame("(idle)", "") },
    ],
    samples: [1, 1, 2, 3, 1],
    timeDeltas: [100, 100, 300, 500, 1_000],
  };
  // The first sample is before the window, the last one after it; the idle one counts for nothing.
  assert.deepEqual(coreShare(profile, 1_150, 2_500), [100 / 400]);
  assert.deepEqual(coreShare(profile, 5_000, 6_000), []);
});

test("the lane is the busiest thread but the main one", () => {
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
});

test("this process has threads with times of their own", () => {
  const here = threads(process.pid);
  assert.ok(here.size > 1);
  for (const { user, system } of here.values()) assert.ok(user >= 0 && system >= 0);
});
