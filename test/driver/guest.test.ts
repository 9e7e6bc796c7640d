/** The guests themselves: whatever ends a laboratory, no emulator is left behind. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Lab, isRunning, removeLeftovers } from "../../src/lab/lab.ts";
import { Program } from "../../src/lab/program.ts";
import { eventually } from "../kernel/culvert.ts";
import { Guest } from "./guest.ts";
import { imageTest } from "./needs.ts";

const BOOTER = fileURLToPath(new URL("programs/boot-guest.js", import.meta.url));

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const)
  imageTest(`no guest survives a laboratory that ends by ${signal}`, async () => {
    const booter = new Program(process.execPath, [BOOTER]);
    const line = await booter.line(/^\{/, "stdout", 20_000);
    const { pid } = JSON.parse(line) as { pid: number };
    assert.ok(isRunning(pid));
    booter.kill(signal);
    await booter.finish(5_000);
    await eventually("the guest's end", 5_000, () => !isRunning(pid));
    removeLeftovers();
  });

imageTest(
  "a guest runs Debian's kernel with the driver, and tells how a command ended",
  async (image) => {
    const lab = new Lab("driver");
    try {
      const guest = Guest.start(lab, lab.namespace("box"), image, ["tap0", "tap1"], "offload");
      await guest.booted();
      assert.equal(await guest.run("uname -r"), `${image.release}\n`);
      assert.match(await guest.run("cat /proc/modules"), /^amt /m);
      assert.match(await guest.run("ip -br link"), /^eth0 [^]*^eth1 /m);
      assert.equal(await guest.run("printf unfinished"), "unfinished");
      await assert.rejects(guest.run("echo so; exit 3"), /so\nended with 3/);
    } finally {
      lab.close();
    }
    assert.ok(existsSync(image.kernel));
  },
);
