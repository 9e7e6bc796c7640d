/** Where a program's threads spend their time: in the kernel, and by function. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Program } from "../../src/lab/program.ts";
import { requireTool } from "../../src/lab/tool.ts";
import { FIRST, outcome } from "./rows.ts";

/** Words of /proc/PID/task/TID/stat after the name: see proc(5). */
const UTIME = 11;
const STIME = 12;

/** Processor time of a process's threads by their id, in ticks of the kernel's clock. */
export function threads(pid: number): Map<number, number> {
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(
    tasks.map((tid) => {
      const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
      const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return [tid, Number(words[UTIME]) + Number(words[STIME])];
    }),
  );
}

/** What each thread spent in between; those that began or ended meanwhile are left out. */
export function spent(from: Map<number, number>, to: Map<number, number>): Map<number, number> {
  return new Map(
    [...to].flatMap(([tid, ticks]) => {
      const before = from.get(tid);
      return before === undefined ? [] : [[tid, ticks - before]];
    }),
  );
}

/** The busiest thread besides the main one: in a daemon with one lane, the lane. */
export function busiest(pid: number, ticks: Map<number, number>): number {
  const others = [...ticks].filter(([tid]) => tid !== pid);
  return others.reduce((most, other) => (other[1] > most[1] ? other : most), [pid, 0])[0];
}

/** Samples of a second, not in step with the kernel's clock. */
const SAMPLES = 499;
/** Addresses of the kernel's half, as perf prints them. */
const KERNEL = /^ffff[0-9a-f]{12}$/;

/** Samples the threads of processes for so many milliseconds, into `file`. */
export async function sample(
  pids: readonly number[],
  milliseconds: number,
  file: string,
): Promise<void> {
  const how = ["-q", "-e", "cpu-clock", "-F", String(SAMPLES), "-p", pids.join(), "-o", file];
  const until = ["--", "sleep", String(milliseconds / 1_000)];
  const [nice, ...first] = FIRST;
  await outcome(new Program(nice!, [...first, perf(), "record", ...how, ...until]));
}

/**
 * Which part of its samples found each thread in the kernel, by its id; a thread that never ran has none.
 * The kernel's own account would not do: what it does for a packet within a sending call counts as an
 * interrupt there, and is shared out.
 */
export async function inKernel(file: string): Promise<Map<number, number>> {
  return partsInKernel(await outcome(new Program(perf(), ["script", "-i", file, "-F", "tid,ip"])));
}

/** The same from lines of a thread's id and an address. */
export function partsInKernel(text: string): Map<number, number> {
  const counts = new Map<number, { kernel: number; all: number }>();
  for (const line of text.split("\n")) {
    const [tid, address] = line.trim().split(/\s+/);
    if (address === undefined) continue;
    const count = counts.get(Number(tid)) ?? { kernel: 0, all: 0 };
    counts.set(Number(tid), count);
    count.all++;
    if (KERNEL.test(address)) count.kernel++;
  }
  return new Map([...counts].map(([tid, { kernel, all }]) => [tid, kernel / all]));
}

function perf(): string {
  return requireTool("perf", "linux-perf");
}

/** Nanoseconds of a thread: on a processor, and ready to run while others had it. */
interface Runs {
  readonly running: number;
  readonly ready: number;
}

/** The same of the threads of a process, by their id: see the kernel's sched-stats document. */
export function runs(pid: number): Map<number, Runs> {
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(
    tasks.map((tid) => {
      const [running, ready] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(
        " ",
      );
      return [tid, { running: Number(running), ready: Number(ready) }];
    }),
  );
}

/** Which part of the time in which it could run the thread that ran most, of those from `tids`, did run. */
export function ran(
  from: Map<number, Runs>,
  to: Map<number, Runs>,
  tids: (tid: number) => boolean,
): number {
  let most = { running: 0, ready: 0 };
  for (const [tid, after] of to) {
    const before = from.get(tid);
    if (before === undefined || !tids(tid)) continue;
    const running = after.running - before.running;
    if (running > most.running) most = { running, ready: after.ready - before.ready };
  }
  return most.running === 0 ? 1 : most.running / (most.running + most.ready);
}

/** What V8 writes, as far as it matters here; microseconds of the monotonic clock. */
export interface Profile {
  readonly startTime: number;
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The profiles that a program run with `profiling(folder)` left when it ended, by Node's thread. */
export function profiles(folder: string): Map<number, Profile> {
  return new Map(
    readdirSync(folder).flatMap((name) => {
      const [, thread] = PROFILE.exec(name) ?? [];
      if (thread === undefined) return [];
      const text = readFileSync(path.join(folder, name), "utf8");
      return [[Number(thread), JSON.parse(text) as Profile]];
    }),
  );
}

/** CPU.DATE.TIME.PID.THREAD.NUMBER.cpuprofile; the main thread is 0. */
const PROFILE = /\.(\d+)\.\d+\.cpuprofile$/;

/** Flags of Node with which each of its threads leaves a profile. */
export function profiling(folder: string): string[] {
  return ["--cpu-prof", `--cpu-prof-dir=${folder}`];
}

/** Shares of 1 of the time between two points that a thread spent in the core and in the collector. */
export interface Inside {
  readonly core: number;
  readonly collector: number;
}

export function inside(profile: Profile, from: number, to: number): Inside {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  let [at, core, collector] = [profile.startTime, 0, 0];
  for (const [i, id] of profile.samples.entries()) {
    const taken = profile.timeDeltas[i]!;
    at += taken;
    if (at < from || at >= to) continue;
    const { functionName, url } = frames.get(id)!;
    if (url.startsWith("wasm:")) core += taken;
    else if (functionName === "(garbage collector)") collector += taken;
  }
  return { core: core / (to - from), collector: collector / (to - from) };
}
