// Builds everything: both WebAssembly cores (asc), then dist/ (tsc). Prints nothing when all is well.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Runs a Node program of the project; a failure ends the build with its exit code. */
function run(program, ...args) {
  const done = spawnSync(process.execPath, [path.join(root, program), ...args], {
    cwd: root,
    stdio: "inherit",
  });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

// A deleted test must not go on running from an old build.
for (const name of [".built", "test", "bench", "src", "assembly"])
  rmSync(path.join(root, "dist", name), { recursive: true, force: true });

for (const target of ["simd", "scalar"])
  run("node_modules/assemblyscript/bin/asc.js", "--config", "asconfig.json", "--target", target);
run("node_modules/typescript/bin/tsc", "-p", "tsconfig.json");

const command = path.join(root, "dist/src/cli/main.js");
if (existsSync(command)) chmodSync(command, 0o755);
// Written last: scripts/setup.mjs takes a build without it, or older than a source, for none.
writeFileSync(path.join(root, "dist/.built"), "");
