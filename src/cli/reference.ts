/**
 * The reference page, from the same definitions as the command and the file. Run as a program it
 * writes docs/reference.md.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import { common } from "../config/common.ts";
import { l2tpChange, l2tpSession, l2tpSettings, l2tpTunnel } from "../config/l2tp.ts";
import { spellWord } from "../config/l2tp-command.ts";
import type { Shape, System } from "../config/system.ts";
import { SYSTEMS } from "../config/systems.ts";
import { MEANINGS } from "../metrics/meanings.ts";
import { SERVICE_COUNTERS, SESSION_COUNTERS, totalName } from "../metrics/l2tp.ts";
import { CONTROL_VERSION } from "../runtime/control.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_MEANINGS } from "./exit.ts";
import { docOf, flagOf, presenceOf } from "./flags.ts";

/** Rows of the driver's table that are no field's. */
const DRIVER_ONLY = [
  ["mode", "`culvert relay` or `culvert gateway`; in a file, the section"],
  ["dev", "not needed: routing finds the interface; `mtu` overrides what its MTU implies"],
  ["remote (shown)", "`relay` of a gateway in `culvert status`"],
];

/** A file that works as written, but for addresses and names. */
export const EXAMPLE = `relays:
  north:
    local: 192.0.2.1
    ingress: eth1
    maxTunnels: 10000
gateways:
  home:
    local: 198.51.100.2
    discovery: 192.52.193.1
    tun: culvert0
    address: [10.9.8.1/24]
l2tp:
  tunnels:
    branch:
      tunnelId: 1
      peerTunnelId: 2
      local: 192.0.2.1
      remote: 203.0.113.7
      udpSport: 1701
      udpDport: 1701
      sessions:
        - { name: l2tpeth0, sessionId: 10, peerSessionId: 20, cookie: "0a1b2c3d" }
control: /run/culvert/culvert.sock
`;

/** The whole page. */
export async function referencePage(): Promise<string> {
  const sections = [
    "# Reference",
    "<!-- Written by `npm run docs:reference` from src/config and src/cli. Do not edit. -->",
    "## Commands",
    markdownTable(
      ["Command", "What it does", "Example"],
      COMMANDS.map(({ name, summary, example }) => [`\`${name}\``, summary, `\`${example}\``]),
    ),
    "`culvert COMMAND --help` lists a command's flags. `run`, `relay`, `gateway` and `receive` stay in" +
      " the foreground, write a line that starts with `ready` to standard error once they serve, and" +
      " end in order on SIGINT or SIGTERM; a second signal ends them at once.",
    "## Exit codes",
    markdownTable(
      ["Code", "Meaning"],
      Object.entries(EXIT_MEANINGS).map(([code, meaning]) => [code, meaning]),
    ),
    "## The configuration file",
    "YAML, for `culvert run -c FILE`. Each section maps names to settings; a name is what `culvert status`" +
      " shows. A key and the flag of the same name are one setting. Unknown keys are errors, and all" +
      " errors are told at once as `file:line:column path: expected ..., got ...`. On SIGHUP, and with" +
      " `culvert reload`, a running `culvert run` reads its file anew: what is unchanged runs on, L2TP" +
      " changes tunnel by tunnel and session by session, and a relay or gateway that is changed is" +
      " started anew. A file that is wrong changes nothing.",
    `\`\`\`yaml\n${EXAMPLE}\`\`\``,
    "At the top of the file, and as a flag of every long-running command:",
    fieldTable(common),
    ...Object.values(SYSTEMS).flatMap(systemPart),
    ...l2tpParts(),
    ...(await flagParts()),
    "## Coming from the Linux driver",
    "The options of `ip link add ... type amt` and what stands for them here:",
    markdownTable(["Driver", "Culvert"], driverRows()),
    "## The control socket",
    `A Unix stream socket with mode 0600. One line of JSON asks, one line answers:`,
    `\`\`\`\n> {"v":${CONTROL_VERSION},"ask":"status"}\n< {"v":${CONTROL_VERSION},"answer":{"pid":4711,"services":[...]}}\n\`\`\``,
    'A question may need more, which stands beside it as `"with"`: `"ask":"l2tp"` takes' +
      ' `{"commands":[["show","tunnel"],...],"force":false}` and answers with a list of' +
      ' `{"answer":...}` and `{"error":"...","code":"..."}`; `"ask":"reload"` takes nothing.' +
      " Only `culvert run` answers these two.",
    'A request that is not understood is answered with `{"v":' +
      `${CONTROL_VERSION},"error":"..."}\`. The services are those of \`culvert status --json\`;` +
      " the type `ServiceStatus` of the package says what each of their fields means." +
      " Without `--control` the socket is `ROLE-PID.sock` in `$CULVERT_RUNTIME_DIR` if that is set," +
      " else in `/run/culvert` for root, in `$XDG_RUNTIME_DIR/culvert` for others, or in" +
      " `culvert-UID` of the temporary folder. `culvert status` asks all that it finds in that folder" +
      " and, unless `$CULVERT_RUNTIME_DIR` is set, in `/run/culvert`.",
  ];
  return `${sections.join("\n\n")}\n`;
}

