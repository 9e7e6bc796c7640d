/** Which relays a source's records offer, and in which order they are tried (RFC 8777 §2.4.2). */
import {
  familyOf,
  isMulticast,
  parseAddress,
  type Address,
  type Endpoint,
  type Family,
} from "../../core/address.ts";
import type { Entropy } from "../../core/machine.ts";
import type { RelayRecord } from "./record.ts";

/** The UDP port of AMT relays (RFC 7450 §7): records name no other. */
export const AMT_PORT = 2268;

/** A relay to try. */
export interface Candidate {
  readonly endpoint: Endpoint;
  readonly precedence: number;
  /** D: a Request may be sent at once; else the address is first asked for an Advertisement. */
  readonly discoveryOptional: boolean;
}

/** A record with the addresses that its relay has: its own, or those that its name led to. */
export interface ResolvedRecord {
  readonly record: RelayRecord;
  readonly addresses: readonly Address[];
}

/**
 * The relays in the order in which to try them: by precedence, then by the place of their family in
 * `families` (families that are not there are left out), then by chance. A record that says that no
 * relay is to be used ends the list at its precedence, itself included.
 */
export function candidatesOf(
  records: readonly ResolvedRecord[],
  families: readonly Family[],
  entropy: Entropy,
): Candidate[] {
  const none = Math.min(
    ...records.filter(({ record }) => record.relay.kind === "none").map(precedenceOf),
  );
  const drawn = records
    .filter((one) => precedenceOf(one) < none)
    .flatMap(({ record, addresses }) =>
      addresses
        .filter((address) => families.includes(familyOf(address)) && canBeRelay(address))
        .map((address) => ({
          candidate: {
            endpoint: { address, port: AMT_PORT },
            precedence: record.precedence,
            discoveryOptional: record.discoveryOptional,
          },
          place: families.indexOf(familyOf(address)),
          lot: entropy.u32(),
        })),
    )
    .sort(
      (a, b) =>
        a.candidate.precedence - b.candidate.precedence || a.place - b.place || a.lot - b.lot,
    );
  const seen = new Set<Address>();
  return drawn
    .map(({ candidate }) => candidate)
    .filter(({ endpoint: { address } }) => !seen.has(address) && seen.add(address));
}

function precedenceOf({ record }: ResolvedRecord): number {
  return record.precedence;
}

/** Refuses what the DNS must not send a gateway to: no host, this host, this link. */
function canBeRelay(address: Address): boolean {
  const octets = parseAddress(address)!;
  if (isMulticast(octets)) return false;
  if (octets.length === 4) {
    const [first, second] = [octets[0]!, octets[1]!];
    const linkLocal = first === 169 && second === 254;
    return first !== 0 && first !== 127 && first < 240 && !linkLocal;
  }
  const linkLocal = octets[0] === 0xfe && (octets[1]! & 0xc0) === 0x80;
  // ::/96 holds ::, ::1 and the compatible form; ::ffff:0:0/96 is IPv4 in disguise.
  const lowest = octets.subarray(0, 10).every((octet) => octet === 0);
  return !linkLocal && !lowest;
}
