/** `culvert l2tp`: the words of `ip l2tp` for a running daemon. */
import { readFileSync } from "node:fs";
import { Option, type Command } from "commander";
import { asksRun } from "../config/common.ts";
import { l2tpChange, l2tpSession, l2tpTunnel } from "../config/l2tp.ts";
import { L2tpCommandError, readL2tpCommand, spellWord } from "../config/l2tp-command.ts";
import type { Shape } from "../config/system.ts";
import type { L2tpSessionStatus, L2tpTunnelStatus } from "../runtime/service.ts";
import { EXIT_FAILURE, EXIT_FINE, EXIT_USAGE, Refusal, type ExitCode } from "./exit.ts";
import { askDaemon, daemonSocket, exitCodeFor } from "./find-daemon.ts";
import { addFlags, docOf, presenceOf, readFlags } from "./flags.ts";
import type { L2tpRequest, L2tpResult } from "./l2tp-answer.ts";
import { sessionText, tunnelText } from "./l2tp-text.ts";
import { reload } from "./reload.ts";
import { say } from "./say.ts";

/** Commands, and octets of them, that one request of a batch holds. */
const BATCH_COMMANDS = 500;
const BATCH_OCTETS = 50_000;

const USAGE = `
Commands, as with 'ip l2tp' (each object is followed by pairs of a word and its value):
  add tunnel WORD VALUE ...        add session tunnel_id ID WORD VALUE ...
  del tunnel tunnel_id ID          del session tunnel_id ID session_id ID
  show tunnel [tunnel_id ID]       show session [tunnel_id ID [session_id ID]]
  set session tunnel_id ID session_id ID WORD VALUE ...
  reload                           read the file of 'culvert run' anew
tid, ptid, sid and psid stand for tunnel_id, peer_tunnel_id, session_id and peer_session_id.
`;

interface Flags {
  readonly json?: true;
  readonly batch?: string;
  readonly force?: true;
}

export function define(command: Command, done: (code: ExitCode) => void): void {
  addFlags(command, asksRun);
  command
    .argument("[WORD...]", "a command")
    .addOption(new Option("-j, --json", "show: print JSON with the names of 'ip -json l2tp'"))
    .option("-b, --batch <FILE>", "serve a command a line of this file, or of - for standard input")
    .option("--force", "batch: go on after a command that fails")
    .addHelpText("after", USAGE)
    .addHelpText("after", ["tunnel:", ...wordsText(l2tpTunnel), ""].join("\n"))
    .addHelpText("after", ["session:", ...wordsText(l2tpSession), ""].join("\n"))
    .addHelpText(
      "after",
      `set session: ${Object.keys(l2tpChange.fields).map(spellWord).join(", ")}`,
    )
    .action(async (words: string[], flags: Flags) => {
      const { control } = readFlags(command, asksRun) as { control?: string };
      if (flags.batch !== undefined) return done(await batch(flags.batch, control, flags));
      if (words[0] === "reload") return done(await reload(control));
      done(await single(words, control, flags.json === true));
    });
}

/** The words of a table, with what they mean. */
function wordsText(shape: Shape): string[] {
  return Object.keys(shape.fields).map((key) => {
    const { takes, help } = docOf(shape.fields, key);
    const presence = presenceOf(shape, key);
    return `  ${spellWord(key)} ${takes}: ${help}${presence === "" ? "" : ` (${presence})`}`;
  });
}

async function single(
  words: readonly string[],
  control: string | undefined,
  json: boolean,
): Promise<ExitCode> {
  const { op } = read(words);
  const [result] = await request(daemonSocket(control), { commands: [words], force: false });
  if (result === undefined) throw new Refusal("the daemon gave no answer", EXIT_FAILURE);
  if ("error" in result) throw new Refusal(result.error, exitCodeFor(result.code));
  if (op === "show-tunnel") show(result.answer as L2tpTunnelStatus[], tunnelText, json);
  if (op === "show-session") show(result.answer as L2tpSessionStatus[], sessionText, json);
  return EXIT_FINE;
}

/** What is wrong with a command is told before a daemon is looked for. */
function read(words: readonly string[]) {
  try {
    return readL2tpCommand(words);
  } catch (error) {
    if (!(error instanceof L2tpCommandError)) throw error;
    throw new Refusal(`${error.message}; see 'culvert l2tp --help'`, EXIT_USAGE);
  }
}

function show<T>(rows: readonly T[], text: (row: T) => string[], json: boolean): void {
  if (json) say(`${JSON.stringify(rows)}\n`);
  else
    say(
      rows
        .flatMap((row) => text(row))
        .map((line) => `${line}\n`)
        .join(""),
    );
}

interface BatchLine {
  readonly words: readonly string[];
  /** Counts from 1. */
  readonly line: number;
}

/** Serves all commands of a file in their order; ends with the first that fails, unless forced. */
async function batch(file: string, control: string | undefined, flags: Flags): Promise<ExitCode> {
  const socket = daemonSocket(control);
  const force = flags.force === true;
  let code: ExitCode = EXIT_FINE;
  for (const part of parts(linesOf(textOf(file)))) {
    const commands = part.map(({ words }) => words);
    const results = await request(socket, { commands, force });
    for (const [i, result] of results.entries()) {
      if ("error" in result) {
        process.stderr.write(`culvert: ${file}:${part[i]!.line}: ${result.error}\n`);
        if (code === EXIT_FINE) code = exitCodeFor(result.code);
      } else if (Array.isArray(result.answer)) {
        const { op } = read(part[i]!.words);
        if (op === "show-tunnel") show(result.answer, tunnelText, flags.json === true);
        else show(result.answer, sessionText, flags.json === true);
      }
    }
    if (code !== EXIT_FINE && !force) return code;
  }
  return code;
}

async function request(socket: string, asked: L2tpRequest): Promise<L2tpResult[]> {
  return (await askDaemon(socket, "l2tp", asked)) as L2tpResult[];
}

function linesOf(text: string): BatchLine[] {
  return text.split("\n").flatMap((line, i) => {
    const words = line
      .replace(/#.*/, "")
      .split(/\s+/)
      .filter((word) => word !== "");
    // A line may be one of 'ip -batch'.
    if (words[0] === "l2tp") words.shift();
    return words.length === 0 ? [] : [{ words, line: i + 1 }];
  });
}

/** Parts that are small enough for a request. */
function parts(lines: readonly BatchLine[]): BatchLine[][] {
  const found: BatchLine[][] = [];
  let octets = 0;
  for (const line of lines) {
    const size = JSON.stringify(line.words).length;
    const part = found.at(-1);
    if (!part || part.length === BATCH_COMMANDS || octets + size > BATCH_OCTETS) {
      found.push([line]);
      octets = size;
    } else {
      part.push(line);
      octets += size;
    }
  }
  return found;
}

function textOf(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new Refusal(`cannot read the batch: ${(error as Error).message}`, EXIT_USAGE);
  }
}
