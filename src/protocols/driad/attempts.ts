/**
 * When which relay is tried: the best first, the next a moment later unless one is established by
 * then (RFC 8777 §2.3, RFC 8305 §5). What a trial is, and when it has succeeded, its owner knows.
 */
import { endpointText, sameEndpoint, type Endpoint } from "../../core/address.ts";
import type { Entropy, Machine, Millis } from "../../core/machine.ts";
import type { Candidate } from "./candidates.ts";
import { HoldDown, type HoldReason } from "./hold-down.ts";

/** Between the starts of two trials (RFC 8305 §8: Connection Attempt Delay). */
const ATTEMPT_DELAY: Millis = 250;
/** A trial that has not ended by then has failed: four Requests and their waits. */
const ATTEMPT_LONGEST: Millis = 10_000;

export type AttemptsInput =
  /** The relays to try, in order, in place of those that wait; trials that run go on. */
  | {
      readonly kind: "candidates";
      readonly candidates: readonly Candidate[];
      /** As a last resort, those that were lost are tried as well. */
      readonly lost?: boolean;
    }
  /** A trial has ended without success. */
  | { readonly kind: "failed"; readonly candidate: Candidate }
  /** This relay must not be chosen for a while. */
  | { readonly kind: "hold"; readonly relay: Endpoint; readonly reason: HoldReason }
  | { readonly kind: "timeout" }
  /** A relay was found, or none is wanted any more: no trial follows. */
  | { readonly kind: "stop" };

export type AttemptsOutput =
  | { readonly kind: "attempt"; readonly candidate: Candidate }
  /** The trial has taken too long. */
  | { readonly kind: "abandon"; readonly candidate: Candidate }
  /** No trial runs, and nothing is left to try. */
  | { readonly kind: "exhausted" };

interface Trial {
  readonly candidate: Candidate;
  readonly endAt: Millis;
}

export class Attempts implements Machine<AttemptsInput, AttemptsOutput> {
  /** Those whose data or answers stayed away. */
  readonly #lost: HoldDown;
  /** Those that are full, which they are for everybody. */
  readonly #full: HoldDown;
  readonly #trials = new Map<string, Trial>();
  #waiting: readonly Candidate[] = [];
  #out: AttemptsOutput[] = [];
  #nextAt: Millis = Number.NEGATIVE_INFINITY;
  #searching = false;
  #lastResort = false;

  /** `full` may be shared with others that choose from the same relays. */
  constructor(entropy: Entropy, full = new HoldDown(entropy)) {
    this.#lost = new HoldDown(entropy);
    this.#full = full;
  }

  /** True while `relay` must not be chosen. */
  holds(relay: Endpoint, now: Millis): boolean {
    return this.#full.holds(relay, now) || (!this.#lastResort && this.#lost.holds(relay, now));
  }

  handle(input: AttemptsInput, now: Millis): void {
    switch (input.kind) {
      case "candidates":
        this.#searching = true;
        this.#lastResort = input.lost ?? false;
        this.#waiting = input.candidates.filter(
          ({ endpoint }) => !this.#trials.has(endpointText(endpoint)),
        );
        break;
      case "failed":
        // The next one need not wait for a trial that is over.
        if (this.#trials.delete(endpointText(input.candidate.endpoint))) this.#nextAt = now;
        break;
      case "hold":
        (input.reason === "limit" ? this.#full : this.#lost).hold(input.relay, input.reason, now);
        this.#waiting = this.#waiting.filter(
          ({ endpoint }) => !sameEndpoint(endpoint, input.relay),
        );
        break;
      case "timeout":
        break;
      case "stop":
        this.#searching = false;
        this.#waiting = [];
        this.#trials.clear();
    }
    if (this.#searching) this.#search(now);
  }

  poll(): AttemptsOutput | undefined {
    return this.#out.shift();
  }

  deadline(): Millis | undefined {
    if (!this.#searching) return undefined;
    const times = Array.from(this.#trials.values(), ({ endAt }) => endAt);
    if (this.#waiting.length > 0) times.push(this.#nextAt);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  #search(now: Millis): void {
    for (const [key, { candidate, endAt }] of this.#trials) {
      if (endAt > now) continue;
      this.#trials.delete(key);
      this.#out.push({ kind: "abandon", candidate });
    }
    this.#waiting = this.#waiting.filter(({ endpoint }) => !this.holds(endpoint, now));
    const [next, ...rest] = this.#waiting;
    if (next !== undefined && this.#nextAt <= now) {
      this.#waiting = rest;
      this.#nextAt = now + ATTEMPT_DELAY;
      this.#trials.set(endpointText(next.endpoint), {
        candidate: next,
        endAt: now + ATTEMPT_LONGEST,
      });
      this.#out.push({ kind: "attempt", candidate: next });
    }
    if (this.#waiting.length > 0 || this.#trials.size > 0) return;
    this.#searching = false;
    this.#out.push({ kind: "exhausted" });
  }
}
