/**
 * Relays from the DNS: looks up a source's AMTRELAY records and the addresses of relays that they
 * name (RFC 8777 §2.6).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { formatAddress, type Address, type Endpoint, type Family } from "../core/address.ts";
import type { Entropy, Millis } from "../core/machine.ts";
import { TYPE_A, TYPE_AAAA } from "../os/resolver/message.ts";
import { Resolver } from "../os/resolver/resolver.ts";
import {
  candidatesOf,
  type Candidate,
  type ResolvedRecord,
} from "../protocols/driad/candidates.ts";
import {
  AMTRELAY,
  parseRelayRecord,
  reverseName,
  type RelayRecord,
} from "../protocols/driad/record.ts";

/** Names that are resolved of one source's records, the best first; more are left out. */
const NAMES_MOST = 16;
/** How long what is known waits for names to be resolved (RFC 8305 §8: Resolution Delay). */
const RESOLUTION_DELAY: Millis = 50;

/** Takes relays that were found, the best first. */
export type RelayOffer = (candidates: readonly Candidate[]) => void;

export interface DirectoryOptions {
  /** DNS servers, asked in turn. */
  readonly servers: readonly Endpoint[];
  /** The families in which relays can be reached, the preferred one first. */
  readonly families: readonly Family[];
  /** The relays of sources without records, the best first. */
  readonly known?: readonly Candidate[];
  readonly entropy: Entropy;
}

export class RelayDirectory {
  readonly #options: DirectoryOptions;
  readonly #resolver: Resolver;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#resolver = new Resolver(options);
  }

  /**
   * Offers the relays of `source`, the best first: once or, when some are known earlier than others,
   * twice, the second time all of them; none if there are none. Returns why there are none; undefined if there are some.
   * Never rejects.
   */
  async find(source: Address, offer: RelayOffer): Promise<string | undefined> {
    const answer = await this.#resolver.resolve({ name: reverseName(source), type: AMTRELAY });
    const values = answer.kind === "found" ? answer.values : [];
    const records = values
      .flatMap((rdata) => parseRelayRecord(rdata) ?? [])
      .sort((a, b) => a.precedence - b.precedence);
    const found: ResolvedRecord[] = records.map((record) => ({ record, addresses: own(record) }));
    const { families, known = [], entropy } = this.#options;
    const named = [...records.keys()]
      .filter((i) => records[i]!.relay.kind === "name")
      .slice(0, NAMES_MOST);
    if (named.length > 0) {
      const all = Promise.all(
        named.map(async (i) => {
          const record = records[i]!;
          found[i] = { record, addresses: await this.#addresses(record) };
        }),
      );
      const early = await Promise.race([all.then(() => false), sleep(RESOLUTION_DELAY, true)]);
      const some = early ? candidatesOf(found, families, entropy) : [];
      if (some.length > 0) offer(some);
      await all;
    }
    const candidates = candidatesOf(found, families, entropy);
    offer(records.length > 0 ? candidates : known);
    if (candidates.length > 0) return undefined;
    if (answer.kind === "failed") return `DNS: ${answer.reason}`;
    if (values.length > 0)
      return `DNS: no AMTRELAY record of ${source} names a relay that can be used`;
    return known.length > 0 ? undefined : `DNS: ${source} has no AMTRELAY record`;
  }

  /** Ends what is being looked up. */
  close(): void {
    this.#resolver.close();
  }

  /** The addresses of a relay that has a name, of the families that can be used. */
  async #addresses({ relay }: RelayRecord): Promise<Address[]> {
    if (relay.kind !== "name") return [];
    const each = this.#options.families.map(async (family) => {
      const type = family === 4 ? TYPE_A : TYPE_AAAA;
      const answer = await this.#resolver.resolve({ name: relay.name, type });
      return answer.kind === "found"
        ? answer.values.map((octets) => formatAddress(octets, 0, family))
        : [];
    });
    return (await Promise.all(each)).flat();
  }
}

/** The address that a record has itself. */
function own({ relay }: RelayRecord): Address[] {
  return relay.kind === "address" ? [relay.address] : [];
}
