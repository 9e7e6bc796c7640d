/** `culvert doctor`: what this host offers, and what to do about what it lacks. */
import type { Command } from "commander";
import type { Probe } from "../os/probe.ts";
import { EXIT_FAILURE, EXIT_FINE, type ExitCode } from "./exit.ts";
import type { Parts } from "./parts.ts";
import { say } from "./say.ts";
import { table } from "./table.ts";

export function define(command: Command, done: (code: ExitCode) => void, parts: Parts): void {
  command
    .option("--json", "print a JSON array of the probes")
    .action(async (flags: { json?: true }) => {
      const probes = await parts.probes();
      const text = flags.json ? JSON.stringify(probes) : doctorText(probes).join("\n");
      say(`${text}\n`);
      done(probes.some((probe) => probe.state === "fail") ? EXIT_FAILURE : EXIT_FINE);
    });
}

/** A line for each probe, its mend below it. */
function doctorText(probes: readonly Probe[]): string[] {
  const lines = table(
    [{ title: "STATE" }, { title: "PROBE" }, { title: "FOUND" }],
    probes.map(({ name, state, detail }) => [state, name, detail]),
  );
  const mended = probes.map(({ mend }, index) => {
    const line = lines[index + 1]!;
    return mend === undefined ? [line] : [line, `${" ".repeat(7)}mend: ${mend}`];
  });
  return [lines[0]!, ...mended.flat()];
}
