/** How one value is read from what a file or a flag holds; numbers, which many fields are. */

/** What a file or a flag holds for one value. */
export type Scalar = string | number | boolean;

/** How one value is read: undefined refuses it. */
export interface Reading<T> {
  readonly takes: string;
  readonly expected: string;
  read(input: Scalar): T | undefined;
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Processors that a list can name, as many as Linux can be built for. */
export const PROCESSORS_MAX = 8_192;

/** The numbers of a list of processors. */
export function readProcessors(text: string): number[] | undefined {
  const all: number[] = [];
  for (const part of text.split(",")) {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === undefined || Number(last) >= PROCESSORS_MAX || Number(last) < Number(first))
      return undefined;
    for (let one = Number(first); one <= Number(last); one++) all.push(one);
  }
  return all;
}

/** A whole number within a range; `what` says of which kind. */
export function wholeNumber(takes: string, what: string, { min, max }: Range): Reading<number> {
  return {
    takes,
    expected: `${what} from ${min} to ${max}`,
    read: (input) => {
      const value = toNumber(input);
      if (value === undefined || !Number.isInteger(value)) return undefined;
      return value < min || value > max ? undefined : value;
    },
  };
}

/** The number that a file holds as one, and a flag as its digits. */
export function toNumber(input: Scalar): number | undefined {
  if (typeof input === "number") return Number.isFinite(input) ? input : undefined;
  return typeof input === "string" && /^\d{1,12}(\.\d{1,6})?$/.test(input)
    ? Number(input)
    : undefined;
}

/** A whole number that may be written in hexadecimal. */
export function toInteger(input: Scalar): number | undefined {
  if (typeof input === "string" && /^0[xX][0-9a-fA-F]{1,8}$/.test(input)) return Number(input);
  const value = toNumber(input);
  return value !== undefined && Number.isInteger(value) && value >= 0 ? value : undefined;
}
