/**
 * Who needs a relay for one slot: looks for relays, tries them in order, uses the one that answers
 * first, and looks again when that one is lost or full. Read RFC 8777 §2.3 and §2.5 first. With whom
 * it speaks, and that several may speak with the same relay, `roaming.ts` sees to.
 */
import { endpointText, sameEndpoint, type Address, type Endpoint } from "../core/address.ts";
import type { Entropy, Millis } from "../core/machine.ts";
import { isEmpty } from "../membership/filter.ts";
import type { AmtGateway, GatewayState } from "../protocols/amt/gateway.ts";
import { Attempts, type AttemptsInput } from "../protocols/driad/attempts.ts";
import type { Candidate } from "../protocols/driad/candidates.ts";
import type { HoldDown, HoldReason } from "../protocols/driad/hold-down.ts";
import type { GroupFilter } from "../wire/membership.ts";

/** A relay that sends no data for so long is lost (RFC 8777 §2.5.4.1): 4 s, doubling to 120 s. */
const SILENCE_FIRST: Millis = 4_000;
const SILENCE_MOST: Millis = 120_000;
/** Between lookups while no relay is found: as between repetitions of a Discovery. */
const LOOKUP_FIRST: Millis = 1_000;
const LOOKUP_MOST: Millis = 120_000;

/** A relay that is tried, used or left, with the machine that speaks with it. */
export interface Contact {
  readonly candidate: Candidate;
  readonly gateway: AmtGateway;
  /** The relay itself, once it is known. */
  readonly relay: Endpoint | undefined;
  readonly state: GatewayState;
}

/** What a seeker has others do for it. */
export interface SeekerHost {
  readonly entropy: Entropy;
  /** Relays that are full. */
  readonly full: HoldDown;
  /** Relays are wanted: `offer` is to follow. */
  lookUp(seeker: Seeker): void;
  /** Speaks with a relay, together with those who do already; undefined if there are too many. */
  open(seeker: Seeker, candidate: Candidate, now: Millis): Contact | undefined;
  /** Says what a contact that was opened has come to. */
  begin(contact: Contact, now: Millis): void;
  /** The seeker may have no use for a contact any more. */
  release(seeker: Seeker, contact: Contact, now: Millis): void;
  /** Whether the seeker's groups may travel to a contact: there may be too many tunnels. */
  admits(seeker: Seeker, contact: Contact): boolean;
  /** The seeker's groups are to come from this contact's relay from now on. */
  use(seeker: Seeker, contact: Contact, now: Millis): void;
  /** Passes what the seeker wants of a group to the relay in use. */
  want(seeker: Seeker, contact: Contact, group: Address, filter: GroupFilter, now: Millis): void;
  /** Asks the relay in use whether it is still there. */
  doubt(contact: Contact, now: Millis): void;
}

interface Trial {
  readonly candidate: Candidate;
  contact: Contact;
}

export class Seeker {
  readonly #host: SeekerHost;
  readonly #attempts: Attempts;
  /** By the endpoint of the candidate. Two candidates may turn out to be one relay. */
  readonly #trials = new Map<string, Trial>();
  readonly #wanted = new Map<Address, GroupFilter>();
  #active: Contact | undefined;
  /** The endpoints of the candidates that led to the relay in use. */
  #via: readonly Endpoint[] = [];
  #candidates: readonly Candidate[] = [];
  #phase: "searching" | "settled" | "ended" = "settled";
  #lookupAt: Millis | undefined;
  /** Lookups in a row that led to no relay. */
  #lookups = 0;
  #silentAt: Millis | undefined;
  /** The relay in use wants us to leave. */
  #unwanted = false;
  /** Relays in a row that sent no data. */
  #silences = 0;

  constructor(
    readonly slot: number,
    readonly source: Address | undefined,
    host: SeekerHost,
  ) {
    this.#host = host;
    this.#attempts = new Attempts(host.entropy, host.full);
  }

  /** The relay in use. */
  get active(): Contact | undefined {
    return this.#active;
  }

