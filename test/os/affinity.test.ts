import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { once } from "node:events";
import { allowedProcessors } from "../../src/os/affinity.ts";

const MODULE = new URL("../../src/os/affinity.js", import.meta.url).href;

test("a thread keeps to its processor, and other threads are left alone", async () => {
  const before = allowedProcessors();
  const kernels = /^Cpus_allowed_list:\s+(.*)$/m.exec(
    readFileSync("/proc/self/status", "utf8"),
  )![1]!;
  assert.equal(listOf(before), kernels);
  const last = before.at(-1)!;
  const worker = new Worker(
    `import("${MODULE}").then(({ keepTo, allowedProcessors }) => {
      keepTo(${last});
      require("node:worker_threads").parentPort.postMessage(allowedProcessors());
    });`,
    { eval: true },
  );
  const [own] = (await once(worker, "message")) as [number[]];
  assert.deepEqual(own, [last]);
  assert.deepEqual(allowedProcessors(), before);
  await worker.terminate();
});

/** Numbers as the kernel lists them. */
function listOf(numbers: readonly number[]): string {
  const runs: number[][] = [];
  for (const one of numbers) {
    const run = runs.at(-1);
    if (run && run.at(-1) === one - 1) run.push(one);
    else runs.push([one]);
  }
  return runs.map((run) => (run.length > 1 ? `${run[0]}-${run.at(-1)}` : `${run[0]}`)).join(",");
}
