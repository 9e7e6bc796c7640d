import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { ROOT } from "./pages.ts";

test("docs/captures.md is what the captures say", () => {
  const run = spawnSync(process.execPath, ["scripts/docs-captures.mjs", "--check"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  assert.equal(run.stderr, "");
  assert.equal(run.status, 0);
});