  get wanted(): ReadonlyMap<Address, GroupFilter> {
    return this.#wanted;
  }

  holds(relay: Endpoint, now: Millis): boolean {
    return this.#attempts.holds(relay, now);
  }

  /** True while the contact is tried or in use. */
  uses(contact: Contact): boolean {
    return contact === this.#active || this.tries(contact);
  }

  tries(contact: Contact): boolean {
    return this.#endpointsOf(contact).length > 0;
  }

  deadline(): Millis {
    const infinite = Number.POSITIVE_INFINITY;
    const attempt = this.#attempts.deadline() ?? infinite;
    return Math.min(this.#lookupAt ?? infinite, this.#silentAt ?? infinite, attempt);
  }

  /** Looks for a relay. */
  search(now: Millis): void {
    this.#phase = "searching";
    this.#lookups = 0;
    this.#silentAt = undefined;
    this.#host.lookUp(this);
    // What is known already need not wait for the answer.
    if (this.#candidates.length > 0) this.#choose(now);
  }

  /** Takes the answer to a lookup. */
  offer(candidates: readonly Candidate[], now: Millis): void {
    this.#candidates = candidates;
    if (this.#phase === "searching") this.#choose(now);
  }

  want(group: Address, filter: GroupFilter, now: Millis): void {
    if (this.#phase === "ended") return;
    if (isEmpty(filter)) this.#wanted.delete(group);
    else this.#wanted.set(group, filter);
    if (this.#active === undefined) return;
    this.#host.want(this, this.#active, group, filter, now);
    if (this.#phase === "settled" && (this.#silentAt === undefined || this.#wanted.size === 0))
      this.#await(now);
  }

  /** Data has come from the relay in use. */
  heard(now: Millis): void {
    if (this.#active === undefined || this.#phase === "ended") return;
    const back = this.#active.state === "connected" && !this.#unwanted;
    if (this.#phase === "searching" && back) this.#settle(now);
    this.#silences = 0;
    if (this.#phase === "settled") this.#await(now);
  }

  timeout(now: Millis): void {
    if (this.#phase === "ended") return;
    if ((this.#attempts.deadline() ?? Number.POSITIVE_INFINITY) <= now)
      this.#attempt({ kind: "timeout" }, now);
    if (this.#lookupAt !== undefined && this.#lookupAt <= now) {
      this.#lookupAt = undefined;
      this.#host.lookUp(this);
    }
    if (this.#silentAt !== undefined && this.#silentAt <= now) {
      this.#silentAt = undefined;
      this.#silences++;
      if (this.#active !== undefined) this.lose("lost", now);
    }
  }

  /** Looks for no relay any more, and stays with the one it has. */
  rest(now: Millis): void {
    this.#settle(now);
    this.#phase = "ended";
    this.#silentAt = undefined;
  }

  /** Needs no relay any more. */
  end(now: Millis): void {
    this.rest(now);
    const active = this.#active;
    this.#active = undefined;
    if (active !== undefined) this.#host.release(this, active, now);
  }

  // What a contact comes to.

  /** A relay has answered that is tried: it is the one from now on. */
  win(contact: Contact, now: Millis): void {
    if (!this.#host.admits(this, contact)) return this.fail(contact, now);
    const before = this.#active;
    this.#via = this.#endpointsOf(contact);
    this.#active = contact;
    this.#settle(now);
    this.#host.use(this, contact, now);
    this.#await(now);
    if (before !== undefined) this.#host.release(this, before, now);
  }

  /** A relay that is tried takes no new gateways. */
  refused(contact: Contact, now: Millis): void {
    this.#hold(contact, "limit", now);
    this.fail(contact, now);
  }

  /** A relay that is tried cannot be the one. */
  fail(contact: Contact, now: Millis): void {
    const failed = [...this.#trials.values()].filter((trial) => trial.contact === contact);
    for (const { candidate } of failed) this.#trials.delete(endpointText(candidate.endpoint));
    this.#host.release(this, contact, now);
    for (const { candidate } of failed) this.#attempt({ kind: "failed", candidate }, now);
  }

  /** The relay in use is lost or full: looks for another; until one is there, it may come back. */
  lose(reason: HoldReason, now: Millis): void {
    const contact = this.#active;
    if (this.#phase !== "settled" || contact === undefined) return;
    this.#unwanted = reason === "limit";
    this.#hold(contact, reason, now);
    this.search(now);
    if (reason === "lost") this.#host.doubt(contact, now);
  }

  /** What was tried or used as `before` is the relay of `after`, where it is spoken with. */
  merge(before: Contact, after: Contact): void {
    for (const trial of this.#trials.values()) if (trial.contact === before) trial.contact = after;
    if (this.#active === before) this.#active = after;
  }

  // The search.

  /** Tries what is known, but for the relay that is to be replaced. */
  #choose(now: Millis): void {
    const own = this.#active === undefined ? [] : this.#namesOf(this.#active);
    const candidates = this.#candidates.filter(
      ({ endpoint }) => !own.some((one) => sameEndpoint(one, endpoint)),
    );
    // Once all others have failed, and no relay answers.
    const lost = this.#lookups > 0 && this.#active?.state !== "connected";
    this.#attempt({ kind: "candidates", candidates, lost }, now);
  }

  #attempt(input: AttemptsInput, now: Millis): void {
    this.#attempts.handle(input, now);
    for (let out = this.#attempts.poll(); out; out = this.#attempts.poll())
      switch (out.kind) {
        case "attempt":
          this.#try(out.candidate, now);
          break;
        case "abandon": {
          const key = endpointText(out.candidate.endpoint);
          const trial = this.#trials.get(key);
          this.#trials.delete(key);
          if (trial !== undefined) this.#host.release(this, trial.contact, now);
          break;
        }
        case "exhausted": {
          // The answer to a lookup may come in parts.
          if (this.#lookupAt !== undefined) break;
          const most = Math.min(LOOKUP_FIRST * 2 ** this.#lookups++, LOOKUP_MOST);
          this.#lookupAt = now + this.#between(LOOKUP_FIRST, most);
        }
      }
  }

  #try(candidate: Candidate, now: Millis): void {
    const contact = this.#host.open(this, candidate, now);
    if (contact === undefined) return this.#attempt({ kind: "failed", candidate }, now);
    this.#trials.set(endpointText(candidate.endpoint), { candidate, contact });
    this.#host.begin(contact, now);
  }

  /** Ends the search. */
  #settle(now: Millis): void {
    this.#phase = "settled";
    const tried = [...this.#trials.values()];
    this.#trials.clear();
    for (const { contact } of tried) this.#host.release(this, contact, now);
    this.#lookupAt = undefined;
    this.#attempt({ kind: "stop" }, now);
  }

  #hold(contact: Contact, reason: HoldReason, now: Millis): void {
    for (const relay of this.#namesOf(contact)) this.#attempt({ kind: "hold", relay, reason }, now);
  }

  /** All endpoints under which a contact's relay may be chosen. */
  #namesOf(contact: Contact): Endpoint[] {
    const via = contact === this.#active ? this.#via : [];
    const names = [...via, ...this.#endpointsOf(contact), contact.candidate.endpoint];
    return contact.relay === undefined ? names : [...names, contact.relay];
  }

  /** The endpoints of the candidates by which a contact is tried. */
  #endpointsOf(contact: Contact): Endpoint[] {
    return Array.from(this.#trials.values())
      .filter((trial) => trial.contact === contact)
      .map(({ candidate }) => candidate.endpoint);
  }

  /** Expects data, the longer the more relays in a row sent none. */
  #await(now: Millis): void {
    const most = Math.min(SILENCE_FIRST * 2 ** this.#silences, SILENCE_MOST);
    this.#silentAt = this.#wanted.size > 0 ? now + this.#between(SILENCE_FIRST, most) : undefined;
  }

  #between(least: Millis, most: Millis): Millis {
    return least + this.#host.entropy.fraction() * (most - least);
  }
}
