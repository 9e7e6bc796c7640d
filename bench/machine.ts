/** Where and with what a benchmark ran; it stands in every result. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { CHECKOUT, ROOT } from "./places.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly v8: string;
  /** Versions of what the figures depend on, by package name. */
  readonly versions: Readonly<Record<string, string>>;
  /** The commit, with "+" when the tree has changes. */
  readonly commit: string;
  /** Load average over a minute when the run began: what else the machine was doing. */
  readonly load: number;
}

/**
 * Counts from now on the share of the processors' time that the machine's host took away, in percent; 0
 * for a machine that has none.
 */
export function watchStolen(): () => number {
  const before = processorTime();
  return () => {
    const after = processorTime();
    return (100 * (after.stolen - before.stolen)) / (after.all - before.all);
  };
}

/** Ticks of all processors since the start (/proc/stat): user, nice, system, idle, iowait, irq, softirq, steal. */
function processorTime(): { stolen: number; all: number } {
  const [, ...fields] = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.split(/ +/);
  const ticks = fields.slice(0, 8).map(Number);
  return { stolen: ticks[7]!, all: ticks.reduce((sum, one) => sum + one, 0) };
}

export function describeMachine(): Machine {
  const versions: Record<string, string> = {};
  for (const name of ["assemblyscript", "benchmark", "koffi", "typescript"]) {
    const folder = packageFolder(name);
    if (folder !== undefined) versions[name] = packageVersion(folder);
  }
  versions["culvert"] = packageVersion(ROOT);
  const compiler = firstLine("cc", "--version");
  if (compiler !== undefined) versions["cc"] = compiler;
  return {
    cpu: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    v8: process.versions.v8,
    versions,
    commit: commit(),
    load: os.loadavg()[0] ?? 0,
  };
}

/** Where a package is: in the nearest folder of packages that has it. */
function packageFolder(name: string): string | undefined {
  for (let at = ROOT; ; at = path.dirname(at)) {
    const folder = path.join(at, "node_modules", name);
    if (existsSync(folder)) return folder;
    if (at === path.dirname(at)) return undefined;
  }
}

function packageVersion(folder: string): string {
  const text = readFileSync(path.join(folder, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function commit(): string {
  if (!CHECKOUT) return "none: an installed package";
  const hash = firstLine("git", "rev-parse", "HEAD");
  if (hash === undefined) return "unknown";
  // Results of an earlier suite of the same run are no change to what is measured.
  const changes = firstLine("git", "status", "--porcelain", "--", ".", ":!bench/results");
  return changes === undefined || changes === "" ? hash : `${hash}+`;
}

/** The first line that a program prints; undefined when it is absent or fails. */
function firstLine(program: string, ...args: string[]): string | undefined {
  const done = spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  return done.status === 0 ? (done.stdout.split("\n")[0] ?? "") : undefined;
}
