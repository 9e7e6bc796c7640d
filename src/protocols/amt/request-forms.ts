/**
 * The forms in which a gateway writes its Requests, so that relays understand them which do not
 * read them as RFC 7450 and RFC 9601 say. Only when the right form stays unanswered are others
 * tried, in place of a repetition that was due anyway; what worked is remembered for the relay.
 *
 * - Some relays drop a Request that has E set: it is repeated without.
 * - The Linux driver's relay reads P at 0x80 and drops a Request that has it at its place. It keeps
 *   one nonce for each gateway, so the cycles of both families then share one. A relay that reads P
 *   at its place answers such a Request with IGMP, and is at once asked in the right form again.
 */
import type { Family } from "../../core/address.ts";
import type { Millis } from "../../core/machine.ts";

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
  /** Until then P is written at 0x80, is written without E, is not written at 0x80. */
  #misplacedPUntil: Millis = Number.NEGATIVE_INFINITY;
  #withoutEUntil: Millis = Number.NEGATIVE_INFINITY;
  #rightPUntil: Millis = Number.NEGATIVE_INFINITY;

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

  /** The form after `unanswered` Requests in a row. */
  form(family: Family, unanswered: number, now: Millis): RequestForm {
    const { right } = this;
    if (!this.#quirks) return right;
    const withoutE = { ecn: false, misplacedP: false };
    const forms = now < this.#withoutEUntil ? [withoutE, withoutE, right] : [right, right];
    if (this.#ecn && now >= this.#withoutEUntil) forms.push(withoutE);
    if (family === 6 && now >= this.#rightPUntil) {
      const misplaced = { ecn: false, misplacedP: true };
      if (now < this.#misplacedPUntil) forms.unshift(misplaced, misplaced);
      // Every other one: a relay that reads P at its place answers it, if with the wrong query, and
      // the Linux driver's is for some time too early to be asked.
      else return unanswered % 2 === 1 ? misplaced : forms[(unanswered / 2 + 1) % forms.length]!;
    }
    return forms[unanswered % forms.length]!;
  }

  /** A Request of this form was answered. */
  answered(family: Family, form: RequestForm, now: Millis): void {
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
   * The relay has shown that it reads P at its place: it sets G or L as RFC 7450 says, or answered
   * a Request for MLD by IGMP because its P was misplaced.
   */
  readsP(now: Millis): void {
    this.#oneNonce = false;
    this.#misplacedPUntil = Number.NEGATIVE_INFINITY;
    this.#rightPUntil = now + MEMORY;
  }

  /** Another relay is asked from now on. */
  forget(): void {
    this.#oneNonce = false;
    this.#misplacedPUntil = Number.NEGATIVE_INFINITY;
    this.#withoutEUntil = Number.NEGATIVE_INFINITY;
    this.#rightPUntil = Number.NEGATIVE_INFINITY;
  }

  /** The end of a memory: one that still holds is not prolonged, or it would never be put to test. */
  #fresh(until: Millis, now: Millis): Millis {
    return now < until ? until : now + MEMORY;
  }
}
