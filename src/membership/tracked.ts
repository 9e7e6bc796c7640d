/**
 * Memberships on a link that is never queried for departed members: the router half of an AMT
 * relay towards one endpoint (RFC 7450 §5.3.3.4). The gateway there may be one host, or
 * bridge the reports of many, so memberships are kept for each reporter, told by the source address
 * of its messages, and what is forwarded is what all of them want together.
 *
 * RFC 3376 §6.4 wants a query when a member leaves, to hear whether others remain. Here:
 *
 * - A reporter of IGMPv3 or MLDv2 speaks for itself alone and is never silenced by another's report.
 *   What it leaves ends at once, and touches nobody else's membership.
 * - Hosts of IGMPv1, IGMPv2 and MLDv1 keep silent when they hear another's report, so their reports
 *   renew a membership that all of them share. Every one of them reports once when it joins, whoever
 *   reported before (RFC 2236 §3, RFC 2710 §4), so the membership remembers who did. A Leave by the
 *   only reporter known for the group ends it at once. A Leave by any other lets it end after one
 *   query interval and one query response interval: within that time the gateway has queried again
 *   and a remaining member has answered. A reporter of IGMPv3 counts as another one here, because it
 *   may let an older report stand for its own (RFC 3376 §7.2.2).
 * - Reporters above the limit share one record each of both kinds, where every departure is treated
 *   like that Leave.
 */
import {
  VERDICT_GROUP_LIMIT,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_SOURCE_LIMIT,
} from "../../assembly/layout/verdict.ts";
import type { Address } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { Machine, Millis } from "../core/machine.ts";
import type { GroupFilter, GroupRecord, MembershipMessage } from "../wire/membership.ts";
import { creates, isExclude, refusal } from "./admission.ts";
import { mergeFilters, NOTHING, sameFilter } from "./filter.ts";
import { GroupState } from "./group-state.ts";
import { Outputs } from "./outputs.ts";
import type { RouterInput, RouterOptions, RouterOutput } from "./router.ts";

/** Stands for all reporters above the limit. No address is spelled like it. */
const CROWD = "crowd";

/** One reporter's membership of a group, and the next reporter's of the same group. */
class Member extends GroupState {
  next: Member | undefined;
  constructor(readonly reporter: Address) {
    super();
  }
}

/** The membership that all older hosts of a group share. */
class OlderMembers extends Member {
  /** Who has reported and not left; CROWD for any number above the limit. */
  readonly known: Address[] = [];
}

const OLDER = "older";

/** How many groups each reporter is a member of. Most gateways have one reporter: it needs no Map. */
class Reporters {
  #first: Address | undefined;
  #firstGroups = 0;
  #others: Map<Address, number> | undefined;

