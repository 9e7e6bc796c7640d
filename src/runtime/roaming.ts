/**
 * A gateway that finds its relays by itself and moves when one is lost: a machine of the shape of
 * `AmtGateway`, over one of those for each relay that is tried. Read RFC 8777 §2.3 and §2.5 first.
 *
 * The first relay whose Membership Query comes without L wins; it alone gets the reports. The relay
 * before is left in order once its successor is there, so a loss that was none cuts nothing off.
 */
import { AMT_QUERY } from "../../assembly/layout/amt.ts";
import { VERDICT_WRONG_PEER } from "../../assembly/layout/verdict.ts";
import { endpointText, sameEndpoint, type Address, type Endpoint } from "../core/address.ts";
import type { Entropy, Machine, Millis } from "../core/machine.ts";
import {
  AmtGateway,
  type GatewayInput,
  type GatewayOutput,
  type GatewayState,
} from "../protocols/amt/gateway.ts";
import { Attempts, type AttemptsInput } from "../protocols/driad/attempts.ts";
import type { HoldReason } from "../protocols/driad/hold-down.ts";
import type { Candidate } from "../protocols/driad/candidates.ts";
import { amtType, parseQuery } from "../wire/amt.ts";
import type { GroupFilter } from "../wire/membership.ts";

/** A relay that sends no data for so long is lost (RFC 8777 §2.5.4.1): 4 s, doubling to 120 s. */
const SILENCE_FIRST: Millis = 4_000;
const SILENCE_MOST: Millis = 120_000;
/** Between lookups while no relay is found: as between repetitions of a Discovery. */
const LOOKUP_FIRST: Millis = 1_000;
const LOOKUP_MOST: Millis = 120_000;

export type RoamingInput =
  | GatewayInput
  /** The answer to a lookup, the best first. There may be several, each in place of the last. */
  | { readonly kind: "candidates"; readonly candidates: readonly Candidate[] }
  /** Data has come from the relay. */
  | { readonly kind: "heard" };

export type RoamingOutput =
  | GatewayOutput
  /** Relays are wanted: an input "candidates" is to follow. */
  | { readonly kind: "lookup" };

export interface RoamingOptions {
  readonly entropy: Entropy;
  readonly quirks: boolean;
  /** E, as in `GatewayOptions`. */
  readonly ecn: boolean;
}

/** A relay that is tried, used or left, with the machine that speaks with it. */
interface Contact {
  readonly candidate: Candidate;
  readonly gateway: AmtGateway;
  /** The relay itself, once it is known. */
  relay: Endpoint | undefined;
  state: GatewayState;
}

export class RoamingGateway implements Machine<RoamingInput, RoamingOutput> {
  readonly #options: RoamingOptions;
  readonly #attempts: Attempts;
  readonly #tried = new Map<string, Contact>();
  readonly #left = new Set<Contact>();
  readonly #wanted = new Map<Address, GroupFilter>();
  #out: RoamingOutput[] = [];
  #active: Contact | undefined;
  #candidates: readonly Candidate[] = [];
  #phase: "idle" | "searching" | "settled" | "ending" = "idle";
  #lookupAt: Millis | undefined;
  /** Lookups in a row that led to no relay. */
  #lookups = 0;
  #silentAt: Millis | undefined;
  /** The relay in use wants us to leave. */
  #unwanted = false;
  /** Relays in a row that sent no data. */
  #silences = 0;

