/**
 * The whole IP datagrams that carry IGMP (RFC 3376 §4) and MLD (RFC 3810 §5) in AMT's Membership
 * Query and Membership Update (RFC 7450 §5.1.4, §5.1.5), and on a LAN.
 */
import type { Address, Family } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { GroupRecord, MembershipMessage, MembershipQuery } from "./membership.ts";
import type { Millis } from "../core/machine.ts";

export interface MembershipDatagram {
  readonly family: Family;
  /** Any: AMT lets 0.0.0.0 and "::" pass (RFC 7450 §5.2.3.5.4). */
  readonly source: Address;
  readonly destination: Address;
  readonly message: MembershipMessage;
  /** Octets of the datagram; what follows in the room given is not part of it. */
  readonly length: number;
}
export interface MembershipChecks {
  /** Refuse a message without Router Alert; default true. */
  readonly requireRouterAlert?: boolean;
  /** Refuse a TTL or hop limit other than 1; default true. */
  readonly requireHopLimit?: boolean;
}
/** Discriminate with `"drop" in result`. */
export declare function parseMembershipDatagram(
  octets: Uint8Array,
  checks?: MembershipChecks,
): MembershipDatagram | { readonly drop: Drop };
export declare function emitMembershipDatagram(
  message: MembershipMessage,
  options: { readonly family: Family; readonly source: Address },
): Uint8Array;
/** Each at most `mtu` octets, the IP header included. */
export declare function emitReportDatagrams(
  records: readonly GroupRecord[],
  options: { readonly family: Family; readonly source: Address; readonly mtu: number },
): Uint8Array[];
/** A General Query as a relay sends it: Max Resp Code 1 (100 ms in IGMP, 1 ms in MLD). */
export declare function generalQuery(
  family: Family,
  options: { readonly robustness: number; readonly queryInterval: Millis },
): MembershipQuery;
