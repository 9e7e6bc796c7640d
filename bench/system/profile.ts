/**
 * Where the packet path's processor time goes at saturation: into system calls, into the core, or
 * into JavaScript and the calls out of it. Lane threads only.
 *
 * The share of system calls is the kernel's own account of the lane's thread. The core's is from
 * V8's profiler, in a second run, since the profiler costs time; JavaScript has the rest.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { describeMachine } from "../machine.ts";
import { figure, type Effort, type Figure, type Result } from "../result.ts";
import { hold, LOADS, saturated, type Load } from "./delivery.ts";
import { CulvertEnds } from "./ends.ts";
import { buildPrograms, type Native } from "./native.ts";
import { Path } from "./path.ts";
import { coreShare, lane, profiles, profiling, threads } from "./threads.ts";

interface Timing {
  readonly rounds: number;
  /** Milliseconds from the start of the load to the window, and of the window. */
  readonly ramp: number;
  readonly window: number;
}

const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { rounds: 5, ramp: 500, window: 2_000 },
  quick: { rounds: 3, ramp: 300, window: 1_000 },
  sanity: { rounds: 1, ramp: 100, window: 300 },
};

/** Percent of a lane's time that system calls are to have. */
const GOAL = 80;

const ROLES = ["relay", "gateway"] as const;
type Role = (typeof ROLES)[number];
type Shares = Record<Role, number>;
type Programs = Record<Native, string>;

export async function runProfile(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const figures: Figure[] = [];
  for (const load of LOADS) {
    progress(`profile: ${load.name}: system calls`);
    const calls = await inCalls(load, timing, programs);
    progress(`profile: ${load.name}: core`);
    const core = await inCore(load, timing, programs);
    for (const subject of ROLES) {
      const part = (name: string, samples: readonly number[], goal?: { atLeast: number }) =>
        figures.push(
          figure(
            { case: `${load.name}, ${name}`, subject, unit: "%", ...(goal && { goal }) },
            samples.map((share) => 100 * share),
          ),
        );
      const system = calls.map((shares) => shares[subject]);
      part("system calls", system, { atLeast: GOAL });
      part("core", [core[subject]]);
      const rest = system.map((share) => Math.max(0, 1 - share - core[subject]));
      part("JavaScript and the rest", rest);
    }
  }
  return {
    suite: "profile",
    takenAt,
    effort,
    machine,
    settings: { rounds: timing.rounds, windowMs: timing.window },
    figures,
    ratios: [],
    notes: [],
  };
}

/** The share of system calls in each lane's time, round by round. */
async function inCalls(load: Load, timing: Timing, programs: Programs): Promise<Shares[]> {
  const row = new CulvertEnds(await Path.make(false), programs);
  try {
    await row.start();
    await hold(row);
    const taken: Shares[] = [];
    for (let round = 0; round < timing.rounds; round++)
      taken.push(
        await saturated(row, load, timing.ramp, async () => {
          const before = forEach((role) => threads(row.daemons.get(role)!.pid!));
          await setTimeout(timing.window);
          return forEach((role) => {
            const pid = row.daemons.get(role)!.pid!;
            const { user, system } = lane(pid, before[role], threads(pid));
            if (user + system === 0) throw new Error(`the ${role}'s lane did nothing`);
            return system / (user + system);
          });
        }),
      );
    return taken;
  } finally {
    row.path.remove();
  }
}

/** The core's share of each lane's time. */
async function inCore(load: Load, timing: Timing, programs: Programs): Promise<Shares> {
  const road = await Path.make(false);
  const folder = (role: Role) => path.join(road.folder, `profile-${role}`);
  const flags = forEach((role) => profiling(folder(role)));
  for (const role of ROLES) mkdirSync(folder(role));
  const row = new CulvertEnds(road, programs, flags);
  try {
    await row.start();
    await hold(row);
    const [from, to] = await saturated(row, load, timing.ramp, async () => {
      const began = microseconds();
      await setTimeout(timing.window);
      return [began, microseconds()] as const;
    });
    for (const daemon of row.daemons.values()) await daemon.stop();
    return forEach((role) => {
      const shares = profiles(folder(role)).map((profile) => coreShare(profile, from, to));
      // The main thread runs no core.
      const share = Math.max(0, ...shares);
      if (share === 0) throw new Error(`the ${role}'s profile shows no core`);
      return share;
    });
  } finally {
    row.path.remove();
  }
}

function forEach<T>(make: (role: Role) => T): Record<Role, T> {
  return { relay: make("relay"), gateway: make("gateway") };
}

/** The clock that V8's profiles have. */
function microseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
