/**
 * A multicast router on a native link: RFC 3376 §6 and §7.3 (RFC 3810 §7 and §8.3). It elects the
 * querier with the other routers there and, while it is the one, queries for all members now and
 * then, and for the rest of a group's members when one leaves.
 */
import {
  VERDICT_GROUP_LIMIT,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_SOURCE_LIMIT,
} from "../../assembly/layout/verdict.ts";
import { type Address, parseAddress } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { Machine, Millis } from "../core/machine.ts";
import type {
  Generation,
  GroupFilter,
  GroupRecord,
  MembershipMessage,
  MembershipQuery,
} from "../wire/membership.ts";
import { creates, isExclude, refusal } from "./admission.ts";
import { NOTHING, sameFilter } from "./filter.ts";
import { type Applied, GroupState } from "./group-state.ts";
import { Outputs } from "./outputs.ts";
import type { RouterInput, RouterOptions, RouterOutput } from "./router.ts";

/** Who queries the link (RFC 3376 §6.6.2, RFC 3810 §7.6.2). */
type Election =
  | { readonly at: "idle" }
  /** We do; `startup` more General Queries come at the shorter Startup Query Interval. */
  | { readonly at: "querier"; readonly startup: number; readonly nextQuery: Millis }
  /** Another does, until its Other Querier Present timer ends. */
  | { readonly at: "other"; readonly until: Millis; readonly querier: Address };

/** Queries for a group's remaining members, still to be sent (RFC 3376 §6.6.3). */
interface Pending {
  at: Millis;
  /** Group-Specific Queries left. */
  group: number;
  /** By source, the Group-and-Source-Specific Queries left that ask for it. */
  readonly sources: Map<Address, number>;
}

const NEVER = Number.POSITIVE_INFINITY;

/** A group on the link, and how long its older hosts count as present (RFC 3376 §7.3.2). */
class LinkGroup extends GroupState {
  igmpv1Until = -NEVER;
  /** IGMPv2 hosts, or MLDv1 ones. */
  olderUntil = -NEVER;
  pending: Pending | undefined;
}

