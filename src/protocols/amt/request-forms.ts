/**
 * The forms in which a gateway writes its Requests, so that relays understand them which do not
 * read them as RFC 7450 and RFC 9601 say. Only when the right form stays unanswered are others
 * tried, each along with a repetition that was due anyway; what worked is remembered for the relay.
 *
 * - Some relays drop a Request that has E set: it is repeated with E and without.
 * - The Linux driver's relay reads P at 0x80 and drops a Request that has it at its place. It keeps
 *   one nonce for each gateway, so odd Requests of both families share one. A relay that reads P at
 *   its place answers such a Request with IGMP; the right one, sent first, counts before that.
 */
import type { Family } from "../../core/address.ts";
import type { Entropy, Millis } from "../../core/machine.ts";
import { newNonce } from "./backoff.ts";

/** What was done for a relay that RFC 7450 does not know; counted by name. */
export type GatewayQuirk =
  "request-without-e" | "request-misplaced-p" | "shared-nonce" | "misplaced-flags";

export interface RequestForm {
  /** E. */
  readonly ecn: boolean;
  /** P of a Request for MLD stands at 0x80. */
  readonly misplacedP: boolean;
}

/** How long what was found out about a relay holds; then the right form is tried first again. */
const MEMORY: Millis = 3_600_000;

/** What is known of the present relay. */
export class RequestForms {
  readonly #ecn: boolean;
  readonly #quirks: boolean;
  #oneNonce = false;
  #oddNonce: number | undefined;
  /** Until then P is written at 0x80, a Request is written without E, or in the right form alone. */
  #misplacedPUntil: Millis = Number.NEGATIVE_INFINITY;
  #withoutEUntil: Millis = Number.NEGATIVE_INFINITY;
  #rightUntil: Millis = Number.NEGATIVE_INFINITY;

  /** `ecn` is whether E is to be set; without `quirks` there is just the one right form. */
  constructor(ecn: boolean, quirks: boolean) {
    this.#ecn = ecn;
    this.#quirks = quirks;
  }

  /** True once the relay was found to read P at 0x80, and so to keep but one nonce. */
  get oneNonce(): boolean {
    return this.#oneNonce;
  }

  /** As the RFCs have it. */
  get right(): RequestForm {
    return { ecn: this.#ecn, misplacedP: false };
  }

  /** How to ask after `unanswered` Requests in a row: in one form, or at once in an odd one too. */
  forms(family: Family, unanswered: number, now: Millis): readonly [RequestForm, RequestForm?] {
    const { right } = this;
    if (!this.#quirks || now < this.#rightUntil) return [right];
    const withoutE = { ecn: false, misplacedP: false };
    const takesE = now >= this.#withoutEUntil;
    if (family === 6) {
      const misplaced = { ecn: false, misplacedP: true };
      if (now < this.#misplacedPUntil) return unanswered < 2 ? [misplaced] : [right, misplaced];
      // One that drops E is probably the Linux driver's.
      if (!takesE) return [withoutE, misplaced];
      if (unanswered > 0) return [unanswered % 2 === 1 ? right : withoutE, misplaced];
      return [right];
    }
    if (!takesE) return unanswered < 2 ? [withoutE] : [right, withoutE];
    return this.#ecn && unanswered > 0 ? [right, withoutE] : [right];
  }

  /** How to ask with a nonce that an odd Request of the other family has, too. */
  shared(family: Family, now: Millis): RequestForm {
    const [first, odd] = this.forms(family, 1, now);
    return odd ?? first;
  }

  /** The nonce of odd Requests, of both families until one is answered. */
  oddNonce(entropy: Entropy): number {
    return (this.#oddNonce ??= newNonce(entropy));
  }

  /** A Request of this form was answered. */
  answered(family: Family, form: RequestForm, now: Millis): void {
    this.#oddNonce = undefined;
    if (family === 6) {
      this.#oneNonce = form.misplacedP;
      this.#misplacedPUntil = form.misplacedP
        ? this.#fresh(this.#misplacedPUntil, now)
        : Number.NEGATIVE_INFINITY;
    }
    if (form.ecn) this.#withoutEUntil = Number.NEGATIVE_INFINITY;
    else if (this.#ecn) this.#withoutEUntil = this.#fresh(this.#withoutEUntil, now);
  }

  /**
   * The relay has shown that it reads P at its place and ignores bits that it does not know: it sets
   * G or L as RFC 7450 says, or answered a Request for MLD by IGMP because its P was misplaced. What
   * it answered in an odd form was but the first to arrive.
   */
  conforms(now: Millis): void {
    this.forget();
    this.#rightUntil = now + MEMORY;
  }

  /** Another relay is asked from now on. */
  forget(): void {
    this.#oneNonce = false;
    this.#oddNonce = undefined;
    this.#misplacedPUntil = Number.NEGATIVE_INFINITY;
    this.#withoutEUntil = Number.NEGATIVE_INFINITY;
    this.#rightUntil = Number.NEGATIVE_INFINITY;
  }

  /** The end of a memory: one that still holds is not prolonged, or it would never be put to test. */
  #fresh(until: Millis, now: Millis): Millis {
    return now < until ? until : now + MEMORY;
  }
}
