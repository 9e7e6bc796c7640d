// Runs the specs of the core, once with SIMD and once without. Zero specs, a failing one, or a
// runner that dies: exit status 1.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import path from "node:path";

const BUILDS = { simd: "./as-pect.asconfig.json", scalar: "./as-pect.scalar.asconfig.json" };

const runner = path.join(
  path.dirname(createRequire(import.meta.url).resolve("@as-pect/cli")),
  "test.js",
);

/** Runs all specs in one build. Resolves to true when there were some and all passed. */
function run(build, config) {
  const child = spawn(
    process.execPath,
    [runner, "--no-logo", "--summary", "--as-config", config, ...process.argv.slice(2)],
    {
      env: { ...process.env, FORCE_COLOR: process.stdout.isTTY ? "1" : "0" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let text = "";
  child.stdout.on("data", (octets) => (text += octets));
  child.stderr.on("data", (octets) => (text += octets));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      const lines = text
        .split("\n")
        .map((line) => (line.length > 400 ? `${line.slice(0, 400)}…` : line));
      process.stdout.write(lines.join("\n"));
      // eslint-disable-next-line no-control-regex
      const counts = /\[Tests\]:\s*(\d+) \/ (\d+)/.exec(text.replace(/\x1b\[[0-9;]*m/g, ""));
      const passed = counts ? Number(counts[1]) : 0;
      const total = counts ? Number(counts[2]) : 0;
      console.log(`\ncore specs, ${build} build: ${passed} passed, ${total - passed} failed`);
      resolve(code === 0 && !signal && total > 0 && passed === total);
    });
  });
}

mkdirSync("assembly/__tests__/__snapshots__", { recursive: true });
for (const [build, config] of Object.entries(BUILDS))
  if (!(await run(build, config))) process.exitCode = 1;
