/**
 * The relay side of AMT: answers discovery and Requests without keeping anything, and keeps for each
 * gateway whose Update proves itself what it wants, for as long as it says so. Read RFC 7450 §5.3
 * first, then `response-mac.ts`, `forwarding.ts` and `tunnels.ts`.
 */
import {
  AMT_DATA,
  AMT_DATA_DATAGRAM,
  AMT_DISCOVERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../../assembly/layout/amt.ts";
import {
  VERDICT_ADDRESS_LIMIT,
  VERDICT_BAD_MAC,
  VERDICT_DENIED,
  VERDICT_DRAINING,
  VERDICT_FAMILY,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_RATE_LIMIT,
  VERDICT_ROUTER_ALERT,
  VERDICT_TUNNEL_LIMIT,
  VERDICT_UNEXPECTED,
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
import type { Machine, Millis } from "../../core/machine.ts";
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
import { readHead } from "../../wire/icmp.ts";
import { Access } from "./access.ts";
import { type ForwardedGroup, ForwardingTable, type RouteChange } from "./forwarding.ts";
import { type LimitedKind, RateLimiter } from "./rate-limit.ts";
import { refusal } from "./refusal.ts";
import type {
  RelayInput,
  RelayOptions,
  RelayOutput,
  RelayTunnel,
  TunnelUp,
} from "./relay-options.ts";
import { LENGTHS, RelayQuirks } from "./relay-quirks.ts";
import { type Report, asksForSomething, withPossibleSources } from "./reports.ts";
import { RESPONSE_MAC_LENGTH, type RequestTraits, ResponseMac } from "./response-mac.ts";
import { GroupSecrets, OwnSecrets } from "./secrets.ts";
import { type Tunnel, Tunnels } from "./tunnels.ts";

export type {
  RelayInput,
  RelayOptions,
  RelayOutput,
  RelayTunnel,
  TunnelUp,
} from "./relay-options.ts";

/** The previous secret holds for this many query intervals (§5.3.5). */
const SECRET_GRACE = 2;
/** The share of the tunnels at which a relay that was full has room again. */
const RESUME = 0.95;
/** Hosts behind one gateway whose reports it may pass on unmerged. */
const REPORTERS = 64;
/** RFC 3376 §8.8; the relay sends no such queries, but leaves take effect at once. */
const LAST_MEMBER_QUERY_INTERVAL: Millis = 1_000;
/** How long a path MTU is believed after ICMP last told it (RFC 1191 §6.3, RFC 8201 §4). */
const PATH_MTU_LIFE: Millis = 600_000;
/** Sources of the General Queries: any will do (§5.1.4), hosts want a link-local one for MLD. */
const QUERY_SOURCE = { 4: "0.0.0.0", 6: "fe80::1" } as const;

export class AmtRelay implements Machine<RelayInput, RelayOutput> {
  readonly #options: RelayOptions;
  readonly #mac: ResponseMac;
  /** The MAC of the Query that is being made. */
  readonly #signed = new Uint8Array(RESPONSE_MAC_LENGTH);
  readonly #quirks: RelayQuirks;
  readonly #tunnels = new Tunnels();
  readonly #forwarding: ForwardingTable;
  /** When a tunnel's memberships next need looking at; may be earlier than they do. */
  readonly #timers = new Timers<Tunnel>();
  /** When a tunnel's path MTU is forgotten. */
  readonly #paths = new Timers<Tunnel>();
  /** The settings of every tunnel's membership databases. */
  readonly #databases: Readonly<Record<Family, RouterOptions>>;
  readonly #queries: Readonly<Record<Family, Uint8Array>>;
  readonly #out = new Outputs<RelayOutput>();
  readonly #access: Access;
  readonly #rates: RateLimiter | undefined;
  /** Takes no new tunnels until enough of those that it has are gone. */
  #full = false;
  #phase: "serving" | "draining" | "stopped" = "serving";

  constructor(options: RelayOptions) {
    this.#options = options;
    const { entropy, secretInterval, sharedSecret, queryInterval, rates } = options;
    const grace = SECRET_GRACE * queryInterval;
    this.#mac = new ResponseMac(
      sharedSecret === undefined
        ? new OwnSecrets(entropy, secretInterval, grace)
        : new GroupSecrets(sharedSecret, secretInterval, grace),
    );
    this.#access = new Access(options.access ?? {});
    this.#rates = rates && new RateLimiter(rates);
    this.#full = options.maxTunnels === 0;
    this.#quirks = new RelayQuirks(options.quirks ?? true, (quirk) =>
      this.#out.push({ kind: "quirk", quirk }),
    );
    this.#forwarding = new ForwardingTable((change) => this.#out.push(change));
    const database = {
      role: "tracked",
      timers: {
        robustness: options.robustness,
        queryInterval,
        queryResponseInterval: options.queryResponseInterval,
        lastMemberQueryInterval: LAST_MEMBER_QUERY_INTERVAL,
      },
      limits: { groups: options.maxGroups, sources: options.maxSources, reporters: REPORTERS },
    } as const;
    this.#databases = { 4: { family: 4, ...database }, 6: { family: 6, ...database } };
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
        for (let due = this.#paths.take(now); due; due = this.#paths.take(now))
          this.#setPathMtu(due, undefined);
        return;
      case "too-big": {
        const drop = this.#learn(input, now);
        if (drop !== undefined) this.#out.push({ kind: "dropped", drop, type: AMT_DATA });
        return;
      }
      case "unreachable":
        this.#unreachable(input.gateway, now);
        return;
      case "drain":
        if (this.#phase === "serving") this.#phase = "draining";
        return;
      case "stop":
        this.#phase = "stopped";
        for (const tunnel of this.#tunnels) this.#end(tunnel, now);
    }
  }

  poll(): RelayOutput | undefined {
    return this.#out.take();
  }

  deadline(): Millis | undefined {
    const next = this.#timers.next();
    const path = this.#paths.next();
    return next === undefined || path === undefined ? (next ?? path) : Math.min(next, path);
  }

  /** All tunnels. */
  *tunnels(): IterableIterator<RelayTunnel> {
    for (const tunnel of this.#tunnels) {
      const { number, gateway, local, since } = tunnel;
      yield { tunnel: number, gateway, local, since, groups: groupsOf(tunnel), ...pathOf(tunnel) };
    }
  }

  /** The tunnels that get a source of a group, if any of them asks for it by name. */
  receivers(group: Address, source: Address): Iterable<number> {
    return this.#forwarding.receivers(group, source);
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
    if (!this.#access.admits(from.address)) return VERDICT_DENIED;
    switch (amtType(octets) ?? 0) {
      case AMT_DISCOVERY:
        return this.#discovered(octets, from, to, now);
      case AMT_REQUEST:
        return this.#requested(octets, from, to, now);
      case AMT_UPDATE:
        return this.#updated(octets, from, to, now);
      case AMT_TEARDOWN:
        return this.#tornDown(octets, from, now);
      default:
        return refusal(octets);
    }
  }

  /** A Relay Discovery (§5.3.3.2): answered from where it was asked, nothing is kept. */
  #discovered(octets: Uint8Array, from: Endpoint, to: Endpoint, now: Millis): Drop | undefined {
    const view = parseDiscovery(octets);
    if (typeof view === "number") return view;
    const trailing = this.#quirks.trailing(view, LENGTHS.discovery);
    if (trailing !== undefined) return trailing;
    if (view.nonce === 0) return VERDICT_ZERO_NONCE;
    if (this.#phase !== "serving") return VERDICT_DRAINING;
    if (!this.#admits("discovery", from, now)) return VERDICT_RATE_LIMIT;
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
    if (!this.#admits("request", from, now)) return VERDICT_RATE_LIMIT;
    const { nonce } = view;
    const manner = this.#quirks.manner(view, from, this.#tunnels.get(from), now);
    const mac = this.#signed;
    this.#mac.sign(mac, from, nonce, manner.traits, now);
    const limit = (this.#full || this.#phase !== "serving") && manner.limit;
    const gateway = manner.gatewayFields ? from : undefined;
    const datagram = this.#queries[manner.family];
    this.#send(emitQuery({ mac, nonce, limit, gateway, datagram }), from, to);
    return undefined;
  }

  /** A Membership Update (§5.3.3.4): proven before anything is kept or changed. */
  #updated(octets: Uint8Array, from: Endpoint, to: Endpoint, now: Millis): Drop | undefined {
    const view = parseUpdate(octets);
    if (typeof view === "number") return view;
    if (this.#phase === "stopped") return VERDICT_DRAINING;
    if (!this.#admits("update", from, now)) return VERDICT_RATE_LIMIT;
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
    const { report, drop: denied } = this.#access.permitted(withPossibleSources(message));
    if (report === undefined) return denied;

    if (known === undefined) {
      // Nothing to leave where nothing was joined.
      if (!asksForSomething(report)) return denied;
      if (this.#phase !== "serving") return VERDICT_DRAINING;
      if (this.#tunnels.countOf(from.address) >= this.#options.maxTunnelsPerAddress)
        return VERDICT_ADDRESS_LIMIT;
      if (this.#full) return VERDICT_TUNNEL_LIMIT;
    } else {
      known.unreachable = 0;
      if (!sameEndpoint(known.local, to)) this.#move(known, to, proof.ecn);
      else if (known.ecn !== proof.ecn) {
        known.ecn = proof.ecn;
        this.#out.push(up(known));
      }
    }
    const tunnel = known ?? this.#begin(from, to, proof, now);
    tunnel.driver ||= this.#quirks.isDriver(from, now);
    tunnel.playerProof = proof.player ? { nonce: view.nonce, mac: view.mac.slice() } : undefined;
    const drop = this.#apply(tunnel, family, report, source, now);
    if (groupsOf(tunnel) === 0) this.#end(tunnel, now);
    else this.#arm(tunnel);
    return drop ?? denied;
  }

  /** False for a message that is one too many of its kind. */
  #admits(kind: LimitedKind, { address }: Endpoint, now: Millis): boolean {
    if (this.#rates === undefined) return true;
    return this.#rates.admits(kind, address, this.#tunnels.countOf(address) === 0, now);
  }

  #begin(from: Endpoint, to: Endpoint, { ecn }: RequestTraits, now: Millis): Tunnel {
    const tunnel = this.#tunnels.add(from, to, ecn, now);
    if (this.#tunnels.size >= this.#options.maxTunnels) this.#full = true;
    return tunnel;
  }

  /** A Teardown (§5.3.3.5): of the tunnel that it names, whoever sends it. */
  #tornDown(octets: Uint8Array, from: Endpoint, now: Millis): Drop | undefined {
    const view = parseTeardown(octets);
    if (typeof view === "number") return view;
    const trailing = this.#quirks.trailing(view, LENGTHS.teardown);
    if (trailing !== undefined) return trailing;
    if (!this.#admits("update", from, now)) return VERDICT_RATE_LIMIT;
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

  /** ICMP tells of a path MTU (§5.3.3.6.1): believed if it is about data of a tunnel, and smaller. */
  #learn(input: Extract<RelayInput, { kind: "too-big" }>, now: Millis): Drop | undefined {
    const { leastPathMtu } = this.#options;
    const tunnel = this.#tunnels.get(input.gateway);
    if (tunnel === undefined || !sameEndpoint(tunnel.local, input.local))
      return VERDICT_UNKNOWN_TUNNEL;
    const isData = input.payload.length === 0 || input.payload[0] === AMT_DATA;
    if (leastPathMtu === undefined || !isData) return VERDICT_UNEXPECTED;
    // Some quote no more than the UDP header; what else there is must be of ours.
    const head = readHead(input.payload.subarray(AMT_DATA_DATAGRAM));
    if (head && !this.#forwarding.forwards(head.destination, head.source, tunnel.number))
      return VERDICT_UNEXPECTED;
    const mtu = Math.max(input.mtu, leastPathMtu[familyOf(tunnel.gateway.address)]);
    const known = tunnel.pathMtu ?? Number.POSITIVE_INFINITY;
    if (mtu > known) return VERDICT_UNEXPECTED;
    this.#paths.set(tunnel, now + PATH_MTU_LIFE);
    if (mtu < known) this.#setPathMtu(tunnel, mtu);
    return undefined;
  }

  #setPathMtu(tunnel: Tunnel, mtu: number | undefined): void {
    this.#out.push({ kind: "path-mtu", change: mtu === undefined ? "forgotten" : "reduced" });
    tunnel.pathMtu = mtu;
    if (tunnel.up) this.#out.push(up(tunnel));
  }

  /** Hands a report to the tunnel's membership database. Answers the first refusal of a part of it. */
  #apply(
    tunnel: Tunnel,
    family: Family,
    message: Report,
    from: Address,
    now: Millis,
  ): Drop | undefined {
    const router =
      family === 4
        ? (tunnel.igmp ??= new MembershipRouter(this.#databases[4]))
        : (tunnel.mld ??= new MembershipRouter(this.#databases[6]));
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
      if (out.kind !== "filter") continue;
      const { group, before, filter } = out;
      if (!tunnel.up && !isEmpty(filter)) {
        tunnel.up = true;
        this.#out.push(up(tunnel));
      }
      this.#forwarding.change(tunnel.number, group, before, filter);
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
    tunnel.pathMtu = undefined;
    this.#paths.delete(tunnel);
    this.#out.push(up(tunnel));
    for (const place of places) this.#out.push(place);
  }

  /** Sets the tunnel's timer, unless it has one that is early enough: most only move on. */
  #arm(tunnel: Tunnel): void {
    const next = Math.min(
      tunnel.igmp?.deadline() ?? Number.POSITIVE_INFINITY,
      tunnel.mld?.deadline() ?? Number.POSITIVE_INFINITY,
    );
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
    this.#paths.delete(tunnel);
    this.#tunnels.remove(tunnel);
    const { maxTunnels, resumeTunnels = Math.floor(RESUME * maxTunnels) } = this.#options;
    if (this.#tunnels.size <= resumeTunnels && maxTunnels > 0) this.#full = false;
    if (tunnel.up) this.#out.push({ kind: "tunnel-down", tunnel: tunnel.number });
  }

  #send(octets: Uint8Array, to: Endpoint, from: Endpoint): void {
    this.#out.push({ kind: "send", octets, to, from });
  }
}

function up({ number, gateway, local, ecn, pathMtu }: Tunnel): TunnelUp {
  return { kind: "tunnel-up", tunnel: number, gateway, local, ecn, ...pathOf({ pathMtu }) };
}

function pathOf({ pathMtu }: Pick<Tunnel, "pathMtu">): { readonly pathMtu?: number } {
  return pathMtu === undefined ? {} : { pathMtu };
}

function groupsOf(tunnel: Tunnel): number {
  return (tunnel.igmp?.groupCount ?? 0) + (tunnel.mld?.groupCount ?? 0);
}

function routersOf({ igmp, mld }: Tunnel): MembershipRouter[] {
  return [igmp, mld].filter((router) => router !== undefined);
}