  constructor(options: RoamingOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options.entropy);
  }

  handle(input: RoamingInput, now: Millis): void {
    switch (input.kind) {
      case "start":
        if (this.#phase === "idle") this.#search(now);
        return;
      case "candidates":
        this.#candidates = input.candidates;
        if (this.#phase === "searching") this.#choose(now);
        return;
      case "datagram":
        return this.#receive(input, now);
      case "membership":
        return this.#want(input, now);
      case "heard":
        return this.#heard(now);
      case "timeout":
        return this.#timeout(now);
      case "silent": // the time since the last "heard" says more
        return;
      case "unreachable":
      case "rebound":
        if (this.#active !== undefined) this.#pass(this.#active, input, now);
        return;
      case "stop":
        if (this.#phase !== "ending") this.#stop(now);
    }
  }

  poll(): RoamingOutput | undefined {
    return this.#out.shift();
  }

  deadline(): Millis | undefined {
    const times = Array.from(this.#contacts(), ({ gateway }) => gateway.deadline());
    times.push(this.#lookupAt, this.#silentAt, this.#attempts.deadline());
    const set = times.filter((at) => at !== undefined);
    return set.length > 0 ? Math.min(...set) : undefined;
  }

  *#contacts(): Iterable<Contact> {
    if (this.#active !== undefined) yield this.#active;
    yield* this.#tried.values();
    yield* this.#left;
  }

  // The search.

  #search(now: Millis): void {
    this.#phase = "searching";
    this.#lookups = 0;
    this.#silentAt = undefined;
    this.#out.push({ kind: "lookup" });
    if (this.#active === undefined) this.#out.push({ kind: "state", state: "discovering" });
    // What is known already need not wait for the answer.
    if (this.#candidates.length > 0) this.#choose(now);
  }

  /** Tries what is known, but for the relay that is to be replaced. */
  #choose(now: Millis): void {
    const own = [this.#active?.candidate.endpoint, this.#active?.relay];
    const candidates = this.#candidates.filter(
      ({ endpoint }) => !own.some((one) => one !== undefined && sameEndpoint(one, endpoint)),
    );
    this.#attempt({ kind: "candidates", candidates }, now);
  }

  #attempt(input: AttemptsInput, now: Millis): void {
    this.#attempts.handle(input, now);
    for (let out = this.#attempts.poll(); out; out = this.#attempts.poll())
      switch (out.kind) {
        case "attempt":
          this.#try(out.candidate, now);
          break;
        case "abandon":
          this.#tried.delete(endpointText(out.candidate.endpoint));
          break;
        case "exhausted": {
          // The answer to a lookup may come in parts.
          if (this.#lookupAt !== undefined) break;
          const most = Math.min(LOOKUP_FIRST * 2 ** this.#lookups++, LOOKUP_MOST);
          this.#lookupAt = now + this.#between(LOOKUP_FIRST, most);
        }
      }
  }

  /** Asks a relay: for an Advertisement first, unless its record says that it need not be (D). */
  #try(candidate: Candidate, now: Millis): void {
    const { endpoint, discoveryOptional } = candidate;
    const gateway = new AmtGateway({
      ...this.#options,
      ...(discoveryOptional ? { relay: endpoint } : { discovery: endpoint }),
    });
    const contact: Contact = { candidate, gateway, relay: undefined, state: "idle" };
    this.#tried.set(endpointText(endpoint), contact);
    this.#pass(contact, { kind: "start" }, now);
  }

  #fail(contact: Contact, now: Millis): void {
    this.#tried.delete(endpointText(contact.candidate.endpoint));
    this.#attempt({ kind: "failed", candidate: contact.candidate }, now);
  }

  #hold(contact: Contact, reason: HoldReason, now: Millis): void {
    for (const relay of [contact.candidate.endpoint, contact.relay])
      if (relay !== undefined) this.#attempt({ kind: "hold", relay, reason }, now);
  }

  /** A relay has answered: it is the one from now on. */
  #win(contact: Contact, now: Millis): void {
    const before = this.#active;
    this.#settle(now);
    this.#active = contact;
    this.#out.push({ kind: "relay", endpoint: contact.relay });
    this.#out.push({ kind: "state", state: contact.state });
    for (const [group, filter] of this.#wanted)
      this.#pass(contact, { kind: "membership", group, filter }, now);
    this.#await(now);
    if (before !== undefined) this.#leave(before, now);
  }

  /** Ends the search. Those that were tried in vain learn nothing: they have no report of ours. */
  #settle(now: Millis): void {
    this.#phase = "settled";
    this.#tried.clear();
    this.#lookupAt = undefined;
    this.#attempt({ kind: "stop" }, now);
  }

  #leave(contact: Contact, now: Millis): void {
    this.#left.add(contact);
    this.#pass(contact, { kind: "stop" }, now);
  }

  // The loss of a relay.

  /** Looks for another relay; until one is there, this one may come back. */
  #lose(contact: Contact, reason: HoldReason, now: Millis): void {
    if (this.#phase !== "settled") return;
    this.#unwanted = reason === "limit";
    this.#hold(contact, reason, now);
    this.#search(now);
    if (reason === "lost") this.#pass(contact, { kind: "silent" }, now);
  }

  /** Expects data, the longer the more relays in a row sent none. */
  #await(now: Millis): void {
    const most = Math.min(SILENCE_FIRST * 2 ** this.#silences, SILENCE_MOST);
    this.#silentAt = this.#wanted.size > 0 ? now + this.#between(SILENCE_FIRST, most) : undefined;
  }

  #heard(now: Millis): void {
    if (this.#active === undefined || this.#phase === "ending") return;
    const back = this.#active.state === "connected" && !this.#unwanted;
    if (this.#phase === "searching" && back) this.#settle(now);
    this.#silences = 0;
    if (this.#phase === "settled") this.#await(now);
  }

  #between(least: Millis, most: Millis): Millis {
    return least + this.#options.entropy.fraction() * (most - least);
  }

  // What comes in.

  #want(input: Extract<GatewayInput, { kind: "membership" }>, now: Millis): void {
    if (this.#phase === "ending") return;
    const { group, filter } = input;
    if (filter.mode === "include" && filter.sources.length === 0) this.#wanted.delete(group);
    else this.#wanted.set(group, filter);
    if (this.#active === undefined) return;
    this.#pass(this.#active, input, now);
    if (this.#phase === "settled" && (this.#silentAt === undefined || this.#wanted.size === 0))
      this.#await(now);
  }

  #receive(input: Extract<GatewayInput, { kind: "datagram" }>, now: Millis): void {
    const contact = this.#contactOf(input.from);
    if (contact === undefined)
      this.#out.push({
        kind: "dropped",
        drop: VERDICT_WRONG_PEER,
        type: amtType(input.octets) ?? 0,
      });
    else this.#pass(contact, input, now);
  }

  /** Who is asked at this endpoint, or advertised it. */
  #contactOf(from: Endpoint): Contact | undefined {
    for (const contact of this.#contacts())
      for (const endpoint of [contact.relay, contact.candidate.endpoint])
        if (endpoint !== undefined && sameEndpoint(endpoint, from)) return contact;
    return undefined;
  }

  #timeout(now: Millis): void {
    for (const contact of [...this.#contacts()])
      if ((contact.gateway.deadline() ?? Number.POSITIVE_INFINITY) <= now)
        this.#pass(contact, { kind: "timeout" }, now);
    if (this.#phase === "ending") return;
    if ((this.#attempts.deadline() ?? Number.POSITIVE_INFINITY) <= now)
      this.#attempt({ kind: "timeout" }, now);
    if (this.#lookupAt !== undefined && this.#lookupAt <= now) {
      this.#lookupAt = undefined;
      this.#out.push({ kind: "lookup" });
    }
    if (this.#silentAt !== undefined && this.#silentAt <= now) {
      this.#silentAt = undefined;
      this.#silences++;
      if (this.#active !== undefined) this.#lose(this.#active, "lost", now);
    }
  }

  #stop(now: Millis): void {
    this.#settle(now);
    this.#phase = "ending";
    this.#silentAt = undefined;
    if (this.#active !== undefined) return this.#pass(this.#active, { kind: "stop" }, now);
    this.#out.push({ kind: "state", state: "stopped" });
    this.#out.push({ kind: "stopped" });
  }

  // What a relay's machine says.

  #pass(contact: Contact, input: GatewayInput, now: Millis): void {
    contact.gateway.handle(input, now);
    let queried = false;
    for (let out = contact.gateway.poll(); out; out = contact.gateway.poll()) {
      if (out.kind === "accepted" && out.type === AMT_QUERY) queried = true;
      this.#take(contact, out, now);
    }
    if (contact === this.#active && queried && isLimited(input)) this.#lose(contact, "limit", now);
    if (!this.#isTried(contact)) return;
    if (contact.state === "connected") this.#win(contact, now);
    else if (queried) {
      // An answer that does not connect has L set: the relay takes no new gateways.
      this.#hold(contact, "limit", now);
      this.#fail(contact, now);
    } else if (contact.relay !== undefined && this.#attempts.holds(contact.relay, now))
      this.#fail(contact, now);
  }

  #take(contact: Contact, out: GatewayOutput, now: Millis): void {
    const active = contact === this.#active;
    switch (out.kind) {
      case "relay":
        contact.relay = out.endpoint;
        if (active) this.#out.push(out);
        return;
      case "state": {
        const lost = contact.state === "connected" && out.state !== "idle";
        contact.state = out.state;
        if (!active) return;
        this.#out.push(out);
        if (lost && this.#phase === "settled") this.#lose(contact, "lost", now);
        return;
      }
      case "stopped":
        if (active) this.#out.push(out);
        else this.#left.delete(contact);
        return;
      case "query":
        if (active) this.#out.push(out);
        return;
      case "send":
      case "accepted":
      case "dropped":
      case "quirk":
        this.#out.push(out);
    }
  }

  #isTried(contact: Contact): boolean {
    return this.#tried.get(endpointText(contact.candidate.endpoint)) === contact;
  }
}

/** True for a Query with L set: its relay may have to shed load, or is about to end. */
function isLimited(input: GatewayInput): boolean {
  const view = input.kind === "datagram" ? parseQuery(input.octets) : undefined;
  return typeof view === "object" && view.limit;
}
