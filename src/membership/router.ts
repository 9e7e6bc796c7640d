/** Signatures of the router half of IGMP and MLD on one link. */
import type { Address, Family } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { Machine, Millis } from "../core/machine.ts";
import type { GroupFilter, MembershipMessage, MembershipQuery } from "../wire/membership.ts";

export interface RouterTimers {
  readonly robustness: number;
  readonly queryInterval: Millis;
  readonly queryResponseInterval: Millis;
  readonly lastMemberQueryInterval: Millis;
  readonly lastMemberQueryCount?: number;
}

export interface RouterLimits {
  readonly groups: number;
  readonly sources: number;
  readonly reporters: number;
}

export interface RouterOptions {
  readonly family: Family;
  readonly role: "tracked" | "querier";
  readonly address?: Address;
  readonly timers: RouterTimers;
  readonly limits: RouterLimits;
}

export type RouterInput =
  | { readonly kind: "message"; readonly message: MembershipMessage; readonly from: Address }
  | { readonly kind: "start" }
  | { readonly kind: "clear" }
  | { readonly kind: "timeout" };

export type RouterOutput =
  | { readonly kind: "filter"; readonly group: Address; readonly filter: GroupFilter }
  | { readonly kind: "query"; readonly query: MembershipQuery }
  | { readonly kind: "dropped"; readonly drop: Drop };

export declare class MembershipRouter implements Machine<RouterInput, RouterOutput> {
  constructor(options: RouterOptions);
  handle(input: RouterInput, now: Millis): void;
  poll(): RouterOutput | undefined;
  deadline(): Millis | undefined;
  filters(): Iterable<readonly [Address, GroupFilter]>;
  get groupCount(): number;
}
