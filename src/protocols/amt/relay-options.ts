/** What a relay is told and what it says. Read RFC 7450 §5.3 first, then `relay.ts`. */
import type { Address, Endpoint, Family } from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import type { Entropy, Millis } from "../../core/machine.ts";
import type { AccessLists } from "./access.ts";
import type { RouteChange, UpstreamChange } from "./forwarding.ts";
import type { RateLimits } from "./rate-limit.ts";
import type { RelayQuirk } from "./relay-quirks.ts";
import type { SharedSecret } from "./secrets.ts";

export interface RelayOptions {
  /**
   * Our unicast addresses for Advertisements: the asked one if it is among them, else the first of
   * its family.
   */
  readonly relayAddresses: readonly Address[];
  readonly maxTunnels: number;
  /**
   * Once full, the relay takes new tunnels only when no more than this many are left; default 95 %
   * of `maxTunnels`.
   */
  readonly resumeTunnels?: number | undefined;
  readonly maxTunnelsPerAddress: number;
  /** Groups of one family that one tunnel may hold. */
  readonly maxGroups: number;
  /** Sources that one tunnel may name for a group. */
  readonly maxSources: number;
  /** When gateways are to ask again; with `robustness` and `queryResponseInterval`, how long they
   * may be silent (§5.3, RFC 3376 §8.4). */
  readonly queryInterval: Millis;
  readonly queryResponseInterval: Millis;
  /** 1 to 7. */
  readonly robustness: number;
  /** The age at which the secret of the Response MAC is replaced; at most 2 h (§5.3.5). */
  readonly secretInterval: Millis;
  /** For a group of relays that verify each other's MACs; without it the secret is this relay's. */
  readonly sharedSecret?: SharedSecret | undefined;
  /** How many messages are taken; without it all. */
  readonly rates?: RateLimits | undefined;
  /** Who may use the relay, and for what; without it everybody for all. */
  readonly access?: AccessLists;
  /** Refuse Updates whose inner datagram lacks Router Alert. */
  readonly requireRouterAlert: boolean;
  /** ICMP Destination Unreachable in a row that a tunnel survives; without it, any number. */
  readonly toleratedUnreachable?: number | undefined;
  /** The least path MTU that ICMP can bring a tunnel to, outer header included, by its family. */
  readonly leastPathMtu?: Readonly<Record<Family, number>> | undefined;
  /** Serve deployed gateways that do not speak as RFC 7450 says (`relay-quirks.ts`); default true. */
  readonly quirks?: boolean;
  readonly entropy: Entropy;
}

export type RelayInput =
  /** A datagram from `from` that came to our endpoint `to`. */
  | {
      readonly kind: "datagram";
      readonly octets: Uint8Array;
      readonly from: Endpoint;
      readonly to: Endpoint;
    }
  | { readonly kind: "timeout" }
  /** ICMP says that data does not reach this gateway (§5.3.3). */
  | { readonly kind: "unreachable"; readonly gateway: Endpoint }
  /** A router says that data with this `payload`, of which it may quote little, is too big. */
  | {
      readonly kind: "too-big";
      readonly gateway: Endpoint;
      readonly local: Endpoint;
      readonly mtu: number;
      readonly payload: Uint8Array;
    }
  /** Take no one new, answer no discovery, set L; serve those who are here. */
  | { readonly kind: "drain" }
  /** End all tunnels, and make no more. */
  | { readonly kind: "stop" };

export type TunnelUp = {
  /**
   * Also said again, when `local`, `ecn` or `pathMtu` of a tunnel that is up has changed. When
   * `local` has, the tunnel is in no list just then.
   */
  readonly kind: "tunnel-up";
  readonly tunnel: number;
  readonly gateway: Endpoint;
  /** Its data leaves from here. */
  readonly local: Endpoint;
  /** Its data bears the inner datagram's ECN, otherwise 00 (RFC 9601 §4). */
  readonly ecn: boolean;
  /** The largest packet outside, if known to be less than the first hop's (§5.3.3.6.1). */
  readonly pathMtu?: number;
};

export type RelayOutput =
  | {
      readonly kind: "send";
      readonly octets: Uint8Array;
      readonly to: Endpoint;
      readonly from: Endpoint;
    }
  | TunnelUp
  /** It is in no list any more; its number may be used again. */
  | { readonly kind: "tunnel-down"; readonly tunnel: number }
  | RouteChange
  | UpstreamChange
  | { readonly kind: "accepted"; readonly type: number }
  /** A tunnel's path MTU was learnt, or has grown too old to be believed. */
  | { readonly kind: "path-mtu"; readonly change: "reduced" | "forgotten" }
  /** A deployed gateway was met as it is. */
  | { readonly kind: "quirk"; readonly quirk: RelayQuirk }
  /**
   * A datagram that was ignored. Of an Update only what the reason speaks of: a group that may not
   * be asked for, or what is beyond a limit; the rest is obeyed. `type` is 0 when there is none.
   */
  | { readonly kind: "dropped"; readonly drop: Drop; readonly type: number };

/** A tunnel for the operator's eyes. */
export interface RelayTunnel {
  readonly tunnel: number;
  readonly gateway: Endpoint;
  readonly local: Endpoint;
  readonly since: Millis;
  /** Groups of both families. */
  readonly groups: number;
  /** The largest packet outside, if ICMP said that it is less than that of the first hop. */
  readonly pathMtu?: number;
}
