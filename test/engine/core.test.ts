import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("memory that cannot be had is the system's refusal, with how much was wanted and what to do", () => {
  const module = (name: string) => new URL(`../../src/${name}`, import.meta.url).href;
  const script = `
    const { complaint } = await import(${JSON.stringify(module("cli/exit.js"))});
    const { createArena } = await import(${JSON.stringify(module("engine/core.js"))});
    const held = [];
    try { for (;;) held.push(createArena()); } catch (error) { console.log(complaint(error)); }`;
  const limited = spawnSync("sh", [
    "-c",
    'ulimit -v 20000000 && exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ]);
  assert.equal(
    limited.stdout.toString(),
    "culvert: mmap an arena: ENOMEM (not enough memory); each lane wants 64 MiB of memory and 10 GiB" +
      " of address space: have fewer lanes (--lanes), or raise the limit (ulimit -v, LimitAS= of a unit)\n",
    limited.stderr.toString(),
  );
});
