/**
 * What a router keeps of one group (RFC 3376 §6.2, RFC 3810 §7.2): a filter mode, a group timer, and
 * sources with a timer each. Reports change it by the tables of RFC 3376 §6.4 (RFC 3810 §7.4), which
 * `apply` holds; the queries that those tables want are the caller's to send or to replace.
 *
 * Timers are the times at which they end. There are as many of these states as memberships in the
 * whole process, and most have one source or none: one source is kept without a Map.
 */
import type { Address } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import type { GroupFilter, RecordKind } from "../wire/membership.ts";
import { EVERYTHING, NOTHING } from "./filter.ts";

/** The end of a timer that does not run. */
const STOPPED: Millis = Number.NEGATIVE_INFINITY;

/** What a record asks for besides the changes that `apply` made. */
export interface Applied {
  /** "Send Q(G,X)": the sources X, all of them held and with their timers running. */
  readonly querySources: readonly Address[];
  /** "Send Q(G)". */
  readonly queryGroup: boolean;
  /** Sources left out because the group already holds all it may. */
  readonly refused: number;
}

const NO_SOURCES: readonly Address[] = [];
/** What most records ask for besides. */
const NOTHING_MORE: Applied = { querySources: NO_SOURCES, queryGroup: false, refused: 0 };

export class GroupState {
  /** When the group timer ends; STOPPED in mode INCLUDE. */
  #groupEnd = STOPPED;
  /** The only source, while there is just one and `#sources` is undefined. */
  #source: Address | undefined;
  #sourceEnd = STOPPED;
  /** Every source's timer; STOPPED means that EXCLUDE mode blocks it (the set Y). */
  #sources: Map<Address, Millis> | undefined;

  get mode(): GroupFilter["mode"] {
    return this.#groupEnd === STOPPED ? "include" : "exclude";
  }

  /** How many sources it holds, wanted or blocked. */
  get sourceCount(): number {
    return this.#sources?.size ?? (this.#source === undefined ? 0 : 1);
  }

  /** True when nothing is left of the membership. */
  get isEmpty(): boolean {
    return this.#groupEnd === STOPPED && this.sourceCount === 0;
  }

  /** When the group timer ends; undefined in mode INCLUDE. */
  get groupEnd(): Millis | undefined {
    return this.#groupEnd === STOPPED ? undefined : this.#groupEnd;
  }

  /** When the timer of a source ends; undefined if it does not run. */
  sourceEnd(source: Address): Millis | undefined {
    const end = this.#endOf(source);
    return end === STOPPED ? undefined : end;
  }

