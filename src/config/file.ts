/**
 * The configuration file: YAML text in, everything to start out, or every problem with its place.
 * No text makes it throw.
 */
import {
  isAlias,
  isCollection,
  isMap as isYamlMap,
  isScalar,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
} from "yaml";
import { check, checkShape, isMap, shown, unknownKey, type Fault } from "./check.ts";
import { common } from "./common.ts";
import { L2TP_SECTION, readL2tp } from "./l2tp-file.ts";
import { SYSTEMS, type Instance, type Role } from "./systems.ts";

/** What a file says. */
export interface FileConfig {
  /** The control socket's path, if the file names one. */
  readonly control: string | undefined;
  readonly instances: readonly Instance[];
}

/** One thing wrong in a file; lines and columns count from 1. */
export interface FileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What the operator wrote it under: "relays.main.local"; empty for the file itself. */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
  readonly mend?: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;

/** Section of the file -> the role of what it lists. */
const SECTIONS = new Map<string, Role>(
  Object.values(SYSTEMS).flatMap((system) =>
    system.section === undefined ? [] : [[system.section, system.role] as const],
  ),
);

/** Reads a file's text; `file` is its name in the problems. */
export function readConfig(
  text: string,
  file: string,
): FileConfig | { readonly problems: readonly FileProblem[] } {
  const lines = new LineCounter();
  const placed = (offset: number, fault: Omit<Fault, "at">): FileProblem => {
    const { line, col } = lines.linePos(offset);
    const { expected, got, mend } = fault;
    const place = { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    const problem = { ...place, path: fault.path.join("."), expected, got };
    return mend === undefined ? problem : { ...problem, mend };
  };
  const invalid = (offset: number, got: string) =>
    placed(offset, { path: [], expected: "valid YAML", got });

  let document: Document.Parsed;
  let raw: unknown;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: "core",
      logLevel: "error",
    });
    const complaints = [...document.errors, ...document.warnings];
    if (complaints.length > 0)
      return { problems: complaints.map((one) => invalid(one.pos[0], one.message)) };
    raw = document.toJS();
  } catch (error) {
    // Nesting past the stack, or aliases that multiply past the parser's limit.
    return { problems: [invalid(0, error instanceof Error ? error.message : String(error))] };
  }

  const { faults, ...config } = readTop(raw);
  if (faults.length === 0) return config;
  const problems = faults.map((fault) => placed(offsetOf(document, fault), fault));
  return { problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** One line for people: `file:line:column path: expected ..., got ...`. */
export function problemText(problem: FileProblem): string {
  const { file, line, column, path, expected, got, mend } = problem;
  const where = `${file}:${line}:${column}${path === "" ? "" : ` ${path}`}`;
  return `${where}: expected ${expected}, got ${got}${mend === undefined ? "" : `; ${mend}`}`;
}

function readTop(raw: unknown): FileConfig & { readonly faults: readonly Fault[] } {
  const faults: Fault[] = [];
  const instances: Instance[] = [];
  let control: string | undefined;
  const top: Record<string, unknown> = {};
  const known = [...SECTIONS.keys(), L2TP_SECTION];
  const sections = known.join(" or ");
  if (!isMap(raw)) {
    faults.push({ path: [], at: "value", expected: `a map with ${sections}`, got: shown(raw) });
    return { control, instances, faults };
  }
  for (const [key, value] of Object.entries(raw)) {
    const role = SECTIONS.get(key);
    if (role !== undefined) {
      const listed = readSection(key, role, value);
      instances.push(...listed.instances);
      faults.push(...listed.faults);
    } else if (key === L2TP_SECTION) {
      const read = readL2tp(value);
      if ("value" in read) instances.push({ role: "l2tp", name: "l2tp", config: read.value });
      else faults.push(...read.faults);
    } else if (Object.hasOwn(common.fields, key)) {
      top[key] = value;
    } else {
      faults.push(unknownKey(key, [...known, ...Object.keys(common.fields)]));
    }
  }
  const checked = checkShape(common, top);
  if ("faults" in checked) faults.push(...checked.faults);
  else control = (checked.value as { control?: string }).control;
  if (instances.length === 0 && faults.length === 0)
    faults.push({ path: [], at: "value", expected: `at least one of ${sections}`, got: "none" });
  return { control, instances, faults };
}

function readSection(section: string, role: Role, raw: unknown) {
  const faults: Fault[] = [];
  const instances: Instance[] = [];
  if (!isMap(raw)) {
    const expected = `a map from a name to a ${role}'s settings`;
    faults.push({ path: [section], at: "value", expected, got: shown(raw) });
    return { instances, faults };
  }
  for (const [name, settings] of Object.entries(raw)) {
    const path = [section, name];
    if (!NAME.test(name)) {
      const expected = "a name of letters, digits, dots, hyphens and underscores";
      faults.push({ path, at: "key", expected, got: shown(name) });
    }
    const checked = check(role, settings);
    if ("value" in checked) instances.push({ role, name, config: checked.value } as Instance);
    else
      for (const fault of checked.faults) faults.push({ ...fault, path: [...path, ...fault.path] });
  }
  return { instances, faults };
}

/** Where in the text a fault is; the nearest thing above it that is there, if it is not. */
function offsetOf(document: Document.Parsed, fault: Fault): number {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, step] of fault.path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (!isCollection(node)) break;
    if (!isYamlMap(node)) {
      node = node.items[Number(step)] as Node | undefined;
      offset = node?.range?.[0] ?? offset;
      continue;
    }
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
    if (pair === undefined) break;
    const key = pair.key as Node;
    const wantsKey = fault.at === "key" && depth === fault.path.length - 1;
    node = pair.value as Node | null;
    // An empty value has no place of its own worth pointing at.
    const empty = node === null || (isScalar(node) && node.value === null);
    offset = (wantsKey || empty ? key.range?.[0] : node?.range?.[0]) ?? offset;
  }
  return offset;
}
