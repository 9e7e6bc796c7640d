/**
 * What a running relay, gateway or receiver offers to the command, the control socket and the
 * library: one shape of status, and an orderly end.
 */
import type { Endpoint, Address } from "../core/address.ts";
import type { DropName } from "../core/drops.ts";
import type { GroupFilter } from "../wire/membership.ts";

export interface Service {
  /** What it is doing now; JSON-safe. */
  status(): ServiceStatus;
  /** Drains and ends: leaves groups, tears down, closes descriptors. Safe to call twice. */
  stop(): Promise<void>;
  /** Settles when the service has ended: undefined after `stop`, the reason when it failed. */
  readonly ended: Promise<Error | undefined>;
}

export interface ServiceStatus {
  /** The name of the service in the configuration; the role's name for a single one. */
  readonly name: string;
  readonly role: "relay" | "gateway" | "receive";
  /** One word: "serving", "discovering", "requesting", "connected", "draining" ... */
  readonly state: string;
  /** A relay's endpoints, in the order of the configuration; the ones of a gateway or receiver. */
  readonly local: readonly Endpoint[];
  /** A gateway's relay, once it is known; left out while there are several. */
  readonly relay?: Endpoint;
  /** The relays in use, where they are found by source. */
  readonly relays?: readonly RelayStatus[];
  readonly uptimeSeconds: number;
  readonly tunnels: readonly TunnelStatus[];
  readonly groups: readonly GroupStatus[];
  readonly lanes: readonly LaneStatus[];
  /** Totals over all lanes and machines, by counter name. */
  readonly counters: Readonly<Record<string, number>>;
  /** Packets dropped, by stage and reason; reasons with a zero count are left out. */
  readonly drops: Readonly<Record<string, Partial<Record<DropName, number>>>>;
}

/** A relay that a gateway uses. */
export interface RelayStatus {
  readonly relay: Endpoint;
  /** Whose data it sends; others may come from it that were asked for without a source. */
  readonly sources: readonly Address[];
}

/** A relay's tunnel to one gateway. */
export interface TunnelStatus {
  readonly gateway: Endpoint;
  /** The relay's endpoint that the gateway speaks to, and that its data comes from. */
  readonly local: Endpoint;
  readonly sinceSeconds: number;
  readonly groups: number;
}

/** A group with the merged filter of all who asked for it. */
export interface GroupStatus extends GroupFilter {
  readonly group: Address;
  /** Tunnels that ask for it; 1 on a gateway. */
  readonly members: number;
}

export interface LaneStatus {
  readonly lane: number;
  readonly state: "running" | "replaced" | "dead";
  /** How often this lane was started anew after its death. */
  readonly restarts: number;
}
