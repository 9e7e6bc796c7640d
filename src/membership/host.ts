/** Signatures of the host half of IGMP and MLD on one interface. */
import type { Address, Family } from "../core/address.ts";
import type { Entropy, Machine, Millis } from "../core/machine.ts";
import type { GroupFilter, MembershipMessage, MembershipQuery } from "../wire/membership.ts";

export interface HostOptions {
  readonly family: Family;
  readonly entropy: Entropy;
  readonly unsolicitedReportInterval?: Millis;
}

export type HostInput =
  | { readonly kind: "set"; readonly group: Address; readonly filter: GroupFilter }
  | { readonly kind: "query"; readonly query: MembershipQuery; readonly immediate?: boolean }
  | { readonly kind: "robustness"; readonly value: number }
  | { readonly kind: "timeout" };

export type HostOutput = { readonly kind: "message"; readonly message: MembershipMessage };

export declare class MembershipHost implements Machine<HostInput, HostOutput> {
  constructor(options: HostOptions);
  handle(input: HostInput, now: Millis): void;
  poll(): HostOutput | undefined;
  deadline(): Millis | undefined;
  state(): Iterable<readonly [Address, GroupFilter]>;
}
