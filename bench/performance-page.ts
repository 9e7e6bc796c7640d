/**
 * Puts the stored results into `docs/performance.md`, between the two marker comments of each
 * suite, so that the page quotes nothing that was not measured.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./machine.ts";
import type { Result } from "./result.ts";
import { markdown, provenance, tablesOf } from "./tables.ts";

const PAGE = path.join(ROOT, "docs/performance.md");
const MARKED = /(<!-- figures: (\S+) -->\n)[^]*?(<!-- end -->)/g;

export function writeTables(): void {
  const page = readFileSync(PAGE, "utf8");
  const filled = page.replace(MARKED, (_, start: string, suite: string, end: string) => {
    const file = path.join(ROOT, "bench/results", `${suite}.json`);
    const text = existsSync(file)
      ? section(JSON.parse(readFileSync(file, "utf8")) as Result)
      : `Not measured yet: \`npm run bench -- ${suite}\`.`;
    return `${start}\n${text}\n\n${end}`;
  });
  writeFileSync(PAGE, filled);
}

function section(result: Result): string {
  const notes = result.notes.map((note) => `Note: ${note}`);
  return [provenance(result), ...tablesOf(result).map(markdown), ...notes].join("\n\n");
}
