/** What the command says when it fails, and the exit code that goes with it. */
import { getSystemErrorMap } from "node:util";
import { ConfigError, CulvertError, OsError } from "../core/errors.ts";
import { osError } from "../os/errno.ts";

export const EXIT_FINE = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
export const EXIT_NOT_RUNNING = 3;
export const EXIT_NOT_PERMITTED = 4;

export type ExitCode = 0 | 1 | 2 | 3 | 4;

export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  [EXIT_FINE]: "fine",
  [EXIT_FAILURE]: "failure",
  [EXIT_USAGE]: "wrong usage or configuration",
  [EXIT_NOT_RUNNING]: "not running",
  [EXIT_NOT_PERMITTED]: "not permitted",
};

/** An end that the operator is told about in one line. */
export class Refusal extends CulvertError {
  readonly code = "CULVERT_REFUSAL";
  constructor(
    message: string,
    readonly exitCode: ExitCode,
  ) {
    super(message);
  }
}

/** The exit code of an error that ended the command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Refusal) return error.exitCode;
  if (error instanceof ConfigError) return EXIT_USAGE;
  const errno = systemRefusal(error)?.errno;
  return errno === "EPERM" || errno === "EACCES" ? EXIT_NOT_PERMITTED : EXIT_FAILURE;
}

/** What to tell about an error: one line, except for a mistake of ours, which has its trace. */
export function complaint(error: unknown): string {
  const refused = systemRefusal(error);
  if (refused) {
    const { call, subject, errno, mend } = refused;
    const about = subject === "" ? call : `${call} ${subject}`;
    return `culvert: ${about}: ${errnoText(errno)}${mend === undefined ? "" : `; ${mend}`}`;
  }
  if (error instanceof CulvertError && error.code !== "CULVERT_BUG")
    return `culvert: ${error.message.replaceAll("\n", "\nculvert: ")}`;
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `culvert: a mistake of culvert's own, please report it: ${trace}`;
}

/** The system's refusal in an error, whether Culvert or Node reported it. */
function systemRefusal(error: unknown): OsError | undefined {
  if (error instanceof OsError) return error;
  if (!(error instanceof Error)) return undefined;
  const { syscall, errno, path, address } = error as NodeJS.ErrnoException & { address?: string };
  if (syscall === undefined || errno === undefined) return undefined;
  return osError(syscall, -errno, path ?? address ?? "");
}

/** "EADDRINUSE (address already in use)". */
function errnoText(errno: string): string {
  for (const [name, text] of getSystemErrorMap().values())
    if (name === errno) return `${errno} (${text})`;
  return errno;
}
