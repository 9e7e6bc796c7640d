/** The kernel's own memberships: joins on an upstream interface. */
import type { Address } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

/** As the wire's GroupFilter; INCLUDE of nothing is no membership. */
export interface JoinFilter {
  readonly mode: "include" | "exclude";
  readonly sources: readonly Address[];
}

export class Joins {
  /** Joins on the interface with this index (`readLink(name).index`). */
  constructor(readonly index: number) {}

  /**
   * Makes `filter` what this object asks of the network for `group`, and returns what it asks in
   * fact: wider when the kernel's limits leave no other way.
   */
  set(group: Address, filter: JoinFilter): JoinFilter {
    throw new BugError(`Joins: ${group} ${filter.mode}: not written yet`);
  }
  /** Leaves everything. */
  close(): void {}
}
