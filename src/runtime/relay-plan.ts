/**
 * Where a gateway's or a receiver's relays come from, as its settings say: one that is named or
 * discovered, several in order, the records of sources, or the anycast addresses.
 */
import { networkInterfaces } from "node:os";
import type { RelayChoice } from "../config/relays.ts";
import {
  familyOf,
  isUnspecified,
  unspecified,
  type Endpoint,
  type Family,
} from "../core/address.ts";
import { ConfigError } from "../core/errors.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { systemServers } from "../os/resolver/servers.ts";
import { AMT_PORT, type Candidate } from "../protocols/driad/candidates.ts";
import { RelayDirectory } from "./discovery.ts";

/** The families of relays, the preferred one first (RFC 6724 §2.1). */
const FAMILIES: readonly Family[] = [6, 4];

/** The Relay Discovery Addresses that are reserved for AMT (RFC 7450 §7.1). */
const ANYCAST: readonly Endpoint[] = [
  { address: "2001:3::1", port: AMT_PORT },
  { address: "192.52.193.1", port: AMT_PORT },
];

export interface RelayPlan {
  /** Where to speak from, an endpoint for each family in which relays are reached. */
  readonly locals: readonly Endpoint[];
  /** The relays or discovery addresses that are known without the DNS, the best first. */
  readonly known: readonly Candidate[];
  /** Looks up the relays of sources. */
  readonly directory: RelayDirectory | undefined;
  /** For the operator, where the settings leave it open. */
  readonly note: string | undefined;
}

/** What the settings of `role` come to. Throws ConfigError. */
export function planRelays(role: string, config: RelayChoice): RelayPlan {
  const { relay, discovery, dns } = config;
  const named = [...(relay ?? []), ...(discovery === undefined ? [] : [discovery])];
  const anycast = named.length === 0 && dns === undefined;
  const families = familiesOf(config, named);
  const usable = ({ address }: Endpoint) => families.includes(familyOf(address));
  const known = anycast ? ANYCAST.filter(usable) : named;
  const stray = named.find((one) => !usable(one));
  if (stray !== undefined)
    throw new ConfigError(
      `${role}.local`,
      `an IPv${familyOf(stray.address)} address, as the relay has`,
      config.local?.map(({ address }) => address),
    );
  const note = `discovers a relay at ${known.map(({ address }) => address).join(" or ")}`;
  const candidates = known.map((endpoint, precedence) => ({
    endpoint,
    precedence,
    discoveryOptional: relay !== undefined,
  }));
  return {
    locals: families.map((family) => ownEndpoint(config, family)),
    known: candidates,
    directory:
      dns === undefined
        ? undefined
        : new RelayDirectory({
            servers: dns === "system" ? systemServers() : [dns],
            families,
            known: candidates,
            entropy: new SystemEntropy(),
          }),
    note: anycast ? `${note}, since none is named` : undefined,
  };
}

/**
 * The families in which relays are reached: those of `--local`; where that names no address, those
 * of the relays that are named, and of both families otherwise.
 */
function familiesOf({ local = [], dns }: RelayChoice, named: readonly Endpoint[]): Family[] {
  const fixed = named.length > 0 && dns === undefined;
  const open = fixed && local.every(({ address }) => isUnspecified(address));
  const given = open ? named : local;
  const families = given.map(({ address }) => familyOf(address));
  return families.length === 0
    ? FAMILIES.filter((family) => family === 4 || hasIpv6())
    : FAMILIES.filter((family) => families.includes(family));
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === "IPv6"),
  );
}

/** The own endpoint of a family: as it is given, else any of this host, at the port given. */
function ownEndpoint({ local = [] }: RelayChoice, family: Family): Endpoint {
  const given = local.find(({ address }) => familyOf(address) === family);
  if (given !== undefined) return given;
  return { address: unspecified(family), port: local[0]?.port ?? 0 };
}
