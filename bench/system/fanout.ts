/**
 * A relay's fan-out: one source, one group, 1 to 1000 gateways, at saturation. Culvert's relay
 * beside a plain `node:dgram` relay, the kernel's VXLAN driver, and a C program that does nothing
 * but send trains of the shape that Culvert's relay had in the same round.
 *
 * Every row has its own path (`path.ts`) and ends in the same sink. A figure is what arrived in the
 * far namespace: payload octets of the veth over octets of one datagram. Before anything is timed,
 * every row has to deliver a paced stream whole, in order and octet for octet to one real socket,
 * and to the sink in the right number; and again, at saturation, in order and octet for octet.
 */
import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import type { Program } from "../../src/lab/program.ts";
import { describeMachine } from "../machine.ts";
import {
  figure,
  ratio,
  sideBySide,
  type Effort,
  type Figure,
  type Goal,
  type Ratio,
  type Result,
} from "../result.ts";
import { spread } from "../statistics.ts";
import { onSource } from "./cores.ts";
import { buildPrograms, type Native } from "./native.ts";
import { CROWD, Path, WITNESS, type Arrived } from "./path.ts";
import {
  CallsRow,
  COMMAND,
  CulvertRow,
  DgramRow,
  FIRST,
  FIRST_GATEWAY,
  launch,
  outcome,
  PAYLOAD,
  TrainsRow,
  VxlanRow,
} from "./rows.ts";
import type { Row, Shape } from "./rows.ts";

/** Milliseconds from the start of the load to the window, and of the window. */
export interface Timing {
  readonly gateways: readonly number[];
  readonly rounds: number;
  readonly ramp: number;
  readonly window: number;
}

const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { gateways: [1, 10, 100, 1000], rounds: 5, ramp: 300, window: 1000 },
  quick: { gateways: [1, 10, 100, 1000], rounds: 3, ramp: 200, window: 400 },
  sanity: { gateways: [3], rounds: 1, ramp: 50, window: 50 },
};

/** At how many gateways the stream is also measured with trains cut up before they leave. */
const CUT_AT = 100;

/** Datagrams a second that every row must be able to send without loss. */
const EASY = 50_000;

/** Milliseconds after which the rest of a stream is lost. */
const PATIENCE = 5_000;

/** Milliseconds after which a stream that stands still has ended. */
const QUIET = 150;

const GOAL_CASE = "100 gateways";
/** Held against the same at `GOAL_CASE`. */
const CROWDED_CASE = "1000 gateways";
const CROWDED_GOAL: Goal = { atLeast: 0.9 };
const GOALS: Readonly<Record<string, Goal>> = {
  vxlan: { atLeast: 6 },
  "node:dgram": { atLeast: 25 },
  native: { atLeast: 0.9 },
};

export async function runFanout(effort: Effort, progress: (line: string) => void): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const notes: string[] = [];
  const figures: Figure[] = [];
  const cases = timing.gateways.map((gateways) => ({ gateways, cut: false }));
  if (timing.gateways.includes(CUT_AT)) cases.push({ gateways: CUT_AT, cut: true });
  for (const { gateways, cut } of cases) {
    const name = `${gateways} ${gateways === 1 ? "gateway" : "gateways"}${cut ? ", cut" : ""}`;
    const rows: Row[] = [];
    try {
      for (const make of rowKinds(notes)) rows.push(await make(gateways, cut, programs));
      for (const row of rows) {
        progress(`fanout: ${name}: checking ${row.name}`);
        await row.start();
        await provePaced(row);
        await proveSaturated(row, timing);
      }
      figures.push(...(await measure(name, rows, timing, notes, progress)));
      if (!cut) figures.push(...rows.map((row) => copied(name, row)));
    } finally {
      for (const row of rows) row.path.remove();
    }
  }
  return {
    suite: "fanout",
    takenAt,
    effort,
    machine,
    settings: { payload: PAYLOAD, rounds: timing.rounds, windowMs: timing.window },
    figures,
    ratios: ratios(figures),
    notes: [...new Set(notes)],
  };
}

