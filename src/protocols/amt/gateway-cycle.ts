/**
 * One family's Request, Query, Update cycle of a gateway. Read RFC 7450 §5.2.3.5 first.
 *
 * A Request brings a Membership Query; its nonce and MAC go with every Update until the next Query.
 * The cycle begins again when the query interval is over, as long as there are groups.
 */
import { type Address, type Endpoint, type Family, sameEndpoint } from "../../core/address.ts";
import type { Entropy, Millis } from "../../core/machine.ts";
import { NOTHING } from "../../membership/filter.ts";
import { MembershipHost } from "../../membership/host.ts";
import { type QueryView, emitRequest, emitTeardown, emitUpdate } from "../../wire/amt.ts";
import { emitMembershipDatagram, emitReportDatagrams } from "../../wire/membership-datagram.ts";
import type {
  GroupFilter,
  GroupRecord,
  MembershipMessage,
  MembershipQuery,
} from "../../wire/membership.ts";
import { newNonce, retryWait } from "./backoff.ts";
import type { GatewayQuirk, RequestForm, RequestForms } from "./request-forms.ts";

/** For a relay that does not say (RFC 3376 §4.1.7, §8.2; §8.1). */
const QUERY_INTERVAL: Millis = 125_000;
const ROBUSTNESS = 2;
/** Reports are repeated within this time (RFC 3376 §8.11, RFC 3810 §9.11). */
const REPORT_INTERVAL: Millis = 1_000;
/** No two cycles begin within this time, whatever events ask for one. */
const CYCLE_LEAST: Millis = 1_000;
/** Sources of inner datagrams (RFC 7450 §5.2.3.5.4; RFC 3810 §5.2.13 wants a link-local address). */
const REPORT_SOURCE = { 4: "0.0.0.0", 6: "fe80::2" } as const;
/** The longest report: its Update fits IPv6's least MTU of 1280, less 40 + 8 + 12 octets. */
const REPORT_MTU = 1_220;

export interface CycleSettings {
  readonly entropy: Entropy;
  /** How the relay is asked; shared by the cycles. */
  readonly forms: RequestForms;
  readonly quirk: (quirk: GatewayQuirk) => void;
  /** A Request of `cycle` takes a nonce for all families: theirs must be asked with it too. */
  readonly shared: (cycle: Cycle, nonce: number, now: Millis) => void;
  /** The longest wait for an answer. */
  readonly longestRetry: Millis;
  /** Requests without an answer after which the relay counts as lost. */
  readonly requestTries: number;
  /** The longest time between two Requests, whatever the relay asks for. */
  readonly longestQueryInterval: Millis;
}

/** What an accepted Query leaves behind for Updates and for Teardown. */
export interface AcceptedQuery {
  readonly nonce: number;
  readonly mac: Uint8Array;
  /** G: where the relay saw the Request come from. */
  readonly gateway: Endpoint | undefined;
  readonly robustness: number;
}

type Phase =
  | { readonly at: "idle" }
  /** `tries` Requests went unanswered so far; the next is due at `retryAt`. */
  | {
      readonly at: "requesting";
      /** How the last of them were written. */
      readonly asked: Asked;
      /** The same in an odd form. */
      readonly odd: Asked | undefined;
      readonly tries: number;
      readonly retryAt: Millis;
    }
  /** Answered; the next cycle begins at `queryAt`. */
  | { readonly at: "waiting"; readonly queryAt: Millis };

interface Asked {
  readonly nonce: number;
  readonly form: RequestForm;
}

const IDLE: Phase = { at: "idle" };

export class Cycle {
  /** The last accepted Query of the present relay. */
  last: AcceptedQuery | undefined;
  /** An Update went out under `last`, so that the relay may hold a tunnel for us. */
  reported = false;
  /** The relay answers: not lost, and not refusing us. */
  answered = false;
  readonly #settings: CycleSettings;
  readonly #send: (octets: Uint8Array, to: Endpoint) => void;
  readonly #host: MembershipHost;
  #relay: Endpoint | undefined;
  #phase: Phase = IDLE;
  /** Requests in a row that went unanswered, over all cycles. */
  #unanswered = 0;
  #requestedAt: Millis = Number.NEGATIVE_INFINITY;
  /** What is still to be said again to a relay that has just learned of us. */
  #repeat:
    { readonly query: MembershipQuery; readonly left: number; readonly at: Millis } | undefined;

  constructor(
    readonly family: Family,
    settings: CycleSettings,
    send: (octets: Uint8Array, to: Endpoint) => void,
  ) {
    this.#settings = settings;
    this.#send = send;
    this.#host = new MembershipHost({ family, entropy: settings.entropy });
  }

  /** True while some group is wanted. */
  get wanted(): boolean {
    return !this.#host.state()[Symbol.iterator]().next().done;
  }

  /** True while a Request is out or a relay has answered for the time being. */
  get running(): boolean {
    return this.#phase.at !== "idle";
  }

