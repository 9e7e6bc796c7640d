/**
 * A stream of small packets through a pseudowire, sent at a rate and compared at its end, with what was
 * lost by the place that had no room for it.
 */
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { PORT, SINK, SMALL, small, type CulvertWire } from "./pseudowire.ts";
import { outcome } from "./rows.ts";
import { taken } from "./stack.ts";
import { DEVICE } from "./wire.ts";

/** UDP port of the stream. */
const STREAM = SINK + 1;
/** What is tried when a rate was too much. */
const LESS = 0.8;
/** Packets a second that any machine must carry. */
const LEAST = 1_000;
/** Milliseconds in which counters stand still when nothing is under way. */
const STILL = 100;

/** Places where a packet may find no room, in their order. */
const PLACES = [
  "the sender's device",
  "the tunnel's socket",
  "the receiver's device",
  "the receiver's socket",
] as const;

export interface Streamed {
  /** Packets a second that were sent. */
  readonly rate: number;
  /** Packets that did not arrive whole and in order. */
  readonly lost: number;
  /** Where they were lost, as a sentence tells it; "" if none was. */
  readonly where: string;
}

/** Streams at `rate` packets a second while `during` lasts. */
export async function stream(
  row: CulvertWire,
  rate: number,
  during: () => Promise<void>,
): Promise<Streamed> {
  const { west, east } = row.wire;
  const place = [east.inner, String(STREAM), "0", String(SMALL)];
  const check = east.namespace.start(row.programs.check, place);
  await check.ready();
  const before = dropped(row);
  const words = [west.inner, east.inner, String(STREAM), String(SMALL)];
  const load = [String(Number.MAX_SAFE_INTEGER), String(Math.floor(rate))];
  const source = west.namespace.start(row.programs.source, ["-1", ...words, ...load]);
  await source.ready();
  await during();
  source.kill("SIGTERM");
  const sent = JSON.parse(await outcome(source)) as { datagrams: number; seconds: number };
  await still(row);
  const places = dropped(row).map((count, i) => count - before[i]!);
  check.kill("SIGTERM");
  const { received, wrong, late } = JSON.parse(await outcome(check)) as Record<
    "received" | "wrong" | "late",
    number
  >;
  const lost = sent.datagrams - received + wrong + late;
  const known = places.reduce((sum, count) => sum + count, 0);
  const where = [
    ...places.map((count, i) => [count, `at ${PLACES[i]}`] as const),
    [lost - known, "elsewhere"] as const,
  ]
    .filter(([count]) => count !== 0)
    .map(([count, at]) => `${count} ${at}`);
  return { rate: sent.datagrams / sent.seconds, lost, where: where.join(", ") };
}

/** The most packets a second that come through for so many seconds without a loss. */
export async function steady(row: CulvertWire, seconds: number): Promise<number> {
  let rate = await small(row, 1);
  for (; rate > LEAST; rate *= LESS) {
    const streamed = await stream(row, rate, () => setTimeout(1_000 * seconds));
    if (streamed.lost === 0) return streamed.rate;
  }
  throw new Error(`fewer than ${LEAST} packets a second come through without a loss`);
}

/** Packets that each of PLACES had no room for. */
function dropped(row: CulvertWire): number[] {
  const { east } = row.wire;
  const [there, here] = [row.daemons[0]!.pid!, row.daemons[1]!.pid!];
  return [
    device(there).sendDropped,
    taken(here, east.outer, PORT).packets,
    device(here).receiveDropped,
    taken(here, east.inner, STREAM).packets,
  ];
}

/** Settles when nothing is under way any more. */
async function still(row: CulvertWire): Promise<void> {
  const now = () => row.daemons.map(({ pid }) => device(pid!).packets).join();
  for (let before = ""; before !== now(); await setTimeout(STILL)) before = now();
}

/** The counters of a pseudowire's device, in the namespace of a process. */
function device(pid: number) {
  const lines = readFileSync(`/proc/${pid}/net/dev`, "utf8").split("\n");
  const line = lines.find((one) => one.trimStart().startsWith(`${DEVICE}:`));
  const counts = line?.split(":")[1]!.trim().split(/\s+/).map(Number);
  if (!counts) throw new Error(`there is no ${DEVICE}`);
  const [, received = 0, , receiveDropped = 0] = counts;
  const [, sent = 0, , sendDropped = 0] = counts.slice(8);
  return { packets: `${received} ${sent}`, receiveDropped, sendDropped };
}
