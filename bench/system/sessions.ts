/**
 * L2TP sessions by the thousand: how long a running daemon takes to add them and to delete them, what
 * memory they take, and what a stream of its first session at half load loses meanwhile, and as a
 * control without them. Half load is half of the rate that the same stream keeps without a loss.
 *
 * Every round has a daemon of its own, to which nothing was added before, and begins with a C program
 * that makes as many devices and nothing else: the kernel's part of it. That comes first also because
 * a virtual machine may have given free memory back to its host, and whoever is the first to need it
 * again waits for it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { describeMachine } from "../machine.ts";
import { figure, ratio, type Effort, type Figure, type Result } from "../result.ts";
import { buildPrograms } from "./native.ts";
import { CulvertWire, sink } from "./pseudowire.ts";
import { FIRST, launch, outcome } from "./rows.ts";
import { steady, stream, type Streamed } from "./stream.ts";
import { INNER_MTU, Wire } from "./wire.ts";

interface Size {
  readonly sessions: number;
  readonly rounds: number;
  /** Seconds of each stream without them. */
  readonly control: number;
}

const SIZES: Readonly<Record<Effort, Size>> = {
  full: { sessions: 10_000, rounds: 5, control: 3 },
  quick: { sessions: 2_000, rounds: 2, control: 3 },
  sanity: { sessions: 50, rounds: 1, control: 1 },
};

const NATIVE = "native";

/** The tunnel of the crowd, whose peer says nothing. */
const CROWD = "tunnel_id 9 peer_tunnel_id 9";

/** What one round saw. */
interface Round {
  /** Seconds. */
  readonly native: number;
  readonly adding: number;
  readonly addingBeside: number;
  readonly deletingBeside: number;
  readonly octets: number;
  /** Packets a second. */
  readonly most: number;
  readonly alone: Streamed;
  readonly whileAdding: Streamed;
  readonly whileDeleting: Streamed;
}

export async function runSessions(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const size = SIZES[effort];
  const { sessions, rounds, control } = size;
  const all: Round[] = [];
  for (let round = 0; round < rounds; round++)
    all.push(
      await one(size, (what) => progress(`sessions: ${what}: round ${round + 1} of ${rounds}`)),
    );
  const subject = "culvert";
  const nothing = { atMost: 0 };
  const of = (what: Parameters<typeof figure>[0], sample: (round: Round) => number): Figure =>
    figure(what, all.map(sample));
  const adding = of(
    { case: "adding", subject, unit: "seconds", goal: { atMost: 5 } },
    (one) => one.adding,
  );
  const native = of({ case: "adding", subject: NATIVE, unit: "seconds" }, (one) => one.native);
  return {
    suite: "sessions",
    takenAt,
    effort,
    machine,
    settings: { sessions, rounds, controlSeconds: control },
    figures: [
      adding,
      native,
      of({ case: "memory", subject, unit: "octets", goal: { atMost: 200e6 } }, (one) => one.octets),
      of({ case: "most without a loss", subject, unit: "packets/s" }, (one) => one.most),
      of({ case: "half load", subject, unit: "packets/s" }, (one) => one.alone.rate),
      of(
        { case: "lost without them", subject, unit: "packets", goal: nothing },
        (one) => one.alone.lost,
      ),
      of(
        { case: "lost while adding", subject, unit: "packets", goal: nothing },
        (one) => one.whileAdding.lost,
      ),
      of(
        { case: "lost while deleting", subject, unit: "packets" },
        (one) => one.whileDeleting.lost,
      ),
      of({ case: "adding at half load", subject, unit: "seconds" }, (one) => one.addingBeside),
      of({ case: "deleting at half load", subject, unit: "seconds" }, (one) => one.deletingBeside),
    ],
    ratios: [ratio(adding, native)],
    notes: all.flatMap(losses),
  };
}

/** What each stream of a round lost, and where. */
function losses({ alone, whileAdding, whileDeleting }: Round, round: number): string[] {
  return Object.entries({
    "nothing being added": alone,
    "while added": whileAdding,
    "while deleted": whileDeleting,
  })
    .filter(([, { lost }]) => lost > 0)
    .map(([when, { lost, where }]) => `round ${round + 1}, ${when}: lost ${lost}: ${where}`);
}

async function one({ sessions, control }: Size, progress: (what: string) => void): Promise<Round> {
  const row = new CulvertWire(new Wire(), buildPrograms());
  const { west, east, folder } = row.wire;
  try {
    progress(`${sessions} devices without them`);
    const devices = [row.programs.devices, String(sessions), "l2tpeth", String(INNER_MTU)];
    const made = JSON.parse(await outcome(launch(west.namespace, [...FIRST, ...devices]))) as {
      seconds: number;
    };
    await row.start();
    row.wire.open();
    await sink(row);
    const batch = path.join(folder, "batch");
    const outer = `local ${west.outer} remote ${east.outer} udp_sport 1801 udp_dport 1801`;
    const lines = Array.from(
      { length: sessions },
      (_, n) => `add session tunnel_id 9 session_id ${n + 1} peer_session_id ${n + 1}`,
    );
    writeFileSync(batch, [`add tunnel ${CROWD} encap udp ${outer}`, ...lines].join("\n"));
    const add = () => timed(row, "-batch", batch);
    const remove = () => timed(row, "del", "tunnel", "tunnel_id", "9");
    progress(`${sessions} alone`);
    const before = held(row);
    const adding = await add();
    const octets = held(row) - before;
    await remove();
    progress("a stream's most without a loss");
    const most = await steady(row, control);
    const half = most / 2;
    progress(`half of it, ${Math.floor(half)} packets/s`);
    const alone = await stream(row, half, () => setTimeout(1_000 * control));
    progress(`${sessions} added beside it`);
    let [addingBeside, deletingBeside] = [0, 0];
    const whileAdding = await stream(row, half, async () => {
      addingBeside = await add();
    });
    progress(`${sessions} deleted beside it`);
    const whileDeleting = await stream(row, half, async () => {
      deletingBeside = await remove();
    });
    return {
      native: made.seconds,
      adding,
      addingBeside,
      deletingBeside,
      octets,
      most,
      alone,
      whileAdding,
      whileDeleting,
    };
  } finally {
    row.wire.remove();
  }
}

/** Seconds that a command takes, the start of its process included. */
async function timed(row: CulvertWire, ...words: string[]): Promise<number> {
  const [program, ...args] = row.command(0, ...words);
  const from = performance.now();
  await outcome(row.wire.west.namespace.start(program, args));
  return (performance.now() - from) / 1_000;
}

/** Octets of memory that the western daemon holds. */
function held(row: CulvertWire): number {
  const status = readFileSync(`/proc/${row.daemons[0]!.pid}/status`, "utf8");
  return 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]);
}
