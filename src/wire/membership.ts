/**
 * What IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) messages say, without their octets.
 * `igmp.ts` and `mld.ts` are the two codecs; one pair of machines serves both (`src/membership`).
 */
import type { Address } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";

/**
 * Protocol generation, counted as IGMP does: 1 is IGMPv1 only, 2 is IGMPv2 or MLDv1, 3 is IGMPv3
 * or MLDv2.
 */
export type Generation = 1 | 2 | 3;

/** The six group record types (RFC 3376 §4.2.12, RFC 3810 §5.2.12). */
export type RecordKind = "is-in" | "is-ex" | "to-in" | "to-ex" | "allow" | "block";

export interface GroupRecord {
  readonly kind: RecordKind;
  readonly group: Address;
  readonly sources: readonly Address[];
}

export type MembershipMessage =
  | MembershipQuery
  | { readonly kind: "report"; readonly generation: 3; readonly records: readonly GroupRecord[] }
  /** An IGMPv1, IGMPv2 or MLDv1 report for one group. */
  | { readonly kind: "join"; readonly generation: 1 | 2; readonly group: Address }
  /** An IGMPv2 Leave or MLDv1 Done. */
  | { readonly kind: "leave"; readonly generation: 2; readonly group: Address };

export interface MembershipQuery {
  readonly kind: "query";
  readonly generation: Generation;
  /** Undefined in a General Query. */
  readonly group: Address | undefined;
  readonly sources: readonly Address[];
  /** The longest delay of an answer. */
  readonly maxResponse: Millis;
  /** S flag: routers do not lower their timers (RFC 3376 §4.1.5). */
  readonly suppress: boolean;
  /** QRV; 0 when the querier's does not fit, or in an older query. */
  readonly robustness: number;
  /** QQIC, decoded, in milliseconds; 0 when the message does not say. */
  readonly queryInterval: Millis;
}

/**
 * Which sources of a group are wanted (RFC 3376 §3.1). INCLUDE of nothing means no membership.
 * `sources` has no order and no repetition.
 */
export interface GroupFilter {
  readonly mode: "include" | "exclude";
  readonly sources: readonly Address[];
}
