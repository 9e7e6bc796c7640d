/**
 * What a running relay, gateway, receiver or L2TP endpoint offers to the command, the control socket
 * and the library: one shape of status, and an orderly end.
 */
import type { LaneState } from "../lanes/lane-set.ts";
import type { Endpoint, Address } from "../core/address.ts";
import type { DropName } from "../core/drops.ts";
import type { SessionStatistics } from "../metrics/l2tp.ts";
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
  readonly role: "relay" | "gateway" | "receive" | "l2tp";
  /** One word: "serving", "discovering", "requesting", "connected", "draining" ... */
  readonly state: string;
  /**
   * A relay's endpoints, in the order of the configuration; the ones of a gateway or receiver; those
   * of L2TP's tunnels, with port 0 over IP.
   */
  readonly local: readonly Endpoint[];
  /** A gateway's relay, once it is known; left out while there are several. */
  readonly relay?: Endpoint;
  /** The relays in use, where they are found by source. */
  readonly relays?: readonly RelayStatus[];
  readonly uptimeSeconds: number;
  /** AMT's. */
  readonly tunnels: readonly TunnelStatus[];
  readonly groups: readonly GroupStatus[];
  /** Only of role "l2tp". */
  readonly l2tp?: L2tpStatus;
  /** A gateway's downstream interfaces. */
  readonly interfaces?: readonly InterfaceStatus[];
  readonly lanes: readonly LaneState[];
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
  /** The largest packet outside, where ICMP said that it is less than that of the first hop. */
  readonly pathMtu?: number;
}

/** A group with the merged filter of all who asked for it. */
export interface GroupStatus extends GroupFilter {
  readonly group: Address;
  /** Tunnels that ask for it; on a gateway, its device and interfaces. */
  readonly members: number;
}

/** The tunnels and sessions of L2TP. */
export interface L2tpStatus {
  readonly tunnels: readonly L2tpTunnelStatus[];
  readonly sessions: readonly L2tpSessionStatus[];
}

/** A tunnel; the names that `ip -json l2tp show tunnel` has are as there. */
export interface L2tpTunnelStatus {
  readonly tunnel_id: number;
  readonly peer_tunnel: number;
  readonly version: 2 | 3;
  readonly mode: "standard" | "keyed";
  readonly encap: "UDP" | "IP";
  readonly local: Address;
  readonly peer: Address;
  readonly local_port?: number;
  readonly peer_port?: number;
  readonly checksum?: boolean;
  readonly checksum_tx?: boolean;
  readonly checksum_rx?: boolean;
  readonly path_mtu: number;
  readonly sessions: number;
  /** With a keepalive: whether the peer answers. */
  readonly alive?: boolean;
  /** Its socket is lost, and will be opened again. */
  readonly socket_lost?: true;
  /** Of all its sessions, those that are deleted included. */
  readonly statistics: L2tpStatistics;
}

/** A session; the names that `ip -json l2tp show session` has are as there. */
export interface L2tpSessionStatus {
  readonly session_id: number;
  readonly tunnel_id: number;
  readonly peer_session_id: number;
  readonly peer_tunnel_id: number;
  readonly interface?: string;
  readonly netns?: string;
  readonly vlan?: number;
  /** The path of a socket for frames, or of a capture. */
  readonly frames?: string;
  readonly pcap?: string;
  readonly pwtype: string;
  readonly l2spec_type: string;
  /** Hexadecimal: what we send, what we expect, what we take, too. */
  readonly cookie?: string;
  readonly peer_cookie?: string;
  readonly peer_cookie2?: string;
  readonly reorder_timeout?: number;
  readonly send_seq?: true;
  readonly recv_seq?: true;
  readonly mtu: number;
  /** Of several lanes, the one that its packets arrive in, and the one that reads its place. */
  readonly lane?: number;
  readonly read_lane?: number;
  readonly statistics: L2tpStatistics;
}

/** What went through a session, or all of a tunnel's, and what did not, by reason. */
export type L2tpStatistics = SessionStatistics;

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
