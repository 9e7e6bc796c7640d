// What a fresh clone needs before anything runs: the packages of the lock file, and a build.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

const MINIMUM = [20, 19];
/** What a build reads, and the file that it writes last. */
const SOURCES = ["assembly", "src", "test", "bench", "asconfig.json", "tsconfig.json"];
const STAMP = path.join(root, "dist/.built");

/** Runs a program in the root; a failure ends this process with its exit code. */
function must(command, ...args) {
  const done = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (done.error) console.error(`${command}: ${done.error.message}`);
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** Installs the packages if none are there. */
export function install() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
    console.error(`Node ${MINIMUM.join(".")} or newer is needed; this is ${process.version}`);
    process.exit(1);
  }
  if (existsSync(path.join(root, "node_modules"))) return;
  console.log("installing packages: npm ci");
  must("npm", "ci", "--no-audit", "--no-fund");
}

/** Builds. */
export function build() {
  console.log("building");
  must(process.execPath, "scripts/build.mjs");
}

/** Builds, unless the last build is newer than all that it read. */
export function buildIfStale() {
  const built = existsSync(STAMP) ? statSync(STAMP).mtimeMs : 0;
  if (sources(SOURCES).some((file) => statSync(file).mtimeMs > built)) build();
}

/** The files of a build's own kind at and below some entries of the root. */
function sources(entries) {
  return entries.flatMap((entry) => {
    const found = path.join(root, entry);
    if (statSync(found).isDirectory())
      return sources(readdirSync(found).map((name) => path.join(entry, name)));
    return /\.(ts|json)$/.test(entry) && !entry.startsWith("bench/results/") ? [found] : [];
  });
}