  get size(): number {
    return Number(this.#first !== undefined) + (this.#others?.size ?? 0);
  }

  has(reporter: Address): boolean {
    return reporter === this.#first || this.#others?.has(reporter) === true;
  }

  /** One group more. */
  enter(reporter: Address): void {
    const others = this.#others?.get(reporter);
    if (others === undefined && (this.#first ?? reporter) === reporter) {
      this.#first = reporter;
      this.#firstGroups++;
    } else (this.#others ??= new Map()).set(reporter, (others ?? 0) + 1);
  }

  /** One group less, of those that it entered. */
  leave(reporter: Address): void {
    if (reporter === this.#first) {
      if (--this.#firstGroups === 0) this.#first = undefined;
      return;
    }
    const groups = this.#others?.get(reporter) ?? 0;
    if (groups > 1) this.#others!.set(reporter, groups - 1);
    else this.#others?.delete(reporter);
  }

  clear(): void {
    this.#first = undefined;
    this.#firstGroups = 0;
    this.#others = undefined;
  }
}

export class TrackedRouter implements Machine<RouterInput, RouterOutput> {
  readonly #options: RouterOptions;
  /** By group, the first of its members; a list of one where gateways are single hosts. */
  readonly #groups = new Map<Address, Member>();
  /** Those told apart. */
  readonly #reporters = new Reporters();
  /** No timer ends before this; infinite if none runs. */
  #due = Number.POSITIVE_INFINITY;
  readonly #outputs = new Outputs<RouterOutput>();

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  handle(input: RouterInput, now: Millis): void {
    if (now >= this.#due) this.#expire(now);
    switch (input.kind) {
      case "message":
        return this.#message(input.message, input.from, now);
      case "clear":
        return this.#clear();
      case "start":
      case "address":
      case "timeout":
        return;
    }
  }

  poll(): RouterOutput | undefined {
    return this.#outputs.take();
  }

  deadline(): Millis | undefined {
    return this.#due === Number.POSITIVE_INFINITY ? undefined : this.#due;
  }

  *filters(): Generator<readonly [Address, GroupFilter]> {
    for (const [group, members] of this.#groups) yield [group, merged(members)];
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  /** Nobody: such a link is not queried by us, and another's queries are refused. */
  get querier(): undefined {
    return undefined;
  }

  #message(message: MembershipMessage, from: Address, now: Millis): void {
    switch (message.kind) {
      case "query":
        return this.#drop(VERDICT_MEMBERSHIP_TYPE);
      case "join":
      case "leave": {
        const { group } = message;
        const refused = refusal(group, this.#options.family, true);
        if (refused !== undefined) return this.#drop(refused);
        const before = this.#filter(group);
        if (message.kind === "join") this.#join(group, from, now);
        else this.#leave(group, from, now);
        return this.#settle(group, before, now);
      }
      case "report":
        return this.#report(message.records, from, now);
    }
  }

  /** All records count before a change is told, so that BLOCK and ALLOW of one report are one. */
  #report(records: readonly GroupRecord[], from: Address, now: Millis): void {
    const touched = new Map<Address, GroupFilter>();
    for (const record of records) {
      const { group } = record;
      const refused = refusal(group, this.#options.family, isExclude(record));
      if (refused !== undefined) {
        this.#drop(refused);
        continue;
      }
      const first = this.#groups.get(group);
      if (!touched.has(group)) touched.set(group, first === undefined ? NOTHING : merged(first));
      this.#record(record, first, from, now);
    }
    for (const [group, before] of touched) this.#settle(group, before, now);
  }

  /** Obeys a record of a group whose first member is `first`. */
  #record(record: GroupRecord, first: Member | undefined, from: Address, now: Millis): void {
    const { group, kind, sources } = record;
    const member = this.#member(group, first, from, now) ?? this.#admit(record, first, from);
    if (member === undefined) return;
    const limit = this.#options.limits.sources - sourcesBeside(first, member);
    const wanted = member.apply(kind, sources, now, this.#lifetime, limit);
    const until = member.reporter === CROWD ? now + this.#hold : now;
    member.lowerSources(wanted.querySources, until);
    if (wanted.queryGroup) member.lowerGroup(until);
    member.expire(now);
    if (wanted.refused > 0) this.#drop(VERDICT_SOURCE_LIMIT);
  }

  /** The reporter's own membership of a group. What it had as an older host becomes its own. */
  #member(
    group: Address,
    first: Member | undefined,
    from: Address,
    now: Millis,
  ): Member | undefined {
    if (first === undefined) return undefined;
    const reporter = this.#reporters.has(from) ? from : CROWD;
    let own: Member | undefined;
    let older: OlderMembers | undefined;
    for (let member: Member | undefined = first; member !== undefined; member = member.next) {
      if (member.reporter === from) return member;
      if (member.reporter === reporter) own = member;
      if (member instanceof OlderMembers) older = member;
    }
    const place = older?.known.indexOf(from) ?? -1;
    if (older === undefined || place < 0) return own;
    const end = older.groupEnd ?? now;
    older.known.splice(place, 1);
    const heir = own ?? this.#add(group, first, new Member(this.#reporterOf(from)));
    heir.apply("is-ex", [], now, end - now, 0);
    if (older.known.length === 0) older.lowerGroup(now);
    return heir;
  }

  /** A new membership for a record that gives one; undefined if it gives none or may not. */
  #admit(record: GroupRecord, first: Member | undefined, from: Address): Member | undefined {
    if (!creates(record)) return undefined;
    if (!this.#hasRoom(first)) return undefined;
    return this.#add(record.group, first, new Member(this.#reporterOf(from)));
  }

  /** Whether a group whose first member is `first` may have another. */
  #hasRoom(first: Member | undefined): boolean {
    if (first !== undefined || this.#groups.size < this.#options.limits.groups) return true;
    this.#drop(VERDICT_GROUP_LIMIT);
    return false;
  }

  #reporterOf(from: Address): Address {
    const known =
      this.#reporters.has(from) || this.#reporters.size < this.#options.limits.reporters;
    return known ? from : CROWD;
  }

  /** An older host reports a group (RFC 3376 §7.3.2: the same as IS_EX of nothing). */
  #join(group: Address, from: Address, now: Millis): void {
    const first = this.#groups.get(group);
    let older: OlderMembers | undefined;
    for (let member = first; member !== undefined; member = member.next) {
      if (member instanceof OlderMembers) older = member;
      // It no longer speaks IGMPv3: what it said then would outlast its Leave.
      else if (member.reporter === from) end(member, now);
    }
    if (older === undefined) {
      if (!this.#hasRoom(first)) return;
      older = new OlderMembers(OLDER);
      this.#add(group, first, older);
    }
    older.apply("is-ex", [], now, this.#lifetime, 0);
    const { known } = older;
    if (known.includes(from)) return;
    if (known.length < this.#options.limits.reporters) known.push(from);
    else if (!known.includes(CROWD)) known.push(CROWD);
  }

  #leave(group: Address, from: Address, now: Millis): void {
    let older: OlderMembers | undefined;
    let others = false;
    for (let member = this.#groups.get(group); member !== undefined; member = member.next) {
      if (member instanceof OlderMembers) older = member;
      else if (member.reporter === from) end(member, now);
      else others = true;
    }
    if (older === undefined) return;
    const { known } = older;
    const place = known.indexOf(from);
    if (place >= 0) known.splice(place, 1);
    const only = known.length === 0 && !others;
    older.lowerGroup(only ? now : now + this.#hold);
  }

  /** Puts a new membership in front of a group's others, of which `first` is the first. */
  #add(group: Address, first: Member | undefined, member: Member): Member {
    member.next = first;
    this.#groups.set(group, member);
    if (isTold(member)) this.#reporters.enter(member.reporter);
    return member;
  }

  #filter(group: Address): GroupFilter {
    const members = this.#groups.get(group);
    return members === undefined ? NOTHING : merged(members);
  }

  /** After any change to a group: ends what is over, tells what is to be forwarded now. */
  #settle(group: Address, before: GroupFilter, now: Millis): void {
    const head = this.#groups.get(group);
    let first: Member | undefined;
    let last: Member | undefined;
    for (let member = head; member !== undefined; member = member.next) {
      member.expire(now);
      if (member.isEmpty) {
        if (isTold(member)) this.#reporters.leave(member.reporter);
        continue;
      }
      this.#due = Math.min(this.#due, member.nextEnd());
      if (last === undefined) first = member;
      else last.next = member;
      last = member;
    }
    if (first === undefined || last === undefined) this.#groups.delete(group);
    else {
      last.next = undefined;
      if (first !== head) this.#groups.set(group, first);
    }
    if (this.#groups.size === 0) this.#due = Number.POSITIVE_INFINITY;
    if (first !== undefined && first.next === undefined && first.isFilter(before)) return;
    const after = first === undefined ? NOTHING : merged(first);
    if (!sameFilter(before, after))
      this.#outputs.push({ kind: "filter", group, before, filter: after });
  }

  #expire(now: Millis): void {
    this.#due = Number.POSITIVE_INFINITY;
    for (const [group, members] of this.#groups) {
      let next = Number.POSITIVE_INFINITY;
      for (let member: Member | undefined = members; member !== undefined; member = member.next)
        next = Math.min(next, member.nextEnd());
      if (next > now) this.#due = Math.min(this.#due, next);
      else this.#settle(group, merged(members), now);
    }
  }

  #clear(): void {
    for (const [group, before] of this.filters())
      this.#outputs.push({ kind: "filter", group, before, filter: NOTHING });
    this.#groups.clear();
    this.#reporters.clear();
    this.#due = Number.POSITIVE_INFINITY;
  }

  #drop(drop: Drop): void {
    this.#outputs.push({ kind: "dropped", drop });
  }

  /** Group Membership Interval (RFC 3376 §8.4), Multicast Address Listening Interval (RFC 3810 §9.4). */
  get #lifetime(): Millis {
    const { robustness, queryInterval, queryResponseInterval } = this.#options.timers;
    return robustness * queryInterval + queryResponseInterval;
  }

  /** How long a membership outlives a Leave by one of several members. */
  get #hold(): Millis {
    const { queryInterval, queryResponseInterval } = this.#options.timers;
    return queryInterval + queryResponseInterval;
  }
}

function merged(members: Member): GroupFilter {
  if (members.next === undefined) return members.filter();
  const filters: GroupFilter[] = [];
  for (let member: Member | undefined = members; member !== undefined; member = member.next)
    filters.push(member.filter());
  return mergeFilters(filters);
}

/** The sources that the memberships from `first` on hold, but for those of `member`. */
function sourcesBeside(first: Member | undefined, member: Member): number {
  let count = 0;
  for (let one = first; one !== undefined; one = one.next)
    if (one !== member) count += one.sourceCount;
  return count;
}

/** Ends all that a reporter wants of a group, as TO_IN of nothing does. */
function end(member: Member, now: Millis): void {
  const { querySources } = member.apply("to-in", [], now, 0, 0);
  member.lowerSources(querySources, now);
  member.lowerGroup(now);
}

/** True if the membership counts against the reporters that are told apart. */
function isTold(member: Member): boolean {
  return member.reporter !== CROWD && !(member instanceof OlderMembers);
}
