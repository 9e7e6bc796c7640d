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
  /** A relay's endpoints, in the order of the configuration; the one of a gateway or receiver. */
  readonly local: readonly Endpoint[];
  /** A gateway's relay, once it is known. */
  readonly relay?: Endpoint;
  readonly uptimeSeconds: number;
  readonly tunnels: readonly TunnelStatus[];
  readonly groups: readonly GroupStatus[];
  /** A gateway's downstream interfaces. */
  readonly interfaces?: readonly InterfaceStatus[];
  readonly lanes: readonly LaneStatus[];
  /** Totals over all lanes and machines, by counter name. */
  readonly counters: Readonly<Record<string, number>>;
  /** Packets dropped, by stage and reason; reasons with a zero count are left out. */
  readonly drops: Readonly<Record<string, Partial<Record<DropName, number>>>>;
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
  /** Tunnels that ask for it; on a gateway, its device and interfaces. */
  readonly members: number;
}

/** An interface on which hosts are listened to. */
export interface InterfaceStatus {
  readonly name: string;
  readonly state: "up" | "down";
  /** Who queries there: "self", another router's address, or null for nobody. */
  readonly igmpQuerier: string | null;
  readonly mldQuerier: string | null;
  /** Groups that hosts there have joined. */
  readonly groups: number;
}

export interface LaneStatus {
  readonly lane: number;
  readonly state: "running" | "replaced" | "dead";
  /** How often this lane was started anew after its death. */
  readonly restarts: number;
}
