/**
 * Validation: a raw value, from a file or from flags, against a system's fields and rules. Every
 * fault is found in one pass.
 */
import { z } from "zod";
import { familyOf, isUnspecified, type Endpoint } from "../core/address.ts";
import { fieldDocs } from "./field.ts";
import { suggestion } from "./suggest.ts";
import type { Shape } from "./system.ts";
import { SYSTEMS, type ConfigOf, type Role } from "./systems.ts";

/** A value that cannot be used; `path` leads to it from the value that was checked. */
export interface Fault {
  readonly path: readonly (string | number)[];
  /** Whether the key itself is wrong, or what it holds. */
  readonly at: "key" | "value";
  readonly expected: string;
  /** What was there, for people. */
  readonly got: string;
  /** A likely mend. */
  readonly mend?: string;
}

export type Checked<T> = { readonly value: T } | { readonly faults: readonly Fault[] };

/** How a field is called where the value was written: its key in a file, its flag in a command. */
export type Spelling = (key: string) => string;

/** The settings of one `role` as `raw` has them, or everything that is wrong with them. */
export function check<R extends Role>(
  role: R,
  raw: unknown,
  spell?: Spelling,
): Checked<ConfigOf[R]> {
  // The fields' own types and the rules make it that role's configuration.
  return checkShape(SYSTEMS[role], raw, spell) as Checked<ConfigOf[R]>;
}

/** The same for any table of fields; the value is still a record of what the fields read. */
export function checkShape(
  shape: Shape,
  raw: unknown,
  spell: Spelling = (key) => key,
): Checked<unknown> {
  const parsed = schemaOf(shape).safeParse(raw);
  const faults = (parsed.error?.issues ?? []).flatMap((issue) => faultsOf(issue, shape, raw));
  if (isMap(raw)) faults.push(...choicesBroken(shape, raw, spell));
  if (isMap(raw)) faults.push(...limitsBroken(shape, raw, spell));
  if (isMap(raw)) faults.push(...familiesBroken(shape, raw, spell));
  if (faults.length > 0 || !parsed.success) return { faults };
  return { value: withinLimits(shape, parsed.data) };
}

const schemas = new WeakMap<Shape, z.ZodType<Record<string, unknown>>>();

/** The schema of a table of fields, which zod compiles when it is first used. */
function schemaOf(shape: Shape): z.ZodType<Record<string, unknown>> {
  let schema = schemas.get(shape);
  if (!schema) schemas.set(shape, (schema = z.strictObject(shape.fields)));
  return schema;
}

/** True for what a YAML map or a command's flags become. */
export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fault of a key that is not one of `known`. */
export function unknownKey(
  key: string,
  known: Iterable<string>,
  parents: readonly (string | number)[] = [],
): Fault {
  const meant = suggestion(key, known);
  return {
    path: [...parents, key],
    at: "key",
    expected: "a known key",
    got: shown(key),
    ...(meant === undefined ? {} : { mend: `did you mean ${shown(meant)}?` }),
  };
}

/** A value in a few words: enough to find it again, never all of a long one. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string")
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "object" ? "a map" : `a ${typeof value}`;
}

function faultsOf(issue: z.core.$ZodIssue, shape: Shape, raw: unknown): Fault[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const driver = keyOfDriver(shape, key);
      const fault = unknownKey(key, Object.keys(shape.fields));
      return driver === undefined
        ? fault
        : { ...fault, mend: `the Linux driver's ${key} is ${shown(driver)} here` };
    });
  const path = asWritten(
    issue.path.map((step) => (typeof step === "number" ? step : String(step))),
    raw,
  );
  const expected = path.length === 0 ? "a map of settings" : issue.message;
  return [{ path, at: "value", expected, got: shown(valueAt(raw, path)) }];
}

/** The path to what was written: a list's only element may stand there without its list. */
function asWritten(path: readonly (string | number)[], raw: unknown): (string | number)[] {
  return path.filter(
    (step, i) => typeof step === "string" || Array.isArray(valueAt(raw, path.slice(0, i))),
  );
}

