/** `culvert reload`: a running `culvert run` reads its configuration file anew. */
import type { Command } from "commander";
import { asksRun } from "../config/common.ts";
import { EXIT_FAILURE, EXIT_FINE, type ExitCode } from "./exit.ts";
import { askDaemon, daemonSocket } from "./find-daemon.ts";
import { addFlags, readFlags } from "./flags.ts";
import type { Reloaded } from "./reloader.ts";
import { say } from "./say.ts";
import { reloadText } from "./reload-text.ts";

export function define(command: Command, done: (code: ExitCode) => void): void {
  addFlags(command, asksRun);
  command.action(async () => {
    const { control } = readFlags(command, asksRun) as { control?: string };
    done(await reload(control));
  });
}

/** Asks for it and says what came of it. */
export async function reload(control: string | undefined): Promise<ExitCode> {
  const done = (await askDaemon(daemonSocket(control), "reload")) as Reloaded;
  say(`${reloadText(done)}\n`);
  return done.refused.length > 0 ? EXIT_FAILURE : EXIT_FINE;
}
