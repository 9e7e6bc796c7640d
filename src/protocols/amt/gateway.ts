/**
 * The gateway side of AMT: finds a relay, keeps one cycle of Requests for each family, reports what
 * the pseudo-interface wants, and tears down. Read RFC 7450 §5.2 first, then `gateway-cycle.ts`.
 *
 * A relay that has lost its state is found out by the next cycle, so at the latest after the query
 * interval (125 s by default, or `longestQueryInterval`); the inputs "unreachable" and "silent"
 * begin that cycle at once.
 *
 * One cycle runs once at the start even if no group is wanted, to see whether the relay answers: that
 * of the relay's own family, the one that a relay must serve. Otherwise a family without groups ends its cycle when the query interval is over, and begins
 * again with its next group.
 */
import { AMT_ADVERTISEMENT, AMT_DATA, AMT_QUERY } from "../../../assembly/layout/amt.ts";
import {
  VERDICT_BAD_ADDRESS,
  VERDICT_HELD_DOWN,
  VERDICT_NOT_GENERAL_QUERY,
  VERDICT_PROTOCOL_MISMATCH,
  VERDICT_STALE_NONCE,
  VERDICT_UNEXPECTED,
  VERDICT_WRONG_PEER,
} from "../../../assembly/layout/verdict.ts";
import {
  type Address,
  type Endpoint,
  type Family,
  canBeAdvertised,
  endpointText,
  familyOf,
  isLinkScope,
  isLoopback,
  isMulticast,
  parseAddress,
  sameEndpoint,
} from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import { ConfigError } from "../../core/errors.ts";
import type { Entropy, Machine, Millis } from "../../core/machine.ts";
import { Outputs } from "../../membership/outputs.ts";
import { amtType, emitDiscovery, parseAdvertisement, parseQuery } from "../../wire/amt.ts";
import { parseMembershipDatagram } from "../../wire/membership-datagram.ts";
import type { GroupFilter, MembershipQuery } from "../../wire/membership.ts";
import { RETRY_LONGEST, newNonce, retryWait } from "./backoff.ts";
import { Cycle } from "./gateway-cycle.ts";
import { refusal } from "./refusal.ts";
import { type GatewayQuirk, RequestForms } from "./request-forms.ts";

/** How long a relay that takes no new gateways is left alone (RFC 8777). */
const HOLD_DOWN: Millis = 600_000;
/** Between repetitions of a Teardown (RFC 7450 §5.2.3.7). */
const TEARDOWN_REPEAT: Millis = 1_000;
/** Requests without an answer after which another relay is looked for. */
const REQUEST_TRIES = 4;

export interface GatewayOptions {
  /** The relay to use; or else where to discover one. One of the two must be given. */
  readonly relay?: Endpoint | undefined;
  /** The Relay Discovery Address. A relay found there is asked at the same port. */
  readonly discovery?: Endpoint | undefined;
  readonly entropy: Entropy;
  /** Whether Teardowns are sent (RECOMMENDED, §5.2.3.7); default true. */
  readonly teardown?: boolean;
  /** Ask relays that do not answer as some deployed ones understand; default true. */
  readonly quirks?: boolean;
  /** E: decapsulation treats ECN as RFC 6040 says (RFC 9601 §4); default false. */
  readonly ecn?: boolean;
  /** Requests without an answer after which the relay counts as lost; default 4, some 10 s. */
  readonly requestTries?: number;
  /** The longest wait before asking again; default 120 s. */
  readonly longestRetry?: Millis;
  /** Asks again after at most this time, as when a NAT forgets sooner; default no limit. */
  readonly longestQueryInterval?: Millis;
}

