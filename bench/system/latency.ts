/**
 * What a tunnel adds to the time that a datagram takes, at a load that is far from its limit: a sender
 * in one namespace, the stack of another, and between them a veth pair alone, Culvert's relay and
 * gateway, Culvert's L2TPv3 pseudowire, or a C program in the pseudowire's place. The latter shows what
 * any two programs on the way add on this machine, its scheduler's tail included.
 */
import { setTimeout } from "node:timers/promises";
import type { Namespace } from "../../src/lab/lab.ts";
import { describeMachine, watchStolen } from "../machine.ts";
import { figure, type Effort, type Figure, type Goal, type Result } from "../result.ts";
import { offLast, confine } from "./cores.ts";
import { hold } from "./delivery.ts";
import { CulvertEnds, INNER } from "./ends.ts";
import { buildPrograms, type Native } from "./native.ts";
import { Path, SOURCE } from "./path.ts";
import { CulvertWire, NativeWire } from "./pseudowire.ts";
import { FIRST, GROUP, launch, outcome, PAYLOAD } from "./rows.ts";
import { Wire } from "./wire.ts";

interface Timing {
  readonly rounds: number;
  readonly seconds: number;
}

/** Short ones: in most of them the machine's host takes no processor away for milliseconds. */
const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { rounds: 15, seconds: 1 },
  quick: { rounds: 5, seconds: 1 },
  sanity: { rounds: 1, seconds: 0.2 },
};

/** Datagrams a second. */
const RATE = 10_000;
const PORT = 5_001;
/** Microseconds that lanes look for packets where they do so: twice the time between two. */
const BUSY_POLL = 200;

const QUANTILES = ["p50", "p99", "p99.9"] as const;
type Quantile = (typeof QUANTILES)[number];

/** What may be added to the veth pair's own, in nanoseconds. */
const GOALS: Readonly<Partial<Record<Quantile, Goal>>> = {
  p50: { atMost: 60_000 },
  p99: { atMost: 300_000 },
};

/** What `latency.c` prints: datagrams, and nanoseconds. */
type Measured = Readonly<Record<"received" | Quantile, number>>;

/** Where datagrams go from and to. */
interface Row {
  readonly name: string;
  readonly from: Namespace;
  /** The sender's address. */
  readonly local: string;
  readonly to: Namespace;
  /** A unicast address, or a group that is joined at an address. */
  readonly target: string;
  readonly joinAt?: string;
  remove(): void;
}

type Programs = Record<Native, string>;

const BARE = "veth";
const NATIVE = "native";

export async function runLatency(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { rounds, seconds } = EFFORTS[effort];
  const programs = buildPrograms();
  const rows: Row[] = [];
  const measured = new Map<Row, Measured[]>();
  const stolen = watchStolen();
  try {
    for (const make of [
      bare,
      amt("culvert AMT"),
      amt("culvert AMT, busy-poll", "--busy-poll", String(BUSY_POLL)),
      through("culvert L2TP", CulvertWire),
      through("culvert L2TP, busy-poll", BusyWire),
      through(NATIVE, NativeWire),
    ])
      rows.push(await make(programs));
    // What runs first is not compiled yet.
    for (const row of rows) await measure(row, programs, Math.min(1, seconds));
    for (let round = 0; round < rounds; round++) {
      progress(`latency: round ${round + 1} of ${rounds}`);
      for (const i of rows.keys()) {
        // Each round begins with another row.
        const row = rows[(i + round) % rows.length]!;
        measured.set(row, [...(measured.get(row) ?? []), await measure(row, programs, seconds)]);
      }
    }
  } finally {
    for (const row of rows) row.remove();
  }
  return {
    suite: "latency",
    takenAt,
    effort,
    machine,
    settings: { payload: PAYLOAD, rate: RATE, rounds, seconds },
    figures: figuresOf(measured, Math.floor(RATE * seconds)),
    ratios: [],
    notes: [
      `the machine's host took ${stolen().toFixed(1)} % of the processors' time away meanwhile, which the ` +
        "slowest datagrams wait for, those of every row",
    ],
  };
}