  /** When `timeout` must be called. */
  deadline(): Millis | undefined {
    const phase = this.#phase;
    let at = this.#host.deadline();
    const earlier = (other: Millis | undefined) => {
      if (other !== undefined && (at === undefined || other < at)) at = other;
    };
    if (phase.at === "requesting") earlier(phase.retryAt);
    if (phase.at === "waiting") earlier(phase.queryAt);
    earlier(this.#repeat?.at);
    return at;
  }

  /** Whom to ask from now on. What was settled with another relay is forgotten. */
  use(relay: Endpoint): void {
    this.#relay = relay;
    this.last = undefined;
    this.reported = false;
    this.answered = false;
    this.#unanswered = 0;
    this.#repeat = undefined;
  }

  /** Sets what is wanted of a group and says so, if there is a relay to say it to. */
  want(group: Address, filter: GroupFilter, now: Millis): void {
    this.#host.handle({ kind: "set", group, filter }, now);
    this.#report();
  }

  /** Leaves all groups. */
  leave(now: Millis): void {
    const groups = Array.from(this.#host.state(), ([group]) => group);
    for (const group of groups) this.#host.handle({ kind: "set", group, filter: NOTHING }, now);
    this.#report();
    this.#repeat = undefined;
  }

  /** True while reports are still to be repeated to a relay that hears them. */
  get unsaid(): boolean {
    return this.#heard() !== undefined && this.#host.deadline() !== undefined;
  }

  /** Begins a new cycle: a Request with a new nonce. */
  request(now: Millis): void {
    const nonce = newNonce(this.#settings.entropy);
    this.#ask(nonce, 0, now);
    if (this.#settings.forms.oneNonce) this.#settings.shared(this, nonce, now);
  }

  /** Asks with a nonce that is another family's too, in a new cycle if none is under way. */
  requestWith(nonce: number, now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== "requesting" || this.#settings.forms.oneNonce) return this.#ask(nonce, 0, now);
    const odd = { nonce, form: this.#settings.forms.shared(this.family, now) };
    this.#write(odd);
    this.#phase = { ...phase, odd };
  }

  /** True when `nonce` is that of the last Query, or of an odd Request that is out. */
  has(nonce: number): boolean {
    const phase = this.#phase;
    return phase.at === "requesting" ? phase.odd?.nonce === nonce : this.last?.nonce === nonce;
  }

  /** Begins the next cycle early, because something may have changed. */
  renew(now: Millis): void {
    if (this.#phase.at !== "waiting") return;
    const soon = Math.max(now, this.#requestedAt + CYCLE_LEAST);
    if (soon < this.#phase.queryAt) this.#phase = { at: "waiting", queryAt: soon };
  }

  /** Ends the cycle; memberships and the last Query stay. */
  rest(): void {
    this.#phase = IDLE;
    this.#repeat = undefined;
  }

  /** True when the Query with `nonce` is the one awaited. */
  awaits(nonce: number): boolean {
    const phase = this.#phase;
    return phase.at === "requesting" && (phase.asked.nonce === nonce || phase.odd?.nonce === nonce);
  }

  /** True while any Query is awaited. */
  get requesting(): boolean {
    return this.#phase.at === "requesting";
  }

  /**
   * The relay answered the Request with `nonce` by the other family's protocol. If P was misplaced,
   * it reads P where it belongs, and is asked so at once, for the right Request has been lost.
   */
  misread(nonce: number, now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== "requesting" || !formOf(phase, nonce).misplacedP) return;
    this.#settings.forms.conforms(now);
    this.#unanswered = 0;
    this.#phase = { ...phase, odd: undefined };
    this.#ask(phase.asked.nonce, phase.tries, now);
  }

  /** True when the relay saw `view`'s Request come from elsewhere than the one before (§5.2.3.5). */
  moved(view: QueryView): boolean {
    const before = this.last?.gateway;
    const after = view.gateway;
    return before !== undefined && after !== undefined && !sameEndpoint(before, after);
  }

  /**
   * Takes the awaited Query. False when the relay takes no new gateway and we are one to it (L,
   * §5.1.4.4): then nothing is reported, and the next Request waits as after a lost one.
   */
  accept(view: QueryView, query: MembershipQuery, now: Millis): boolean {
    const moved = this.moved(view);
    const fresh = moved || !this.reported;
    const phase = this.#phase;
    const tries = phase.at === "requesting" ? phase.tries : 0;
    if (phase.at === "requesting") {
      const { forms } = this.#settings;
      forms.answered(this.family, formOf(phase, view.nonce), now);
      if (view.limit || view.gatewayFields !== undefined) forms.conforms(now);
    }
    this.#unanswered = 0;
    const robustness = query.robustness || ROBUSTNESS;
    this.last = { nonce: view.nonce, mac: view.mac.slice(), gateway: view.gateway, robustness };
    if (moved) this.reported = false;
    this.answered = !(view.limit && fresh);
    if (!this.answered) {
      const retryAt = now + this.#wait(tries);
      this.#phase = {
        at: "requesting",
        asked: { nonce: newNonce(this.#settings.entropy), form: this.#settings.forms.right },
        odd: undefined,
        tries,
        retryAt,
      };
      return false;
    }
    const interval = query.queryInterval || QUERY_INTERVAL;
    this.#phase = {
      at: "waiting",
      queryAt: now + Math.min(interval, this.#settings.longestQueryInterval),
    };
    // To a relay that knows nothing of us, one lost Update would mean a query interval of silence.
    this.#answer(query, fresh ? robustness - 1 : 0, now);
    return true;
  }

  /** Does what is due. False when the relay has left too many Requests unanswered. */
  timeout(now: Millis): boolean {
    this.#host.handle({ kind: "timeout" }, now);
    this.#report();
    if (this.#repeat !== undefined && this.#repeat.at <= now)
      this.#answer(this.#repeat.query, this.#repeat.left - 1, now);
    const phase = this.#phase;
    if (phase.at === "waiting" && phase.queryAt <= now) {
      if (this.wanted) this.request(now);
      else this.rest();
    }
    if (phase.at !== "requesting" || phase.retryAt > now) return true;
    this.#unanswered++;
    this.#ask(phase.asked.nonce, phase.tries, now);
    if (phase.tries < this.#settings.requestTries) return true;
    this.answered = false;
    return false;
  }

  /** A Teardown of the tunnel that the last Query speaks of (§5.2.3.7); undefined without G. */
  teardown(): Uint8Array | undefined {
    if (this.last?.gateway === undefined) return undefined;
    const { mac, nonce, gateway } = this.last;
    return emitTeardown({ mac, nonce, gateway });
  }

  /** Sends the Request, for the first time in this cycle if `tries` is 0. */
  #ask(nonce: number, tries: number, now: Millis): void {
    if (this.#relay === undefined) return;
    const { entropy, forms, shared } = this.#settings;
    const [form, oddForm] = forms.forms(this.family, this.#unanswered, now);
    const before = tries > 0 && this.#phase.at === "requesting" ? this.#phase.odd : undefined;
    const asked = { nonce, form };
    const odd = oddForm && { nonce: before?.nonce ?? forms.oddNonce(entropy), form: oddForm };
    this.#requestedAt = now;
    this.#write(asked);
    if (odd !== undefined) this.#write(odd);
    const retryAt = now + this.#wait(tries);
    this.#phase = { at: "requesting", asked, odd: odd ?? before, tries: tries + 1, retryAt };
    // A relay that reads P there keeps one nonce: ours must not displace the other family's.
    if (odd?.form.misplacedP && !forms.oneNonce) shared(this, odd.nonce, now);
  }

  #write({ nonce, form }: Asked): void {
    if (this.#relay === undefined) return;
    const { forms, quirk } = this.#settings;
    if (form.misplacedP) quirk("request-misplaced-p");
    else if (form.ecn !== forms.right.ecn) quirk("request-without-e");
    this.#send(emitRequest(nonce, { family: this.family, ...form }), this.#relay);
  }

  #wait(tries: number): Millis {
    return retryWait(this.#settings.entropy, tries, this.#settings.longestRetry);
  }

  /** Answers the Query at once, and `more` times again. */
  #answer(query: MembershipQuery, more: number, now: Millis): void {
    this.#host.handle({ kind: "query", query, immediate: true }, now);
    this.#report();
    this.#repeat =
      more > 0 && this.wanted
        ? { query, left: more, at: now + this.#settings.entropy.fraction() * REPORT_INTERVAL }
        : undefined;
  }

  /**
   * Sends what the host half has to report. Without a Query to answer it is left unsaid: the Query
   * to come brings a full report (§5.2.3.6).
   */
  #report(): void {
    const records: GroupRecord[] = [];
    const messages: MembershipMessage[] = [];
    for (let out = this.#host.poll(); out !== undefined; out = this.#host.poll()) {
      if (out.message.kind === "report") records.push(...out.message.records);
      else messages.push(out.message);
    }
    const heard = this.#heard();
    if (heard === undefined || records.length + messages.length === 0) return;
    const { mac, nonce } = heard.last;
    const sender = { family: this.family, source: REPORT_SOURCE[this.family], mtu: REPORT_MTU };
    for (const datagram of [
      ...(records.length > 0 ? emitReportDatagrams(records, sender) : []),
      ...messages.map((message) => emitMembershipDatagram(message, sender)),
    ])
      this.#send(emitUpdate({ mac, nonce, datagram }), heard.relay);
    this.reported = true;
  }

  /** The relay that takes our reports, and the Query that they answer; undefined without one. */
  #heard(): { readonly relay: Endpoint; readonly last: AcceptedQuery } | undefined {
    if (this.#relay === undefined || this.last === undefined || !this.answered) return undefined;
    return { relay: this.#relay, last: this.last };
  }
}

/** The form of the Request with `nonce`. */
function formOf(
  { asked, odd }: { asked: Asked; odd: Asked | undefined },
  nonce: number,
): RequestForm {
  return odd?.nonce === nonce ? odd.form : asked.form;
}
