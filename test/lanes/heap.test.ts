import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { RX_CAPACITY } from "../../assembly/layout/arena.ts";
import type { Pumped } from "./pump.ts";

/** What compiling and profiling the loop itself takes, whatever goes through it. */
const ALLOWANCE = 1_000_000;

/**
 * What `pump.ts` found. New space is so large that nothing is collected while it counts: the growth
 * of the heap is then all that was allocated.
 */
function pumped(role: string, datagrams: number, batch: number): Pumped {
  const flags = [
    "--expose-gc",
    "--min-semi-space-size=128",
    "--max-semi-space-size=128",
    "--no-concurrent-recompilation", // on a busy host the compiler's thread comes late
  ];
  const program = fileURLToPath(new URL("./pump.js", import.meta.url));
  const args = [role, datagrams, batch].map(String);
  return JSON.parse(
    execFileSync(process.execPath, [...flags, program, ...args], { encoding: "utf8" }),
  );
}

for (const [role, copies] of [
  ["relay", 2],
  ["gateway", 1],
] as const) {
  test(`ten million datagrams through a ${role} allocate nothing`, () => {
    const { received, sent, allocated, retained } = pumped(role, 10_000_000, RX_CAPACITY);
    assert.ok(received >= 10_000_000);
    assert.equal(sent, received * copies);
    assert.ok(allocated < ALLOWANCE, `${allocated} octets allocated`);
    assert.ok(retained < ALLOWANCE, `${retained} octets retained`);
  });

  test(`a ${role}'s batches of one allocate nothing either`, () => {
    const { received, allocated } = pumped(role, 400_000, 1);
    assert.equal(received, 400_000);
    assert.ok(allocated < ALLOWANCE, `${allocated} octets allocated`);
  });
}
