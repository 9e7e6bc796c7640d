/** Results as tables: on the terminal after a run, and in `docs/performance.md`. */
import { reached, type Figure, type Ratio, type Result, type Unit } from "./result.ts";
import type { Spread } from "./statistics.ts";

/** A number with three digits that count. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** How values are spelled: from which value on, divided by what, with which name. */
type Scale = readonly (readonly [number, number, string])[];

const DURATIONS: Scale = [
  [1e6, 1e6, "ms"],
  [1e4, 1e3, "µs"],
  [0, 1, "ns"],
];

const SCALES: Readonly<Record<Unit, Scale>> = {
  "packets/s": [
    [1e6, 1e6, "Mpps"],
    [1e3, 1e3, "kpps"],
    [0, 1, "pps"],
  ],
  "bits/s": [
    [1e9, 1e9, "Gbit/s"],
    [0, 1e6, "Mbit/s"],
  ],
  "updates/s": [[0, 1, "updates/s"]],
  "%": [[0, 1, "%"]],
  seconds: [[0, 1, "s"]],
  octets: [
    [1e6, 1e6, "MB"],
    [1e3, 1e3, "kB"],
    [0, 1, "octets"],
  ],
  packets: [[0, 1, "packets"]],
  copies: [[0, 1, "copies"]],
  "ns/packet": DURATIONS,
  "ns/operation": DURATIONS,
  ns: DURATIONS,
};

/** A value with its unit, scaled: "124 ns", "12.4 µs", "2.78 Mpps". */
export function amount(value: number, unit: Unit): string {
  const [, divisor, name] = SCALES[unit].find(([from]) => value >= from) ?? SCALES[unit].at(-1)!;
  return `${digits(value / divisor)} ${name}`;
}

/** The median, in brackets the least and greatest. */
function spelled(one: Spread, spell: (value: number) => string): string {
  if (one.min === one.max) return spell(one.median);
  return `${spell(one.median)} (${spell(one.min)} – ${spell(one.max)})`;
}

/** Octets in a nanosecond are gigabytes in a second. */
function throughput(one: Figure): string {
  if (one.octets === undefined) return "";
  const rate = one.unit === "packets/s" ? (one.median * one.octets) / 1e9 : one.octets / one.median;
  return `, ${digits(rate)} GB/s`;
}

/** A table of `cell`: a row for each case, a column for each name that `column` gives. */
function grid<T extends { readonly case: string }>(
  all: readonly T[],
  corner: string,
  column: (one: T) => string,
  cell: (one: T) => string,
): string[][] {
  const columns = [...new Set(all.map(column))];
  const rows = [...new Set(all.map((one) => one.case))].map((name) => [
    name,
    ...columns.map((wanted) => {
      const found = all.find((one) => one.case === name && column(one) === wanted);
      return found === undefined ? "–" : cell(found);
    }),
  ]);
  return rows.length === 0 ? [] : [[corner, ...columns], ...rows];
}

/** Every table that a result gives; none of them empty. */
export function tablesOf(result: Result): string[][][] {
  const subject = (one: Figure) => one.subject;
  const cases = new Set(result.figures.map((one) => one.case));
  const [pairs, others] = [
    result.ratios.filter((one) => cases.has(one.case)),
    result.ratios.filter((one) => !cases.has(one.case)),
  ];
  const between = (one: Ratio) => `${one.subject} / ${one.over}`;
  const allocating = result.figures.filter((one) => one.allocated !== undefined);
  return [
    grid(
      result.figures,
      "median (least – greatest)",
      subject,
      (one) => spelled(one, (value) => amount(value, one.unit)) + throughput(one),
    ),
    grid(pairs, "times as fast", between, (one) => spelled(one, digits)),
    grid(others, "times as fast", between, (one) => spelled(one, digits)),
    grid(allocating, "heap octets for each", subject, (one) => one.allocated!.toFixed(0)),
    goalTable(result),
  ].filter((table) => table.length > 0);
}

function goalTable(result: Result): string[][] {
  const rows = goalRows(result);
  return rows.length === 0 ? [] : [["goal", "of", "asked", "median", ""], ...rows];
}

/** What was asked, of whom, how much, what came, and whether that is "reached" or "missed". */
export function goalRows({ figures, ratios }: Result): string[][] {
  return [
    ...figures.flatMap((one) => goal(one, one.subject, (value) => amount(value, one.unit))),
    ...ratios.flatMap((one) => goal(one, `${one.subject} / ${one.over}`, digits)),
  ];
}

function goal(one: Figure | Ratio, of: string, spell: (value: number) => string): string[][] {
  if (one.goal === undefined) return [];
  const asked =
    "atLeast" in one.goal ? `≥ ${spell(one.goal.atLeast)}` : `≤ ${spell(one.goal.atMost)}`;
  return [[one.case, of, asked, spell(one.median), reached(one, one.goal) ? "reached" : "missed"]];
}

/** Columns lined up with spaces. */
export function plain(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A Markdown table. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n");
}

/** Where a result comes from, in a few sentences. */
export function provenance({ machine, takenAt, effort, settings }: Result): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const set = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.kernel};`,
    `Node ${machine.node} (V8 ${machine.v8}); ${versions.join(", ")}; commit ${machine.commit};`,
    `load ${machine.load.toFixed(2)} at the start; ${effort} run of ${takenAt}; ${set.join(", ")}.`,
  ].join("\n");
}
