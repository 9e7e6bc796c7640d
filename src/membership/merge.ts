/**
 * Many members' filters of each group, merged as they change: what a relay's tunnels, or a proxy's
 * downstream interfaces, want together (RFC 3376 §3.2, RFC 4605 §4.1). A call costs as much as the
 * sources that its member lists before and after, and a merged filter is only built when it changes.
 */
import type { Address } from "../core/address.ts";
import type { GroupFilter } from "../wire/membership.ts";
import { isEmpty, NOTHING } from "./filter.ts";

/** Merged membership of many groups. `Key` names a member: a tunnel, an interface. */
export class MergedMembership<Key> {
  readonly #groups = new Map<Address, MergedGroup<Key>>();

  /**
   * From now on `key` wants `filter` of `group`; INCLUDE of nothing removes it. Returns the new
   * merged filter if it changed, INCLUDE of nothing when the last member has gone.
   */
  set(key: Key, group: Address, filter: GroupFilter): GroupFilter | undefined {
    let merged = this.#groups.get(group);
    if (merged === undefined) {
      if (isEmpty(filter)) return undefined;
      merged = new MergedGroup();
      this.#groups.set(group, merged);
    }
    const changed = merged.set(key, filter);
    if (merged.members.size === 0) this.#groups.delete(group);
    return changed ? merged.filter : undefined;
  }

  /** How many members the group has. */
  members(group: Address): number {
    return this.#groups.get(group)?.members.size ?? 0;
  }

  /** The merged filter of a group; INCLUDE of nothing if it has no member. */
  filter(group: Address): GroupFilter {
    return this.#groups.get(group)?.filter ?? NOTHING;
  }

  /** How many groups have members. */
  get size(): number {
    return this.#groups.size;
  }

  /** Every group that has members, with its merged filter. */
  *[Symbol.iterator](): Generator<readonly [Address, GroupFilter]> {
    for (const [group, merged] of this.#groups) yield [group, merged.filter];
  }
}

const NO_SOURCES: ReadonlyMap<Address, unknown> = new Map();

/**
 * One group. Counting, for every source, the members that include and that exclude it is not
 * enough to find the merged EXCLUDE list without a walk over all sources, so the sources that
 * nobody includes also stand in a bucket for each number of excluding members: the list is the
 * bucket of all of them.
 */
class MergedGroup<Key> {
  readonly members = new Map<Key, GroupFilter>();
  #filter: GroupFilter = NOTHING;
  /** How many members are in mode EXCLUDE. */
  #excluding = 0;
  readonly #included = new Map<Address, number>();
  readonly #excluded = new Map<Address, number>();
  /** By the number of members excluding them, never 0, the sources that no member includes. */
  readonly #buckets = new Map<number, Map<Address, true>>();

  get filter(): GroupFilter {
    return this.#filter;
  }

  /** Returns true if the merged filter changed. */
  set(key: Key, filter: GroupFilter): boolean {
    const before = this.members.get(key) ?? NOTHING;
    const touched = new Set(before.sources);
    for (const source of filter.sources) touched.add(source);

    const { mode } = this.#filter;
    const excluding = this.#excluding;
    const old = this.#listed();
    const oldSize = old.size;
    const wasListed: Address[] = [];
    for (const source of touched) if (old.has(source)) wasListed.push(source);

    this.#count(before, -1);
    this.#count(filter, 1);
    if (isEmpty(filter)) this.members.delete(key);
    else this.members.set(key, filter);

    const listed = this.#listed();
    let nowListed = 0;
    for (const source of touched) if (listed.has(source)) nowListed++;
    let changed =
      mode !== this.#mode ||
      nowListed !== wasListed.length ||
      wasListed.some((source) => !listed.has(source));
    // A source that this member never listed changes sides only as the number of EXCLUDE members
    // moves, and then always: it cannot be excluded by all of them before and after.
    if (excluding !== this.#excluding && !changed)
      changed = oldSize > wasListed.length || listed.size > nowListed;
    if (changed) this.#filter = { mode: this.#mode, sources: [...listed.keys()] };
    return changed;
  }

  get #mode(): GroupFilter["mode"] {
    return this.#excluding > 0 ? "exclude" : "include";
  }

  /** The merged filter's sources, as the keys. */
  #listed(): ReadonlyMap<Address, unknown> {
    if (this.#excluding === 0) return this.#included;
    return this.#buckets.get(this.#excluding) ?? NO_SOURCES;
  }

  /** Counts one member's filter in (`by` = 1) or out (-1). */
  #count({ mode, sources }: GroupFilter, by: 1 | -1): void {
    if (mode === "exclude") this.#excluding += by;
    const counts = mode === "exclude" ? this.#excluded : this.#included;
    for (const source of sources) {
      this.#bucket(source, false);
      const count = (counts.get(source) ?? 0) + by;
      if (count === 0) counts.delete(source);
      else counts.set(source, count);
      this.#bucket(source, true);
    }
  }

  /** Puts a source into its bucket, or takes it out, if it belongs in one. */
  #bucket(source: Address, present: boolean): void {
    const count = this.#excluded.get(source);
    if (count === undefined || this.#included.has(source)) return;
    let bucket = this.#buckets.get(count);
    if (present) {
      if (bucket === undefined) this.#buckets.set(count, (bucket = new Map()));
      bucket.set(source, true);
    } else if (bucket?.delete(source) && bucket.size === 0) this.#buckets.delete(count);
  }
}
