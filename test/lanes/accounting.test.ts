import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_RECEIVED } from "../../assembly/layout/arena.ts";
import { addLedgers } from "../../src/engine/arena.ts";
import { flood } from "./flood.ts";

test("whatever arrives, nothing traps, nothing grows, and every packet is accounted for", (t) => {
  const seed = Number(process.env.CULVERT_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`CULVERT_SEED=${seed}`);
  const { stages } = addLedgers(flood(150_000, seed)); // in each of the two builds
  // The traffic is no good unless it reaches every stage and most of the verdicts.
  for (const row of stages) assert.ok(row[STAGE_RECEIVED]! > 1_000);
  const given = new Set(
    stages.flatMap((row) =>
      row.slice(0, STAGE_RECEIVED).flatMap((count, number) => (count > 0 ? [number] : [])),
    ),
  );
  assert.ok(given.size >= 25, `only ${given.size} verdicts`);
});
