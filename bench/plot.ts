/** Medians with their spread as a picture: a row for each case, a mark for each subject. */
import { amount, digits } from "./tables.ts";
import type { Goal, Unit } from "./result.ts";
import type { Spread } from "./statistics.ts";

/** One mark. */
export interface Mark extends Spread {
  readonly case: string;
  readonly subject: string;
  readonly goal?: Goal;
}

/** Where values lie: pixels from the left edge. */
interface Axis {
  readonly ticks: readonly number[];
  at(value: number): number;
}

const LEFT = 250;
const RIGHT = 700;
const WIDTH = 860;
const ROW = 16;
const GAP = 10;
const FOOT = 26;

/** Values that differ by more than this are shown by their logarithm. */
const WIDE = 50;

/** Colours that a page has, as classes `subject0` and so on. */
export const COLOURS = 6;

/** An SVG element; `unit` undefined for plain numbers, such as ratios. */
export function plot(marks: readonly Mark[], unit: Unit | undefined): string {
  const spell = (value: number) => (unit === undefined ? digits(value) : amount(value, unit));
  const subjects = [...new Set(marks.map((one) => one.subject))];
  const values = marks.flatMap((one) => [one.min, one.max, ...goalOf(one)]);
  const axis = axisOf(values, unit === "%" ? Number.POSITIVE_INFINITY : WIDE);
  const parts: string[] = [];
  let y = GAP;
  for (const name of new Set(marks.map((one) => one.case))) {
    const here = marks.filter((one) => one.case === name);
    const middle = y + (here.length * ROW) / 2;
    parts.push(text(LEFT - 12, middle, name, "end"));
    for (const one of here) {
      parts.push(drawn(one, y + ROW / 2, axis, subjects.indexOf(one.subject) % COLOURS, spell));
      y += ROW;
    }
    parts.push(line(LEFT, y + GAP / 2, WIDTH, y + GAP / 2, "rule"));
    y += GAP;
  }
  const ticks = axis.ticks.map(
    (value) =>
      line(axis.at(value), 0, axis.at(value), y, "grid") +
      text(axis.at(value), y + FOOT / 2, spell(value), "middle"),
  );
  const label = `${subjects.join(", ")}: ${[...new Set(marks.map((one) => one.case))].join(", ")}`;
  const box = `viewBox="0 0 ${WIDTH} ${y + FOOT}" width="${WIDTH}" height="${y + FOOT}"`;
  const legend = subjects
    .map((name, i) => `<li class="subject${i % COLOURS}">${escaped(name)}</li>`)
    .join("");
  return (
    `<ul class="legend">${legend}</ul>` +
    `<svg ${box} role="img" aria-label="${escaped(label)}">${ticks.join("")}${parts.join("")}</svg>`
  );
}

/** A line from the least to the greatest, a dot at the median, a triangle at the goal. */
function drawn(
  one: Mark,
  y: number,
  axis: Axis,
  colour: number,
  spell: (value: number) => string,
): string {
  const spread = `${spell(one.min)} – ${spell(one.max)}`;
  const title = `${one.subject}, ${one.case}: ${spell(one.median)} (${spread})`;
  const goals = goalOf(one).map((value) => {
    const x = axis.at(value);
    const tip = one.goal && "atLeast" in one.goal ? x + 5 : x - 5;
    return `<path class="goal" d="M${x} ${y - 6}V${y + 6}M${x} ${y}L${tip} ${y}"/>`;
  });
  return (
    `<g class="subject${colour}"><title>${escaped(title)}</title>` +
    `${line(axis.at(one.min), y, axis.at(one.max), y, "spread")}` +
    `<circle cx="${round(axis.at(one.median))}" cy="${y}" r="4.5"/></g>${goals.join("")}` +
    text(RIGHT + 14, y, spell(one.median), "start")
  );
}

function goalOf({ goal }: Mark): number[] {
  if (goal === undefined) return [];
  return ["atLeast" in goal ? goal.atLeast : goal.atMost];
}

/** From zero, or by the logarithm if the values differ by more than `wide`. */
function axisOf(values: readonly number[], wide: number): Axis {
  const positive = values.filter((value) => value > 0);
  const [least, greatest] = [Math.min(...positive), Math.max(...positive)];
  if (positive.length === 0) return { ticks: [0], at: () => LEFT };
  const along = (share: number) => round(LEFT + Math.min(1, Math.max(0, share)) * (RIGHT - LEFT));
  if (greatest / least > wide) {
    const [low, high] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(greatest))];
    const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
    const at = (value: number) =>
      along(value > 0 ? (Math.log10(value) - low) / Math.max(1, high - low) : 0);
    return { ticks, at };
  }
  const step = stepOf(greatest);
  const ticks = Array.from({ length: Math.floor(greatest / step) + 1 }, (_, i) => i * step);
  return { ticks, at: (value) => along(value / greatest) };
}

/** A round number that is between a seventh and a third of `greatest`. */
function stepOf(greatest: number): number {
  const power = 10 ** Math.floor(Math.log10(greatest));
  return [0.2, 0.5, 1, 2].map((part) => part * power).find((step) => greatest / step <= 7)!;
}

function line(x1: number, y1: number, x2: number, y2: number, name: string): string {
  return `<line class="${name}" x1="${round(x1)}" y1="${y1}" x2="${round(x2)}" y2="${y2}"/>`;
}

function text(x: number, y: number, words: string, anchor: string): string {
  return `<text x="${round(x)}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Text as it may stand in HTML. */
export function escaped(words: string): string {
  return words
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
