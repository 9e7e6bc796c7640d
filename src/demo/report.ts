/** The end of the demonstration as a table and a verdict. */
import { DROPS } from "../core/drops.ts";
import type { ServiceStatus } from "../runtime/service.ts";

export interface ListenerRow {
  readonly name: string;
  /** Packets that came, each copy counted, and what became of the others. */
  readonly received: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  /** UDP payload, in bits a second, from the first packet to the end. */
  readonly throughput: number;
  /** Milliseconds from the join to the first packet; undefined if none came. */
  readonly joinLatency: number | undefined;
  /** Milliseconds from the source's call to the listener's. */
  readonly delay: number;
}

export interface DemoReport {
  readonly sent: number;
  /** UDP payload, in bits a second. */
  readonly offered: number;
  readonly listeners: readonly ListenerRow[];
  readonly daemons: ReadonlyMap<string, ServiceStatus>;
}

/** True when every listener got a stream without a gap, a copy or a swap. */
export function isFlawless(report: DemoReport): boolean {
  return report.listeners.every(
    (row) => row.received > 0 && row.lost + row.duplicated + row.outOfOrder === 0,
  );
}

/** The report for people. */
export function renderReport(report: DemoReport): string {
  const head = ["", "packets", "lost", "twice", "late", "throughput", "join latency", "delay"];
  const source = ["sent by the source", whole(report.sent), "", "", "", bits(report.offered)];
  const rows = report.listeners.map((row) => [
    `received ${row.name}`,
    whole(row.received),
    whole(row.lost),
    whole(row.duplicated),
    whole(row.outOfOrder),
    bits(row.throughput),
    row.joinLatency === undefined ? "none came" : millis(row.joinLatency),
    millis(row.delay),
  ]);
  return [
    ...table([head, [...source, "", ""], ...rows]),
    "",
    ...drops(report),
    "",
    verdict(report),
  ].join("\n");
}

function drops(report: DemoReport): string[] {
  const rows = [...report.daemons].flatMap(([name, { drops: stages }]) =>
    Object.entries(stages).flatMap(([stage, reasons]) =>
      Object.entries(reasons).map(([reason, count]) => {
        const meaning = DROPS.find((drop) => drop.name === reason)?.meaning ?? "";
        return { cells: [`  ${name}`, stage, reason, whole(count)], meaning };
      }),
    ),
  );
  if (rows.length === 0) return ["drops: none"];
  const lines = table(rows.map(({ cells }) => cells));
  return ["drops by reason:", ...rows.map(({ meaning }, i) => `${lines[i]}  ${meaning}`)];
}

function verdict(report: DemoReport): string {
  const { listeners } = report;
  const sum = (field: "received" | "lost" | "duplicated" | "outOfOrder") =>
    listeners.reduce((total, row) => total + row[field], 0);
  const received = sum("received");
  if (isFlawless(report)) {
    const who = `${listeners.length} listener${listeners.length === 1 ? "" : "s"}`;
    return `It works: ${whole(received)} packets reached ${who}, 0 lost.`;
  }
  const silent = listeners.filter((row) => row.received === 0).map((row) => row.name);
  if (silent.length > 0) return `It failed: nothing was received ${silent.join(" and ")}.`;
  const gone = `${whole(sum("lost"))} of ${whole(received + sum("lost"))} packets lost`;
  const others = `${whole(sum("duplicated"))} came twice, ${whole(sum("outOfOrder"))} late`;
  return `It failed: ${gone}, ${others}.`;
}

/** Rows as lines with the columns aligned: the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

function whole(value: number): string {
  return value.toLocaleString("en");
}
function bits(value: number): string {
  return `${(value / 1e6).toFixed(1)} Mbit/s`;
}
function millis(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}