export type GatewayInput =
  | { readonly kind: "start" }
  /** A datagram that came to the tunnel's socket, but for Multicast Data. */
  | { readonly kind: "datagram"; readonly octets: Uint8Array; readonly from: Endpoint }
  /** What the pseudo-interface wants of a group, all its listeners together. */
  | { readonly kind: "membership"; readonly group: Address; readonly filter: GroupFilter }
  | { readonly kind: "timeout" }
  /** The relay's host answered with ICMP Destination Unreachable (§5.2.3). */
  | { readonly kind: "unreachable" }
  /** Data that should come does not. */
  | { readonly kind: "silent" }
  /** Our own address may have changed. */
  | { readonly kind: "rebound" }
  /** Leave all groups, tear down, end. */
  | { readonly kind: "stop" };

export type GatewayState = "idle" | "discovering" | "requesting" | "connected" | "stopped";

export type GatewayOutput =
  | { readonly kind: "send"; readonly octets: Uint8Array; readonly to: Endpoint }
  /** From whom data is to be accepted; undefined: from nobody. */
  | { readonly kind: "relay"; readonly endpoint: Endpoint | undefined }
  | { readonly kind: "state"; readonly state: GatewayState }
  /** The relay's General Query, answered already. */
  | { readonly kind: "query"; readonly family: Family; readonly query: MembershipQuery }
  | { readonly kind: "accepted"; readonly type: number }
  /** A relay was asked as some deployed ones understand, or answered as they do. */
  | { readonly kind: "quirk"; readonly quirk: GatewayQuirk }
  /** `type` is 0 when the datagram has none. */
  | { readonly kind: "dropped"; readonly drop: Drop; readonly type: number }
  /** All is said and torn down; nothing follows. */
  | { readonly kind: "stopped" };

type Phase =
  | { readonly at: "idle" }
  | {
      readonly at: "discovering";
      readonly nonce: number;
      readonly tries: number;
      readonly retryAt: Millis;
    }
  /** A relay is known; the cycles do the rest. */
  | { readonly at: "related" }
  /** Leaves are still to be repeated. */
  | { readonly at: "stopping" }
  | { readonly at: "stopped" };

interface PendingTeardown {
  readonly octets: Uint8Array;
  readonly to: Endpoint;
  /** The endpoint of ours whose tunnel it ends. */
  readonly gateway: Endpoint;
  readonly left: number;
  readonly at: Millis;
}

export class AmtGateway implements Machine<GatewayInput, GatewayOutput> {
  readonly #entropy: Entropy;
  readonly #teardown: boolean;
  readonly #longestRetry: Millis;
  readonly #discovery: Endpoint | undefined;
  readonly #cycles: readonly Cycle[];
  readonly #forms: RequestForms;
  readonly #out = new Outputs<GatewayOutput>();
  readonly #heldDown = new Map<string, Millis>();
  #teardowns: PendingTeardown[] = [];
  #relay: Endpoint | undefined;
  #phase: Phase = { at: "idle" };
  #state: GatewayState = "idle";

  /** Throws a ConfigError when neither relay nor discovery is given. */
  constructor(options: GatewayOptions) {
    if (options.relay === undefined && options.discovery === undefined)
      throw new ConfigError("gateway.relay", "a relay or a discovery address", undefined);
    this.#entropy = options.entropy;
    this.#teardown = options.teardown ?? true;
    this.#longestRetry = options.longestRetry ?? RETRY_LONGEST;
    this.#discovery = options.relay === undefined ? options.discovery : undefined;
    this.#relay = options.relay;
    this.#forms = new RequestForms(options.ecn ?? false, options.quirks ?? true);
    const settings = {
      entropy: options.entropy,
      forms: this.#forms,
      quirk: (quirk: GatewayQuirk) => this.#out.push({ kind: "quirk", quirk }),
      shared: (cycle: Cycle, nonce: number, now: Millis) => this.#share(cycle, nonce, now),
      longestRetry: this.#longestRetry,
      requestTries: options.requestTries ?? REQUEST_TRIES,
      longestQueryInterval: options.longestQueryInterval ?? Number.POSITIVE_INFINITY,
    };
    const send = (octets: Uint8Array, to: Endpoint) => this.#out.push({ kind: "send", octets, to });
    this.#cycles = [new Cycle(4, settings, send), new Cycle(6, settings, send)];
  }

