/** What a relay takes from a gateway's report, before the membership database sees it. */
import { type Address, familyOf } from "../../core/address.ts";
import { creates } from "../../membership/admission.ts";
import type { GroupRecord, MembershipMessage } from "../../wire/membership.ts";

/** A membership message that a relay obeys. */
export type Report = Exclude<MembershipMessage, { readonly kind: "query" }>;

/** True when the report could give a membership to one who has none. */
export function asksForSomething(report: Report): boolean {
  return report.kind === "report" ? report.records.some(creates) : report.kind === "join";
}

/** The report without sources that no datagram can come from: nobody upstream could be asked for them. */
export function withPossibleSources(report: Report): Report {
  if (report.kind !== "report") return report;
  if (report.records.every(({ sources }) => sources.every(isSource))) return report;
  return { ...report, records: report.records.map(withSources) };
}

function withSources(record: GroupRecord): GroupRecord {
  return { ...record, sources: record.sources.filter(isSource) };
}

/** False for multicast, reserved and unspecified addresses. Told from the text: it is canonical. */
function isSource(address: Address): boolean {
  if (familyOf(address) === 6) return address !== "::" && !/^ff[0-9a-f]{2}:/.test(address);
  let first = 0;
  for (let at = 0; address.charCodeAt(at) !== DOT; at++)
    first = 10 * first + address.charCodeAt(at) - ZERO;
  return first > 0 && first < 224;
}

// Characters of an IPv4 address.
const DOT = 0x2e;
const ZERO = 0x30;
