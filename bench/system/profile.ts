/**
 * Where the time of a daemon's threads goes at saturation: the lane's and control's, into system
 * calls, the core, the collector of garbage, the rest of JavaScript, and waiting.
 *
 * All daemons of a scene share one core, and the source has the other, so that it is the daemons that
 * have more to do than time. With a core each most of them would wait for the source, and a lane that
 * often waits spends more on each of its few packets. Lanes sleep when they find nothing, so that looking
 * for packets counts neither way.
 *
 * How much time a thread had is the kernel's own account; which part of it was in the kernel is sampled.
 * The shares of the core and the collector are from V8's profiler, in a second run, since the profiler
 * costs time; JavaScript has the rest of what the thread spent outside the kernel.
 */
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Program } from "../../src/lab/program.ts";
import { describeMachine } from "../machine.ts";
import { figure, type Effort, type Figure, type Goal, type Result } from "../result.ts";
import { spread } from "../statistics.ts";
import { confine } from "./cores.ts";
import { hold, LOADS, saturated, type Load } from "./delivery.ts";
import { CulvertEnds } from "./ends.ts";
import { atSaturation } from "./fanout.ts";
import { buildPrograms, type Native } from "./native.ts";
import { CROWD, Path, WITNESS } from "./path.ts";
import { CulvertWire, flooded, sink, SMALL } from "./pseudowire.ts";
import { CulvertRow, PAYLOAD, SLEEPING } from "./rows.ts";
import {
  busiest,
  inKernel,
  inside,
  profiles,
  profiling,
  ran,
  runs,
  sample,
  spent,
  threads,
  type Inside,
} from "./threads.ts";
import { EFFORTS, type Timing } from "./window.ts";
import { Wire } from "./wire.ts";

/** Percent of the busy time of a scene's lanes, the packet path, that system calls are to have. */
const GOAL: Goal = { atLeast: 80 };

/** What lanes must have of their core together to be called saturated. */
const SATURATED = 0.9;

/** Gateways of the fan-out. */
const GATEWAYS = 100;

/** Ticks of the kernel's clock in a second (USER_HZ), which is the same on every Linux system. */
const TICKS = 100;

/** Something under load whose daemons have a lane each. */
interface Scene {
  /** The daemons by role. */
  readonly daemons: ReadonlyMap<string, Program>;
  /** Where their profiles may be left. */
  readonly folder: string;
  readonly saturate: <T>(ramp: number, during: () => Promise<T>) => Promise<T>;
  remove(): void;
}

type Programs = Record<Native, string>;
/** Flags of Node for the daemon of a role; `folder` is the scene's. */
type Flags = (folder: string, role: string) => readonly string[];
type SetUp = (programs: Programs, flags: Flags) => Promise<Scene>;

/** Threads of a daemon. */
type Thread = "lane" | "control";

/** Shares of 1 of the time that a thread had. */
interface Spent {
  readonly user: number;
  readonly system: number;
}

/** Shares of 1 of a thread's time, in the order of the table. */
type Shares = Readonly<
  Record<"system calls" | "core" | "JavaScript" | "collector" | "waiting", number>
>;

const SCENES: Readonly<Record<string, SetUp>> = {
  ...Object.fromEntries(LOADS.map((load) => [load.name, delivering(load)])),
  [`${GATEWAYS} gateways`]: replicating,
  "L2TP, 64 octets": joining(SMALL, 1),
  // As many as the super-packets that a host's TCP makes.
  "L2TP, trains": joining(PAYLOAD, 44),
};

