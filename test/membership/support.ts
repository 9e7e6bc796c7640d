/** What the tests of the membership machines share: virtual time, and short words for messages. */
import assert from "node:assert/strict";
import type { Address, Family } from "../../src/core/address.ts";
import type { Entropy, Machine, Millis } from "../../src/core/machine.ts";
import { NOTHING, sameFilter } from "../../src/membership/filter.ts";
import type {
  RouterInput,
  RouterLimits,
  RouterOptions,
  RouterOutput,
  RouterTimers,
} from "../../src/membership/router.ts";
import type {
  GroupFilter,
  MembershipMessage,
  MembershipQuery,
  RecordKind,
} from "../../src/wire/membership.ts";

/** An output as it is compared. What a filter was before, `drain` has looked at. */
export type Told<Out = RouterOutput> = Out extends FilterOutput ? Omit<Out, "before"> : Out;

type FilterOutput = Extract<RouterOutput, { readonly kind: "filter" }>;

/** Everything that waits in a machine. */
export function drain<In, Out>(machine: Machine<In, Out>): Told<Out>[] {
  const outputs: Told<Out>[] = [];
  for (let out = machine.poll(); out !== undefined; out = machine.poll())
    outputs.push((isOfFilter(out) ? follow(machine, out) : out) as Told<Out>);
  return outputs;
}

/** What each router last said of each group. */
const said = new WeakMap<object, Map<Address, GroupFilter>>();

/** Holds a router to its word: that a filter is no longer `before` means that it was. */
function follow(router: object, { before, ...out }: FilterOutput): Told<FilterOutput> {
  const filters = said.get(router) ?? new Map<Address, GroupFilter>();
  const last = filters.get(out.group) ?? NOTHING;
  said.set(router, filters.set(out.group, out.filter));
  assert.ok(sameFilter(before, last), `${out.group} was ${JSON.stringify(last)}`);
  return out;
}

function isOfFilter(out: unknown): out is FilterOutput {
  return typeof out === "object" && out !== null && "before" in out && "filter" in out;
}

/** Lets time pass up to and including `until`; answers what came out and when. */
export function advance<In, Out>(
  machine: Machine<In | { readonly kind: "timeout" }, Out>,
  until: Millis,
): { readonly when: Millis; readonly out: Told<Out> }[] {
  const heard: { when: Millis; out: Told<Out> }[] = [];
  for (let when = machine.deadline(); when !== undefined && when <= until;) {
    machine.handle({ kind: "timeout" }, when);
    for (const out of drain(machine)) heard.push({ when, out });
    const next = machine.deadline();
    if (next !== undefined && next <= when) throw new Error(`a deadline does not move on: ${when}`);
    when = next;
  }
  return heard;
}

/** The timers of RFC 3376 §8 and RFC 3810 §9. */
const TIMERS: RouterTimers = {
  robustness: 2,
  queryInterval: 125_000,
  queryResponseInterval: 10_000,
  lastMemberQueryInterval: 1_000,
};
/** Group Membership Interval with those timers. */
export const LIFETIME = 260_000;
/** Last Member Query Time with those timers. */
export const LAST_MEMBER = 2_000;

const LIMITS: RouterLimits = { groups: 1_000, sources: 1_000, reporters: 16 };

export function options(
  role: RouterOptions["role"],
  family: Family,
  limits: Partial<RouterLimits> = {},
): RouterOptions {
  return {
    role,
    family,
    timers: TIMERS,
    limits: { ...LIMITS, ...limits },
    address: NAMES[family].router,
  };
}

/** Addresses of each family, by the same short names. */
export const NAMES = {
  4: {
    group: "239.1.2.3",
    other: "239.1.2.4",
    ssm: "232.1.2.3",
    linkLocal: "224.0.0.251",
    unicast: "192.0.2.7",
    router: "192.0.2.5",
    lower: "192.0.2.3",
    higher: "192.0.2.40",
    unspecified: "0.0.0.0",
    host: (i: number): Address => `192.0.2.${100 + i}`,
    source: (name: string): Address => `198.51.100.${numberOf(name)}`,
  },
  6: {
    group: "ff0e::1:3",
    other: "ff0e::1:4",
    ssm: "ff3e::1:3",
    linkLocal: "ff02::fb",
    unicast: "2001:db8::7",
    router: "fe80::5",
    lower: "fe80::3",
    higher: "fe80::40",
    unspecified: "::",
    host: (i: number): Address => `fe80::${(0x100 + i).toString(16)}`,
    source: (name: string): Address => `2001:db8::${numberOf(name).toString(16)}`,
  },
} as const;

/** "x1" -> 0x71: so that names in tests may be letters. */
function numberOf(name: string): number {
  return ((name.codePointAt(0)! & 0x1f) << 3) + Number(name.slice(1));
}

export function report(
  group: Address,
  ...records: readonly (readonly [RecordKind, readonly Address[]])[]
): MembershipMessage {
  return {
    kind: "report",
    generation: 3,
    records: records.map(([kind, sources]) => ({ kind, group, sources })),
  };
}

export function join(group: Address, generation: 1 | 2 = 2): MembershipMessage {
  return { kind: "join", generation, group };
}

export function leave(group: Address): MembershipMessage {
  return { kind: "leave", generation: 2, group };
}

export function include(...sources: Address[]): GroupFilter {
  return { mode: "include", sources };
}

export function exclude(...sources: Address[]): GroupFilter {
  return { mode: "exclude", sources };
}

export function query(what: Partial<MembershipQuery> = {}): MembershipQuery {
  return {
    kind: "query",
    generation: 3,
    group: undefined,
    sources: [],
    maxResponse: 10_000,
    suppress: false,
    robustness: 2,
    queryInterval: 125_000,
    ...what,
  };
}

/** The input of a message from `from`. */
export function from(address: Address, message: MembershipMessage): RouterInput {
  return { kind: "message", message, from: address };
}

/** An output for comparison: sources in order. */
export function sorted(output: Told): Told {
  switch (output.kind) {
    case "filter":
      return { ...output, filter: sortedFilter(output.filter) };
    case "query":
      return { ...output, query: { ...output.query, sources: output.query.sources.toSorted() } };
    case "dropped":
    case "older-querier":
      return output;
  }
}

export function sortedFilter({ mode, sources }: GroupFilter): GroupFilter {
  return { mode, sources: sources.toSorted() };
}

/** A small generator (mulberry32): the same numbers for the same seed. */
export function seeded(seed: number): Entropy {
  let state = seed >>> 0;
  const u32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { u32, fraction: () => u32() / 2 ** 32 };
}
