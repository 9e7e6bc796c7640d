/** Which cores programs have. */
import os from "node:os";
import type { Program } from "../../src/lab/program.ts";
import { requireTool, run } from "../../src/lab/tool.ts";

/** Holds programs, with all their threads, on the last core. */
export function confine(programs: Iterable<Program>): void {
  const last = String(os.availableParallelism() - 1);
  for (const { pid } of programs) run(taskset(), ["-apc", last, String(pid)]);
}

/** The command line of a program on the cores besides the last, where there are any. */
export function besides(command: readonly string[]): string[] {
  const cores = os.availableParallelism();
  return cores > 1 ? [taskset(), "-c", `0-${cores - 2}`, ...command] : [...command];
}

function taskset(): string {
  return requireTool("taskset", "util-linux");
}
