/** `culvert run`: everything that a configuration file describes, in one process. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { common } from "../config/common.ts";
import { problemText, readConfig } from "../config/file.ts";
import { EXIT_USAGE, exitCodeOf, EXIT_NOT_PERMITTED, Refusal, type ExitCode } from "./exit.ts";
import { addFlags, readFlags } from "./flags.ts";
import type { Parts } from "./parts.ts";
import { serve } from "./serve.ts";

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  command.requiredOption("-c, --config <FILE>", "the YAML file, or - for standard input");
  addFlags(command, common);
  command.action(async (flags: { config: string }) => {
    const { control } = readFlags(command, common) as { control?: string };
    const name = flags.config === "-" ? "stdin" : flags.config;
    const config = readConfig(textOf(flags.config), name);
    if ("problems" in config) {
      for (const problem of config.problems) process.stderr.write(`${problemText(problem)}\n`);
      done(EXIT_USAGE);
      return;
    }
    const path = control ?? config.control;
    done(await serve("run", config.instances, path, await parts.starters()));
  });
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
