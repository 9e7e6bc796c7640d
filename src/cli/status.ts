/** `culvert status`: asks the running daemons what they are doing. */
import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import { asksAll } from "../config/common.ts";
import { OsError } from "../core/errors.ts";
import { askStatus, runtimeFolders, socketsIn, type DaemonStatus } from "../runtime/control.ts";
import {
  complaint,
  EXIT_FAILURE,
  EXIT_FINE,
  EXIT_NOT_PERMITTED,
  EXIT_NOT_RUNNING,
  Refusal,
  type ExitCode,
} from "./exit.ts";
import { addFlags, readFlags } from "./flags.ts";
import { say } from "./say.ts";
import { prometheusText } from "./status-prometheus.ts";
import { statusText } from "./status-text.ts";

/** Time between two pictures of --watch. */
const WATCH_INTERVAL = 1_000;

export function define(command: Command, done: (code: ExitCode) => void): void {
  addFlags(command, asksAll);
  command
    .option("--json", "print a JSON array of the services' states")
    .addOption(
      new Option(
        "--prometheus",
        "print the counters in Prometheus' text format, as for node_exporter's textfile collector",
      ).conflicts(["json", "watch"]),
    )
    .option("--watch", "print it anew every second, until interrupted")
    .action(async (flags: { json?: true; prometheus?: true; watch?: true }) => {
      const { control } = readFlags(command, asksAll) as { control?: string };
      const text = flags.json ? jsonText : flags.prometheus ? prometheusText : tableText;
      if (flags.watch) await watch(control, text, flags.json === true);
      else say(text(await ask(control)));
      done(EXIT_FINE);
    });
}

type StatusText = (daemons: readonly DaemonStatus[]) => string;

async function watch(control: string | undefined, text: StatusText, json: boolean): Promise<never> {
  // The cursor goes home and what is below is cleared, so that nothing flickers.
  const home = process.stdout.isTTY && !json ? "\x1b[H\x1b[J" : "";
  for (;;) {
    say(home + text(await ask(control)));
    await sleep(WATCH_INTERVAL);
  }
}

function jsonText(daemons: readonly DaemonStatus[]): string {
  return `${JSON.stringify(daemons.flatMap((daemon) => daemon.services))}\n`;
}

function tableText(daemons: readonly DaemonStatus[]): string {
  return `${statusText(daemons).join("\n")}\n`;
}

/** The state of the daemon at `control`, or of all that this user can ask. */
async function ask(control: string | undefined): Promise<DaemonStatus[]> {
  if (control !== undefined)
    return [await askStatus(control).catch((error: unknown) => refuse(control, error))];
  const folders = runtimeFolders();
  const forbidden: string[] = [];
  const daemons: DaemonStatus[] = [];
  const troubles: unknown[] = [];
  for (const folder of folders) {
    try {
      for (const path of socketsIn(folder)) {
        try {
          daemons.push(await askStatus(path));
        } catch (error) {
          if (isForbidden(error)) forbidden.push(path);
          else if (!isAbsent(error)) troubles.push(error);
        }
      }
    } catch (error) {
      if (!isForbidden(error)) throw error;
      forbidden.push(folder);
    }
  }
  // One that hangs does not hide the others.
  for (const trouble of troubles) process.stderr.write(`${complaint(trouble)}\n`);
  if (daemons.length > 0) return daemons;
  if (troubles.length > 0) throw new Refusal("nothing gave its status", EXIT_FAILURE);
  if (forbidden.length > 0)
    throw new Refusal(
      `may not ask at ${forbidden.join(", ")}; ask as the user who runs it, or as root`,
      EXIT_NOT_PERMITTED,
    );
  throw new Refusal(
    `nothing is running: no socket answers in ${folders.join(" or ")};` +
      " start one, or name its socket with --control",
    EXIT_NOT_RUNNING,
  );
}

function refuse(control: string, error: unknown): never {
  if (isAbsent(error))
    throw new Refusal(`nothing answers at ${control}; is it running?`, EXIT_NOT_RUNNING);
  throw error;
}

/** True if no daemon is behind the socket, whatever its file says. */
function isAbsent(error: unknown): boolean {
  return error instanceof OsError && ["ENOENT", "ECONNREFUSED", "ECONNRESET"].includes(error.errno);
}

function isForbidden(error: unknown): boolean {
  const name = error instanceof OsError ? error.errno : (error as NodeJS.ErrnoException).code;
  return name === "EACCES" || name === "EPERM";
}
