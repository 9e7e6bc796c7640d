// Runs the TypeScript tests from dist/test with node:test; arguments narrow the files by substring.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";

const wanted = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const flags = process.argv.slice(2).filter((word) => word.startsWith("-"));
const root = "dist/test";
if (!existsSync(root)) {
  console.error(`no ${root}: run 'npm run build' first`);
  process.exit(1);
}
const files = readdirSync(root, { recursive: true })
  .filter((file) => file.endsWith(".test.js"))
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
  .sort()
  .map((file) => `${root}/${file}`);
if (files.length === 0) {
  console.error(`no test files under ${root}${wanted.length ? ` match ${wanted.join(", ")}` : ""}`);
  process.exit(1);
}
const done = spawnSync(
  process.execPath,
  [
    "--enable-source-maps",
    "--test",
    "--test-reporter=spec",
    "--test-timeout=300000",
    // Tests with real peers mostly wait for the timers of protocols.
    `--test-concurrency=${Math.max(2, availableParallelism() - 1)}`,
    ...flags,
    ...files,
  ],
  { stdio: "inherit" },
);
process.exit(done.status ?? 1);