/** What stands at `path`. */
function valueAt(raw: unknown, path: readonly (string | number)[]): unknown {
  let value = raw;
  for (const step of path) {
    if (typeof step === "number") value = Array.isArray(value) ? value[step] : undefined;
    else value = isMap(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  }
  return value;
}

/** The key of the field that stands for one of the Linux driver's own names. */
function keyOfDriver(shape: Shape, name: string): string | undefined {
  return Object.keys(shape.fields).find((key) =>
    fieldDocs.get(shape.fields[key]!)?.driver?.split(", ").includes(name),
  );
}

function choicesBroken(
  shape: Shape,
  raw: Readonly<Record<string, unknown>>,
  spell: Spelling,
): Fault[] {
  const faults: Fault[] = [];
  for (const choices of shape.oneOf) {
    const chosen = choices.filter((key) => given(raw, key));
    if (chosen.length === 1) continue;
    const expected = `exactly one of ${choices.map(spell).join(" and ")}`;
    const got = chosen.length === 0 ? "none" : chosen.map(spell).join(" and ");
    faults.push({ path: chosen.slice(1, 2), at: "key", expected, got });
  }
  for (const choices of shape.someOf ?? []) {
    if (choices.some((key) => given(raw, key))) continue;
    const expected = `at least one of ${choices.map(spell).join(", ")}`;
    faults.push({ path: [], at: "key", expected, got: "none" });
  }
  for (const choices of shape.notBoth ?? []) {
    const chosen = choices.filter((key) => given(raw, key));
    if (chosen.length < 2) continue;
    const expected = `at most one of ${choices.map(spell).join(" and ")}`;
    faults.push({
      path: chosen.slice(1, 2),
      at: "key",
      expected,
      got: chosen.map(spell).join(" and "),
    });
  }
  for (const [key, others] of Object.entries(shape.needs)) {
    if (!given(raw, key) || others.some((other) => given(raw, other))) continue;
    const expected = `${others.map(spell).join(" or ")} beside it`;
    faults.push({ path: [key], at: "key", expected, got: "none" });
  }
  return faults;
}

/** Given values that are not below what they must be below; each is read by itself. */
function limitsBroken(
  shape: Shape,
  raw: Readonly<Record<string, unknown>>,
  spell: Spelling,
): Fault[] {
  const read = (key: string) =>
    Number(shape.fields[key]!.safeParse(given(raw, key) ? raw[key] : undefined).data);
  return Object.entries(shape.below)
    .filter(([key, other]) => given(raw, key) && read(key) >= read(other))
    .map(([key, other]) => {
      const expected = `less than ${spell(other)}`;
      return { path: [key], at: "value", expected, got: shown(raw[key]) };
    });
}

/** Endpoints that cannot reach another one, being of the other family. */
function familiesBroken(
  shape: Shape,
  raw: Readonly<Record<string, unknown>>,
  spell: Spelling,
): Fault[] {
  const read = (key: string): readonly Endpoint[] => {
    const value = given(raw, key) ? shape.fields[key]!.safeParse(raw[key]).data : undefined;
    return (value === undefined ? [] : [value].flat()) as Endpoint[];
  };
  return Object.entries(shape.oneFamily ?? {}).flatMap(([key, others]) => {
    const locals = read(key).map(({ address }) => address);
    // Any address: that of the family, whichever it is.
    if (locals.every(isUnspecified)) return [];
    return others.flatMap((other): Fault[] => {
      const families = new Set(read(other).map(({ address }) => familyOf(address)));
      return [...families]
        .filter((family) => !locals.some((address) => familyOf(address) === family))
        .map((family) => {
          const expected = `an IPv${family} address, as ${spell(other)} is`;
          // A list of endpoints that can be read, or one of them.
          const got = shown([raw[key]].flat().join(", "));
          return { path: [key], at: "value", expected, got };
        });
    });
  });
}

/** `values` with the defaults lowered that `shape.below` forbids. */
function withinLimits(shape: Shape, values: Readonly<Record<string, unknown>>): unknown {
  const lowered: Record<string, unknown> = { ...values };
  for (const [key, other] of Object.entries(shape.below))
    if (Number(values[key]) >= Number(values[other])) lowered[key] = Number(values[other]) / 2;
  return lowered;
}

function given(raw: Readonly<Record<string, unknown>>, key: string): boolean {
  return Object.hasOwn(raw, key) && raw[key] !== undefined;
}
