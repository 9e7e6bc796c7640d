/** `culvert run`: everything that a configuration file describes, in one process; L2TP by command. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { common } from "../config/common.ts";
import { problemText, readConfig, type FileConfig } from "../config/file.ts";
import { NO_L2TP } from "../config/l2tp.ts";
import type { Instance } from "../config/systems.ts";
import { EXIT_USAGE, exitCodeOf, EXIT_NOT_PERMITTED, Refusal, type ExitCode } from "./exit.ts";
import { addFlags, readFlags } from "./flags.ts";
import type { Parts } from "./parts.ts";
import { serve } from "./serve.ts";

/** What runs without a file. */
const EMPTY: FileConfig = {
  control: undefined,
  instances: [{ role: "l2tp", name: "l2tp", config: NO_L2TP }],
};

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  command.option(
    "-c, --config <FILE>",
    "the YAML file, or - for standard input; without one nothing runs until `culvert l2tp` adds it",
  );
  addFlags(command, common);
  command.action(async ({ config: file }: { config?: string }) => {
    const { control } = readFlags(command, common) as { control?: string };
    const config = file === undefined ? EMPTY : readFile(file);
    if ("problems" in config) {
      for (const problem of config.problems) process.stderr.write(`${problemText(problem)}\n`);
      done(EXIT_USAGE);
      return;
    }
    const mayReload = file !== undefined && file !== "-";
    const code = await serve("run", config.instances, await parts.starters(), {
      controlPath: control ?? config.control,
      l2tp: true,
      ...(mayReload ? { read: () => instancesOf(file) } : {}),
    });
    done(code);
  });
}

/** What a file describes; a Refusal that lists all that is wrong with it. */
function instancesOf(file: string): readonly Instance[] {
  const config = readFile(file);
  if ("instances" in config) return config.instances;
  throw new Refusal(config.problems.map(problemText).join("\n"), EXIT_USAGE);
}

function readFile(file: string): ReturnType<typeof readConfig> {
  return readConfig(textOf(file), file === "-" ? "stdin" : file);
}

function textOf(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    if (exitCodeOf(error) === EXIT_NOT_PERMITTED) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Refusal(`cannot read the configuration: ${why}`, EXIT_USAGE);
  }
}
