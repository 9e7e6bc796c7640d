/** The daemon's side of `culvert l2tp`: commands as words come in, what came of them goes out. */
import { L2tpCommandError, readL2tpCommand } from "../config/l2tp-command.ts";
import { CulvertError, OsError } from "../core/errors.ts";
import type { L2tpService } from "../runtime/l2tp.ts";

/** What is asked: commands in their order; `force` goes on after one that fails. */
export interface L2tpRequest {
  readonly commands: readonly (readonly string[])[];
  readonly force: boolean;
}

/** What came of a command. */
export type L2tpResult = { readonly answer: unknown } | L2tpFailure;

export interface L2tpFailure {
  readonly error: string;
  /** An errno's name, or the code of an error. */
  readonly code: string;
}

/** Commands after which packets, other commands and timers get their turn. */
const COMMANDS_AT_ONCE = 16;

/** Serves commands until one fails; gives a result for each that was tried. */
export async function answerL2tp(service: L2tpService, given: unknown): Promise<L2tpResult[]> {
  const { commands, force } = requestOf(given);
  const results: L2tpResult[] = [];
  for (const words of commands) {
    if (results.length % COMMANDS_AT_ONCE === COMMANDS_AT_ONCE - 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
    try {
      const answer = await service.command(readL2tpCommand(words));
      results.push({ answer: answer ?? null });
    } catch (error) {
      results.push(failureOf(error));
      if (!force) break;
    }
  }
  return results;
}

function requestOf(given: unknown): L2tpRequest {
  const { commands, force = false } = (given ?? {}) as { commands?: unknown; force?: unknown };
  const areWords = (words: unknown): words is string[] =>
    Array.isArray(words) && words.every((word) => typeof word === "string");
  if (!Array.isArray(commands) || !commands.every(areWords))
    throw new L2tpCommandError('expected "commands": a list of lists of words');
  return { commands, force: force === true };
}

function failureOf(error: unknown): L2tpFailure {
  if (error instanceof OsError) return { error: error.message, code: error.errno };
  if (error instanceof CulvertError) return { error: error.message, code: error.code };
  return { error: String(error), code: "CULVERT_BUG" };
}
