/** `culvert demo`: hands its arguments, --help among them, to the demonstration. */
import type { Command } from "commander";
import type { ExitCode } from "./exit.ts";
import type { Parts } from "./parts.ts";

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  command
    .argument("[option...]", "see `culvert demo --help`")
    .helpOption(false)
    .allowUnknownOption()
    .action(async () => done((await parts.demo(command.args)) as ExitCode));
}
