/** Where a program's threads spend their time: in the kernel, and by function. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** Processor time of one thread, in ticks of the kernel's clock. */
export interface Ticks {
  readonly user: number;
  readonly system: number;
}

/** Words of /proc/PID/task/TID/stat after the name: see proc(5). */
const UTIME = 11;
const STIME = 12;

/** The threads of a process, by their id. */
export function threads(pid: number): Map<number, Ticks> {
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(
    tasks.map((tid) => {
      const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, "utf8");
      const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return [tid, { user: Number(words[UTIME]), system: Number(words[STIME]) }];
    }),
  );
}

/** What each thread spent in between; those that began or ended meanwhile are left out. */
function spent(from: Map<number, Ticks>, to: Map<number, Ticks>): Map<number, Ticks> {
  return new Map(
    [...to].flatMap(([tid, { user, system }]) => {
      const before = from.get(tid);
      if (before === undefined) return [];
      return [[tid, { user: user - before.user, system: system - before.system }]];
    }),
  );
}

const NOTHING: Ticks = { user: 0, system: 0 };

/** What the busiest thread besides the main one spent in between: in a daemon with one lane, the lane. */
export function lane(pid: number, from: Map<number, Ticks>, to: Map<number, Ticks>): Ticks {
  const all = ({ user, system }: Ticks) => user + system;
  return [...spent(from, to)]
    .filter(([tid]) => tid !== pid)
    .reduce((most, [, other]) => (all(other) > all(most) ? other : most), NOTHING);
}

/** What the main thread spent in between: in a daemon, control. */
export function control(pid: number, from: Map<number, Ticks>, to: Map<number, Ticks>): Ticks {
  return spent(from, to).get(pid) ?? NOTHING;
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
