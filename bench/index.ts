/**
 * The benchmarks, as `npm run bench` and `culvert bench` run them: the suites named, or all, one after
 * another. Each one's tables are printed and its result is stored; the report shows all that is stored.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { ConfigError } from "../src/core/errors.ts";
import { labObstacle } from "../src/lab/lab.ts";
import { ToolError } from "../src/lab/tool.ts";
import { runDropIn } from "./dropin/suite.ts";
import { runSuite, type Suite } from "./harness.ts";
import { writeTables } from "./performance-page.ts";
import { CHECKOUT, WORK } from "./places.ts";
import { report } from "./report.ts";
import { load, store, type Effort, type Result } from "./result.ts";
import { runState } from "./state/suite.ts";
import { runDelivery } from "./system/delivery.ts";
import { runFanout } from "./system/fanout.ts";
import { runLanes } from "./system/lanes.ts";
import { runLatency } from "./system/latency.ts";
import { requireCompiler } from "./system/native.ts";
import { runProfile } from "./system/profile.ts";
import { runPseudowire } from "./system/pseudowire.ts";
import { runSessions } from "./system/sessions.ts";
import { plain, provenance, tablesOf } from "./tables.ts";

interface Bench {
  readonly about: string;
  readonly run: (effort: Effort, progress: (line: string) => void) => Promise<Result>;
  /** Why it cannot run here; undefined if it can. */
  readonly obstacle: () => string | undefined;
}

const SUITES: Readonly<Record<string, Bench>> = {
  engines: micro("engines", "the drop-in engine, call by call"),
  core: micro("core", "the core's own work, without the kernel"),
  fanout: system(runFanout, "a relay and 1 to 1000 gateways, at saturation"),
  dropin: system(
    runDropIn,
    "a small relay of one's own, on the reference engine and on WebAssembly",
  ),
  delivery: system(runDelivery, "one stream through a relay and a gateway to a listener's host"),
  pseudowire: system(runPseudowire, "TCP and small frames through an L2TPv3 pseudowire"),
  sessions: system(runSessions, "10,000 L2TP sessions added to a running daemon"),
  latency: system(runLatency, "what a tunnel adds to a datagram's time"),
  lanes: system(runLanes, "what a packet costs with 1, 2 and 4 lanes"),
  profile: system(runProfile, "where a lane's time goes at saturation"),
  state: system(runState, "100,000 gateways that join and renew"),
};

const HELP = `Usage: culvert bench [SUITE...] [options]

Measures, prints tables, and leaves each suite's figures and a report with plots.

Suites (all, if none is named):
${Object.entries(SUITES)
  .map(([name, { about }]) => `  ${name.padEnd(12)}${about}`)
  .join("\n")}

Options:
  --quick      fewer and shorter rounds
  --sanity     only prove that the suites run; store nothing
  --report     measure nothing: write the report from what is stored
${CHECKOUT ? "  --tables     measure nothing: write what is stored into docs/performance.md\n" : ""}\
  -h, --help   show this

Example: culvert bench fanout --quick`;

/** Runs what the arguments ask for and gives the exit code. Throws ConfigError and ToolError. */
export async function runBench(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.tables) writeTables();
  if (values.report) console.log(`report: ${writeReport()}`);
  if (values.tables || values.report) return 0;
  const named = positionals.length > 0;
  for (const name of positionals)
    if (!(name in SUITES)) throw new ConfigError("bench", Object.keys(SUITES).join(", "), name);
  const effort = values.sanity ? "sanity" : values.quick ? "quick" : "full";
  const names = named ? positionals : Object.keys(SUITES);
  let stored = false;
  for (const [i, name] of names.entries()) {
    const { run, obstacle } = SUITES[name]!;
    const reason = obstacle();
    if (reason !== undefined) {
      if (named || process.env["CULVERT_REQUIRE_ALL"] === "1") throw new ToolError(name, reason);
      console.error(`SKIPPED ${name}: ${reason}`);
      continue;
    }
    const result = await run(effort, (line) => console.error(`${i + 1}/${names.length} ${line}`));
    print(result);
    if (effort === "sanity") continue;
    console.log(`stored in ${store(result)}\n`);
    writeReport();
    stored = true;
  }
  if (stored) console.log(`report: ${writeReport()}`);
  return 0;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        sanity: { type: "boolean", default: false },
        report: { type: "boolean", default: false },
        ...(CHECKOUT && { tables: { type: "boolean", default: false } }),
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch {
    throw new ConfigError("bench", "options that 'culvert bench --help' lists", args.join(" "));
  }
}

/** A suite in one process, measured by `benchmark`, which is not among Culvert's dependencies. */
function micro(name: string, about: string): Bench {
  return {
    about,
    async run(effort, progress) {
      const module = new URL(`./micro/${name}.js`, import.meta.url).href;
      const { suite } = (await import(module)) as { suite: Suite };
      return runSuite(name, module, suite, effort, progress);
    },
    obstacle() {
      try {
        import.meta.resolve("benchmark");
        return undefined;
      } catch {
        return "needs a package; install it beside culvert: npm install benchmark";
      }
    },
  };
}

/** A suite that makes network namespaces and has programs in C. */
function system(run: Bench["run"], about: string): Bench {
  return { about, run, obstacle: () => labObstacle() ?? compilerObstacle() };
}

function compilerObstacle(): string | undefined {
  try {
    requireCompiler();
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error.message;
    throw error;
  }
}

/** Writes the report of all that is stored and returns its path. */
function writeReport(): string {
  const file = path.join(WORK, "report.html");
  mkdirSync(WORK, { recursive: true });
  writeFileSync(file, report(Object.keys(SUITES).flatMap((suite) => load(suite) ?? [])));
  return file;
}

function print(result: Result): void {
  console.log(`\n${result.suite}\n${provenance(result)}\n`);
  for (const table of tablesOf(result)) console.log(`${plain(table)}\n`);
  for (const note of result.notes) console.log(`NOTE: ${note}`);
}
