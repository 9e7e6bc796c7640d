/**
 * Deployed gateways as they are: what a relay does for those that do not speak as RFC 7450 says, and
 * how it knows them. Conforming gateways see nothing of it.
 *
 * - **Drivers** (Linux's, from port 2268, and those that followed it) set P at 0x80, and drop every
 *   Query whose G or L is set. One is recognised by its P, and remembered for a while; from port
 *   2268 one is presumed as long as neither P nor E tells otherwise.
 * - **Players** send a Request of nine octets and want a Query of just 48, so without G; their
 *   Updates have zeros for Router Alert; they never ask again, so their proof outlives its secret.
 */
import {
  AMT_DISCOVERY_LENGTH,
  AMT_PORT,
  AMT_REQUEST_LENGTH,
  AMT_TEARDOWN_LENGTH,
} from "../../../assembly/layout/amt.ts";
import { VERDICT_AMT_LENGTH } from "../../../assembly/layout/verdict.ts";
import { type Endpoint, type Family, endpointText } from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import type { Millis } from "../../core/machine.ts";
import type { DiscoveryView, RequestView, TeardownView, UpdateView } from "../../wire/amt.ts";
import { ECN, PLAIN, PLAYER, type RequestTraits } from "./response-mac.ts";
import type { Tunnel } from "./tunnels.ts";

/** What was done for a peer that RFC 7450 does not know; counted by name. */
export type RelayQuirk =
  "misplaced-p" | "plain-query" | "trailing-octets" | "no-router-alert" | "old-proof";

/** Octets of a player's Request. */
const PLAYER_REQUEST_LENGTH = AMT_REQUEST_LENGTH + 1;
/** Drivers remembered at a time; one that is crowded out is recognised again by its next Request. */
const DRIVERS = 4_096;
/** How long a driver is remembered after its last misplaced P; it sends one every 2 s. */
const DRIVER_MEMORY: Millis = 600_000;

/** How a Request is to be answered. */
export interface Manner {
  readonly family: Family;
  readonly traits: RequestTraits;
  /** G and the gateway fields. */
  readonly gatewayFields: boolean;
  /** L may be said. */
  readonly limit: boolean;
}

export class RelayQuirks {
  readonly #on: boolean;
  readonly #say: (quirk: RelayQuirk) => void;
  /** Recognised drivers with the time until which they are known, the longest unseen first. */
  readonly #drivers = new Map<string, Millis>();

  /** `say` hears of each use of a quirk. */
  constructor(on: boolean, say: (quirk: RelayQuirk) => void) {
    this.#on = on;
    this.#say = say;
  }

  /** Drivers in memory. */
  get remembered(): number {
    return this.#drivers.size;
  }

  /** Refuses octets behind a message of fixed length, which the quirks let pass. */
  trailing(view: DiscoveryView | RequestView | TeardownView, length: number): Drop | undefined {
    if (view.octets.length === length) return undefined;
    if (!this.#on) return VERDICT_AMT_LENGTH;
    this.#say("trailing-octets");
    return undefined;
  }

  /** What `from`, who has `tunnel`, is to be answered. */
  manner(view: RequestView, from: Endpoint, tunnel: Tunnel | undefined, now: Millis): Manner {
    const traits = view.ecn ? ECN : PLAIN;
    if (!this.#on) return { family: view.family, traits, gatewayFields: true, limit: true };
    if (view.octets.length === PLAYER_REQUEST_LENGTH && !view.ecn)
      return this.#plain(view.family, PLAYER, false);
    if (view.misplacedP) {
      this.#say("misplaced-p");
      this.#remember(from, now);
      if (tunnel) tunnel.driver = true;
      return this.#plain(6, traits, false);
    }
    if (view.family === 6 || view.ecn) {
      // A driver never says either: somebody else has this endpoint now.
      this.#drivers.delete(endpointText(from));
      if (tunnel) tunnel.driver = false;
      return { family: view.family, traits, gatewayFields: true, limit: true };
    }
    if (tunnel?.driver === true || this.isDriver(from, now)) return this.#plain(4, traits, false);
    // A mere presumption must not hide from a new gateway that there is no room for it.
    if (from.port === AMT_PORT) return this.#plain(4, traits, tunnel === undefined);
    return { family: 4, traits, gatewayFields: true, limit: true };
  }

  /** True for an endpoint recognised as a driver's, not long ago. */
  isDriver(from: Endpoint, now: Millis): boolean {
    if (this.#drivers.size === 0) return false;
    const until = this.#drivers.get(endpointText(from));
    return until !== undefined && now < until;
  }

  /** True if an Update without Router Alert may do: whether it does is told by its proof. */
  get lenient(): boolean {
    return this.#on;
  }

  /** True for the proof of a player, whose Updates need no Router Alert. */
  noRouterAlert(proof: RequestTraits | undefined): boolean {
    if (!this.#on || proof?.player !== true) return false;
    this.#say("no-router-alert");
    return true;
  }

  /** What a player's Update has proved before with the same nonce and MAC, for its own tunnel. */
  oldProof(tunnel: Tunnel | undefined, view: UpdateView): RequestTraits | undefined {
    const last = tunnel?.playerProof;
    if (!this.#on || last === undefined || last.nonce !== view.nonce) return undefined;
    const { mac } = view;
    let difference = 0;
    for (const [i, octet] of last.mac.entries()) difference |= octet ^ mac[i]!;
    if (difference !== 0) return undefined;
    this.#say("old-proof");
    return PLAYER;
  }

  #plain(family: Family, traits: RequestTraits, limit: boolean): Manner {
    this.#say("plain-query");
    return { family, traits, gatewayFields: false, limit };
  }

  #remember(from: Endpoint, now: Millis): void {
    const key = endpointText(from);
    this.#drivers.delete(key);
    this.#drivers.set(key, now + DRIVER_MEMORY);
    const [first] = this.#drivers;
    if (this.#drivers.size > DRIVERS || now >= first![1]) this.#drivers.delete(first![0]);
  }
}

/** The lengths that RFC 7450 §5.1 gives, for `RelayQuirks.trailing`. */
export const LENGTHS = {
  discovery: AMT_DISCOVERY_LENGTH,
  request: AMT_REQUEST_LENGTH,
  teardown: AMT_TEARDOWN_LENGTH,
} as const;
