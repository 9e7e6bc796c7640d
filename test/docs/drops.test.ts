import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { DROPS } from "../../src/core/drops.ts";
import { ROOT, readPage } from "./pages.ts";

test("docs/drops.md is what the drop table says", () => {
  const run = spawnSync(process.execPath, ["scripts/docs-drops.mjs", "--check"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  assert.equal(run.stderr, "");
  assert.equal(run.status, 0);
});

test("the guide names no drop reason that the table does not have", () => {
  const section = /## Drops and what to do\n([\s\S]*?)(\n## |$)/.exec(
    readPage("docs/guide/amt.md"),
  );
  const names = [...(section?.[1] ?? "").matchAll(/^\| (`[^|]+) \|/gm)].flatMap((row) =>
    [...row[1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!),
  );
  assert.ok(names.length > 20);
  const known: ReadonlySet<string> = new Set(DROPS.map((row) => row.name));
  assert.deepEqual(
    names.filter((name) => !known.has(name)),
    [],
  );
});