export async function runProfile(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const [name, setUp] of Object.entries(SCENES)) {
    progress(`profile: ${name}: system calls`);
    const outside = await outsideOf(setUp, timing, programs);
    const busy = spread(
      byRound(outside)
        .map(together)
        .map(({ user, system }) => user + system),
    ).median;
    const isSaturated = busy >= SATURATED;
    if (!isSaturated)
      notes.push(
        `${name}: the lanes had work for ${(100 * busy).toFixed(0)} % of their core: its source is the ` +
          "limit, and no goal is set for lanes that are not saturated",
      );
    progress(`profile: ${name}: core and collector`);
    const within = await insideOf(setUp, timing, programs);
    for (const [role, rounds] of outside)
      for (const thread of ["lane", "control"] as const) {
        const place = `${name}, ${role}: ${thread}`;
        const samples = rounds.map((spent) => shares(spent[thread], within.get(role)![thread]));
        for (const part of Object.keys(samples[0]!) as (keyof Shares)[])
          figures.push(
            percent(
              place,
              part,
              samples.map((each) => each[part]),
            ),
          );
        if (thread === "lane")
          figures.push(percent(place, IN_CALLS, inCalls(rounds.map(({ lane }) => [lane]))));
      }
    const goal = isSaturated ? GOAL : undefined;
    figures.push(percent(`${name}: packet path`, IN_CALLS, inCalls(byRound(outside)), goal));
  }
  return {
    suite: "profile",
    takenAt,
    effort,
    machine,
    settings: { rounds: timing.rounds, windowMs: timing.window },
    figures,
    ratios: [],
    notes,
  };
}

const IN_CALLS = "system calls of busy time";

/** What all lanes spent, round by round. */
function byRound(daemons: ReadonlyMap<string, readonly Record<Thread, Spent>[]>): Spent[][] {
  const all = [...daemons.values()];
  return all[0]!.map((_, round) => all.map((rounds) => rounds[round]!.lane));
}

/** What lanes had of their core together. */
function together(lanes: readonly Spent[]): Spent {
  return lanes.reduce((a, b) => ({ user: a.user + b.user, system: a.system + b.system }));
}

/** The share of system calls in the time that lanes were busy, round by round. */
function inCalls(rounds: readonly (readonly Spent[])[]): number[] {
  return rounds.map(together).map(({ user, system }) => system / (user + system));
}

function percent(place: string, subject: string, samples: readonly number[], goal?: Goal): Figure {
  const what = { case: place, subject, unit: "%", ...(goal && { goal }) } as const;
  return figure(
    what,
    samples.map((share) => 100 * share),
  );
}

/** What the kernel's account and the profiler's say together. */
function shares({ user, system }: Spent, { core, collector }: Inside): Shares {
  return {
    "system calls": system,
    core,
    JavaScript: Math.max(0, user - core - collector),
    collector,
    waiting: Math.max(0, 1 - user - system),
  };
}

/** A relay, a gateway and a listener. */
function delivering(load: Load): SetUp {
  return (programs, flags) =>
    onPath(async (path) => {
      const roles = ["relay", "gateway"].map((role) => [role, flags(path.folder, role)] as const);
      const row = new CulvertEnds(path, programs, Object.fromEntries(roles));
      row.words = SLEEPING;
      await row.start();
      await hold(row);
      const { daemons } = row;
      confine(daemons.values());
      return { daemons, saturate: (ramp, during) => saturated(row, load, ramp, during) };
    });
}

/** A relay and many gateways. */
function replicating(programs: Programs, flags: Flags): Promise<Scene> {
  return onPath(async (path) => {
    const row = new CulvertRow(path, GATEWAYS, programs);
    row.flags = flags(path.folder, "relay");
    row.words = SLEEPING;
    await row.start();
    for (const place of [CROWD, WITNESS] as const) path.deliver(place, false);
    const daemons = new Map([["relay", row.relay]]);
    return { daemons, saturate: (ramp, during) => atSaturation(row, ramp, during) };
  });
}

async function onPath(
  setUp: (path: Path) => Promise<Pick<Scene, "daemons" | "saturate">>,
): Promise<Scene> {
  const path = await Path.make(false);
  try {
    return { ...(await setUp(path)), folder: path.folder, remove: () => path.remove() };
  } catch (error) {
    path.remove();
    throw error;
  }
}

