/**
 * Arithmetic of source filters: what many members of a group want together (RFC 3376 §3.2), and
 * how a host says that what it wants has changed (§5.1). RFC 3810 §4.2 and §6.1 say the same of
 * IPv6. Everything here is pure.
 */
import type { Address } from "../core/address.ts";
import type { GroupFilter, RecordKind } from "../wire/membership.ts";

/** INCLUDE of nothing: not a member. */
export const NOTHING: GroupFilter = { mode: "include", sources: [] };

/** EXCLUDE of nothing: a member as IGMPv2 and MLDv1 know them. */
export const EVERYTHING: GroupFilter = { mode: "exclude", sources: [] };

/** A group record without its group. */
export interface FilterChange {
  readonly kind: RecordKind;
  readonly sources: readonly Address[];
}

/** True for INCLUDE of nothing, which is no membership at all. */
export function isEmpty(filter: GroupFilter): boolean {
  return filter.mode === "include" && filter.sources.length === 0;
}

/** Whether a member with this filter wants the packets of `source`. */
export function wants(filter: GroupFilter, source: Address): boolean {
  return filter.sources.includes(source) === (filter.mode === "include");
}

/** True if both let the same sources through, in whatever order they list them. */
export function sameFilter(a: GroupFilter, b: GroupFilter): boolean {
  if (a === b) return true;
  if (a.mode !== b.mode || a.sources.length !== b.sources.length) return false;
  if (a.sources.length <= 1) return a.sources[0] === b.sources[0];
  const listed = new Set(a.sources);
  return b.sources.every((source) => listed.has(source));
}

/** The sources of `a` that `b` does not list. */
export function difference(a: readonly Address[], b: readonly Address[]): Address[] {
  if (b.length === 0) return [...a];
  const listed = new Set(b);
  return a.filter((source) => !listed.has(source));
}

/**
 * What all the filters want together (RFC 3376 §3.2): if any of them is EXCLUDE, EXCLUDE of what
 * every EXCLUDE filter lists and no INCLUDE filter does; otherwise INCLUDE of all that is listed.
 */
export function mergeFilters(filters: Iterable<GroupFilter>): GroupFilter {
  const included = new Set<Address>();
  let excluded: Set<Address> | undefined;
  for (const { mode, sources } of filters) {
    if (mode === "include") for (const source of sources) included.add(source);
    else if (excluded === undefined) excluded = new Set(sources);
    else if (excluded.size > 0) {
      const listed = new Set(sources);
      for (const source of excluded) if (!listed.has(source)) excluded.delete(source);
    }
  }
  if (excluded === undefined) return { mode: "include", sources: [...included] };
  for (const source of included) excluded.delete(source);
  return { mode: "exclude", sources: [...excluded] };
}

/**
 * The records that report a change of interface state (RFC 3376 §5.1, RFC 3810 §6.1): none if
 * nothing changed, one after a change of mode, otherwise ALLOW, BLOCK or both.
 */
export function changeRecords(from: GroupFilter, to: GroupFilter): FilterChange[] {
  if (from.mode !== to.mode)
    return [{ kind: to.mode === "include" ? "to-in" : "to-ex", sources: to.sources }];
  const gone = difference(from.sources, to.sources);
  const come = difference(to.sources, from.sources);
  const [allowed, blocked] = to.mode === "include" ? [come, gone] : [gone, come];
  const records: FilterChange[] = [];
  if (allowed.length > 0) records.push({ kind: "allow", sources: allowed });
  if (blocked.length > 0) records.push({ kind: "block", sources: blocked });
  return records;
}
