/** Who may use a relay, and for which groups and sources: allow and deny lists of prefixes. */
import { VERDICT_DENIED } from "../../../assembly/layout/verdict.ts";
import type { Address } from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import { PrefixList } from "../../core/prefix.ts";
import { isExclude } from "../../membership/admission.ts";
import type { GroupRecord } from "../../wire/membership.ts";
import type { Report } from "./reports.ts";

/** Prefixes as text; a list that is empty or left out allows all, or denies none. */
export interface AccessLists {
  readonly allowGateways?: readonly string[] | undefined;
  readonly denyGateways?: readonly string[] | undefined;
  readonly allowGroups?: readonly string[] | undefined;
  readonly denyGroups?: readonly string[] | undefined;
  readonly allowSources?: readonly string[] | undefined;
  readonly denySources?: readonly string[] | undefined;
}

/** One pair of lists: what is denied is out, then what is allowed is in. */
class Rule {
  readonly #allow: PrefixList;
  readonly #deny: PrefixList;

  constructor(allow: readonly string[] = [], deny: readonly string[] = []) {
    this.#allow = new PrefixList(allow);
    this.#deny = new PrefixList(deny);
  }

  /** False when there is nothing to look up. */
  get restricts(): boolean {
    return this.#allow.size + this.#deny.size > 0;
  }

  admits(address: Address): boolean {
    if (this.#deny.has(address)) return false;
    return this.#allow.size === 0 || this.#allow.has(address);
  }
}

export class Access {
  readonly #gateways: Rule;
  readonly #groups: Rule;
  readonly #sources: Rule;

  constructor(lists: AccessLists) {
    this.#gateways = new Rule(lists.allowGateways, lists.denyGateways);
    this.#groups = new Rule(lists.allowGroups, lists.denyGroups);
    this.#sources = new Rule(lists.allowSources, lists.denySources);
  }

  /** Whether a gateway at this address is heard at all. */
  admits(gateway: Address): boolean {
    return this.#gateways.admits(gateway);
  }

  /**
   * What may be obeyed of a report, with the reason if that is not all of it. Leaves may always.
   * With a list of sources, a membership that does not name its sources would let all pass, so it
   * is refused.
   */
  permitted(report: Report): { readonly report: Report | undefined; readonly drop?: Drop } {
    if (!this.#groups.restricts && !this.#sources.restricts) return { report };
    if (report.kind === "leave") return { report };
    if (report.kind === "join") {
      const fine = this.#groups.admits(report.group) && !this.#sources.restricts;
      return fine ? { report } : { report: undefined, drop: VERDICT_DENIED };
    }
    const records = report.records.map((record) => this.#record(record));
    if (records.every((record, i) => record === report.records[i])) return { report };
    const left = records.filter((record) => record !== undefined);
    const rest = left.length > 0 ? { ...report, records: left } : undefined;
    return { report: rest, drop: VERDICT_DENIED };
  }

  /** The record without what is denied, or itself if nothing is; undefined when nothing is left. */
  #record(record: GroupRecord): GroupRecord | undefined {
    if (record.kind === "block") return record;
    if (!this.#groups.admits(record.group)) return undefined;
    if (!this.#sources.restricts) return record;
    if (isExclude(record)) return undefined;
    const sources = record.sources.filter((source) => this.#sources.admits(source));
    if (sources.length === record.sources.length) return record;
    return sources.length > 0 || record.kind === "to-in" ? { ...record, sources } : undefined;
  }
}
