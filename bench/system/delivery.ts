/**
 * One stream, one relay, one gateway, one listener: what reaches the listener's host at saturation,
 * and what is lost of a stream at 80 % of that. Culvert's relay and gateway beside the kernel's VXLAN
 * driver and a pair of loops on `node:dgram`, each on a `Path` of its own.
 *
 * Before anything is timed, every row has to bring a paced stream to the listener whole, in order
 * and octet for octet.
 */
import os from "node:os";
import { setTimeout } from "node:timers/promises";
import type { Program } from "../../src/lab/program.ts";
import { describeMachine } from "../machine.ts";
import { figure, sideBySide, type Effort, type Figure, type Result } from "../result.ts";
import { spread } from "../statistics.ts";
import { holdOn, SOURCE_CORE } from "./cores.ts";
import { CulvertEnds, DgramEnds, VxlanEnds, type Ends } from "./ends.ts";
import type { Checked } from "./fanout.ts";
import { buildPrograms } from "./native.ts";
import { Path, SOURCE } from "./path.ts";
import { GROUP, GROUP_PORT, outcome, PAYLOAD } from "./rows.ts";
import type { Taken } from "./stack.ts";

interface Timing {
  readonly rounds: number;
  /** Milliseconds from the start of the load to the window, and of the window. */
  readonly ramp: number;
  readonly window: number;
}

const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { rounds: 7, ramp: 300, window: 1_000 },
  quick: { rounds: 3, ramp: 200, window: 500 },
  sanity: { rounds: 1, ramp: 100, window: 100 },
};

/** What a source sends: how many datagrams in a train. */
export interface Load {
  readonly name: string;
  readonly segments: number;
}

export const LOADS: readonly Load[] = [
  { name: "ordinary datagrams", segments: 1 },
  { name: "trains", segments: 48 },
];

/** The share of the rate at saturation at which nothing may be lost. */
const SHARE = 0.8;
/** A paced source that reaches less of its pace is noted. */
const NEARLY = 0.95;

/** Datagrams, and datagrams a second, that every row must be able to carry without loss. */
const EASY = { count: 2_000, rate: 10_000 };

/** Milliseconds in which a join must work, or a queue be full, or a stream be over. */
const PATIENCE = 30_000;
/** Milliseconds after which a stream that stands still has ended. */
const QUIET = 150;

export async function runDelivery(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const notes: string[] = [];
  const figures: Figure[] = [];
  const rows: Ends[] = [];
  try {
    for (const Kind of [CulvertEnds, VxlanEnds, DgramEnds]) {
      const row = new Kind(await Path.make(false), programs);
      progress(`delivery: checking ${row.name}`);
      rows.push(row);
      await row.start();
      await hold(row);
      await prove(row);
    }
    for (const load of LOADS) {
      for (const row of rows) place(row, load);
      const rates = new Map(rows.map((row) => [row, [] as number[]]));
      const losses = new Map(rows.map((row) => [row, [] as number[]]));
      for (let round = 0; round < timing.rounds; round++) {
        progress(`delivery: ${load.name}: round ${round + 1} of ${timing.rounds}`);
        for (const row of inTurn(rows, round)) rates.get(row)!.push(await rate(row, load, timing));
      }
      for (let round = 0; round < timing.rounds; round++) {
        progress(`delivery: ${load.name}: loss, round ${round + 1} of ${timing.rounds}`);
        for (const row of inTurn(rows, round)) {
          const pace = Math.floor(SHARE * spread(rates.get(row)!).median);
          losses.get(row)!.push(await loss(row, load, pace, timing, notes));
        }
      }
      for (const row of rows) {
        const subject = row.name;
        const ours = subject === "culvert";
        const lost = `${load.name}, lost at 80 %`;
        figures.push(
          figure(
            {
              case: load.name,
              subject,
              unit: "packets/s",
              octets: PAYLOAD,
              ...(ours && load.segments > 1 && { goal: { atLeast: 1e6 } }),
            },
            rates.get(row)!,
          ),
          figure(
            { case: lost, subject, unit: "packets", ...(ours && { goal: { atMost: 0 } }) },
            losses.get(row)!,
          ),
        );
      }
    }
  } finally {
    for (const row of rows) row.path.remove();
  }
  const rates = figures.filter((one) => one.unit === "packets/s");
  return {
    suite: "delivery",
    takenAt,
    effort,
    machine,
    settings: { payload: PAYLOAD, rounds: timing.rounds, windowMs: timing.window },
    figures,
    ratios: [
      ...sideBySide(rates, "culvert", "vxlan", { [LOADS[0]!.name]: { atLeast: 1 } }),
      ...sideBySide(rates, "culvert", "node:dgram"),
    ],
    notes: [...new Set(notes)],
  };
}