type MakeRow = (gateways: number, cut: boolean, programs: Record<Native, string>) => Promise<Row>;

/** The rows that this machine can show; a missing one is noted. */
function rowKinds(notes: string[]): MakeRow[] {
  const kinds: (new (...args: ConstructorParameters<typeof VxlanRow>) => Row)[] = [];
  if (existsSync(COMMAND)) kinds.push(CulvertRow, CallsRow);
  else notes.push("the culvert row is left out: dist/src/cli/main.js is not built");
  kinds.push(TrainsRow, VxlanRow, DgramRow);
  return kinds.map(
    (Kind) => async (gateways, cut, programs) => new Kind(await Path.make(cut), gateways, programs),
  );
}

function ratios(all: readonly Figure[]): Ratio[] {
  const figures = all.filter((one) => one.unit === "packets/s");
  const beside = Object.entries(GOALS).flatMap(([over, goal]) =>
    sideBySide(figures, "culvert", over, { [GOAL_CASE]: goal }),
  );
  return [...beside, ...sideBySide(figures, "culvert", "recvmmsg", {}), ...crowded(figures)];
}

/** What the rate of many gateways is of the rate of some; their rounds were not side by side. */
function crowded(figures: readonly Figure[]): Ratio[] {
  const [many, some] = [CROWDED_CASE, GOAL_CASE].map((name) =>
    figures.find((one) => one.case === name && one.subject === "culvert"),
  );
  if (!many || !some) return [];
  return [ratio(many, { ...some, subject: `itself at ${GOAL_CASE}` }, CROWDED_GOAL)];
}

/** Round by round, row after row; a round's first row moves on by one each time. */
async function measure(
  name: string,
  rows: readonly Row[],
  timing: Timing,
  notes: string[],
  progress: (line: string) => void,
): Promise<Figure[]> {
  const rates = new Map(rows.map((row) => [row, [] as number[]]));
  const culvert = rows.find((row) => row instanceof CulvertRow);
  const native = rows.find((row) => row instanceof TrainsRow);
  const shapes: Shape[] = [];
  for (const row of rows) row.path.deliver(WITNESS, false);
  for (let round = 0; round < timing.rounds; round++) {
    progress(`fanout: ${name}: round ${round + 1} of ${timing.rounds}`);
    for (const row of rows) {
      const before = row === culvert ? await culvert.sent() : undefined;
      rates.get(row)!.push(await rate(row, timing));
      if (row !== culvert || before === undefined) continue;
      const after = await culvert.sent();
      const messages = after.messages - before.messages;
      const shape = {
        segments: (after.datagrams - before.datagrams) / messages,
        messages: messages / (after.calls - before.calls),
      };
      shapes.push(shape);
      if (native) native.shape = shape;
    }
  }
  if (shapes.length > 0)
    notes.push(
      `${name}: culvert and native sent ${spread(shapes.map((one) => one.segments)).median.toFixed(1)} ` +
        `datagrams a message, ${spread(shapes.map((one) => one.messages)).median.toFixed(1)} messages a call`,
    );
  return rows.map((row) =>
    figure({ case: name, subject: row.name, unit: "packets/s", octets: PAYLOAD }, rates.get(row)!),
  );
}

/** How often an octet of a datagram that leaves was copied, by the programs' and the kernel's code. */
export function copied(name: string, row: Row): Figure {
  const { arriving, leaving } = row.copies;
  const what = { case: `${name}, of an octet`, subject: row.name, unit: "copies" } as const;
  return figure(what, [leaving + arriving / row.gateways]);
}

