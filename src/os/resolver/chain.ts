/** Where aliases lead within one answer: CNAME (RFC 1034 §3.6.2) and DNAME (RFC 6672 §2). */
import { plainName, type Question, type Response } from "./message.ts";

/** Aliases followed for one question, over all its answers. */
export const CHAIN_LONGEST = 16;

export interface ChainEnd {
  /** The name that is no alias, as far as this answer knows. */
  readonly name: string;
  /** The values at that name. */
  readonly values: readonly Uint8Array[];
  /** The least TTL of all records on the way, in seconds; infinite if there are none. */
  readonly ttl: number;
  /** Aliases on the way. */
  readonly aliases: number;
}

/** Follows the aliases of `response`; undefined if there are more than `most`, as in a circle. */
export function followChain(
  question: Question,
  response: Response,
  most: number,
): ChainEnd | undefined {
  let name = plainName(question.name);
  let ttl = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= most; aliases++) {
    const own = response.records.filter(({ owner }) => owner === name);
    const values = own.flatMap((record) =>
      record.data.kind === "value" ? [{ ttl: record.ttl, octets: record.data.octets }] : [],
    );
    if (values.length > 0)
      return {
        name,
        values: values.map(({ octets }) => octets),
        ttl: Math.min(ttl, ...values.map((value) => value.ttl)),
        aliases,
      };
    const step = nextName(name, response);
    if (step === undefined) return { name, values: [], ttl, aliases };
    ttl = Math.min(ttl, step.ttl);
    name = step.name;
  }
  return undefined;
}

/** The name that an alias at `name`, or a branch above it, leads to. */
function nextName(
  name: string,
  response: Response,
): { readonly name: string; readonly ttl: number } | undefined {
  for (const { owner, ttl, data } of response.records)
    if (data.kind === "alias" && owner === name) return { name: data.target, ttl };
  for (const { owner, ttl, data } of response.records)
    if (data.kind === "branch" && name.endsWith(`.${owner}`)) {
      const below = name.slice(0, -owner.length - 1);
      return { name: data.target === "" ? below : `${below}.${data.target}`, ttl };
    }
  return undefined;
}
