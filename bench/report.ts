/** All results on one page that needs nothing but itself: plots, goals, tables, machines. */
import { LIMITS } from "./limits.ts";
import { COLOURS, escaped, plot } from "./plot.ts";
import { reached, type Figure, type Result, type Unit } from "./result.ts";
import { goalRows, provenance, tablesOf } from "./tables.ts";

/** The page for these results, in this order. */
export function report(results: readonly Result[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Culvert: benchmarks</title>
<style>${STYLE}</style>
<h1>Culvert: benchmarks</h1>
<p>A dot is the median of the rounds, the line through it goes from the least to the greatest. A small
arrow points from a goal to the side that reaches it. A scale that begins above zero is logarithmic.</p>
${overview(results)}
${results.map(section).join("\n")}
</html>
`;
}

/** Every goal of every suite. */
function overview(results: readonly Result[]): string {
  const rows = results.flatMap((result) => goalRows(result).map((row) => [result.suite, ...row]));
  if (rows.length === 0) return "";
  const kept = results
    .flatMap(({ figures, ratios }) => [...figures, ...ratios])
    .filter((one) => one.goal && reached(one, one.goal)).length;
  return `<h2>Goals</h2>\n<p>${kept} of ${rows.length} reached.</p>\n${table([
    ["suite", "goal", "of", "asked", "median", ""],
    ...rows,
  ])}`;
}

function section(result: Result): string {
  const units = [...new Set(result.figures.map((one) => one.unit))];
  const plots = units.map((unit) => panel(unit, result.figures));
  const ratios = result.ratios.map((one) => ({ ...one, subject: `${one.subject} / ${one.over}` }));
  if (ratios.length > 0) plots.push(`<h3>times as fast</h3>\n${plot(ratios, undefined)}`);
  const notes = result.notes.map((note) => `<li>${escaped(note)}</li>`).join("");
  return `<section>
<h2 id="${escaped(result.suite)}">${escaped(result.suite)}</h2>
${limit(result.suite)}
${plots.join("\n")}
<details><summary>figures</summary>
${tablesOf(result).map(table).join("\n")}
</details>
${notes && `<ul>${notes}</ul>`}
<p class="provenance">${escaped(provenance(result))}</p>
</section>`;
}

function limit(suite: string): string {
  const { against, rest } = LIMITS[suite] ?? {};
  if (against === undefined || rest === undefined) return "";
  return `<p>Held against ${escaped(against)}. What takes the rest: ${escaped(rest)}.</p>`;
}

function panel(unit: Unit, figures: readonly Figure[]): string {
  const own = figures.filter((one) => one.unit === unit);
  return `<h3>${escaped(unit)}</h3>\n${plot(own, unit)}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}${mark(cell)}>${escaped(cell)}</${tag}>`).join("");
  const [head = [], ...body] = rows;
  return `<table><tr>${cells(head, "th")}</tr>
${body.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n")}</table>`;
}

/** Goals that are reached and missed differ in colour too. */
function mark(cell: string): string {
  return cell === "reached" || cell === "missed" ? ` class="${cell}"` : "";
}

const LIGHT = ["#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be185d"];
const DARK = ["#60a5fa", "#fb923c", "#4ade80", "#c084fc", "#facc15", "#f472b6"];

function colours(palette: readonly string[]): string {
  return palette
    .slice(0, COLOURS)
    .map((colour, i) => `--c${i}:${colour};`)
    .join("");
}

const STYLE = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#d5dae1;--quiet:#5b6470;--good:#15803d;--bad:#b91c1c;${colours(LIGHT)}}
@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e6e9ee;--faint:#333a43;--quiet:#9aa4b1;--good:#4ade80;--bad:#f87171;${colours(DARK)}}}
body{font:15px/1.5 system-ui,sans-serif;background:var(--paper);color:var(--ink);max-width:900px;margin:2rem auto;padding:0 1rem}
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}
text{fill:var(--ink);dominant-baseline:central}
.grid,.rule{stroke:var(--faint);stroke-width:1}
.spread{stroke-width:2}
.goal{stroke:var(--ink);stroke-width:1.5;fill:none}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto;font-size:13px}
td,th{border-bottom:1px solid var(--faint);padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top}
.reached{color:var(--good)}.missed{color:var(--bad)}
.provenance{color:var(--quiet);font-size:12px}
.legend{list-style:none;padding:0;margin:.3rem 0;display:flex;flex-wrap:wrap;gap:0 1.2rem;font-size:13px}
.legend li::before{content:"●";margin-right:.35rem}
${Array.from({ length: COLOURS }, (_, i) => `svg .subject${i}{fill:var(--c${i});stroke:var(--c${i})}.legend .subject${i}::before{color:var(--c${i})}`).join("\n")}
`;