export class QuerierRouter implements Machine<RouterInput, RouterOutput> {
  readonly #options: RouterOptions;
  /** The version that is spoken; see `RouterOptions`. */
  readonly #generation: Generation;
  /** Our address in the election. */
  #address: Address | undefined;
  readonly #groups = new Map<Address, LinkGroup>();
  /** Our own variables, or those of the other querier (RFC 3376 §4.1.6, §4.1.7). */
  #robustness: number;
  #queryInterval: Millis;
  #election: Election = { at: "idle" };
  /** Nothing is due before this; infinite if nothing is. */
  #due = NEVER;
  readonly #outputs = new Outputs<RouterOutput>();

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#generation = options.generation ?? 3;
    this.#address = options.address;
    this.#robustness = options.timers.robustness;
    this.#queryInterval = options.timers.queryInterval;
  }

  handle(input: RouterInput, now: Millis): void {
    if (now >= this.#due) this.#elapse(now);
    switch (input.kind) {
      case "message":
        return this.#message(input.message, input.from, now);
      case "start":
        return this.#becomeQuerier(
          this.#options.timers.startupQueryCount ?? this.#options.timers.robustness,
          now,
        );
      case "clear":
        return this.#clear();
      case "address":
        this.#address = input.address;
        return;
      case "timeout":
        return;
    }
  }

  poll(): RouterOutput | undefined {
    return this.#outputs.take();
  }

  deadline(): Millis | undefined {
    return this.#due === NEVER ? undefined : this.#due;
  }

  *filters(): Generator<readonly [Address, GroupFilter]> {
    for (const [group, state] of this.#groups) yield [group, state.filter()];
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  get querier(): string | undefined {
    switch (this.#election.at) {
      case "idle":
        return undefined;
      case "querier":
        return "self";
      case "other":
        return this.#election.querier;
    }
  }

  #message(message: MembershipMessage, from: Address, now: Millis): void {
    switch (message.kind) {
      case "query":
        return this.#queried(message, from, now);
      case "join":
        // IGMPv1 has no counterpart in MLD.
        if (message.generation === 1 && this.#options.family === 6)
          return this.#drop(VERDICT_MEMBERSHIP_TYPE);
        return this.#report(
          [{ kind: "is-ex", group: message.group, sources: [] }],
          message.generation,
          now,
        );
      case "leave":
        // IGMPv1 routers know of no leave (RFC 3376 §7.3.1).
        if (this.#generation === 1) return;
        return this.#report([{ kind: "to-in", group: message.group, sources: [] }], 2, now);
      case "report":
        return this.#report(message.records, 3, now);
    }
  }

  /** All records count before a change is told, so that BLOCK and ALLOW of one report are one. */
  #report(records: readonly GroupRecord[], generation: 1 | 2 | 3, now: Millis): void {
    const touched = new Map<Address, GroupFilter>();
    for (const record of records) {
      const { group } = record;
      const { family } = this.#options;
      const refused = refusal(group, family, generation < 3 || isExclude(record));
      if (refused !== undefined) {
        this.#drop(refused);
        continue;
      }
      const state = this.#groups.get(group) ?? this.#admit(record);
      if (state === undefined) continue;
      if (!touched.has(group)) touched.set(group, state.filter());
      if (record.kind === "is-ex") this.#hear(state, generation, now);
      this.#record(record, state, now);
    }
    for (const [group, before] of touched) this.#settle(group, before, now);
  }

  /** A new group for a record that asks for something; undefined if it does not or may not. */
  #admit(record: GroupRecord): LinkGroup | undefined {
    if (!creates(record)) return undefined;
    if (this.#groups.size >= this.#options.limits.groups) {
      this.#drop(VERDICT_GROUP_LIMIT);
      return undefined;
    }
    const state = new LinkGroup();
    this.#groups.set(record.group, state);
    return state;
  }

  /** Starts the Older Host Present timer that a report of this generation stands for. */
  #hear(state: LinkGroup, generation: 1 | 2 | 3, now: Millis): void {
    if (generation === 1) state.igmpv1Until = now + this.#lifetime;
    if (generation === 2) state.olderUntil = now + this.#lifetime;
  }

  #record(record: GroupRecord, state: LinkGroup, now: Millis): void {
    let { sources } = record;
    const oldest = this.#generation === 1 || now < state.igmpv1Until;
    if (oldest || this.#generation === 2 || now < state.olderUntil) {
      // Older members cannot say what they want of a source (RFC 3376 §7.3.2, RFC 3810 §8.3.2).
      if (record.kind === "block" || (oldest && record.kind === "to-in")) return;
      if (record.kind === "to-ex") sources = [];
    }
    const wanted = state.apply(
      record.kind,
      sources,
      now,
      this.#lifetime,
      this.#options.limits.sources,
    );
    if (wanted.refused > 0) this.#drop(VERDICT_SOURCE_LIMIT);
    // Another querier's queries lower our timers; without a querier nothing does.
    if (this.#election.at === "querier") this.#ask(record.group, state, wanted, now);
  }

  /**
   * "Send Q(G)" and "Send Q(G,X)" (RFC 3376 §6.6.3, RFC 3810 §7.6.3). What is being asked for already
   * is not asked for anew: a host repeats the report of its departure.
   */
  #ask(group: Address, state: LinkGroup, wanted: Applied, now: Millis): void {
    // Older queries name no source: what they cannot ask for ends by its own timer.
    if (this.#generation === 1) return;
    const until = now + this.#lastMemberQueryTime;
    const sources =
      this.#generation === 2
        ? []
        : wanted.querySources.filter((source) => state.sourceEnd(source)! > until);
    const queryGroup = wanted.queryGroup && state.groupEnd! > until;
    if (!queryGroup && sources.length === 0) return;
    state.pending ??= { at: now, group: 0, sources: new Map() };
    for (const source of sources) state.pending.sources.set(source, this.#lastMemberQueryCount);
    state.lowerSources(sources, until);
    if (queryGroup) {
      state.pending.group = this.#lastMemberQueryCount;
      state.lowerGroup(until);
    }
    this.#sendPending(group, state, now);
  }

  /** Sends a group's pending queries once, and sets the time of the next. */
  #sendPending(group: Address, state: LinkGroup, now: Millis): void {
    const { pending } = state;
    if (pending === undefined) return;
    const until = now + this.#lastMemberQueryTime;
    const asksGroup = pending.group > 0;
    if (asksGroup) {
      pending.group--;
      // Renewed by a member since: only the other routers' timers must not be lowered again.
      this.#query(group, [], (state.groupEnd ?? NEVER) > until);
    }
    const renewed: Address[] = [];
    const waiting: Address[] = [];
    for (const [source, left] of pending.sources) {
      const end = state.sourceEnd(source);
      if (end !== undefined) (end > until ? renewed : waiting).push(source);
      if (end === undefined || left === 1) pending.sources.delete(source);
      else pending.sources.set(source, left - 1);
    }
    if (renewed.length > 0 && !asksGroup) this.#query(group, renewed, true);
    if (waiting.length > 0) this.#query(group, waiting, false);
    if (pending.group === 0 && pending.sources.size === 0) state.pending = undefined;
    else pending.at = now + this.#options.timers.lastMemberQueryInterval;
  }

  #query(group: Address, sources: readonly Address[], suppress: boolean): void {
    const maxResponse = this.#options.timers.lastMemberQueryInterval;
    this.#outputs.push({
      kind: "query",
      query: this.#build({ group, sources, suppress, maxResponse }),
    });
  }

  #build(
    what: Pick<MembershipQuery, "group" | "sources" | "suppress" | "maxResponse">,
  ): MembershipQuery {
    return {
      kind: "query",
      generation: this.#generation,
      ...what,
      // QRV has three bits (RFC 3376 §4.1.6). Older queries tell neither, nor the S flag.
      robustness: this.#robustness > 7 ? 0 : this.#robustness,
      queryInterval: this.#queryInterval,
    };
  }

  /** A query of another router (RFC 3376 §6.6.1, §6.6.2; RFC 3810 §7.6.1, §7.6.2). */
  #queried(query: MembershipQuery, from: Address, now: Millis): void {
    if (from === this.#address) return;
    // Versions are to be alike on a link, by hand (RFC 3376 §7.3.1, RFC 3810 §8.3.1).
    if (
      query.generation < this.#generation &&
      (query.group === undefined || query.generation === 1)
    )
      this.#outputs.push({ kind: "older-querier", generation: query.generation, from });
    this.#elect(query, from, now);
    if (query.group === undefined || query.suppress) return;
    const state = this.#groups.get(query.group);
    if (state === undefined) return;
    const until = now + this.#lastMemberQueryTime;
    if (query.sources.length === 0) state.lowerGroup(until);
    else state.lowerSources(query.sources, until);
    this.#settle(query.group, state.filter(), now);
  }

  /** The lowest address queries. 0.0.0.0 and :: are no router's, and IGMPv1 has no election. */
  #elect(query: MembershipQuery, from: Address, now: Millis): void {
    const { timers } = this.#options;
    if (this.#election.at === "idle" || query.generation === 1) return;
    if (!isBelow(from, this.#address)) return;
    this.#robustness = query.robustness || timers.robustness;
    this.#queryInterval = query.queryInterval || timers.queryInterval;
    const until = now + this.#robustness * this.#queryInterval + timers.queryResponseInterval / 2;
    this.#election = { at: "other", until, querier: from };
    this.#due = Math.min(this.#due, until);
    for (const state of this.#groups.values()) state.pending = undefined;
  }

  /** Sends a General Query now, and `count` in all at the Startup Query Interval (RFC 3376 §8.6). */
  #becomeQuerier(count: number, now: Millis): void {
    this.#robustness = this.#options.timers.robustness;
    this.#queryInterval = this.#options.timers.queryInterval;
    this.#queryAll(count - 1, now);
  }

  /** Sends a General Query; `startup` says how many more come soon. */
  #queryAll(startup: number, now: Millis): void {
    const maxResponse = this.#options.timers.queryResponseInterval;
    const query = this.#build({ group: undefined, sources: [], suppress: false, maxResponse });
    this.#outputs.push({ kind: "query", query });
    const soon = this.#options.timers.startupQueryInterval ?? this.#queryInterval / 4;
    const nextQuery = now + (startup > 0 ? soon : this.#queryInterval);
    this.#election = { at: "querier", startup: Math.max(0, startup), nextQuery };
    this.#due = Math.min(this.#due, nextQuery);
  }

  /** Does all that is due, and finds what is due next. */
  #elapse(now: Millis): void {
    let due = NEVER;
    for (const [group, state] of this.#groups) {
      if (state.nextEnd() <= now) this.#settle(group, state.filter(), now);
      if (state.pending !== undefined && state.pending.at <= now)
        this.#sendPending(group, state, now);
      due = Math.min(due, state.nextEnd(), state.pending?.at ?? NEVER);
    }
    this.#due = due;
    const election = this.#election;
    switch (election.at) {
      case "idle":
        return;
      case "other":
        if (election.until <= now) this.#becomeQuerier(1, now);
        else this.#due = Math.min(this.#due, election.until);
        return;
      case "querier":
        if (election.nextQuery <= now) this.#queryAll(election.startup - 1, now);
        else this.#due = Math.min(this.#due, election.nextQuery);
    }
  }

  /** After any change to a group: ends what is over, tells what is to be forwarded now. */
  #settle(group: Address, before: GroupFilter, now: Millis): void {
    const state = this.#groups.get(group);
    if (state === undefined) return;
    state.expire(now);
    const after = state.filter();
    if (state.isEmpty) {
      this.#groups.delete(group);
      state.pending = undefined;
    } else this.#due = Math.min(this.#due, state.nextEnd(), state.pending?.at ?? NEVER);
    if (!sameFilter(before, after))
      this.#outputs.push({ kind: "filter", group, before, filter: after });
  }

  #clear(): void {
    for (const [group, before] of this.filters())
      this.#outputs.push({ kind: "filter", group, before, filter: NOTHING });
    this.#groups.clear();
    this.#election = { at: "idle" };
    this.#due = NEVER;
  }

  #drop(drop: Drop): void {
    this.#outputs.push({ kind: "dropped", drop });
  }

  /** Group Membership Interval, and Older Host Present Interval (RFC 3376 §8.4, §8.13). */
  get #lifetime(): Millis {
    return this.#robustness * this.#queryInterval + this.#options.timers.queryResponseInterval;
  }

  /** Last Member Query Count; Last Listener Query Count in MLD. */
  get #lastMemberQueryCount(): number {
    return this.#options.timers.lastMemberQueryCount ?? this.#robustness;
  }

  /** Last Member Query Time (RFC 3376 §8.8.1), Last Listener Query Time (RFC 3810 §9.8). */
  get #lastMemberQueryTime(): Millis {
    return this.#options.timers.lastMemberQueryInterval * this.#lastMemberQueryCount;
  }
}

/** True if `address` is a router's and numerically below `own`; any is, if we have none. */
function isBelow(address: Address, own: Address | undefined): boolean {
  const octets = parseAddress(address);
  if (octets === undefined || octets.every((octet) => octet === 0)) return false;
  const others = own === undefined ? undefined : parseAddress(own);
  if (others === undefined || others.length !== octets.length) return own === undefined;
  const first = octets.findIndex((octet, i) => octet !== others[i]);
  return first >= 0 && octets[first]! < others[first]!;
}