  handle(input: GatewayInput, now: Millis): void {
    this.#take(input, now);
    if (this.#phase.at === "stopping" && !this.#cycles.some((cycle) => cycle.unsaid))
      this.#end(now);
    const state = this.#seen();
    if (state === this.#state) return;
    this.#state = state;
    this.#out.push({ kind: "state", state });
  }

  poll(): GatewayOutput | undefined {
    return this.#out.take();
  }

  deadline(): Millis | undefined {
    if (this.#phase.at === "stopped") return undefined;
    const times = this.#cycles.map((cycle) => cycle.deadline());
    times.push(...this.#teardowns.map(({ at }) => at));
    if (this.#phase.at === "discovering") times.push(this.#phase.retryAt);
    const set = times.filter((at) => at !== undefined);
    return set.length > 0 ? Math.min(...set) : undefined;
  }

  #take(input: GatewayInput, now: Millis): void {
    const { at } = this.#phase;
    switch (input.kind) {
      case "start":
        if (at === "idle") this.#start(now);
        return;
      case "datagram":
        this.#receive(input.octets, input.from, now);
        return;
      case "membership":
        if (at !== "stopping" && at !== "stopped") this.#want(input.group, input.filter, now);
        return;
      case "timeout":
        if (at !== "stopped") this.#timeout(now);
        return;
      case "unreachable":
      case "silent":
      case "rebound":
        // While an answer is awaited, its repetition will do (§5.2.3).
        for (const cycle of this.#cycles) if (cycle.wanted) cycle.renew(now);
        return;
      case "stop":
        if (at !== "stopping" && at !== "stopped") this.#stop(now);
    }
  }

  /** What the operator sees. */
  #seen(): GatewayState {
    switch (this.#phase.at) {
      case "idle":
      case "discovering":
      case "stopped":
        return this.#phase.at;
      case "stopping":
        return this.#state;
      case "related":
        if (this.#cycles.some((cycle) => cycle.running && cycle.answered)) return "connected";
        return this.#cycles.some((cycle) => cycle.requesting) ? "requesting" : "idle";
    }
  }

  #start(now: Millis): void {
    if (this.#relay === undefined) this.#discover(now);
    else this.#relate(this.#relay, now);
  }

  // Discovery (§5.2.3.4).

  /** Looks for a relay anew: a new nonce, and all cycles wait. */
  #discover(now: Millis): void {
    for (const cycle of this.#cycles) cycle.rest();
    this.#askAll(newNonce(this.#entropy), 0, now);
  }

  #askAll(nonce: number, tries: number, now: Millis): void {
    if (this.#discovery === undefined) return;
    this.#out.push({ kind: "send", octets: emitDiscovery(nonce), to: this.#discovery });
    const retryAt = now + retryWait(this.#entropy, tries, this.#longestRetry);
    this.#phase = { at: "discovering", nonce, tries: tries + 1, retryAt };
  }

  #advertised(octets: Uint8Array, from: Endpoint, now: Millis): Drop | undefined {
    const view = parseAdvertisement(octets);
    if (typeof view === "number") return view;
    const phase = this.#phase;
    const asked = this.#discovery;
    if (phase.at !== "discovering" || asked === undefined) return VERDICT_UNEXPECTED;
    if (!sameEndpoint(from, asked)) return VERDICT_WRONG_PEER;
    if (view.nonce !== phase.nonce) return VERDICT_STALE_NONCE;
    if (!canBeRelay(view.relay, asked.address)) return VERDICT_BAD_ADDRESS;
    const relay = { address: view.relay, port: asked.port };
    if ((this.#heldDown.get(endpointText(relay)) ?? now) > now) return VERDICT_HELD_DOWN;
    this.#heldDown.delete(endpointText(relay));
    this.#relate(relay, now);
    return undefined;
  }

  /** A relay is known: from now on it is the one to ask. */
  #relate(relay: Endpoint, now: Millis): void {
    const before = this.#phase.at === "idle" ? undefined : this.#relay;
    this.#phase = { at: "related" };
    if (before === undefined || !sameEndpoint(before, relay)) {
      if (before !== undefined) this.#tearDown(this.#cycles, before, now);
      this.#forms.forget();
      for (const cycle of this.#cycles) cycle.use(relay);
      this.#relay = relay;
      this.#out.push({ kind: "relay", endpoint: relay });
    }
    const wanted = this.#cycles.filter((cycle) => cycle.wanted);
    const own = this.#cycles.filter(({ family }) => family === familyOf(relay.address));
    for (const cycle of wanted.length > 0 ? wanted : own) cycle.request(now);
  }

  // Membership.

  #want(group: Address, filter: GroupFilter, now: Millis): void {
    const octets = parseAddress(group);
    if (octets === undefined || !isMulticast(octets) || isLinkScope(octets)) return;
    const cycle = this.#cycles.find(({ family }) => family === familyOf(group))!;
    cycle.want(group, filter, now);
    if (this.#phase.at === "related" && cycle.wanted && !cycle.running) cycle.request(now);
  }

  #receive(octets: Uint8Array, from: Endpoint, now: Millis): void {
    const type = amtType(octets);
    const drop = this.#read(type, octets, from, now);
    if (drop === undefined) this.#out.push({ kind: "accepted", type: type ?? 0 });
    else this.#out.push({ kind: "dropped", drop, type: type ?? 0 });
  }

  /** Obeys a datagram; or says why not. */
  #read(
    type: number | undefined,
    octets: Uint8Array,
    from: Endpoint,
    now: Millis,
  ): Drop | undefined {
    switch (type ?? 0) {
      case AMT_ADVERTISEMENT:
        return this.#advertised(octets, from, now);
      case AMT_QUERY:
        return this.#queried(octets, from, now);
      case AMT_DATA:
        return VERDICT_UNEXPECTED;
      default:
        return refusal(octets);
    }
  }

  /** A Membership Query (§5.2.3.5). */
  #queried(octets: Uint8Array, from: Endpoint, now: Millis): Drop | undefined {
    const view = parseQuery(octets);
    if (typeof view === "number") return view;
    if (this.#relay === undefined || !this.#cycles.some((cycle) => cycle.requesting))
      return VERDICT_UNEXPECTED;
    if (!sameEndpoint(from, this.#relay)) return VERDICT_WRONG_PEER;
    const awaiting = this.#cycles.filter((one) => one.awaits(view.nonce));
    if (awaiting.length === 0) return VERDICT_STALE_NONCE;
    const datagram = parseMembershipDatagram(view.datagram, { requireRouterAlert: false });
    if ("drop" in datagram) return datagram.drop;
    const cycle = awaiting.find(({ family }) => family === datagram.family);
    if (cycle === undefined) {
      for (const other of awaiting) other.misread(view.nonce, now);
      return VERDICT_PROTOCOL_MISMATCH;
    }
    const query = datagram.message;
    if (
      query.kind !== "query" ||
      query.generation !== 3 ||
      query.group !== undefined ||
      query.sources.length > 0
    )
      return VERDICT_NOT_GENERAL_QUERY;

    if (view.misplacedFlags) this.#out.push({ kind: "quirk", quirk: "misplaced-flags" });
    if (cycle.moved(view)) this.#moved(cycle, this.#relay, now);
    if (cycle.accept(view, query, now)) {
      if (view.gateway !== undefined) this.#keep(this.#relay, view.gateway);
      this.#out.push({ kind: "query", family: cycle.family, query });
    } else this.#refused(now);
    return undefined;
  }

  /** Asks for the other families too with the nonce of `cycle`, as long as they have something to ask. */
  #share(cycle: Cycle, nonce: number, now: Millis): void {
    for (const other of this.#cycles) {
      if (other === cycle || other.has(nonce)) continue;
      if (!other.requesting && !(other.running && other.wanted)) continue;
      this.#out.push({ kind: "quirk", quirk: "shared-nonce" });
      other.requestWith(nonce, now);
    }
  }

  /** The relay sees us at another endpoint: our old tunnel ends, the other family must move too. */
  #moved(cycle: Cycle, relay: Endpoint, now: Millis): void {
    this.#tearDown([cycle], relay, now);
    for (const other of this.#cycles) if (other !== cycle) other.renew(now);
  }

  /** The relay takes no new gateways (L): another one may (§5.1.4.4, RFC 8777). */
  #refused(now: Millis): void {
    if (this.#discovery === undefined || this.#relay === undefined || this.#served()) return;
    this.#heldDown.set(endpointText(this.#relay), now + HOLD_DOWN);
    this.#discover(now);
  }

  /** True while a family has a tunnel at the relay, or may have. */
  #served(): boolean {
    return this.#cycles.some((cycle) => cycle.running && cycle.answered);
  }

  #timeout(now: Millis): void {
    this.#repeatTeardowns(now);
    const phase = this.#phase;
    if (phase.at === "discovering" && phase.retryAt <= now)
      this.#askAll(phase.nonce, phase.tries, now);
    let lost = false;
    for (const cycle of this.#cycles) if (!cycle.timeout(now)) lost = true;
    // A relay that answers one family is not lost: it may not speak the other's protocol.
    if (lost && this.#discovery !== undefined && !this.#served()) this.#discover(now);
  }

  // Teardown (§5.2.3.7) and the end (§5.2.3).

  /** Ends the tunnels of `cycles` at `relay`; an endpoint that several have is named once. */
  #tearDown(cycles: readonly Cycle[], relay: Endpoint, now: Millis): void {
    for (const cycle of cycles) {
      const octets = this.#teardown && cycle.reported ? cycle.teardown() : undefined;
      const last = cycle.last;
      cycle.reported = false;
      if (octets === undefined || last?.gateway === undefined) continue;
      for (const other of this.#cycles)
        if (other.last?.gateway && sameEndpoint(other.last.gateway, last.gateway))
          other.reported = false;
      this.#out.push({ kind: "send", octets, to: relay });
      const left = last.robustness - 1;
      const at = now + TEARDOWN_REPEAT;
      if (left > 0) this.#teardowns.push({ octets, to: relay, gateway: last.gateway, left, at });
    }
  }

  /** A tunnel is ours again that was to be ended: nothing more is said against it. */
  #keep(relay: Endpoint, gateway: Endpoint): void {
    this.#teardowns = this.#teardowns.filter(
      (one) => !sameEndpoint(one.to, relay) || !sameEndpoint(one.gateway, gateway),
    );
  }

  #repeatTeardowns(now: Millis): void {
    const due = this.#teardowns.filter(({ at }) => at <= now);
    if (due.length === 0) return;
    this.#teardowns = this.#teardowns.filter(({ at }) => at > now);
    for (const one of due) {
      this.#out.push({ kind: "send", octets: one.octets, to: one.to });
      if (one.left > 1)
        this.#teardowns.push({ ...one, left: one.left - 1, at: now + TEARDOWN_REPEAT });
    }
  }

  /** Leaves all groups; what is to be repeated of that still takes its time. */
  #stop(now: Millis): void {
    this.#phase = { at: "stopping" };
    for (const cycle of this.#cycles) {
      cycle.leave(now);
      cycle.rest();
    }
  }

  #end(now: Millis): void {
    if (this.#relay !== undefined) this.#tearDown(this.#cycles, this.#relay, now);
    this.#teardowns = [];
    this.#phase = { at: "stopped" };
    this.#out.push({ kind: "relay", endpoint: undefined });
    this.#out.push({ kind: "stopped" });
  }
}

/** Refuses what no relay can have for its address; loopback only if the asked one is loopback. */
function canBeRelay(address: Address, asked: Address): boolean {
  if (familyOf(address) !== familyOf(asked)) return false;
  if (!canBeAdvertised(parseAddress(address)!)) return false;
  return !isLoopback(address) || isLoopback(asked);
}