/** The core of each daemon where there are two; the source has the first. */
const CORES: Readonly<Record<string, string>> = { relay: "0", gateway: "1" };

/**
 * Places the daemons of a row where there are only two cores. For trains each has one: the scheduler often
 * puts both on one while the source has the other for itself, and moves them late. With ordinary datagrams
 * they have both: a relay that shares the source's core takes time from it.
 */
export function place(row: Ends, { segments }: Load): void {
  if (os.availableParallelism() !== 2) return;
  for (const [role, daemon] of row.daemons) holdOn(daemon, segments > 1 ? CORES[role]! : "0,1");
}

/** Each round begins with another row. */
function inTurn(rows: readonly Ends[], round: number): Ends[] {
  return rows.map((_, i) => rows[(i + round) % rows.length]!);
}

/**
 * Before other work of the machine, but after what carries the packets: so the source gives what its
 * path can take, rather than take the path's time to give more.
 */
const AFTER = ["-n", "-10"];

/** The stream's source, with the last arguments of `source.c`. */
function source(row: Ends, { segments }: Load, ...how: number[]): Program {
  const stream = [SOURCE_CORE, SOURCE, GROUP, GROUP_PORT, PAYLOAD, ...how].map(String);
  const trains = segments > 1 ? ["-s", String(segments)] : [];
  return row.path.source.start("nice", [...AFTER, row.programs.source, ...trains, ...stream]);
}

/** Joins with a socket that is never read, and waits until the stream comes to it. */
export async function hold(row: Ends): Promise<void> {
  const listener = await row.listener();
  listener.kill("SIGSTOP");
  const late = performance.now() + PATIENCE;
  while (row.taken().waiting === 0) {
    if (performance.now() > late) throw new Error(`${row.name}: nothing comes to the listener`);
    await outcome(source(row, LOADS[0]!, 1, 1));
    await setTimeout(10);
  }
}

/** A paced stream comes to a listener whole. */
async function prove(row: Ends): Promise<void> {
  const listener = await row.listener();
  await outcome(source(row, LOADS[0]!, EASY.count, EASY.rate));
  await quiet(row);
  listener.kill("SIGTERM");
  const seen = JSON.parse(await outcome(listener)) as Checked;
  if (seen.received !== EASY.count || seen.wrong + seen.late + seen.missing > 0)
    throw new Error(`${row.name}: of ${EASY.count} the listener saw ${JSON.stringify(seen)}`);
}

/** Runs `during` while the source sends as fast as it can and the listener's queue is full. */
export async function saturated<T>(
  row: Ends,
  load: Load,
  ramp: number,
  during: () => Promise<T>,
): Promise<T> {
  const program = source(row, load, 3_600);
  await program.ready();
  const { packets } = row.taken();
  const late = performance.now() + PATIENCE;
  while (row.taken().packets === packets && performance.now() < late) await setTimeout(20);
  await setTimeout(ramp);
  const result = await during();
  program.kill("SIGTERM");
  await outcome(program);
  await quiet(row);
  return result;
}

/** Datagrams a second that reach the listener's host at saturation. */
function rate(row: Ends, load: Load, { ramp, window }: Timing): Promise<number> {
  return saturated(row, load, ramp, async () => {
    const from = row.taken();
    await setTimeout(window);
    const to = row.taken();
    if (to.packets === from.packets) throw new Error(`${row.name}: nothing arrived`);
    return ((to.packets - from.packets) / (to.at - from.at)) * 1_000;
  });
}

/** How many datagrams of a stream of `pace` datagrams a second do not reach the listener's host. */
async function loss(
  row: Ends,
  load: Load,
  pace: number,
  { window }: Timing,
  notes: string[],
): Promise<number> {
  const count = Math.ceil((pace * window) / 1_000);
  const before = row.taken();
  const text = await outcome(source(row, load, count, pace));
  const { datagrams, seconds } = JSON.parse(text) as { datagrams: number; seconds: number };
  if (datagrams / seconds < NEARLY * pace)
    notes.push(`${row.name}, ${load.name}: the source did not always reach 80 % of the rate`);
  return count - ((await quiet(row)).packets - before.packets);
}

/** Waits until nothing arrives any more; returns what has. */
async function quiet(row: Ends): Promise<Taken> {
  for (let last = row.taken(); ;) {
    await setTimeout(QUIET);
    const now = row.taken();
    if (now.packets === last.packets && now.waiting === last.waiting) return now;
    last = now;
  }
}
