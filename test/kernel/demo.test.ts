/** The demonstration, as its user starts it. */
import assert from "node:assert/strict";
import { startCulvert } from "../../src/demo/daemon.ts";
import { kernelTest } from "./needs.ts";

for (const [place, options] of [
  ["in namespaces", []],
  ["on loopback", ["--loopback"]],
] as const)
  kernelTest(`the demonstration works ${place} and leaves nothing`, [], async (lab) => {
    const host = lab.namespace("host");
    const demo = startCulvert(host, "demo", "--seconds", "3", "--rate", "500", ...options);
    const end = await demo.finish(45_000);
    assert.deepEqual(end, { code: 0, signal: null }, `${demo.stdout}${demo.stderr}`);
    assert.match(demo.stdout, /^It works: .* 0 lost\.$/m);
    assert.doesNotMatch(host.run("ip", "netns", "list"), new RegExp(`cv-demo-${demo.pid}-`));
  });
