/**
 * A gateway that finds its relays by itself and moves when one is lost: a machine of the shape of
 * `AmtGateway`, over one of those for each relay that is spoken with. Read RFC 8777 §2.3 and §2.5
 * first, then `seeker.ts`: each slot of the memberships has a seeker, and seekers that come to the
 * same relay share the tunnel to it.
 *
 * The first relay whose Membership Query comes without L wins; it alone gets the reports. The relay
 * before is left in order once its successor is there, so a loss that was none cuts nothing off.
 */
import { AMT_ADVERTISEMENT, AMT_QUERY } from "../../assembly/layout/amt.ts";
import { VERDICT_TUNNEL_LIMIT, VERDICT_WRONG_PEER } from "../../assembly/layout/verdict.ts";
import { sameEndpoint, type Address, type Endpoint } from "../core/address.ts";
import type { Entropy, Machine, Millis } from "../core/machine.ts";
import { isEmpty, NOTHING } from "../membership/filter.ts";
import {
  AmtGateway,
  type GatewayInput,
  type GatewayOutput,
  type GatewayState,
} from "../protocols/amt/gateway.ts";
import type { Candidate } from "../protocols/driad/candidates.ts";
import { HoldDown } from "../protocols/driad/hold-down.ts";
import { amtType, parseQuery } from "../wire/amt.ts";
import type { GroupFilter } from "../wire/membership.ts";
import { Party } from "./party.ts";
import { Seeker, type SeekerHost } from "./seeker.ts";
import { ANY_SOURCE } from "./source-router.ts";

/** How long a tunnel without groups is kept, as while a listener changes from one to another. */
const LINGER: Millis = 3_000;
/** Relays spoken with at once besides the tunnels: those that are tried, and those that are left. */
const CONTACTS_BESIDE = 64;

export type RoamingInput =
  | Exclude<GatewayInput, { kind: "membership" }>
  /** What a slot wants of a group; `source` is whose relay it uses. Left out: ANY_SOURCE. */
  | {
      readonly kind: "membership";
      readonly group: Address;
      readonly filter: GroupFilter;
      readonly slot?: number;
      readonly source?: Address | undefined;
    }
  /**
   * The answer to a lookup, the best first. There may be several, each in place of the last; those
   * for a slot that has another source by now do nothing.
   */
  | {
      readonly kind: "candidates";
      readonly candidates: readonly Candidate[];
      readonly slot?: number;
      readonly source?: Address | undefined;
    }
  /** Data has come for these slots. */
  | { readonly kind: "heard"; readonly slots: readonly number[] };

export type RoamingOutput =
  | Exclude<GatewayOutput, { kind: "relay" }>
  /** From whom data is to be accepted for a slot; undefined: from nobody. Left out: ANY_SOURCE. */
  | {
      readonly kind: "relay";
      readonly endpoint: Endpoint | undefined;
      readonly slot?: number;
    }
  /** Relays are wanted: an input "candidates" is to follow. */
  | { readonly kind: "lookup"; readonly slot: number; readonly source: Address | undefined };

export interface RoamingOptions {
  readonly entropy: Entropy;
  readonly quirks: boolean;
  /** E, as in `GatewayOptions`. */
  readonly ecn: boolean;
  /** Whether ANY_SOURCE seeks a relay from the start, and keeps one though it wants no group. */
  readonly standing: boolean;
  /** Tunnels at once. */
  readonly tunnels: number;
}

export class RoamingGateway implements Machine<RoamingInput, RoamingOutput> {
  readonly #options: RoamingOptions;
  readonly #host: SeekerHost;
  readonly #parties = new Set<Party>();
  readonly #seekers = new Map<number, Seeker>();
  #out: RoamingOutput[] = [];
  #phase: "idle" | "running" | "ending" | "stopped" = "idle";
  #state: GatewayState = "idle";

