/**
 * `npm run bench -- [SUITE...] [--quick | --sanity | --tables]`: runs the suites named, or all, one
 * after another; prints each one's tables and stores its result. `--quick` takes fewer and shorter
 * rounds. `--sanity` only proves that each suite runs and its results are right, and stores nothing.
 * `--tables` measures nothing: it writes the stored results into `docs/performance.md`.
 */
import { parseArgs } from "node:util";
import { labObstacle } from "../src/lab/lab.ts";
import { runSuite, type Suite } from "./harness.ts";
import { writeTables } from "./performance-page.ts";
import { store, type Effort, type Result } from "./result.ts";
import { runState } from "./state/suite.ts";
import { runFanout } from "./system/fanout.ts";
import { runPseudowire } from "./system/pseudowire.ts";
import { runSessions } from "./system/sessions.ts";
import { plain, provenance, tablesOf } from "./tables.ts";

type Run = (effort: Effort, progress: (line: string) => void) => Promise<Result>;

const SUITES: Readonly<Record<string, Run>> = {
  engines: micro("engines"),
  core: micro("core"),
  fanout: runFanout,
  pseudowire: runPseudowire,
  sessions: runSessions,
  state: runState,
};

/** The suites that make network namespaces. */
const IN_NAMESPACES: ReadonlySet<string> = new Set(["fanout", "pseudowire", "sessions", "state"]);

function micro(name: string): Run {
  return async (effort, progress) => {
    const module = new URL(`./micro/${name}.js`, import.meta.url).href;
    const { suite } = (await import(module)) as { suite: Suite };
    return runSuite(name, module, suite, effort, progress);
  };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      sanity: { type: "boolean", default: false },
      tables: { type: "boolean", default: false },
    },
  });
  if (values.tables) return writeTables();
  const unknown = positionals.filter((name) => !(name in SUITES));
  if (unknown.length > 0)
    throw new Error(`no suite ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}`);
  const effort = values.sanity ? "sanity" : values.quick ? "quick" : "full";
  const names = positionals.length > 0 ? positionals : Object.keys(SUITES);
  for (const name of names) {
    const obstacle = IN_NAMESPACES.has(name) ? labObstacle() : undefined;
    if (obstacle !== undefined) {
      const required = positionals.length > 0 || process.env["CULVERT_REQUIRE_ALL"] === "1";
      if (required) throw new Error(`${name}: ${obstacle}`);
      console.error(`SKIPPED ${name}: ${obstacle}`);
      continue;
    }
    const result = await SUITES[name]!(effort, (line) => console.error(line));
    print(result);
    if (effort !== "sanity") console.log(`stored in ${store(result)}\n`);
  }
}

function print(result: Result): void {
  console.log(`\n${result.suite}\n${provenance(result)}\n`);
  for (const table of tablesOf(result)) console.log(`${plain(table)}\n`);
  for (const note of result.notes) console.log(`NOTE: ${note}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exit(1);
}
