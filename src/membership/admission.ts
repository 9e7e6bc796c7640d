/** Which groups a router keeps memberships of. */
import {
  VERDICT_ANY_SOURCE,
  VERDICT_FAMILY,
  VERDICT_NOT_MULTICAST,
  VERDICT_UNROUTABLE_GROUP,
} from "../../assembly/layout/verdict.ts";
import {
  type Address,
  type Family,
  copyAddress,
  isLinkScope,
  isMulticast,
  isSourceSpecific,
} from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import type { GroupRecord } from "../wire/membership.ts";

/** Where a group is looked at. */
const SCRATCH = { 4: new Uint8Array(4), 6: new Uint8Array(16) } as const;

/**
 * Why a report about `group` is ignored; undefined if it counts. `anySource` says that it speaks of
 * all sources (an older report or leave, IS_EX or TO_EX), which has no meaning in the
 * source-specific ranges (RFC 4604).
 */
export function refusal(group: Address, family: Family, anySource: boolean): Drop | undefined {
  const octets = SCRATCH[family];
  if (!copyAddress(group, family, octets, 0)) return VERDICT_FAMILY;
  if (!isMulticast(octets)) return VERDICT_NOT_MULTICAST;
  if (isLinkScope(octets)) return VERDICT_UNROUTABLE_GROUP;
  return anySource && isSourceSpecific(octets) ? VERDICT_ANY_SOURCE : undefined;
}

/** True for the two record kinds of filter mode EXCLUDE. */
export function isExclude({ kind }: GroupRecord): boolean {
  return kind === "is-ex" || kind === "to-ex";
}

/** True if the record gives a membership to one who has none. */
export function creates(record: GroupRecord): boolean {
  return isExclude(record) || (record.kind !== "block" && record.sources.length > 0);
}