  /** What is to be forwarded (RFC 3376 §6.3, RFC 3810 §7.3). */
  filter(): GroupFilter {
    const including = this.#groupEnd === STOPPED;
    if (this.#sources === undefined) {
      const listed = this.#source !== undefined && (including || this.#sourceEnd === STOPPED);
      if (!listed) return including ? NOTHING : EVERYTHING;
      return { mode: including ? "include" : "exclude", sources: [this.#source!] };
    }
    const sources: Address[] = [];
    for (const [source, end] of this.#sources)
      if (including || end === STOPPED) sources.push(source);
    return { mode: including ? "include" : "exclude", sources };
  }

  /** True if this is what `filter` makes. False may also mean that it holds several sources. */
  isFilter({ mode, sources }: GroupFilter): boolean {
    if (this.#sources !== undefined || mode !== this.mode) return false;
    const including = this.#groupEnd === STOPPED;
    const listed = this.#source !== undefined && (including || this.#sourceEnd === STOPPED);
    return listed ? sources.length === 1 && sources[0] === this.#source : sources.length === 0;
  }

  /**
   * Applies one record of a report that came at `now`, where no timer may have ended unnoticed.
   * `lifetime` is the Group Membership Interval; sources above `limit` are left out.
   */
  apply(
    kind: RecordKind,
    sources: readonly Address[],
    now: Millis,
    lifetime: Millis,
    limit: number,
  ): Applied {
    const until = now + lifetime;
    const excluding = this.#groupEnd !== STOPPED;
    switch (kind) {
      case "is-in":
      case "allow": {
        const refused = this.#run(sources, until, limit);
        return refused === 0 ? NOTHING_MORE : { ...NOTHING_MORE, refused };
      }
      case "to-in": {
        const querySources = this.#runningBut(sources);
        const refused = this.#run(sources, until, limit);
        return { querySources, queryGroup: excluding, refused };
      }
      case "block": {
        if (!excluding) return { ...this.#held(sources), queryGroup: false, refused: 0 };
        const refused = this.#add(sources, this.#groupEnd, limit);
        return { ...this.#held(sources), queryGroup: false, refused };
      }
      case "is-ex":
      case "to-ex": {
        // New sources: blocked when the mode changes, otherwise wanted until a query tells.
        let fresh = STOPPED;
        if (excluding) fresh = kind === "is-ex" ? until : this.#groupEnd;
        this.#keep(sources);
        this.#groupEnd = until;
        const refused = this.#add(sources, fresh, limit);
        const asked = kind === "to-ex" ? this.#held(sources) : { querySources: NO_SOURCES };
        return { ...asked, queryGroup: false, refused };
      }
    }
  }

  /** Lets the running timers of `sources` end no later than `until`. */
  lowerSources(sources: readonly Address[], until: Millis): void {
    for (const source of sources) if (this.#endOf(source) > until) this.#set(source, until);
  }

  /** Lets the group timer, if it runs, end no later than `until`. */
  lowerGroup(until: Millis): void {
    if (this.#groupEnd > until) this.#groupEnd = until;
  }

  /** Acts on the timers that have ended by `now` (RFC 3376 §6.3, §6.5). */
  expire(now: Millis): void {
    const leaving = this.#groupEnd <= now;
    this.#groupEnd = leaving ? STOPPED : this.#groupEnd;
    if (this.#sources === undefined) {
      if (this.#source === undefined || this.#sourceEnd > now) return;
      if (leaving) this.#source = undefined;
      this.#sourceEnd = STOPPED;
      return;
    }
    for (const [source, end] of this.#sources) {
      if (end > now) continue;
      if (leaving) this.#sources.delete(source);
      else this.#sources.set(source, STOPPED);
    }
    if (this.#sources.size === 0) this.#sources = undefined;
  }

  /** When the next timer ends; infinite if none runs. */
  nextEnd(): Millis {
    let next = this.#groupEnd === STOPPED ? Number.POSITIVE_INFINITY : this.#groupEnd;
    if (this.#sources === undefined) {
      if (this.#sourceEnd !== STOPPED && this.#sourceEnd < next) next = this.#sourceEnd;
      return next;
    }
    for (const end of this.#sources.values()) if (end !== STOPPED && end < next) next = end;
    return next;
  }

  /** Those of `sources` whose timers run. */
  #held(sources: readonly Address[]): { querySources: readonly Address[] } {
    return { querySources: sources.filter((source) => this.#endOf(source) !== STOPPED) };
  }

  /** The sources, other than those given, whose timers run. */
  #runningBut(sources: readonly Address[]): readonly Address[] {
    if (this.#sources === undefined) {
      if (this.#sourceEnd === STOPPED || sources.includes(this.#source!)) return NO_SOURCES;
      return [this.#source!];
    }
    const listed = new Set(sources);
    const running: Address[] = [];
    for (const [source, end] of this.#sources)
      if (end !== STOPPED && !listed.has(source)) running.push(source);
    return running;
  }

  /** Sets the timers of all `sources`, new or not. Returns how many found no room. */
  #run(sources: readonly Address[], until: Millis, limit: number): number {
    let refused = 0;
    for (const source of sources) {
      if (this.#has(source) || this.sourceCount < limit) this.#set(source, until);
      else refused++;
    }
    return refused;
  }

  /** Adds those of `sources` that are new. Returns how many found no room. */
  #add(sources: readonly Address[], end: Millis, limit: number): number {
    let refused = 0;
    for (const source of sources) {
      if (this.#has(source)) continue;
      if (this.sourceCount < limit) this.#set(source, end);
      else refused++;
    }
    return refused;
  }

  /** Forgets the sources that are not among those given. */
  #keep(sources: readonly Address[]): void {
    if (this.#sources === undefined) {
      if (this.#source === undefined || sources.includes(this.#source)) return;
      this.#source = undefined;
      this.#sourceEnd = STOPPED;
      return;
    }
    const listed = new Set(sources);
    for (const source of this.#sources.keys())
      if (!listed.has(source)) this.#sources.delete(source);
    if (this.#sources.size === 0) this.#sources = undefined;
  }

  #has(source: Address): boolean {
    return this.#sources === undefined ? this.#source === source : this.#sources.has(source);
  }

  /** The end of a source's timer; STOPPED too if it is not held. */
  #endOf(source: Address): Millis {
    if (this.#sources !== undefined) return this.#sources.get(source) ?? STOPPED;
    return this.#source === source ? this.#sourceEnd : STOPPED;
  }

  #set(source: Address, end: Millis): void {
    if (this.#sources === undefined) {
      if (this.#source === undefined || this.#source === source) {
        this.#source = source;
        this.#sourceEnd = end;
        return;
      }
      this.#sources = new Map([[this.#source, this.#sourceEnd]]);
      this.#source = undefined;
      this.#sourceEnd = STOPPED;
    }
    this.#sources.set(source, end);
  }
}
