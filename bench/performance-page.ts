/**
 * Puts the limits (`limits.ts`) and the stored results into `docs/performance.md`, between the two marker comments of each
 * suite, so that the page quotes nothing that was not measured.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { LIMITS } from "./limits.ts";
import { ROOT } from "./places.ts";
import { load, type Result } from "./result.ts";
import { markdown, provenance, tablesOf } from "./tables.ts";

const PAGE = path.join(ROOT, "docs/performance.md");
const MARKED = /(<!-- figures: (\S+) -->\n)[^]*?(<!-- end -->)/g;

export function writeTables(): void {
  const page = readFileSync(PAGE, "utf8");
  const filled = page.replace(MARKED, (_, start: string, suite: string, end: string) => {
    if (suite === "limits") return `${start}\n${limits()}\n\n${end}`;
    const result = load(suite);
    const text =
      result === undefined ? `Not measured yet: \`npm run bench -- ${suite}\`.` : section(result);
    return `${start}\n${text}\n\n${end}`;
  });
  writeFileSync(PAGE, filled);
}

function limits(): string {
  const rows = Object.entries(LIMITS).map(([suite, { against, rest }]) => [suite, against, rest]);
  return markdown([["suite", "held against", "what takes the rest"], ...rows]);
}

function section(result: Result): string {
  const notes = result.notes.map((note) => `Note: ${note}`);
  return [provenance(result), ...tablesOf(result).map(markdown), ...notes].join("\n\n");
}
