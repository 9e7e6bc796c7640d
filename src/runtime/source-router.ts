/**
 * Which tunnel carries which part of the memberships: between those who want groups, a device's
 * querier or a receiver, and those who seek relays. Where relays are found by source, each source
 * has a slot of its own, which moves from relay to relay by itself; else one slot has all.
 */
import { VERDICT_SOURCE_LIMIT, VERDICT_SOURCE_NEEDED } from "../../assembly/layout/verdict.ts";
import type { Address } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import { difference, NOTHING } from "../membership/filter.ts";
import type { GroupFilter } from "../wire/membership.ts";

/** The slot of what names no source, or of everything where relays are not found by source. */
export const ANY_SOURCE = 0;

/** What one slot wants of a group from now on. */
export interface Part {
  readonly slot: number;
  /** Whose relay the slot uses; undefined for ANY_SOURCE. */
  readonly source: Address | undefined;
  readonly group: Address;
  readonly filter: GroupFilter;
}

export interface SourceRouterOptions {
  /** Whether each source has relays of its own. */
  readonly bySource: boolean;
  /** Whether there is a relay for what names no source. */
  readonly anySource: boolean;
  /** Sources that may have a slot at once. */
  readonly sources: number;
}

interface Slot {
  readonly slot: number;
  /** Groups that want the source. */
  groups: number;
}

const NONE: readonly Address[] = [];

export class SourceRouter {
  readonly #options: SourceRouterOptions;
  readonly #refused: (drop: Drop) => void;
  readonly #slots = new Map<Address, Slot>();
  readonly #sources = new Map<number, Address>();
  readonly #free: number[] = [];
  /** By group, the sources that have a part; undefined if ANY_SOURCE has it. */
  readonly #groups = new Map<Address, readonly Address[] | undefined>();

  /** `refused` takes the reason why a membership has no part. */
  constructor(options: SourceRouterOptions, refused: (drop: Drop) => void) {
    this.#options = options;
    this.#refused = refused;
  }

  /** Whose slot it is; undefined for ANY_SOURCE. */
  sourceOf(slot: number): Address | undefined {
    return this.#sources.get(slot);
  }

  /** The slot whose relay sends what a source sends to a group. */
  slotOf(group: Address, source: Address): number {
    if (this.#groups.get(group) === undefined) return ANY_SOURCE;
    return this.#slots.get(source)?.slot ?? ANY_SOURCE;
  }

  /** The parts that change when `filter` is wanted of `group`: what is new first. */
  route(group: Address, filter: GroupFilter): Part[] {
    if (!this.#options.bySource) return [{ slot: ANY_SOURCE, source: undefined, group, filter }];
    const hadAny = this.#groups.has(group) && this.#groups.get(group) === undefined;
    const before = this.#groups.get(group) ?? NONE;
    const parts: Part[] = [];
    const any = filter.mode === "exclude" && this.#options.anySource;
    if (filter.mode === "exclude" && !any) this.#refused(VERDICT_SOURCE_NEEDED);
    if (any) parts.push({ slot: ANY_SOURCE, source: undefined, group, filter });
    const wanted = filter.mode === "include" ? filter.sources : NONE;
    const gone = difference(before, wanted);
    const kept = difference(before, gone);
    const come: Address[] = [];
    for (const source of difference(wanted, before)) {
      const slot = this.#enter(source);
      if (slot === undefined) continue;
      come.push(source);
      const sources = [source];
      parts.push({ slot, source, group, filter: { mode: "include", sources } });
    }
    for (const source of gone)
      parts.push({ slot: this.#leave(source), source, group, filter: NOTHING });
    if (hadAny && !any) parts.push({ slot: ANY_SOURCE, source: undefined, group, filter: NOTHING });
    if (any) this.#groups.set(group, undefined);
    else if (kept.length + come.length > 0) this.#groups.set(group, [...kept, ...come]);
    else this.#groups.delete(group);
    return parts;
  }

  /** The slot of a source that one more group wants; undefined if there is no room for it. */
  #enter(source: Address): number | undefined {
    const known = this.#slots.get(source);
    if (known !== undefined) {
      known.groups++;
      return known.slot;
    }
    if (this.#slots.size >= this.#options.sources) {
      this.#refused(VERDICT_SOURCE_LIMIT);
      return undefined;
    }
    const slot = this.#free.pop() ?? this.#slots.size + 1;
    this.#slots.set(source, { slot, groups: 1 });
    this.#sources.set(slot, source);
    return slot;
  }

  /** The slot of a source that one group less wants. */
  #leave(source: Address): number {
    const known = this.#slots.get(source)!;
    if (--known.groups === 0) {
      this.#slots.delete(source);
      this.#sources.delete(known.slot);
      this.#free.push(known.slot);
    }
    return known.slot;
  }
}
