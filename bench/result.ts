/**
 * What a benchmark leaves behind: figures, and ratios of figures that were taken side by side in
 * one run. One file for each suite, in a checkout `bench/results/<suite>.json`;
 * `docs/performance.md` quotes nothing else.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Machine } from "./machine.ts";
import { RESULTS } from "./places.ts";
import { spread, type Spread } from "./statistics.ts";

export const UNITS = {
  "ns/packet": "less is better",
  "ns/operation": "less is better",
  ns: "less is better",
  "%": "more is better",
  "packets/s": "more is better",
  "bits/s": "more is better",
  "updates/s": "more is better",
  octets: "less is better",
  packets: "less is better",
  copies: "less is better",
  seconds: "less is better",
} as const;
export type Unit = keyof typeof UNITS;

/** What the issue asks of a figure or ratio. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** One thing measured: `subject` did `case`. */
export interface Figure extends Spread {
  readonly case: string;
  readonly subject: string;
  readonly unit: Unit;
  /** One value a round, in the order of the rounds. */
  readonly samples: readonly number[];
  /** Octets that one packet or operation covers, where throughput means something. */
  readonly octets?: number;
  /** Octets of JavaScript heap that one packet or operation leaves behind. */
  readonly allocated?: number;
  readonly goal?: Goal;
}

/** How many times `subject` is as fast as `over` at `case`, round by round. */
export interface Ratio extends Spread {
  readonly case: string;
  readonly subject: string;
  readonly over: string;
  readonly samples: readonly number[];
  readonly goal?: Goal;
}

export interface Result {
  readonly suite: string;
  readonly takenAt: string;
  /** "full", "quick" or "sanity": only a full run is fit to be quoted. */
  readonly effort: Effort;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly figures: readonly Figure[];
  readonly ratios: readonly Ratio[];
  /** What a reader has to know: a row that was left out and why. */
  readonly notes: readonly string[];
}

export type Effort = "full" | "quick" | "sanity";

export function figure(
  what: Omit<Figure, "samples" | keyof Spread>,
  samples: readonly number[],
): Figure {
  return { ...what, ...spread(samples), samples };
}

/** The ratio of two figures of one run: above 1 where `subject` is the faster. */
export function ratio(subject: Figure, over: Figure, goal?: Goal): Ratio {
  if (subject.unit !== over.unit || subject.samples.length !== over.samples.length)
    throw new RangeError(`${subject.case}: ${subject.subject} and ${over.subject} are not a pair`);
  const less = UNITS[subject.unit] === "less is better";
  const samples = subject.samples.map((sample, round) =>
    less ? over.samples[round]! / sample : sample / over.samples[round]!,
  );
  const what = { case: subject.case, subject: subject.subject, over: over.subject };
  return { ...what, ...spread(samples), samples, ...(goal && { goal }) };
}

/** The ratios of two subjects, for every case that both have. */
export function sideBySide(
  figures: readonly Figure[],
  subject: string,
  over: string,
  goals: Readonly<Record<string, Goal>> = {},
): Ratio[] {
  return figures
    .filter((one) => one.subject === subject)
    .flatMap((one) => {
      const other = figures.find((two) => two.subject === over && two.case === one.case);
      return other === undefined ? [] : [ratio(one, other, goals[one.case])];
    });
}

/** True when the median is where the goal wants it. */
export function reached(spreadOf: Spread, goal: Goal): boolean {
  return "atLeast" in goal ? spreadOf.median >= goal.atLeast : spreadOf.median <= goal.atMost;
}

/** Writes the result beside the others and returns the file's path. */
export function store(result: Result): string {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(fileOf(result.suite), `${JSON.stringify(result, undefined, 2)}\n`);
  return fileOf(result.suite);
}

/** The stored result of a suite; undefined if there is none. */
export function load(suite: string): Result | undefined {
  const file = fileOf(suite);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Result) : undefined;
}

function fileOf(suite: string): string {
  return path.join(RESULTS, `${suite}.json`);
}
