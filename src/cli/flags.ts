/** The flags of a table of fields: the same definitions as the file's keys, read from arguments. */
import { Option, type Command } from "commander";
import { checkShape, type Checked, type Fault, type Spelling } from "../config/check.ts";
import { fieldDocs, type FieldDoc } from "../config/field.ts";
import type { Fields, Shape } from "../config/system.ts";
import { EXIT_USAGE, Refusal } from "./exit.ts";

/** The documentation of one field of a table. */
export function docOf(fields: Fields, key: string): FieldDoc {
  // Every field is made by a builder, which registers it.
  return fieldDocs.get(fields[key]!)!;
}

/** How a field is written in a command: "--max-tunnels", or "URL" for an argument. */
export function flagOf(fields: Fields, key: string): string {
  const doc = docOf(fields, key);
  if (doc.positional) return doc.takes;
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** What becomes of a field that is left out: its default, or that it must not be. */
export function presenceOf(shape: Shape, key: string): string {
  const doc = docOf(shape.fields, key);
  const others = [...shape.oneOf, ...(shape.someOf ?? [])].find((choices) => choices.includes(key));
  if (others) {
    const flags = others
      .filter((other) => other !== key)
      .map((other) => flagOf(shape.fields, other));
    return `this or ${flags.join(" or ")}`;
  }
  const rivals = (shape.notBoth ?? []).flatMap((choices) =>
    choices.includes(key) ? choices.filter((other) => other !== key) : [],
  );
  if (rivals.length > 0)
    return `not with ${rivals.map((other) => flagOf(shape.fields, other)).join(" or ")}`;
  const limit = shape.below[key];
  const atMost = limit === undefined ? "" : `, or half of ${flagOf(shape.fields, limit)}`;
  if (doc.fallback !== undefined) return `default ${doc.fallback}${atMost}`;
  return doc.optional ? "" : "required";
}

/** Gives `command` the flags and arguments of `shape`. */
export function addFlags(command: Command, shape: Shape): void {
  for (const key of Object.keys(shape.fields)) {
    const doc = docOf(shape.fields, key);
    const flag = flagOf(shape.fields, key);
    if (doc.positional) {
      // Whether it is there, the check tells together with what else is wrong.
      command.argument(`[${doc.takes}]`, doc.help).usage(`[options] <${doc.takes}>`);
      continue;
    }
    const spelled = doc.short === undefined ? flag : `-${doc.short}, ${flag}`;
    const notes = [presenceOf(shape, key), doc.list ? "may be repeated" : ""];
    const said = notes.filter((note) => note !== "").join("; ");
    const text = withFlags(doc.help, shape.fields);
    const help = said === "" ? text : `${text} (${said})`;
    const takes = doc.bare === undefined ? `<${doc.takes}>` : `[${doc.takes}]`;
    const option = new Option(`${spelled} ${takes}`, help);
    if (doc.bare !== undefined) option.preset(doc.bare);
    if (doc.list)
      option.argParser((text: string, before: string[] | undefined) => [
        ...(before ?? []),
        ...text.split(","),
      ]);
    command.addOption(option);
  }
}

/** A help that speaks of other fields, by the flags that they are here. */
function withFlags(help: string, fields: Fields): string {
  return help
    .replace(/\b[a-z]+(?:[A-Z][a-z]*)+\b/g, (word) =>
      Object.hasOwn(fields, word) ? flagOf(fields, word) : word,
    )
    .replace(/`(\w+)`/g, (quoted, word: string) =>
      Object.hasOwn(fields, word) ? flagOf(fields, word) : quoted,
    );
}

/** What the arguments of `command` say about `shape`'s fields, as a file would say it. */
export function rawOf(command: Command, shape: Shape): Record<string, unknown> {
  const raw: Record<string, unknown> = {};
  const flags: Record<string, unknown> = command.opts();
  let argument = 0;
  for (const key of Object.keys(shape.fields)) {
    const value: unknown = docOf(shape.fields, key).positional
      ? command.args[argument++]
      : flags[key];
    if (value !== undefined) raw[key] = value;
  }
  return raw;
}

/** The values of `shape`'s flags; a Refusal that lists all that is wrong with them. */
export function readFlags(command: Command, shape: Shape): unknown {
  return readChecked(command, shape, (raw, spell) => checkShape(shape, raw, spell));
}

/** What `checks` makes of `shape`'s flags; a Refusal that lists all that is wrong with them. */
export function readChecked<T>(
  command: Command,
  shape: Shape,
  checks: (raw: Record<string, unknown>, spell: Spelling) => Checked<T>,
): T {
  const spell = (key: string) => flagOf(shape.fields, key);
  const checked = checks(rawOf(command, shape), spell);
  if ("value" in checked) return checked.value;
  const lines = checked.faults.map((fault) => faultText(fault, spell));
  throw new Refusal([...lines, `see 'culvert ${command.name()} --help'`].join("\n"), EXIT_USAGE);
}

function faultText({ path, expected, got, mend }: Fault, spell: Spelling): string {
  const where = path.length === 0 ? "" : `${spell(String(path[0]))}: `;
  return `${where}expected ${expected}, got ${got}${mend === undefined ? "" : `; ${mend}`}`;
}
