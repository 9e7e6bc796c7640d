/**
 * The relay side of AMT: answers discovery and Requests without keeping anything, and keeps for each
 * gateway whose Update proves itself what it wants, for as long as it says so. Read RFC 7450 §5.3
 * first, then `response-mac.ts`, `forwarding.ts` and `tunnels.ts`.
 */
import {
  AMT_DISCOVERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../../assembly/layout/amt.ts";
import {
  VERDICT_ADDRESS_LIMIT,
  VERDICT_BAD_MAC,
  VERDICT_DRAINING,
  VERDICT_FAMILY,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_ROUTER_ALERT,
  VERDICT_TUNNEL_LIMIT,
  VERDICT_UNKNOWN_TUNNEL,
  VERDICT_ZERO_NONCE,
} from "../../../assembly/layout/verdict.ts";
import {
  type Address,
  type Endpoint,
  type Family,
  familyOf,
  sameEndpoint,
} from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import type { Entropy, Machine, Millis } from "../../core/machine.ts";
import { Outputs } from "../../membership/outputs.ts";
import { Timers } from "../../core/timers.ts";
import { isEmpty } from "../../membership/filter.ts";
import { MembershipRouter, type RouterOptions } from "../../membership/router.ts";
import {
  amtType,
  emitAdvertisement,
  emitQuery,
  parseDiscovery,
  parseRequest,
  parseTeardown,
  parseUpdate,
} from "../../wire/amt.ts";
import {
  emitMembershipDatagram,
  generalQuery,
  parseMembershipDatagram,
} from "../../wire/membership-datagram.ts";
import {
  type ForwardedGroup,
  ForwardingTable,
  type RouteChange,
  type UpstreamChange,
} from "./forwarding.ts";
import { refusal } from "./refusal.ts";
import { LENGTHS, type RelayQuirk, RelayQuirks } from "./relay-quirks.ts";
import { type Report, asksForSomething, withPossibleSources } from "./reports.ts";
import { RESPONSE_MAC_LENGTH, ResponseMac } from "./response-mac.ts";
import { type Tunnel, Tunnels } from "./tunnels.ts";

/** The previous secret holds for this many query intervals (§5.3.5). */
const SECRET_GRACE = 2;
/** Hosts behind one gateway whose reports it may pass on unmerged. */
const REPORTERS = 64;
/** RFC 3376 §8.8; the relay sends no such queries, but leaves take effect at once. */
const LAST_MEMBER_QUERY_INTERVAL: Millis = 1_000;
/** Sources of the General Queries: any will do (§5.1.4), hosts want a link-local one for MLD. */
const QUERY_SOURCE = { 4: "0.0.0.0", 6: "fe80::1" } as const;

export interface RelayOptions {
  /**
   * Our unicast addresses for Advertisements: the asked one if it is among them, else the first of
   * its family.
   */
  readonly relayAddresses: readonly Address[];
  readonly maxTunnels: number;
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
  /** Refuse Updates whose inner datagram lacks Router Alert. */
  readonly requireRouterAlert: boolean;
  /** ICMP Destination Unreachable in a row that a tunnel survives; without it, any number. */
  readonly toleratedUnreachable?: number | undefined;
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
  /** Take no one new, answer no discovery, end all tunnels. */
  | { readonly kind: "drain" };

export type TunnelUp = {
  /**
   * Also said again, when `local` or `ecn` of a tunnel that is up has changed. When `local` has, the
   * tunnel is in no list just then.
   */
  readonly kind: "tunnel-up";
  readonly tunnel: number;
  readonly gateway: Endpoint;
  /** Its data leaves from here. */
  readonly local: Endpoint;
  /** Its data bears the inner datagram's ECN, otherwise 00 (RFC 9601 §4). */
  readonly ecn: boolean;
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
}

export class AmtRelay implements Machine<RelayInput, RelayOutput> {
  readonly #options: RelayOptions;
  readonly #mac: ResponseMac;
  readonly #quirks: RelayQuirks;
  readonly #tunnels = new Tunnels();
  readonly #forwarding: ForwardingTable;
  /** When a tunnel's memberships next need looking at; may be earlier than they do. */
  readonly #timers = new Timers<Tunnel>();
  /** The settings of every tunnel's membership databases. */
  readonly #database: Pick<RouterOptions, "timers" | "limits">;
  readonly #queries: Readonly<Record<Family, Uint8Array>>;
  readonly #out = new Outputs<RelayOutput>();
  #draining = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { entropy, secretInterval, queryInterval } = options;
    this.#mac = new ResponseMac(entropy, secretInterval, SECRET_GRACE * queryInterval);
    this.#quirks = new RelayQuirks(options.quirks ?? true, (quirk) =>
      this.#out.push({ kind: "quirk", quirk }),
    );
    this.#forwarding = new ForwardingTable((change) => this.#out.push(change));
    this.#database = {
      timers: {
        robustness: options.robustness,
        queryInterval,
        queryResponseInterval: options.queryResponseInterval,
        lastMemberQueryInterval: LAST_MEMBER_QUERY_INTERVAL,
      },
      limits: { groups: options.maxGroups, sources: options.maxSources, reporters: REPORTERS },
    };
    this.#queries = { 4: this.#generalQuery(4), 6: this.#generalQuery(6) };
  }

  handle(input: RelayInput, now: Millis): void {
    switch (input.kind) {
      case "datagram": {
        const drop = this.#read(input.octets, input.from, input.to, now);
        const type = amtType(input.octets) ?? 0;
        this.#out.push(
          drop === undefined ? { kind: "accepted", type } : { kind: "dropped", drop, type },
        );
        return;
      }
      case "timeout":
        for (let due = this.#timers.take(now); due; due = this.#timers.take(now))
          this.#expire(due, now);
        return;
      case "unreachable":
        this.#unreachable(input.gateway, now);
        return;
      case "drain":
        this.#draining = true;
        for (const tunnel of this.#tunnels) this.#end(tunnel, now);
    }
  }

  poll(): RelayOutput | undefined {
    return this.#out.take();
  }

  deadline(): Millis | undefined {
    return this.#timers.next();
  }

  /** All tunnels. */
  *tunnels(): IterableIterator<RelayTunnel> {
    for (const tunnel of this.#tunnels) {
      const { number, gateway, local, since } = tunnel;
      yield { tunnel: number, gateway, local, since, groups: groupsOf(tunnel) };
    }
  }

  /** All groups that some gateway wants. */
  groups(): IterableIterator<ForwardedGroup> {
    return this.#forwarding.groups();
  }

  /** The outputs that bring an empty data plane to where it should be. */
  *replay(): IterableIterator<TunnelUp | RouteChange> {
    for (const tunnel of this.#tunnels) yield up(tunnel);
    yield* this.#forwarding.routes();
  }

  #generalQuery(family: Family): Uint8Array {
    const { robustness, queryInterval } = this.#options;
    const query = generalQuery(family, { robustness, queryInterval });
    return emitMembershipDatagram(query, { family, source: QUERY_SOURCE[family] });
  }

  /** Obeys a datagram; or says why not. */
  #read(octets: Uint8Array, from: Endpoint, to: Endpoint, now: Millis): Drop | undefined {
    switch (amtType(octets) ?? 0) {
      case AMT_DISCOVERY:
        return this.#discovered(octets, from, to);
      case AMT_REQUEST:
        return this.#requested(octets, from, to, now);
      case AMT_UPDATE:
        return this.#updated(octets, from, to, now);
      case AMT_TEARDOWN:
        return this.#tornDown(octets, now);
      default:
        return refusal(octets);
    }
  }

  /** A Relay Discovery (§5.3.3.2): answered from where it was asked, nothing is kept. */
  #discovered(octets: Uint8Array, from: Endpoint, to: Endpoint): Drop | undefined {
    const view = parseDiscovery(octets);
    if (typeof view === "number") return view;
    const trailing = this.#quirks.trailing(view, LENGTHS.discovery);
    if (trailing !== undefined) return trailing;
    if (view.nonce === 0) return VERDICT_ZERO_NONCE;
    if (this.#draining) return VERDICT_DRAINING;
    const { relayAddresses } = this.#options;
    const family = familyOf(to.address);
    const relay = relayAddresses.includes(to.address)
      ? to.address
      : relayAddresses.find((address) => familyOf(address) === family);
    if (relay === undefined) return VERDICT_FAMILY;
    this.#send(emitAdvertisement(view.nonce, relay), from, to);
    return undefined;
  }

  /** A Request (§5.3.3.3): answered from where it was asked, nothing is kept. */
  #requested(octets: Uint8Array, from: Endpoint, to: Endpoint, now: Millis): Drop | undefined {
    const view = parseRequest(octets);
    if (typeof view === "number") return view;
    const trailing = this.#quirks.trailing(view, LENGTHS.request);
    if (trailing !== undefined) return trailing;
    const { nonce } = view;
    const manner = this.#quirks.manner(view, from, this.#tunnels.get(from), now);
    const mac = new Uint8Array(RESPONSE_MAC_LENGTH);
    this.#mac.sign(mac, from, nonce, manner.traits, now);
    const full = this.#draining || this.#tunnels.size >= this.#options.maxTunnels;
    const limit = full && manner.limit;
    const gateway = manner.gatewayFields ? from : undefined;
    const datagram = this.#queries[manner.family];
    this.#send(emitQuery({ mac, nonce, limit, gateway, datagram }), from, to);
    return undefined;
  }

  /** A Membership Update (§5.3.3.4): proven before anything is kept or changed. */
  #updated(octets: Uint8Array, from: Endpoint, to: Endpoint, now: Millis): Drop | undefined {
    const view = parseUpdate(octets);
    if (typeof view === "number") return view;
    if (this.#draining) return VERDICT_DRAINING;
    const { requireRouterAlert } = this.#options;
    let datagram = parseMembershipDatagram(view.datagram, { requireRouterAlert });
    const unalerted = "drop" in datagram && datagram.drop === VERDICT_ROUTER_ALERT;
    if (unalerted && this.#quirks.lenient)
      datagram = parseMembershipDatagram(view.datagram, { requireRouterAlert: false });
    if ("drop" in datagram) return datagram.drop;
    const { family, message, source } = datagram;
    if (message.kind === "query" || message.generation === 1) return VERDICT_MEMBERSHIP_TYPE;
    const known = this.#tunnels.get(from);
    const proof =
      this.#mac.verify(view.mac, from, view.nonce, now) ?? this.#quirks.oldProof(known, view);
    if (unalerted && !this.#quirks.noRouterAlert(proof)) return VERDICT_ROUTER_ALERT;
    if (proof === undefined) return VERDICT_BAD_MAC;
    const report = withPossibleSources(message);

    if (known === undefined) {
      // Nothing to leave where nothing was joined.
      if (!asksForSomething(report)) return undefined;
      if (this.#tunnels.countOf(from.address) >= this.#options.maxTunnelsPerAddress)
        return VERDICT_ADDRESS_LIMIT;
      if (this.#tunnels.size >= this.#options.maxTunnels) return VERDICT_TUNNEL_LIMIT;
    } else {
      known.unreachable = 0;
      if (!sameEndpoint(known.local, to)) this.#move(known, to, proof.ecn);
      else if (known.ecn !== proof.ecn) {
        known.ecn = proof.ecn;
        this.#out.push(up(known));
      }
    }
    const tunnel = known ?? this.#tunnels.add(from, to, proof.ecn, now);
    tunnel.driver ||= this.#quirks.isDriver(from, now);
    tunnel.playerProof = proof.player ? { nonce: view.nonce, mac: view.mac.slice() } : undefined;
    const drop = this.#apply(tunnel, family, report, source, now);
    if (groupsOf(tunnel) === 0) this.#end(tunnel, now);
    else this.#arm(tunnel);
    return drop;
  }

  /** A Teardown (§5.3.3.5): of the tunnel that it names, whoever sends it. */
  #tornDown(octets: Uint8Array, now: Millis): Drop | undefined {
    const view = parseTeardown(octets);
    if (typeof view === "number") return view;
    const trailing = this.#quirks.trailing(view, LENGTHS.teardown);
    if (trailing !== undefined) return trailing;
    const { gateway } = view;
    if (this.#mac.verify(view.mac, gateway, view.nonce, now) === undefined) return VERDICT_BAD_MAC;
    const tunnel = this.#tunnels.get(gateway);
    if (tunnel === undefined) return VERDICT_UNKNOWN_TUNNEL;
    this.#end(tunnel, now);
    return undefined;
  }

  #unreachable(gateway: Endpoint, now: Millis): void {
    const tunnel = this.#tunnels.get(gateway);
    const { toleratedUnreachable } = this.#options;
    if (tunnel === undefined || toleratedUnreachable === undefined) return;
    tunnel.unreachable++;
    if (tunnel.unreachable > toleratedUnreachable) this.#end(tunnel, now);
  }

  /** Hands a report to the tunnel's membership database. Answers the first refusal of a part of it. */
  #apply(
    tunnel: Tunnel,
    family: Family,
    message: Report,
    from: Address,
    now: Millis,
  ): Drop | undefined {
    let router = tunnel.routers[family];
    if (router === undefined) {
      router = new MembershipRouter({ family, role: "tracked", ...this.#database });
      tunnel.routers[family] = router;
    }
    router.handle({ kind: "message", message, from }, now);
    return this.#forward(tunnel, router);
  }

  /** Carries what changed in a membership database over into the forwarding table. */
  #forward(tunnel: Tunnel, router: MembershipRouter): Drop | undefined {
    let drop: Drop | undefined;
    for (let out = router.poll(); out !== undefined; out = router.poll()) {
      if (out.kind === "dropped") {
        drop ??= out.drop;
        continue;
      }
      if (out.kind === "query") continue;
      const { group, filter } = out;
      if (!tunnel.up && !isEmpty(filter)) {
        tunnel.up = true;
        this.#out.push(up(tunnel));
      }
      this.#forwarding.set(tunnel.number, group, filter);
    }
    return drop;
  }

  /**
   * The gateway now speaks to another endpoint of ours, from which its data must come (§5.3.3.6).
   * That may be another part of the data plane: the tunnel leaves its lists, and enters them anew.
   */
  #move(tunnel: Tunnel, local: Endpoint, ecn: boolean): void {
    const places = routersOf(tunnel).flatMap((router) =>
      Array.from(router.filters(), ([group]) => [
        ...this.#forwarding.places(tunnel.number, group),
      ]).flat(),
    );
    for (const place of places) this.#out.push({ ...place, change: "remove" });
    tunnel.local = local;
    tunnel.ecn = ecn;
    this.#out.push(up(tunnel));
    for (const place of places) this.#out.push(place);
  }

  /** Sets the tunnel's timer, unless it has one that is early enough: most only move on. */
  #arm(tunnel: Tunnel): void {
    let next = Number.POSITIVE_INFINITY;
    for (const router of routersOf(tunnel))
      next = Math.min(next, router.deadline() ?? Number.POSITIVE_INFINITY);
    if (next < (this.#timers.get(tunnel) ?? Number.POSITIVE_INFINITY))
      this.#timers.set(tunnel, next);
  }

  /** Removes what the gateway has not renewed in time (§5.3). */
  #expire(tunnel: Tunnel, now: Millis): void {
    for (const router of routersOf(tunnel)) {
      router.handle({ kind: "timeout" }, now);
      this.#forward(tunnel, router);
    }
    if (groupsOf(tunnel) === 0) this.#end(tunnel, now);
    else this.#arm(tunnel);
  }

  /** Ends a tunnel and all its memberships. */
  #end(tunnel: Tunnel, now: Millis): void {
    for (const router of routersOf(tunnel)) {
      router.handle({ kind: "clear" }, now);
      this.#forward(tunnel, router);
    }
    this.#timers.delete(tunnel);
    this.#tunnels.remove(tunnel);
    if (tunnel.up) this.#out.push({ kind: "tunnel-down", tunnel: tunnel.number });
  }

  #send(octets: Uint8Array, to: Endpoint, from: Endpoint): void {
    this.#out.push({ kind: "send", octets, to, from });
  }
}

function up({ number, gateway, local, ecn }: Tunnel): TunnelUp {
  return { kind: "tunnel-up", tunnel: number, gateway, local, ecn };
}

function groupsOf(tunnel: Tunnel): number {
  return (tunnel.routers[4]?.groupCount ?? 0) + (tunnel.routers[6]?.groupCount ?? 0);
}

function routersOf(tunnel: Tunnel): MembershipRouter[] {
  return [tunnel.routers[4], tunnel.routers[6]].filter((router) => router !== undefined);
}
