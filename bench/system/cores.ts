/** Which cores programs have. */
import os from "node:os";
import type { Program } from "../../src/lab/program.ts";
import { requireTool, run } from "../../src/lab/tool.ts";

const CORES = os.availableParallelism();

/** The core that the source has for itself; -1 on a machine with only one. */
export const SOURCE_CORE = CORES > 1 ? 0 : -1;

/** The command line of a program on the source's core. */
export function onSource(command: readonly string[]): string[] {
  return on("0", command);
}

/** The command line of a program on the cores that are not the source's. */
export function offSource(command: readonly string[]): string[] {
  return on(`1-${CORES - 1}`, command);
}

/** The command line of a program on the cores besides the last. */
export function offLast(command: readonly string[]): string[] {
  return on(`0-${CORES - 2}`, command);
}

/** Holds programs, with all their threads, on the last core. */
export function confine(programs: Iterable<Program>): void {
  for (const program of programs) holdOn(program, String(CORES - 1));
}

/** Holds a program, with all its threads, on some cores. */
export function holdOn({ pid }: Program, cores: string): void {
  run(taskset(), ["-apc", cores, String(pid)]);
}

/** Where there is a choice of cores. */
function on(cores: string, command: readonly string[]): string[] {
  return CORES > 1 ? [taskset(), "-c", cores, ...command] : [...command];
}

function taskset(): string {
  return requireTool("taskset", "util-linux");
}