function systemPart(system: System): string[] {
  const where =
    system.section === undefined
      ? "Flags only; it has no section in the file."
      : `In the file: an entry of \`${system.section}\`.`;
  const rules = [
    ...system.oneOf.map((choices) => `Exactly one of ${code(choices)} is required.`),
    ...(system.someOf ?? []).map((choices) => `At least one of ${code(choices)} is required.`),
    ...(system.notBoth ?? []).map((choices) => `At most one of ${code(choices)} may be given.`),
    ...Object.entries(system.below).map(
      ([key, other]) => `\`${key}\` must be less than \`${other}\`.`,
    ),
    ...Object.entries(system.needs).map(
      ([key, others]) => `\`${key}\` needs ${others.map((other) => `\`${other}\``).join(" or ")}.`,
    ),
  ];
  return [`## ${system.role}`, [where, ...rules].join(" "), fieldTable(system)];
}

/** L2TP's tables: each field is a key of the file and a word of the command. */
function l2tpParts(): string[] {
  const rows = (shape: Shape) =>
    Object.keys(shape.fields).map((key) => {
      const doc = docOf(shape.fields, key);
      const what = `${doc.help}. Takes ${doc.expected}.`;
      return [`\`${key}\``, `\`${spellWord(key)}\``, presenceOf(shape, key) || "optional", what];
    });
  const words = (shape: Shape) =>
    markdownTable(["Key", "Word", "If left out", "Meaning"], rows(shape));
  return [
    "## L2TP tunnels",
    "In the file: an entry of `l2tp.tunnels`. As a command: `culvert l2tp add tunnel` and pairs of a word and its value.",
    words(l2tpTunnel),
    "## L2TP sessions",
    "In the file: an element of a tunnel's `sessions`. As a command: `culvert l2tp add session tunnel_id ID` and pairs of a word and its value." +
      ` \`culvert l2tp set session tunnel_id ID session_id ID\` changes ${code(Object.keys(l2tpChange.fields).map(spellWord))} while the session runs.`,
    words(l2tpSession),
    "Beside the tunnels, directly in `l2tp`:",
    markdownTable(
      ["Key", "If left out", "Meaning"],
      rows(l2tpSettings).map(([key, , presence, what]) => [key!, presence!, what!]),
    ),
    "## Counters",
    "As `culvert status` and its `--json` have them, beside the drops; `--prometheus` calls them" +
      " `culvert_NAME_total`. `amt_TYPE_accepted` counts the AMT messages of a type that were obeyed, and" +
      " `amt_quirk_NAME` how often a deployed peer's way was followed.",
    markdownTable(
      ["Counter", "Counts"],
      Object.entries(MEANINGS)
        .filter(([name]) => !name.startsWith("l2tp_"))
        .map(([name, what]) => [`\`${name}\``, what]),
    ),
    "## L2TP counters",
    "`culvert status --json` and `culvert l2tp --json show` have them below `statistics` of a session, and" +
      " of a tunnel as the sum over its sessions, the deleted ones included. The service's `counters` sum" +
      " up all tunnels that it has had.",
    markdownTable(
      ["Of a session or tunnel", "Of the service", "Counts"],
      [
        ...SESSION_COUNTERS.map((row) => [
          `\`${row.direction}.${row.name}\``,
          `\`${totalName(row)}\``,
          row.what,
        ]),
        ...Object.entries(SERVICE_COUNTERS).map(([name, what]) => ["", `\`${name}\``, what]),
      ],
    ),
  ];
}

function fieldTable(shape: Shape): string {
  const rows = Object.keys(shape.fields).map((key) => {
    const doc = docOf(shape.fields, key);
    const short = doc.short === undefined ? "" : `\`-${doc.short}\`, `;
    const what = `${doc.help}. Takes ${doc.expected}${doc.list ? "; a list" : ""}.`;
    return [
      `\`${key}\``,
      `${short}\`${flagOf(shape.fields, key)}\``,
      presenceOf(shape, key) || "optional",
      what,
    ];
  });
  return markdownTable(["Key", "Flag", "If left out", "Meaning"], rows);
}

/** The flags of the commands that configure nothing. */
async function flagParts(): Promise<string[]> {
  const parts: string[] = [];
  for (const { name, load } of COMMANDS) {
    if (Object.hasOwn(SYSTEMS, name)) continue;
    const command = new Command(name);
    (await load()).define(command, () => undefined, {
      starters: () => Promise.reject(new Error("the page starts nothing")),
      probes: () => Promise.resolve([]),
      demo: () => Promise.resolve(0),
      bench: () => Promise.resolve(0),
    });
    const rows = command.options.map(({ flags, description }) => [`\`${flags}\``, description]);
    if (rows.length > 0) parts.push(`## ${name}`, markdownTable(["Flag", "Meaning"], rows));
  }
  return parts;
}

function driverRows(): string[][] {
  const ours = new Map<string, string[]>();
  // What the driver does not do has no section in the file, either.
  for (const system of Object.values(SYSTEMS).filter(({ section }) => section !== undefined))
    for (const key of Object.keys(system.fields))
      for (const name of docOf(system.fields, key).driver?.split(", ") ?? []) {
        const field = `\`${key}\` of a ${system.role}`;
        const place = name.endsWith("_port") ? `the port in ${field}` : field;
        ours.set(name, [...(ours.get(name) ?? []), place]);
      }
  const fields = [...ours].map(([name, places]) => [`\`${name}\``, places.join(", ")]);
  return [...DRIVER_ONLY.map(([name, text]) => [`\`${name}\``, text!]), ...fields];
}

function code(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(" and ");
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  mkdirSync("docs", { recursive: true });
  writeFileSync("docs/reference.md", await referencePage());
}
