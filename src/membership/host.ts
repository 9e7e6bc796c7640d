/**
 * The host half of IGMP and MLD on one interface: reports what is wanted of each group when that
 * changes and when a querier asks. Read RFC 3376 §5 and §7.2 first; RFC 3810 §6 and §8.2 are the
 * same for IPv6. It does not hear other hosts' reports, so it never keeps silent for them.
 */
import { type Address, type Family, isSourceSpecific, parseAddress } from "../core/address.ts";
import type { Entropy, Machine, Millis } from "../core/machine.ts";
import type {
  Generation,
  GroupFilter,
  GroupRecord,
  MembershipMessage,
  MembershipQuery,
} from "../wire/membership.ts";
import { changeRecords, difference, isEmpty, NOTHING, sameFilter, wants } from "./filter.ts";
import { Outputs } from "./outputs.ts";

export interface HostOptions {
  readonly family: Family;
  readonly entropy: Entropy;
  /** The longest gap between repetitions of a report of IGMPv3 or MLDv2: 1,000 if not given. */
  readonly unsolicitedReportInterval?: Millis;
}

export type HostInput =
  /** What is wanted of a group is now this: the interface state of RFC 3376 §3.2. */
  | { readonly kind: "set"; readonly group: Address; readonly filter: GroupFilter }
  /** A query came. `immediate` answers it at once instead of after a random delay. */
  | { readonly kind: "query"; readonly query: MembershipQuery; readonly immediate?: boolean }
  /** The Robustness Variable to use when queries do not say: at least 1. */
  | { readonly kind: "robustness"; readonly value: number }
  | { readonly kind: "timeout" };

/** A report, leave or done to send; a report may hold more records than fit in one datagram. */
export type HostOutput = { readonly kind: "message"; readonly message: MembershipMessage };

/** RFC 3376 §8.11, RFC 3810 §9.11. */
const UNSOLICITED_REPORT_INTERVAL: Millis = 1_000;
/** RFC 2236 §8.10, RFC 2710 §7.10. */
const OLDER_UNSOLICITED_REPORT_INTERVAL: Millis = 10_000;
/** RFC 3376 §8.1, §8.2; RFC 3810 §9.1, §9.2. */
const ROBUSTNESS = 2;
const QUERY_INTERVAL: Millis = 125_000;

const NEVER = Number.POSITIVE_INFINITY;

/** Repetitions of a state-change report still to come. */
interface Change {
  at: Millis;
  /** Reports left that carry the filter mode; of older reports, all that are left. */
  mode: number;
  /** By changed source, the reports left that mention it. */
  readonly sources: Map<Address, number>;
}

/** A query of one group waiting for its answer. */
interface Answer {
  at: Millis;
  /** The sources asked for; undefined asks for all. */
  sources: Set<Address> | undefined;
}

interface HostGroup {
  filter: GroupFilter;
  change: Change | undefined;
  answer: Answer | undefined;
}

export class MembershipHost implements Machine<HostInput, HostOutput> {
  readonly #family: Family;
  readonly #entropy: Entropy;
  readonly #unsolicitedReportInterval: Millis;
  readonly #groups = new Map<Address, HostGroup>();
  /** The groups with a change or an answer outstanding. */
  readonly #busy = new Set<Address>();
  /** When a General Query is to be answered. */
  #answerAll = NEVER;
  /** Nothing is due before this. */
  #due = NEVER;
  #robustnessUnsaid = ROBUSTNESS;
  #robustness = ROBUSTNESS;
  #queryInterval = QUERY_INTERVAL;
  /** The host compatibility mode (RFC 3376 §7.2.1) and the ends of the timers that it follows. */
  #generation: Generation = 3;
  #igmpv1Until = -NEVER;
  #olderUntil = -NEVER;
  readonly #outputs = new Outputs<HostOutput>();

  constructor(options: HostOptions) {
    this.#family = options.family;
    this.#entropy = options.entropy;
    this.#unsolicitedReportInterval =
      options.unsolicitedReportInterval ?? UNSOLICITED_REPORT_INTERVAL;
  }

