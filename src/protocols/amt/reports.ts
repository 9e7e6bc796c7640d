/** What a relay takes from a gateway's report, before the membership machine sees it. */
import {
  type Address,
  familyOf,
  isLinkScope,
  isMulticast,
  parseAddress,
} from "../../core/address.ts";
import type { GroupRecord, MembershipMessage } from "../../wire/membership.ts";

/** A membership message that a relay obeys. */
export type Report = Exclude<MembershipMessage, { readonly kind: "query" }>;

/**
 * The report without groups that no router forwards and sources that no datagram can come from.
 * Undefined when none of its groups can be routed; a report without any groups is left as it is.
 * Hosts do report groups of link scope, and a bridging gateway passes them on.
 */
export function routable(report: Report): Report | undefined {
  if (report.kind !== "report") return isRoutable(report.group) ? report : undefined;
  const records = report.records.filter((record) => isRoutable(record.group)).map(withSources);
  return records.length === 0 && report.records.length > 0 ? undefined : { ...report, records };
}

/** True when the report could give a membership to one who has none. */
export function asksForSomething(report: Report): boolean {
  if (report.kind !== "report") return report.kind === "join";
  return report.records.some(({ kind, sources }) => {
    switch (kind) {
      case "is-ex":
      case "to-ex":
        return true;
      case "is-in":
      case "to-in":
      case "allow":
        return sources.length > 0;
      case "block":
        return false;
    }
  });
}

function isRoutable(group: Address): boolean {
  const octets = parseAddress(group);
  return octets !== undefined && isMulticast(octets) && !isLinkScope(octets);
}

function withSources(record: GroupRecord): GroupRecord {
  if (record.sources.every(isSource)) return record;
  return { ...record, sources: record.sources.filter(isSource) };
}

/** False for multicast, reserved and unspecified addresses. Told from the text: it is canonical. */
function isSource(address: Address): boolean {
  if (familyOf(address) === 6) return address !== "::" && !/^ff[0-9a-f]{2}:/.test(address);
  const first = Number.parseInt(address, 10);
  return first > 0 && first < 224;
}
