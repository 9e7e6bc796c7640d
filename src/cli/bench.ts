/** `culvert bench`: hands its arguments, --help among them, to the benchmarks. */
import type { Command } from "commander";
import type { ExitCode } from "./exit.ts";
import type { Parts } from "./parts.ts";

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  command
    .argument("[suite...]", "see `culvert bench --help`")
    .helpOption(false)
    .allowUnknownOption()
    .action(async () => done((await parts.bench(command.args)) as ExitCode));
}
