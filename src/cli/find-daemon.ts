/** Which running daemon a command speaks to. */
import { OsError } from "../core/errors.ts";
import { ask, ControlError, runtimeFolders, socketsIn } from "../runtime/control.ts";
import path from "node:path";
import {
  EXIT_FAILURE,
  EXIT_NOT_PERMITTED,
  EXIT_NOT_RUNNING,
  EXIT_USAGE,
  Refusal,
  type ExitCode,
} from "./exit.ts";

/** How long an answer may take: thousands of devices may be on their way. */
const PATIENCE = 120_000;

/** The control socket at `control`, or that of the one `culvert run` that this user may ask. */
export function daemonSocket(control: string | undefined): string {
  if (control !== undefined) return control;
  const folders = runtimeFolders();
  const found = folders.flatMap((folder) => {
    try {
      return socketsIn(folder).filter((name) => path.basename(name).startsWith("run-"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EACCES") return [];
      throw error;
    }
  });
  if (found.length === 1) return found[0]!;
  if (found.length === 0)
    throw new Refusal(
      `no 'culvert run' is running: no socket of one in ${folders.join(" or ")};` +
        " start one, or name its socket with --control",
      EXIT_NOT_RUNNING,
    );
  throw new Refusal(
    `several 'culvert run' are running; name the socket of one with --control: ${found.join(", ")}`,
    EXIT_USAGE,
  );
}

/** Asks the daemon at `socket`. Throws a Refusal with an exit code for what it answers instead. */
export async function askDaemon(
  socket: string,
  question: string,
  given?: unknown,
): Promise<unknown> {
  try {
    return await ask(socket, question, given, PATIENCE);
  } catch (error) {
    if (error instanceof ControlError)
      throw new Refusal(error.message, exitCodeFor(String(error.errorCode)));
    if (error instanceof OsError && ["ENOENT", "ECONNREFUSED", "ECONNRESET"].includes(error.errno))
      throw new Refusal(`nothing answers at ${socket}; is it running?`, EXIT_NOT_RUNNING);
    throw error;
  }
}

/** The exit code of an error that a daemon answered, by the error's code. */
export function exitCodeFor(code: string): ExitCode {
  if (code === "EPERM" || code === "EACCES") return EXIT_NOT_PERMITTED;
  return code === "CULVERT_COMMAND" || code === "CULVERT_REFUSAL" ? EXIT_USAGE : EXIT_FAILURE;
}
