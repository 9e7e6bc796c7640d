/**
 * Where the packet path's processor time goes at saturation: into system calls, into the core, or
 * into JavaScript and the calls out of it. Lane threads only.
 *
 * The share of system calls is the kernel's own account of the lane's thread. The core's is from
 * V8's profiler, in a second run, since the profiler costs time; JavaScript has the rest.
 */
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Program } from "../../src/lab/program.ts";
import { describeMachine } from "../machine.ts";
import { figure, type Effort, type Figure, type Goal, type Result } from "../result.ts";
import { hold, LOADS, saturated, type Load } from "./delivery.ts";
import { CulvertEnds } from "./ends.ts";
import { atSaturation } from "./fanout.ts";
import { buildPrograms, type Native } from "./native.ts";
import { CROWD, Path, WITNESS } from "./path.ts";
import { CulvertRow } from "./rows.ts";
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
const GOAL: Goal = { atLeast: 80 };

/** Gateways of the fan-out. */
const GATEWAYS = 100;

/** Something under load whose daemons have a lane each. */
interface Scene {
  /** The daemons by role. */
  readonly daemons: ReadonlyMap<string, Program>;
  readonly saturate: <T>(ramp: number, during: () => Promise<T>) => Promise<T>;
}

/** By role, a share of 1. */
type Shares = ReadonlyMap<string, number>;
type Programs = Record<Native, string>;
/** Sets a scene up on a path; `flags` are Node's for the daemons, by role. */
type SetUp = (path: Path, programs: Programs, flags: Flags) => Promise<Scene>;
type Flags = Readonly<Record<"relay" | "gateway", readonly string[]>>;

const SCENES: Readonly<Record<string, SetUp>> = {
  ...Object.fromEntries(LOADS.map((load) => [load.name, delivering(load)])),
  [`${GATEWAYS} gateways`]: replicating,
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
  for (const [name, setUp] of Object.entries(SCENES)) {
    progress(`profile: ${name}: system calls`);
    const calls = await inCalls(setUp, timing, programs);
    progress(`profile: ${name}: core`);
    const core = await inCore(setUp, timing, programs);
    for (const [subject, inside] of core) {
      const part = (what: string, samples: readonly number[], goal?: Goal) =>
        figures.push(
          figure(
            { case: `${name}, ${what}`, subject, unit: "%", ...(goal && { goal }) },
            samples.map((share) => 100 * share),
          ),
        );
      const system = calls.map((shares) => shares.get(subject)!);
      part("system calls", system, GOAL);
      part("core", [inside]);
      const rest = system.map((share) => Math.max(0, 1 - share - inside));
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

/** A relay, a gateway and a listener. */
function delivering(load: Load): SetUp {
  return async (path, programs, flags) => {
    const row = new CulvertEnds(path, programs, flags);
    await row.start();
    await hold(row);
    const { daemons } = row;
    return { daemons, saturate: (ramp, during) => saturated(row, load, ramp, during) };
  };
}

/** A relay and many gateways. */
async function replicating(path: Path, programs: Programs, flags: Flags): Promise<Scene> {
  const row = new CulvertRow(path, GATEWAYS, programs);
  row.flags = flags.relay;
  await row.start();
  for (const place of [CROWD, WITNESS] as const) path.deliver(place, false);
  const daemons = new Map([["relay", row.relay]]);
  return { daemons, saturate: (ramp, during) => atSaturation(row, ramp, during) };
}

/** The share of system calls in each lane's time, round by round. */
async function inCalls(setUp: SetUp, timing: Timing, programs: Programs): Promise<Shares[]> {
  const path = await Path.make(false);
  try {
    const { daemons, saturate } = await setUp(path, programs, { relay: [], gateway: [] });
    const taken: Shares[] = [];
    for (let round = 0; round < timing.rounds; round++)
      taken.push(
        await saturate(timing.ramp, async () => {
          const before = forEach(daemons, (_, { pid }) => threads(pid!));
          await setTimeout(timing.window);
          return forEach(daemons, (role, { pid }) => {
            const { user, system } = lane(pid!, before.get(role)!, threads(pid!));
            if (user + system === 0) throw new Error(`the ${role}'s lane did nothing`);
            return system / (user + system);
          });
        }),
      );
    return taken;
  } finally {
    path.remove();
  }
}

/** The core's share of each lane's time. */
async function inCore(setUp: SetUp, timing: Timing, programs: Programs): Promise<Shares> {
  const road = await Path.make(false);
  const folder = (role: string) => path.join(road.folder, `profile-${role}`);
  const flags = { relay: profiling(folder("relay")), gateway: profiling(folder("gateway")) };
  try {
    const { daemons, saturate } = await setUp(road, programs, flags);
    const [from, to] = await saturate(timing.ramp, async () => {
      const began = microseconds();
      await setTimeout(timing.window);
      return [began, microseconds()] as const;
    });
    for (const daemon of daemons.values()) await daemon.stop();
    return forEach(daemons, (role) => {
      const shares = profiles(folder(role)).flatMap((profile) => coreShare(profile, from, to));
      if (shares.length === 0) throw new Error(`the ${role} left no profile`);
      // The main thread runs no core.
      return Math.max(...shares);
    });
  } finally {
    road.remove();
  }
}

function forEach<T>(
  daemons: ReadonlyMap<string, Program>,
  make: (role: string, daemon: Program) => T,
): ReadonlyMap<string, T> {
  return new Map([...daemons].map(([role, daemon]) => [role, make(role, daemon)]));
}

/** The clock that V8's profiles have. */
function microseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