/** A pseudowire: one end reads its device and sends, the other receives and writes its own. */
function joining(octets: number, segments: number): SetUp {
  return async (programs, flags) => {
    const wire = new Wire();
    const { folder } = wire;
    try {
      const row = new CulvertWire(wire, programs);
      row.flags = ENDS.map((role) => flags(folder, role));
      row.busyPoll = 0;
      await row.start();
      wire.open();
      await sink(row);
      confine(row.daemons);
      const daemons = new Map(row.daemons.map((daemon, end) => [ENDS[end]!, daemon]));
      return {
        daemons,
        folder,
        saturate: (ramp, during) => flooded(row, { octets, segments }, ramp, during),
        remove: () => wire.remove(),
      };
    } catch (error) {
      wire.remove();
      throw error;
    }
  };
}

/** What the ends of a pseudowire do: in the west, and in the east. */
const ENDS = ["TAP to UDP", "UDP to TAP"] as const;

/** What each lane and control spent of the window, round by round, in shares of 1. */
async function outsideOf(
  setUp: SetUp,
  timing: Timing,
  programs: Programs,
): Promise<Map<string, Record<Thread, Spent>[]>> {
  const scene = await setUp(programs, () => []);
  const { daemons, saturate, folder } = scene;
  const taken = new Map([...daemons.keys()].map((role) => [role, [] as Record<Thread, Spent>[]]));
  const pids = [...daemons.values()].map(({ pid }) => pid!);
  const samples = path.join(folder, "samples");
  try {
    for (let round = 0; round < timing.rounds; round++) {
      const [had, ticks] = await saturate(timing.ramp, async () => {
        const before = pids.map(threads);
        const began = performance.now();
        await sample(pids, timing.window, samples);
        const ticks = ((performance.now() - began) * TICKS) / 1_000;
        return [pids.map((pid, i) => spent(before[i]!, threads(pid))), ticks] as const;
      });
      const kernel = await inKernel(samples);
      for (const [i, role] of [...daemons.keys()].entries()) {
        const of = (tid: number): Spent => {
          const busy = had[i]!.get(tid)! / ticks;
          const system = busy * (kernel.get(tid) ?? 0);
          return { user: busy - system, system };
        };
        const lane = of(busiest(pids[i]!, had[i]!));
        if (lane.user + lane.system === 0) throw new Error(`the lane of ${role} did nothing`);
        taken.get(role)!.push({ lane, control: of(pids[i]!) });
      }
    }
    return taken;
  } finally {
    scene.remove();
  }
}

/** What V8's profiler shows of each lane and control. */
async function insideOf(
  setUp: SetUp,
  timing: Timing,
  programs: Programs,
): Promise<Map<string, Record<Thread, Inside>>> {
  const place = (folder: string, role: string) =>
    path.join(folder, `profile-${role.replaceAll(" ", "-")}`);
  const scene = await setUp(programs, (folder, role) => profiling(place(folder, role)));
  const { daemons, saturate, folder } = scene;
  try {
    const [from, to, running] = await saturate(timing.ramp, async () => {
      const before = [...daemons].map(([, { pid }]) => runs(pid!));
      const began = microseconds();
      await setTimeout(timing.window);
      const ended = microseconds();
      const parts = [...daemons].map(([role, { pid }], i) => {
        const after = runs(pid!);
        const lane = ran(before[i]!, after, (tid) => tid !== pid);
        const control = ran(before[i]!, after, (tid) => tid === pid);
        return [role, { lane, control }] as const;
      });
      return [began, ended, new Map(parts)] as const;
    });
    for (const daemon of daemons.values()) await daemon.stop();
    return new Map(
      [...daemons.keys()].map((role) => {
        const found = new Map(
          [...profiles(place(folder, role))].map(([thread, one]) => [
            thread,
            inside(one, from, to),
          ]),
        );
        const main = found.get(0);
        if (main === undefined || found.size < 2) throw new Error(`${role} left no profiles`);
        found.delete(0);
        const lane = [...found.values()].reduce((a, b) => (b.core > a.core ? b : a));
        const parts = running.get(role)!;
        return [role, { lane: only(lane, parts.lane), control: only(main, parts.control) }];
      }),
    );
  } finally {
    scene.remove();
  }
}

/** The profiler's clock goes on while another thread has the core: only `part` of it was the thread's. */
function only({ core, collector }: Inside, part: number): Inside {
  return { core: core * part, collector: collector * part };
}

/** The clock that V8's profiles have. */
function microseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
