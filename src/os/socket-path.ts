/** Making way for a Unix socket at a path where a process that has died left one. */
import { lstatSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { OsError } from "../core/errors.ts";

/** How the operator is told of a path that cannot be had. */
export interface PathWords {
  /** Who may have it: "a running culvert". */
  readonly owner: string;
  /** What to do then: "choose another path". */
  readonly mend: string;
}

/**
 * Removes a socket behind which nobody listens, as `isDead` finds out. Throws an OsError for one that
 * is alive, and for anything that is not a socket.
 */
export async function makeWay(
  socketPath: string,
  words: PathWords,
  isDead: (path: string) => Promise<boolean>,
): Promise<void> {
  const way = steps(socketPath, words);
  for (let step = way.next(); !step.done;) step = way.next(await isDead(step.value));
}

/** The same where the answer comes at once. */
export function makeWaySync(
  socketPath: string,
  words: PathWords,
  isDead: (path: string) => boolean,
): void {
  const way = steps(socketPath, words);
  for (let step = way.next(); !step.done;) step = way.next(isDead(step.value));
}

/** Asks whether the socket at each path that it yields is dead. */
function* steps(socketPath: string, { owner, mend }: PathWords): Generator<string, void, boolean> {
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket())
    throw new OsError("bind", "EEXIST", socketPath, `it is not a socket; ${mend}`);
  const taken = new OsError("bind", "EADDRINUSE", socketPath, `${owner} has it; ${mend}`);
  if (!(yield socketPath)) throw taken;
  // Only one of two that find it dead gets it out of the way, and it looks again at what it got.
  const aside = path.join(path.dirname(socketPath), `.${process.pid}`);
  try {
    renameSync(socketPath, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (yield aside) return rmSync(aside, { force: true });
  renameSync(aside, socketPath);
  throw taken;
}