  handle(input: HostInput, now: Millis): void {
    this.#comply(now);
    if (now >= this.#due) this.#elapse(now);
    switch (input.kind) {
      case "set":
        return this.#set(input.group, input.filter, now);
      case "query":
        return this.#query(input.query, input.immediate ?? false, now);
      case "robustness":
        this.#robustnessUnsaid = input.value;
        this.#robustness = input.value;
        return;
      case "timeout":
        return;
    }
  }

  poll(): HostOutput | undefined {
    return this.#outputs.take();
  }

  deadline(): Millis | undefined {
    return this.#due === NEVER ? undefined : this.#due;
  }

  /** What is wanted of every group. */
  *state(): Generator<readonly [Address, GroupFilter]> {
    for (const [group, { filter }] of this.#groups) if (!isEmpty(filter)) yield [group, filter];
  }

  #set(group: Address, filter: GroupFilter, now: Millis): void {
    const entry = this.#groups.get(group) ?? {
      filter: NOTHING,
      change: undefined,
      answer: undefined,
    };
    const before = entry.filter;
    if (sameFilter(before, filter)) return;
    entry.filter = filter;
    this.#groups.set(group, entry);
    if (!this.#isReported(group)) this.#rest(group, entry);
    else if (this.#generation === 3) this.#change(group, entry, before, now);
    else this.#changeOlder(group, entry, before, now);
  }

  /**
   * Reports a change at once (RFC 3376 §5.1, RFC 3810 §6.1). What earlier reports have not said often
   * enough goes along with it; a change of mode says all there is, so nothing older is kept.
   */
  #change(group: Address, entry: HostGroup, before: GroupFilter, now: Millis): void {
    const { filter } = entry;
    if (before.mode !== filter.mode)
      entry.change = { at: now, mode: this.#robustness, sources: new Map() };
    else {
      entry.change ??= { at: now, mode: 0, sources: new Map() };
      for (const { sources } of changeRecords(before, filter))
        for (const source of sources) entry.change.sources.set(source, this.#robustness);
    }
    this.#report(this.#changed(group, entry, now));
  }

  /** The older protocols know of joining and leaving only (RFC 2236 §3, RFC 2710 §4). */
  #changeOlder(group: Address, entry: HostGroup, before: GroupFilter, now: Millis): void {
    if (isEmpty(entry.filter)) {
      entry.change = undefined;
      this.#rest(group, entry);
      if (this.#generation === 2) this.#say({ kind: "leave", generation: 2, group });
    } else if (isEmpty(before)) {
      entry.change = { at: now, mode: this.#robustness, sources: new Map() };
      this.#report(this.#changed(group, entry, now));
    }
  }

  /** The records of a group's state-change report that is due; sets the time of the next. */
  #changed(group: Address, entry: HostGroup, now: Millis): GroupRecord[] {
    const { change, filter } = entry;
    if (change === undefined) return [];
    const records: GroupRecord[] = [];
    const mentioned = [...change.sources.keys()];
    if (change.mode > 0) {
      const kind = filter.mode === "include" ? "to-in" : "to-ex";
      records.push({ kind, group, sources: filter.sources });
      change.mode--;
    } else {
      const allowed = mentioned.filter((source) => wants(filter, source));
      const blocked = difference(mentioned, allowed);
      if (allowed.length > 0) records.push({ kind: "allow", group, sources: allowed });
      if (blocked.length > 0) records.push({ kind: "block", group, sources: blocked });
    }
    for (const source of mentioned) {
      const left = change.sources.get(source)! - 1;
      if (left > 0) change.sources.set(source, left);
      else change.sources.delete(source);
    }
    if (change.mode > 0 || change.sources.size > 0) {
      const longest =
        this.#generation === 3
          ? this.#unsolicitedReportInterval
          : OLDER_UNSOLICITED_REPORT_INTERVAL;
      change.at = now + longest * (1 - this.#entropy.fraction());
      this.#await(group, change.at);
    } else {
      entry.change = undefined;
      this.#rest(group, entry);
    }
    return records;
  }

  /** RFC 3376 §5.2, RFC 3810 §6.2. */
  #query(query: MembershipQuery, immediate: boolean, now: Millis): void {
    if (query.generation === 3) {
      this.#robustness = query.robustness || this.#robustnessUnsaid;
      this.#queryInterval = query.queryInterval || this.#queryInterval;
    } else if (query.group === undefined) {
      // Older Version Querier Present (RFC 3376 §7.2.1, §8.12; RFC 3810 §8.2.1, §9.12).
      const until = now + this.#robustness * this.#queryInterval + query.maxResponse;
      if (query.generation === 1) this.#igmpv1Until = until;
      else this.#olderUntil = until;
      this.#comply(now);
    }
    const within = immediate ? 0 : query.maxResponse;
    if (query.group !== undefined)
      this.#answer(query.group, this.#generation === 3 ? query.sources : [], within, now);
    else if (this.#generation === 3) {
      this.#answerAll = Math.min(this.#answerAll, this.#soon(within, now));
      this.#due = Math.min(this.#due, this.#answerAll);
    } else for (const group of this.#groups.keys()) this.#answer(group, [], within, now);
    if (now >= this.#due) this.#elapse(now);
  }

  /** Plans the answer to a query of one group, together with one that is already planned. */
  #answer(group: Address, sources: readonly Address[], within: Millis, now: Millis): void {
    const entry = this.#groups.get(group);
    if (entry === undefined || !this.#isReported(group)) return;
    const at = this.#soon(within, now);
    if (this.#answerAll <= at) return;
    const { answer } = entry;
    if (answer === undefined)
      entry.answer = { at, sources: sources.length === 0 ? undefined : new Set(sources) };
    else {
      answer.at = Math.min(answer.at, at);
      if (sources.length === 0) answer.sources = undefined;
      else for (const source of sources) answer.sources?.add(source);
    }
    this.#await(group, entry.answer!.at);
  }

  /** A random time from now on. */
  #soon(within: Millis, now: Millis): Millis {
    return within === 0 ? now : now + within * this.#entropy.fraction();
  }

  /** Sends what is due, in one report, and finds what is due next. */
  #elapse(now: Millis): void {
    const records: GroupRecord[] = [];
    if (this.#answerAll <= now) {
      this.#answerAll = NEVER;
      for (const [group, { filter }] of this.#groups)
        if (this.#isReported(group)) records.push(...current(group, filter, undefined));
    }
    this.#due = this.#answerAll;
    for (const group of this.#busy) {
      const entry = this.#groups.get(group)!;
      if (entry.answer !== undefined && entry.answer.at <= now) {
        records.push(...current(group, entry.filter, entry.answer.sources));
        entry.answer = undefined;
      }
      if (entry.change !== undefined && entry.change.at <= now)
        records.push(...this.#changed(group, entry, now));
      this.#due = Math.min(this.#due, entry.change?.at ?? NEVER, entry.answer?.at ?? NEVER);
      this.#rest(group, entry);
    }
    this.#report(records);
  }

  /** Sends records as they are, or what an older host says in their place. */
  #report(records: readonly GroupRecord[]): void {
    if (records.length === 0) return;
    const generation = this.#generation;
    if (generation === 3) return this.#say({ kind: "report", generation, records });
    for (const { group } of records) this.#say({ kind: "join", generation, group });
  }

  #say(message: MembershipMessage): void {
    this.#outputs.push({ kind: "message", message });
  }

  /** Follows the queriers that were heard; another mode begins with nothing outstanding. */
  #comply(now: Millis): void {
    let generation: Generation = 3;
    if (now < this.#igmpv1Until) generation = 1;
    else if (now < this.#olderUntil) generation = 2;
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#answerAll = NEVER;
    this.#due = NEVER;
    for (const group of this.#busy) {
      const entry = this.#groups.get(group)!;
      entry.change = undefined;
      entry.answer = undefined;
      this.#rest(group, entry);
    }
  }

  #await(group: Address, at: Millis): void {
    this.#busy.add(group);
    this.#due = Math.min(this.#due, at);
  }

  /** Lets go of what a group has no more use for. */
  #rest(group: Address, entry: HostGroup): void {
    if (entry.change !== undefined || entry.answer !== undefined) return;
    this.#busy.delete(group);
    if (isEmpty(entry.filter)) this.#groups.delete(group);
  }

  /**
   * False for the all-hosts groups and IPv6 groups that stay in the host, of which nothing is said
   * (RFC 3376 §5, RFC 3810 §6), and for source-specific groups while no querier knows sources
   * (RFC 4604).
   */
  #isReported(group: Address): boolean {
    if (group === "224.0.0.1" || group === "ff02::1") return false;
    const octets = parseAddress(group);
    if (octets === undefined || octets.length !== (this.#family === 4 ? 4 : 16)) return false;
    if (this.#family === 6 && (octets[1]! & 0x0f) <= 1) return false;
    return this.#generation === 3 || !isSourceSpecific(octets);
  }
}

/** The Current-State Record that answers a query; none if there is nothing to say. */
function current(
  group: Address,
  filter: GroupFilter,
  asked: ReadonlySet<Address> | undefined,
): GroupRecord[] {
  if (isEmpty(filter)) return [];
  if (asked === undefined)
    return [
      { kind: filter.mode === "include" ? "is-in" : "is-ex", group, sources: filter.sources },
    ];
  const sources = [...asked].filter((source) => wants(filter, source));
  return sources.length === 0 ? [] : [{ kind: "is-in", group, sources }];
}
