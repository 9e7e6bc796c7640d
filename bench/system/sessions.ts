/**
 * L2TP sessions by the thousand: how long a running daemon takes to add them and to delete them, what
 * memory they take, and what a stream of its first session at half of the capacity loses meanwhile, and
 * without them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describeMachine } from "../machine.ts";
import { figure, type Effort, type Result } from "../result.ts";
import { spread } from "../statistics.ts";
import { buildPrograms } from "./native.ts";
import { CulvertWire, sink, SINK, small, SMALL } from "./pseudowire.ts";
import { outcome } from "./rows.ts";
import { Wire } from "./wire.ts";

interface Size {
  readonly sessions: number;
  readonly rounds: number;
  /** Seconds of the stream, in which all must be added and deleted. */
  readonly stream: number;
}

const SIZES: Readonly<Record<Effort, Size>> = {
  full: { sessions: 10_000, rounds: 3, stream: 40 },
  quick: { sessions: 2_000, rounds: 1, stream: 15 },
  sanity: { sessions: 50, rounds: 1, stream: 5 },
};

/** The tunnel of the crowd, whose peer says nothing. */
const CROWD = "tunnel_id 9 peer_tunnel_id 9";
const PORT = SINK + 1;

export async function runSessions(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { sessions, rounds, stream } = SIZES[effort];
  const row = new CulvertWire(new Wire(), buildPrograms());
  const { west, east, folder } = row.wire;
  try {
    await row.start();
    row.wire.open();
    await sink(row);
    const capacity: number[] = [];
    for (let round = 0; round < rounds; round++) capacity.push(await small(row, 1));
    const pace = Math.floor(spread(capacity).median / 2);
    const batch = path.join(folder, "batch");
    const outer = `local ${west.outer} remote ${east.outer} udp_sport 1801 udp_dport 1801`;
    const adding = Array.from(
      { length: sessions },
      (_, n) => `add session tunnel_id 9 session_id ${n + 1} peer_session_id ${n + 1}`,
    );
    writeFileSync(batch, [`add tunnel ${CROWD} encap udp ${outer}`, ...adding].join("\n"));
    const take: number[] = [];
    const leave: number[] = [];
    const memory: number[] = [];
    const lost: number[] = [];
    const calm: number[] = [];
    for (let round = 0; round < rounds; round++) {
      progress(`sessions: ${sessions} beside ${pace} packets/s: round ${round + 1} of ${rounds}`);
      calm.push(await loss(row, pace, stream, () => Promise.resolve()));
      const during = async () => {
        const before = held(row);
        take.push(await timed(row, "-batch", batch));
        memory.push(held(row) - before);
        leave.push(await timed(row, "del", "tunnel", "tunnel_id", "9"));
      };
      lost.push(await loss(row, pace, stream, during));
    }
    const subject = row.name;
    return {
      suite: "sessions",
      takenAt,
      effort,
      machine,
      settings: { sessions, rounds, streamSeconds: stream },
      figures: [
        figure({ case: "capacity", subject, unit: "packets/s" }, capacity),
        figure({ case: "adding", subject, unit: "seconds", goal: { atMost: 5 } }, take),
        figure({ case: "deleting", subject, unit: "seconds" }, leave),
        figure({ case: "memory", subject, unit: "octets", goal: { atMost: 200e6 } }, memory),
        figure({ case: "lost without them", subject, unit: "packets" }, calm),
        figure({ case: "lost meanwhile", subject, unit: "packets", goal: { atMost: 0 } }, lost),
      ],
      ratios: [],
      notes: [],
    };
  } finally {
    row.wire.remove();
  }
}

/** Packets of a stream of so many seconds that do not arrive in order, while something is done. */
async function loss(
  { wire: { west, east }, programs }: CulvertWire,
  pace: number,
  seconds: number,
  during: () => Promise<void>,
): Promise<number> {
  const place = [east.inner, String(PORT), "0", String(SMALL)];
  const check = east.namespace.start(programs.check, place);
  await check.ready();
  const sent = pace * seconds;
  const words = [west.inner, east.inner, String(PORT), String(SMALL), String(sent), String(pace)];
  const source = west.namespace.start(programs.source, ["-1", ...words]);
  await source.ready();
  await during();
  if (source.exit) throw new Error(`the stream of ${seconds} s ended before all was done`);
  await outcome(source);
  check.kill("SIGTERM");
  const { received, wrong, late } = JSON.parse(await outcome(check)) as Record<
    "received" | "wrong" | "late",
    number
  >;
  return sent - received + wrong + late;
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
