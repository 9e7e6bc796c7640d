/** The laboratory itself: what it makes, and that nothing of it stays. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Lab, isRunning, removeLeftovers } from "../../src/lab/lab.ts";
import { Program } from "../../src/lab/program.ts";
import { eventually } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const OPENER = fileURLToPath(new URL("programs/open-lab.js", import.meta.url));

kernelTest("namespaces joined by a pair of devices reach each other", [], (lab) => {
  const [a, b] = [lab.namespace("a"), lab.namespace("b")];
  lab.connect(a, "eth0", b, "eth1", 1_400);
  a.address("eth0", "192.0.2.1/24", "2001:db8::1/64");
  b.address("eth1", "192.0.2.2/24");
  assert.match(a.ip("route", "get", "192.0.2.2"), /dev eth0/);
  assert.match(b.ip("link", "show", "eth1"), /mtu 1400 .*state UP/);
  assert.doesNotMatch(a.ip("address"), /tentative/);
  return Promise.resolve();
});

for (const signal of ["SIGINT", "SIGTERM"] as const)
  kernelTest(`${signal} takes a laboratory down with the process`, [], async () => {
    const opener = new Program(process.execPath, [OPENER]);
    const made = await opened(opener);
    opener.kill(signal);
    assert.deepEqual(await opener.finish(5_000), { code: null, signal });
    for (const file of made.files) assert.equal(existsSync(file), false, file);
    await eventually("the program's end", 2_000, () => !isRunning(made.pid));
  });

kernelTest("what a killed process left is removed by the next laboratory", [], async () => {
  const opener = new Program(process.execPath, [OPENER]);
  const made = await opened(opener);
  for (const file of made.files) assert.equal(existsSync(file), true, file);
  assert.equal(isRunning(made.pid), true);
  opener.kill("SIGKILL");
  await eventually("the process's end", 5_000, () => !isRunning(opener.pid!));
  // From here on, another test's new laboratory may be the one that removes them.
  new Lab("kernel").close();
  for (const file of made.files) assert.equal(existsSync(file), false, file);
  await eventually("the program's end", 2_000, () => !isRunning(made.pid));
});

kernelTest("a laboratory of a living process is let alone", [], (lab) => {
  const { name } = lab.namespace("a");
  removeLeftovers();
  assert.equal(existsSync(path.join("/run/netns", name)), true);
  assert.equal(existsSync(lab.folder), true);
  return Promise.resolve();
});

/** What the opener has made: files that stand for its laboratory, and a program in it. */
async function opened(opener: Program): Promise<{ files: string[]; pid: number }> {
  const line = await opener.line(/^\{/, "stdout", 10_000);
  return JSON.parse(line) as { files: string[]; pid: number };
}
