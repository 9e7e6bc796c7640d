/** The command line: arguments in, exit code out. */
import { readFileSync } from "node:fs";
import { Command, CommanderError, type OutputConfiguration } from "commander";
import { COMMANDS } from "./commands.ts";
import {
  complaint,
  EXIT_FINE,
  EXIT_MEANINGS,
  EXIT_USAGE,
  exitCodeOf,
  type ExitCode,
} from "./exit.ts";
import type { Parts } from "./parts.ts";
import { say } from "./say.ts";

/** Runs the command that `given` (without the program's own name) asks for; never throws. */
export async function culvert(given: readonly string[], parts: Parts): Promise<ExitCode> {
  const args = longFlags(given);
  let code: ExitCode = EXIT_FINE;
  try {
    const program = await build(args, parts, (ended) => (code = ended));
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    // Commander has already printed the help or the complaint.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_FINE : EXIT_USAGE;
    process.stderr.write(`${complaint(error)}\n`);
    return exitCodeOf(error);
  }
}

/** The long flags of `ip` have one hyphen. */
function longFlags(args: readonly string[]): string[] {
  if (args[0] !== "l2tp") return [...args];
  return args.map((arg) => (/^-(batch|force|json)$/.test(arg) ? `-${arg}` : arg));
}

async function build(
  args: readonly string[],
  parts: Parts,
  done: (code: ExitCode) => void,
): Promise<Command> {
  const program = new Command("culvert");
  program
    .description(
      "AMT relay, gateway and receiver (RFC 7450) and L2TP tunnels (RFC 3931) in user space",
    )
    .version(version(), "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .configureOutput(outputOf("culvert"))
    .exitOverride();
  // "culvert help relay" is about relay as much as "culvert relay --help".
  const words = args.filter((arg) => !arg.startsWith("-"));
  const wanted = words[0] === "help" ? words[1] : words[0];
  for (const { name, summary, example, load } of COMMANDS) {
    const command = program.command(name).description(summary);
    command.configureOutput(outputOf(`culvert ${name}`));
    command.addHelpText("after", `\nExample:\n  ${example}`);
    if (name === wanted) (await load()).define(command, done, parts);
  }
  const codes = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `${code} ${meaning}`);
  program.addHelpText("after", `\nExit codes: ${codes.join(", ")}`);
  const relay = COMMANDS.find(({ name }) => name === "relay");
  program.addHelpText("after", `\nExample:\n  ${relay!.example}`);
  return program;
}

/** Commander's complaint about the use of `command`, as one line of ours. */
function outputOf(command: string): OutputConfiguration {
  return {
    writeOut: say,
    outputError: (text, write) => {
      const line = text
        .trim()
        .replace(/^error: /, "")
        .replaceAll("\n", " ");
      write(`culvert: ${line}; see '${command} --help'\n`);
    },
  };
}

function version(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
