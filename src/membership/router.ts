/**
 * The router half of IGMP and MLD on one link: what the members there want, learned from their
 * reports. Read RFC 3376 §6 first; RFC 3810 §7 is the same for IPv6. `group-state.ts` holds the
 * tables of both, `querier.ts` is a router on a native link, `tracked.ts` one that never queries.
 */
import type { Address, Family } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { Machine, Millis } from "../core/machine.ts";
import type {
  Generation,
  GroupFilter,
  MembershipMessage,
  MembershipQuery,
} from "../wire/membership.ts";
import { QuerierRouter } from "./querier.ts";
import { TrackedRouter } from "./tracked.ts";

/** The protocol's variables (RFC 3376 §8, RFC 3810 §9). */
export interface RouterTimers {
  /** Robustness Variable, at least 1. */
  readonly robustness: number;
  readonly queryInterval: Millis;
  readonly queryResponseInterval: Millis;
  readonly lastMemberQueryInterval: Millis;
  /** The Robustness Variable if not given. */
  readonly lastMemberQueryCount?: number;
  /** A quarter of the Query Interval if not given. */
  readonly startupQueryInterval?: Millis;
  /** The Robustness Variable if not given. */
  readonly startupQueryCount?: number;
}

/** Above these, additions are ignored and reported as drops; refreshes and leaves still work. */
export interface RouterLimits {
  readonly groups: number;
  /** Sources of one group, over all its reporters, wanted and excluded ones alike. */
  readonly sources: number;
  /** Reporters told apart on the link; more of them share one record. Role "tracked" only. */
  readonly reporters: number;
}

export interface RouterOptions {
  readonly family: Family;
  readonly role: "tracked" | "querier";
  /**
   * The own address in the election of the querier, which the lowest wins. Without one, and in role
   * "tracked", any other querier wins.
   */
  readonly address?: Address;
  /**
   * The version of the querier, where another router on the link is older: hosts then keep to it,
   * and cannot be asked for sources (RFC 3376 §7.3.1, RFC 3810 §8.3.1). The newest if not given; MLD
   * has no 1. Role "querier" only.
   */
  readonly generation?: Generation;
  readonly timers: RouterTimers;
  readonly limits: RouterLimits;
}

export type RouterInput =
  /** A message that came over the link from the IP address `from`. */
  | { readonly kind: "message"; readonly message: MembershipMessage; readonly from: Address }
  /** Begins to query. A querier that was not started, and role "tracked", never does. */
  | { readonly kind: "start" }
  /** Forgets all memberships at once, and stops querying until the next start. */
  | { readonly kind: "clear" }
  /** The own address is another one, or there is none, from now on. */
  | { readonly kind: "address"; readonly address: Address | undefined }
  | { readonly kind: "timeout" };

export type RouterOutput =
  /**
   * What is to be forwarded of a group is now `filter` and no longer `before`; INCLUDE of nothing
   * stands for a group that has no members.
   */
  | {
      readonly kind: "filter";
      readonly group: Address;
      readonly before: GroupFilter;
      readonly filter: GroupFilter;
    }
  /** To be sent: to all hosts, or to the group that it names. */
  | { readonly kind: "query"; readonly query: MembershipQuery }
  /** Another router on the link speaks an older version than we do, which is to be told. */
  | { readonly kind: "older-querier"; readonly generation: Generation; readonly from: Address }
  | { readonly kind: "dropped"; readonly drop: Drop };

/** One link's memberships. `options` is kept, not copied, so that many instances can share it. */
export class MembershipRouter implements Machine<RouterInput, RouterOutput> {
  readonly #half: TrackedRouter | QuerierRouter;

  constructor(options: RouterOptions) {
    this.#half =
      options.role === "tracked" ? new TrackedRouter(options) : new QuerierRouter(options);
  }

  handle(input: RouterInput, now: Millis): void {
    this.#half.handle(input, now);
  }

  poll(): RouterOutput | undefined {
    return this.#half.poll();
  }

  /** Costs nothing. May be earlier than the next change: timers that were renewed stay in it. */
  deadline(): Millis | undefined {
    return this.#half.deadline();
  }

  /** Every group that has members, with what is to be forwarded of it. */
  filters(): Iterable<readonly [Address, GroupFilter]> {
    return this.#half.filters();
  }

  /** Who queries the link; undefined before the start, and in role "tracked". */
  get querier(): string | undefined {
    return this.#half.querier;
  }

  /** How many groups have members. */
  get groupCount(): number {
    return this.#half.groupCount;
  }
}