  constructor(options: RoamingOptions) {
    this.#options = options;
    this.#host = {
      entropy: options.entropy,
      full: new HoldDown(options.entropy),
      lookUp: ({ slot, source }) => this.#out.push({ kind: "lookup", slot, source }),
      open: (seeker, candidate, now) => this.#open(seeker, candidate, now),
      begin: (contact, now) => this.#begin(contact as Party, now),
      release: (seeker, contact, now) => this.#release(seeker, contact as Party, now),
      admits: (seeker, contact) => this.#admits(seeker, contact as Party),
      use: (seeker, contact, now) => this.#use(seeker, contact as Party, now),
      want: ({ slot }, contact, group, filter, now) =>
        this.#want(contact as Party, slot, group, filter, now),
      doubt: (contact, now) => {
        (contact as Party).answers = false;
        this.#pass(contact as Party, { kind: "silent" }, now);
      },
    };
  }

  handle(input: RoamingInput, now: Millis): void {
    this.#take(input, now);
    if (this.#phase === "ending" && this.#parties.size === 0) this.#end();
    const state = this.#seen();
    if (state === this.#state) return;
    this.#state = state;
    this.#out.push({ kind: "state", state });
    if (state === "stopped") this.#out.push({ kind: "stopped" });
  }

  poll(): RoamingOutput | undefined {
    return this.#out.shift();
  }

  deadline(): Millis | undefined {
    let due = Number.POSITIVE_INFINITY;
    for (const { gateway, endAt } of this.#parties)
      due = Math.min(due, gateway.deadline() ?? due, endAt ?? due);
    for (const seeker of this.#seekers.values()) due = Math.min(due, seeker.deadline());
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  #take(input: RoamingInput, now: Millis): void {
    switch (input.kind) {
      case "start":
        if (this.#phase !== "idle") return;
        this.#phase = "running";
        if (this.#options.standing && !this.#seekers.has(ANY_SOURCE)) this.#seek(ANY_SOURCE);
        for (const seeker of this.#seekers.values()) seeker.search(now);
        return;
      case "candidates": {
        const seeker = this.#seekers.get(input.slot ?? ANY_SOURCE);
        if (seeker?.source === input.source) seeker?.offer(input.candidates, now);
        return;
      }
      case "datagram":
        return this.#receive(input, now);
      case "membership":
        return this.#membership(input, now);
      case "heard":
        for (const slot of input.slots) this.#seekers.get(slot)?.heard(now);
        return;
      case "timeout":
        return this.#timeout(now);
      case "silent": // the time since the last "heard" says more
        return;
      case "unreachable":
      case "rebound":
        for (const party of [...this.#parties]) if (party.inUse) this.#pass(party, input, now);
        return;
      case "stop":
        if (this.#phase !== "stopped") this.#stop(now);
    }
  }

  /** What the operator sees: how far the slot is that is behind all others. */
  #seen(): GatewayState {
    if (this.#phase === "stopped") return "stopped";
    if (this.#phase === "ending") return this.#state;
    let least: GatewayState = "idle";
    for (const { active } of this.#seekers.values()) {
      if (active === undefined) return this.#phase === "idle" ? "idle" : "discovering";
      if (least === "idle" || active.state !== "connected") least = active.state;
    }
    return least;
  }

  // The slots.

  #membership(input: Extract<RoamingInput, { kind: "membership" }>, now: Millis): void {
    if (this.#phase === "ending" || this.#phase === "stopped") return;
    const { slot = ANY_SOURCE, source, group, filter } = input;
    const known = this.#seekers.get(slot);
    if (known === undefined && isEmpty(filter)) return;
    const seeker = known ?? this.#seek(slot, source);
    seeker.want(group, filter, now);
    if (known === undefined && this.#phase === "running") seeker.search(now);
    if (seeker.wanted.size > 0 || (slot === ANY_SOURCE && this.#options.standing)) return;
    this.#seekers.delete(slot);
    seeker.end(now);
    this.#out.push({ kind: "relay", slot, endpoint: undefined });
  }

  #seek(slot: number, source?: Address): Seeker {
    const seeker = new Seeker(slot, source, this.#host);
    this.#seekers.set(slot, seeker);
    return seeker;
  }

  /** A slot's data comes from another relay now, which hears of its groups. */
  #use(seeker: Seeker, party: Party, now: Millis): void {
    party.reported = true;
    this.#out.push({ kind: "relay", slot: seeker.slot, endpoint: party.relay });
    for (const [group, filter] of seeker.wanted) this.#want(party, seeker.slot, group, filter, now);
  }

  #want(party: Party, slot: number, group: Address, filter: GroupFilter, now: Millis): void {
    const merged = party.memberships.set(slot, group, filter);
    if (merged !== undefined) this.#pass(party, { kind: "membership", group, filter: merged }, now);
  }

  // The relays.

  /** Who is spoken with as this candidate says; one that is left is waited for. */
  #open(seeker: Seeker, candidate: Candidate, now: Millis): Party | undefined {
    // At its endpoint, or as the relay that was found there.
    const known = this.#find(
      (party) =>
        sameAs(candidate.endpoint, party.relay) ||
        sameEndpoint(candidate.endpoint, party.candidate.endpoint),
    );
    if (known !== undefined && !known.leaving) {
      known.users.add(seeker);
      known.endAt = undefined;
      return known;
    }
    if (known?.heir !== undefined) {
      known.heir.users.add(seeker);
      return known.heir;
    }
    if (!this.#hasRoom(seeker, now)) {
      this.#out.push({ kind: "dropped", drop: VERDICT_TUNNEL_LIMIT, type: 0 });
      return undefined;
    }
    const party = this.#newParty(candidate);
    party.users.add(seeker);
    if (known === undefined) this.#parties.add(party);
    else known.heir = party;
    return party;
  }

  #newParty(candidate: Candidate): Party {
    // Asked for an Advertisement first, unless the record says that it need not be (D).
    const { endpoint, discoveryOptional } = candidate;
    const { entropy, quirks, ecn } = this.#options;
    const where = discoveryOptional ? { relay: endpoint } : { discovery: endpoint };
    return new Party(candidate, new AmtGateway({ entropy, quirks, ecn, ...where }));
  }

  /** A party of this kind; rather one that is not about to end. */
  #find(isIt: (party: Party) => boolean): Party | undefined {
    let leaving: Party | undefined;
    for (const party of this.#parties) {
      if (!isIt(party)) continue;
      if (!party.leaving) return party;
      leaving ??= party;
    }
    return leaving;
  }

  #begin(party: Party, now: Millis): void {
    if (!this.#parties.has(party)) return; // an heir
    if (party.started) this.#judge(party, now);
    else this.#start(party, now);
  }

  #start(party: Party, now: Millis): void {
    party.started = true;
    this.#pass(party, { kind: "start" }, now);
  }

  /** Whether one more relay may be spoken with. Those that only linger make room. */
  #hasRoom(seeker: Seeker, now: Millis): boolean {
    const most = this.#options.tunnels + CONTACTS_BESIDE;
    for (const party of [...this.#parties])
      if (party.endAt !== undefined && this.#parties.size >= most) this.#leave(party, now);
    return this.#parties.size < most && this.#tunnelsBeside(seeker) < this.#options.tunnels;
  }

  #admits(seeker: Seeker, party: Party): boolean {
    if (party.inUse || this.#tunnelsBeside(seeker) < this.#options.tunnels) return true;
    this.#out.push({ kind: "dropped", drop: VERDICT_TUNNEL_LIMIT, type: 0 });
    return false;
  }

  /** The tunnels in use, but for one that this seeker alone uses and would give up. */
  #tunnelsBeside(seeker: Seeker): number {
    let count = 0;
    for (const party of this.#parties)
      if (party.inUse && !(seeker.active === party && party.users.size === 1)) count++;
    return count;
  }

  /** A seeker that does not use a party any more; the last one leaves it alone. */
  #release(seeker: Seeker, party: Party, now: Millis): void {
    if (seeker.active !== party && party.reported)
      for (const [group] of seeker.wanted) this.#want(party, seeker.slot, group, NOTHING, now);
    if (seeker.uses(party)) return;
    party.users.delete(seeker);
    if (party.users.size > 0 || party.leaving) return;
    // Those that were tried in vain learn nothing: they have no report of ours.
    if (!party.reported) this.#forget(party);
    else if (this.#phase === "ending") this.#leave(party, now);
    else party.endAt = now + LINGER;
  }

  #leave(party: Party, now: Millis): void {
    party.endAt = undefined;
    party.leaving = true;
    this.#pass(party, { kind: "stop" }, now);
  }

  #forget(party: Party): void {
    this.#parties.delete(party);
    for (const other of this.#parties) if (other.heir === party) other.heir = undefined;
  }

  /**
   * A party has turned out to speak with a relay that is being left: it begins anew once that is
   * done, for the relay would take it and the one that leaves for the same gateway.
   */
  #await(party: Party, leaving: Party, now: Millis): void {
    leaving.heir ??= this.#newParty(party.candidate);
    this.#merge(party, leaving.heir, now);
  }

  /** A party has turned out to speak with the relay of another: the other one goes on for both. */
  #merge(party: Party, twin: Party, now: Millis): void {
    this.#parties.delete(party);
    while (party.gateway.poll() !== undefined); // it has nothing more to say to that relay
    for (const seeker of party.users) {
      seeker.merge(party, twin);
      twin.users.add(seeker);
      twin.endAt = undefined;
      if (seeker.active === twin) this.#use(seeker, twin, now);
    }
    this.#judge(twin, now);
  }

  // What comes in.

  #receive(input: Extract<RoamingInput, { kind: "datagram" }>, now: Millis): void {
    const type = amtType(input.octets);
    const party = this.#partyOf(input.from, type);
    if (party === undefined)
      this.#out.push({ kind: "dropped", drop: VERDICT_WRONG_PEER, type: type ?? 0 });
    else this.#pass(party, input, now);
  }

  /** Who is asked at this endpoint for an Advertisement, or for anything else as a relay. */
  #partyOf(from: Endpoint, type: number | undefined): Party | undefined {
    let other: Party | undefined;
    for (const party of this.#parties) {
      const { relay, candidate } = party;
      const asked = sameEndpoint(candidate.endpoint, from);
      const related = sameAs(from, relay);
      if (type === AMT_ADVERTISEMENT ? asked && !candidate.discoveryOptional : related)
        return party;
      if (asked || related) other ??= party;
    }
    return other;
  }

  #timeout(now: Millis): void {
    for (const party of [...this.#parties]) {
      if ((party.gateway.deadline() ?? Number.POSITIVE_INFINITY) <= now)
        this.#pass(party, { kind: "timeout" }, now);
      if (party.endAt !== undefined && party.endAt <= now) this.#leave(party, now);
    }
    for (const seeker of [...this.#seekers.values()])
      if (seeker.deadline() <= now) seeker.timeout(now);
  }

  #stop(now: Millis): void {
    if (this.#phase === "ending") return;
    this.#phase = "ending";
    for (const seeker of this.#seekers.values()) seeker.rest(now);
    for (const party of [...this.#parties]) {
      if (!party.reported) this.#forget(party);
      else if (!party.leaving) this.#leave(party, now);
    }
  }

  #end(): void {
    this.#phase = "stopped";
    for (const { slot } of this.#seekers.values())
      this.#out.push({ kind: "relay", slot, endpoint: undefined });
    this.#seekers.clear();
  }

  // What a relay's machine says.

  #pass(party: Party, input: GatewayInput, now: Millis): void {
    party.gateway.handle(input, now);
    const before = party.state;
    let queried = false;
    for (let out = party.gateway.poll(); out; out = party.gateway.poll()) {
      switch (out.kind) {
        case "relay": {
          const twin = this.#twin(party, out.endpoint);
          if (twin?.leaving) return this.#await(party, twin, now);
          if (twin !== undefined) return this.#merge(party, twin, now);
          this.#relate(party, out.endpoint);
          break;
        }
        case "state":
          party.state = out.state;
          break;
        case "stopped":
          this.#stopped(party, now);
          break;
        case "accepted":
          if (out.type === AMT_QUERY) queried = true;
          this.#out.push(out);
          break;
        case "send":
        case "query":
        case "quirk":
        case "dropped":
          this.#out.push(out);
      }
    }
    if (queried) {
      party.full = isLimited(input);
      party.answers = true;
    }
    if (before === "connected" && party.state !== "connected" && party.state !== "idle")
      this.#lost(party, now);
    this.#judge(party, now);
  }

  /** Another party that speaks with this relay. */
  #twin(party: Party, relay: Endpoint | undefined): Party | undefined {
    if (relay === undefined || party.leaving) return undefined;
    return this.#find((other) => other !== party && sameAs(relay, other.relay));
  }

  #relate(party: Party, relay: Endpoint | undefined): void {
    party.relay = relay;
    if (relay === undefined) return; // it has stopped
    party.answers = false;
    party.full = false;
    for (const seeker of party.users)
      if (seeker.active === party)
        this.#out.push({ kind: "relay", slot: seeker.slot, endpoint: relay });
  }

  #stopped(party: Party, now: Millis): void {
    this.#parties.delete(party);
    const { heir } = party;
    if (heir === undefined || this.#phase === "ending") return;
    this.#parties.add(heir);
    this.#start(heir, now);
  }

  /** The relay no longer answers. */
  #lost(party: Party, now: Millis): void {
    party.answers = false;
    for (const seeker of [...party.users]) if (seeker.active === party) seeker.lose("lost", now);
  }

  /** Tells those who try or use a party what it has come to. */
  #judge(party: Party, now: Millis): void {
    if (party.leaving || this.#phase !== "running") return;
    for (const seeker of [...party.users]) {
      if (seeker.active === party) {
        if (party.full) seeker.lose("limit", now);
      } else if (!seeker.tries(party)) continue;
      else if (party.answers && party.full) seeker.refused(party, now);
      else if (party.answers && party.state === "connected") seeker.win(party, now);
      else if (party.relay !== undefined && seeker.holds(party.relay, now)) seeker.fail(party, now);
    }
  }
}

function sameAs(one: Endpoint, other: Endpoint | undefined): boolean {
  return other !== undefined && sameEndpoint(one, other);
}

/** True for a Query with L set: its relay may have to shed load, or is about to end. */
function isLimited(input: GatewayInput): boolean {
  const view = input.kind === "datagram" ? parseQuery(input.octets) : undefined;
  return typeof view === "object" && view.limit;
}
