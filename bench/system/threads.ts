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

/** What the busiest thread besides the main one spent in between: in a daemon with one lane, the lane. */
export function lane(pid: number, from: Map<number, Ticks>, to: Map<number, Ticks>): Ticks {
  const spent = [...to].flatMap(([tid, { user, system }]) => {
    const before = from.get(tid);
    return tid === pid || before === undefined
      ? []
      : [{ user: user - before.user, system: system - before.system }];
  });
  const all = ({ user, system }: Ticks) => user + system;
  return spent.reduce((one, other) => (all(other) > all(one) ? other : one), {
    user: 0,
    system: 0,
  });
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

/** The profiles that programs run with `profiling(folder)` left when they ended. */
export function profiles(folder: string): Profile[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".cpuprofile"))
    .map((name) => JSON.parse(readFileSync(path.join(folder, name), "utf8")) as Profile);
}

/** Flags of Node with which each of its threads leaves a profile. */
export function profiling(folder: string): string[] {
  return ["--cpu-prof", `--cpu-prof-dir=${folder}`];
}

/** The share of WebAssembly in the busy time between two points in time; none if nothing was busy. */
export function coreShare(profile: Profile, from: number, to: number): number[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  let [at, core, busy] = [profile.startTime, 0, 0];
  for (const [i, id] of profile.samples.entries()) {
    const spent = profile.timeDeltas[i]!;
    at += spent;
    const { functionName, url } = frames.get(id)!;
    if (at < from || at >= to || functionName === "(idle)") continue;
    busy += spent;
    if (url.startsWith("wasm:")) core += spent;
  }
  return busy === 0 ? [] : [core / busy];
}
