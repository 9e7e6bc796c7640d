/**
 * L2TP sessions by the thousand: how long a running daemon takes to add them and to delete them, what
 * memory they take, and what a stream of its first session at half load loses meanwhile, and as a
 * control without them. Half load is half of the rate that the same stream keeps without a loss.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { describeMachine } from "../machine.ts";
import { figure, type Effort, type Result } from "../result.ts";
import { buildPrograms } from "./native.ts";
import { CulvertWire, sink } from "./pseudowire.ts";
import { outcome } from "./rows.ts";
import { steady, stream, type Streamed } from "./stream.ts";
import { Wire } from "./wire.ts";

interface Size {
  readonly sessions: number;
  readonly rounds: number;
  /** Seconds of each stream without them. */
  readonly control: number;
}

const SIZES: Readonly<Record<Effort, Size>> = {
  full: { sessions: 10_000, rounds: 3, control: 5 },
  quick: { sessions: 2_000, rounds: 2, control: 3 },
  sanity: { sessions: 50, rounds: 1, control: 1 },
};

/** The tunnel of the crowd, whose peer says nothing. */
const CROWD = "tunnel_id 9 peer_tunnel_id 9";

export async function runSessions(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { sessions, rounds, control } = SIZES[effort];
  const row = new CulvertWire(new Wire(), buildPrograms());
  const { west, east, folder } = row.wire;
  try {
    await row.start();
    row.wire.open();
    await sink(row);
    const batch = path.join(folder, "batch");
    const outer = `local ${west.outer} remote ${east.outer} udp_sport 1801 udp_dport 1801`;
    const adding = Array.from(
      { length: sessions },
      (_, n) => `add session tunnel_id 9 session_id ${n + 1} peer_session_id ${n + 1}`,
    );
    writeFileSync(batch, [`add tunnel ${CROWD} encap udp ${outer}`, ...adding].join("\n"));
    const [most, quiet, take, leave, memory]: number[][] = [[], [], [], [], []];
    const calm: Streamed[] = [];
    const busy: Streamed[] = [];
    const ending: Streamed[] = [];
    const notes: string[] = [];
    const told = (into: Streamed[], round: number, when: string, streamed: Streamed) => {
      into.push(streamed);
      if (streamed.lost > 0)
        notes.push(`round ${round + 1}, ${when}: lost ${streamed.lost}: ${streamed.where}`);
    };
    const empty = held(row); // once: what a round leaves to the collector would shrink the next one's
    const add = async () => {
      const seconds = await timed(row, "-batch", batch);
      return { seconds, octets: held(row) - empty };
    };
    const remove = () => timed(row, "del", "tunnel", "tunnel_id", "9");
    for (let round = 0; round < rounds; round++) {
      const say = (what: string) => progress(`sessions: ${what}: round ${round + 1} of ${rounds}`);
      say(`${sessions} alone`);
      const alone = await add();
      quiet!.push(alone.seconds);
      memory!.push(alone.octets);
      await remove();
      say("a stream's most without a loss");
      most!.push(await steady(row, control));
      const half = most!.at(-1)! / 2;
      say(`half of it, ${Math.floor(half)} packets/s`);
      const nothing = () => setTimeout(1_000 * control);
      told(calm, round, "nothing being added", await stream(row, half, nothing));
      say(`${sessions} added beside it`);
      told(
        busy,
        round,
        "while added",
        await stream(row, half, async () => void take!.push((await add()).seconds)),
      );
      say(`${sessions} deleted beside it`);
      told(
        ending,
        round,
        "while deleted",
        await stream(row, half, async () => void leave!.push(await remove())),
      );
    }
    const subject = row.name;
    const lost = (streams: readonly Streamed[]) => streams.map((one) => one.lost);
    const nothing = { atMost: 0 };
    return {
      suite: "sessions",
      takenAt,
      effort,
      machine,
      settings: { sessions, rounds, controlSeconds: control },
      figures: [
        figure({ case: "adding", subject, unit: "seconds", goal: { atMost: 5 } }, quiet!),
        figure({ case: "memory", subject, unit: "octets", goal: { atMost: 200e6 } }, memory!),
        figure({ case: "most without a loss", subject, unit: "packets/s" }, most!),
        figure(
          { case: "half load", subject, unit: "packets/s" },
          calm.map(({ rate }) => rate),
        ),
        figure({ case: "lost without them", subject, unit: "packets", goal: nothing }, lost(calm)),
        figure({ case: "lost while adding", subject, unit: "packets", goal: nothing }, lost(busy)),
        figure({ case: "lost while deleting", subject, unit: "packets" }, lost(ending)),
        figure({ case: "adding at half load", subject, unit: "seconds" }, take!),
        figure({ case: "deleting at half load", subject, unit: "seconds" }, leave!),
      ],
      ratios: [],
      notes,
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