/** Each row's own quantiles, then what they are above the veth pair's in the same round. */
function figuresOf(measured: ReadonlyMap<Row, readonly Measured[]>, count: number): Figure[] {
  const rows = [...measured];
  const own = QUANTILES.flatMap((quantile) =>
    rows.map(([row, all]) =>
      figure(
        { case: quantile, subject: row.name, unit: "ns" },
        all.map((one) => one[quantile]),
      ),
    ),
  );
  const base = rows.find(([row]) => row.name === BARE)![1];
  const tunnels = rows.filter(([row]) => row.name !== BARE);
  const added = QUANTILES.flatMap((quantile) =>
    tunnels.map(([row, all]) => {
      const goal = row.name === NATIVE ? undefined : GOALS[quantile];
      return figure(
        { case: `${quantile}, added`, subject: row.name, unit: "ns", ...(goal && { goal }) },
        all.map((one, round) => one[quantile] - base[round]![quantile]),
      );
    }),
  );
  const lost = rows.map(([row, all]) =>
    figure(
      {
        case: "lost",
        subject: row.name,
        unit: "packets",
        ...(row.name.startsWith("culvert") && { goal: { atMost: 0 } }),
      },
      all.map((one) => count - one.received),
    ),
  );
  return [...own, ...added, ...lost];
}

async function measure(row: Row, programs: Programs, seconds: number): Promise<Measured> {
  const join = row.joinAt === undefined ? [] : [row.local, row.joinAt];
  const program = offLast([...FIRST, programs.latency]);
  const place = [row.target, String(PORT)];
  const receiver = launch(row.to, [...program, "receive", ...place, ...join]);
  await receiver.ready();
  const load = [PAYLOAD, Math.floor(RATE * seconds), RATE].map(String);
  await outcome(launch(row.from, [...program, "send", row.local, ...place, ...load]));
  await setTimeout(QUIET);
  receiver.kill("SIGTERM");
  const measured = JSON.parse(await outcome(receiver)) as Measured;
  if (measured.received === 0) throw new Error(`${row.name}: nothing arrived`);
  return measured;
}

/** Milliseconds after which nothing is on its way any more. */
const QUIET = 200;

/** The veth pair that a wire lies on. */
function bare(): Promise<Row> {
  const wire = new Wire();
  const { west, east } = wire;
  return Promise.resolve({
    name: BARE,
    from: west.namespace,
    local: west.outer,
    to: east.namespace,
    target: east.outer,
    remove: () => wire.remove(),
  });
}

/** Culvert's relay and gateway with these words more, and two veth pairs. */
function amt(name: string, ...words: string[]) {
  return async (programs: Programs): Promise<Row> => {
    const path = await Path.make(false);
    try {
      const ends = new CulvertEnds(path, programs);
      ends.words = words;
      await ends.start();
      await hold(ends);
      confine(ends.daemons.values());
    } catch (error) {
      path.remove();
      throw error;
    }
    return {
      name,
      from: path.source,
      local: SOURCE,
      to: path.far,
      target: GROUP,
      joinAt: INNER,
      remove: () => path.remove(),
    };
  };
}

class BusyWire extends CulvertWire {
  override busyPoll = BUSY_POLL;
}

/** A pseudowire over one veth pair. */
function through(name: string, Kind: typeof CulvertWire | typeof NativeWire) {
  return async (programs: Programs): Promise<Row> => {
    const wire = new Wire();
    const { west, east } = wire;
    try {
      const row = new Kind(wire, programs);
      await row.start();
      wire.open();
      confine(row.daemons);
    } catch (error) {
      wire.remove();
      throw error;
    }
    return {
      name,
      from: west.namespace,
      local: west.inner,
      to: east.namespace,
      target: east.inner,
      remove: () => wire.remove(),
    };
  };
}
