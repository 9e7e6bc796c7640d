/** A relay that `roaming.ts` speaks with, and for whom. */
import type { Endpoint } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import { MergedMembership } from "../membership/merge.ts";
import type { AmtGateway, GatewayState } from "../protocols/amt/gateway.ts";
import type { Candidate } from "../protocols/driad/candidates.ts";
import type { Contact, Seeker } from "./seeker.ts";

/** A contact, with who uses or tries it. */
export class Party implements Contact {
  relay: Endpoint | undefined;
  state: GatewayState = "idle";
  readonly users = new Set<Seeker>();
  /** What its users want of each group, by slot. */
  readonly memberships = new MergedMembership<number>();
  started = false;
  /** True once its relay has answered, until there is doubt. */
  answers = false;
  /** Its relay has set L: it takes no new gateways. */
  full = false;
  /** It has, or had, a report of ours: it must be left in order. */
  reported = false;
  /** Without users since LINGER before. */
  endAt: Millis | undefined;
  leaving = false;
  /** Who is to speak with the same relay once this one has left. */
  heir: Party | undefined;

  constructor(
    readonly candidate: Candidate,
    readonly gateway: AmtGateway,
  ) {}

  /** True while some seeker's data comes from it. */
  get inUse(): boolean {
    for (const seeker of this.users) if (seeker.active === this) return true;
    return false;
  }
}