/** Datagrams a second that reach the far namespace at saturation. */
export function rate(row: Row, { ramp, window }: Timing): Promise<number> {
  return atSaturation(row, ramp, async () => {
    const from = row.path.arrived();
    await setTimeout(window);
    const to = row.path.arrived();
    const datagrams = (to.octets - from.octets) / (row.headers + PAYLOAD);
    if (datagrams === 0) throw new Error(`${row.name}: nothing arrived`);
    return (datagrams / (to.at - from.at)) * 1000;
  });
}

/** Runs `during` while the row is under load, `ramp` milliseconds after that began. */
export async function atSaturation<T>(
  row: Row,
  ramp: number,
  during: () => Promise<T>,
): Promise<T> {
  const load = await begin(row);
  await setTimeout(ramp);
  const result = await during();
  await end(load);
  await quiet(row);
  return result;
}

/** What `check.c` prints. */
export interface Checked {
  readonly received: number;
  readonly wrong: number;
  readonly late: number;
  readonly missing: number;
}

/** A stream slow enough for every row arrives whole: at the witness, and by number at the sink. */
export async function provePaced(row: Row): Promise<void> {
  const pace = Math.min(2_000, Math.max(50, EASY / row.gateways));
  const count = Math.min(500, pace);
  row.path.deliver(CROWD, false);
  const before = await quiet(row);
  const seen = await witness(row, async () => {
    await outcome(row.paced(count, pace));
    const wanted = count * row.gateways * (row.headers + PAYLOAD);
    const late = performance.now() + PATIENCE;
    while (row.path.arrived().octets - before.octets < wanted && performance.now() < late)
      await setTimeout(10);
    await quiet(row);
  });
  const after = row.path.arrived();
  const datagrams = (after.octets - before.octets) / (row.headers + PAYLOAD);
  const told = `${JSON.stringify(seen)}, ${datagrams} at the far end`;
  if (seen.received !== count || seen.wrong + seen.late + seen.missing > 0)
    throw new Error(`${row.name}: ${count} datagrams were sent to a gateway; it saw ${told}`);
  if (datagrams !== count * row.gateways)
    throw new Error(`${row.name}: ${count} datagrams for ${row.gateways} gateways became ${told}`);
}

/** At saturation datagrams are lost, but what arrives is right and in order. */
export async function proveSaturated(row: Row, timing: Timing): Promise<void> {
  const seen = await witness(row, async () => {
    await atSaturation(row, timing.ramp, () => setTimeout(timing.window));
  });
  // The native row sends the same octets over and over, so its numbers start anew.
  const late = row instanceof TrainsRow ? 0 : seen.late;
  if (seen.received === 0 || seen.wrong + late > 0)
    throw new Error(`${row.name}: at saturation a gateway saw ${JSON.stringify(seen)}`);
}

/**
 * What the witness saw while `during` ran. It keeps to the source's core, so as to take none of the
 * relay's, and nothing but the source keeps it waiting there.
 */
export async function witness(row: Row, during: () => Promise<void>): Promise<Checked> {
  const place = [WITNESS, FIRST_GATEWAY, row.headers, PAYLOAD].map(String);
  const command = onSource([row.programs.check, ...place]);
  const check = launch(row.path.far, [...FIRST, ...command]);
  await check.ready();
  await during();
  check.kill("SIGTERM");
  return JSON.parse(await outcome(check)) as Checked;
}

/** Starts the load; settles when all of it runs. */
async function begin(row: Row): Promise<readonly Program[]> {
  const load = row.saturated();
  await Promise.all(load.map((program) => program.ready()));
  return load;
}

async function end(load: readonly Program[]): Promise<void> {
  const told = Promise.all(load.map(outcome));
  for (const child of load) child.kill("SIGTERM");
  await told;
}

/** Waits until nothing arrives any more; returns what has. */
export async function quiet(row: Row): Promise<Arrived> {
  for (let last = row.path.arrived(); ;) {
    await setTimeout(QUIET);
    const now = row.path.arrived();
    if (now.octets === last.octets) return now;
    last = now;
  }
}
