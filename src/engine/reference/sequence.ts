/**
 * Sequence numbers on receipt, as a list and a few rules. Read RFC 3931 §4.6.1 and appendix C, and
 * RFC 2661 §5.4, first. Numbers have 24 bits in version 3 and 16 in version 2; half of them are
 * ahead of what is expected, the other half behind it.
 */
import { VERDICT_L2TP_OLD, VERDICT_L2TP_UNNUMBERED } from "../../../assembly/layout/verdict.ts";
import type { Millis } from "../../core/machine.ts";

export interface SequenceTerms {
  /** Bits of a number: 16 or 24. */
  readonly bits: number;
  /** True: numbers mean nothing. */
  readonly ignored: boolean;
  /** True: packets without a number are dropped. */
  readonly required: boolean;
  /** Consecutive old numbers after which the peer has started anew; 0: never. */
  readonly restartAfter: number;
  /** How long a packet that came ahead waits for those before it; 0: it does not. */
  readonly hold: Millis;
  /** How many packets may wait. */
  readonly holdMost: number;
}

/** What becomes of an arrival: packets whose turn has come, and why this one was dropped. */
export interface Sequenced<Packet> {
  readonly ready: readonly Packet[];
  readonly drop: typeof VERDICT_L2TP_OLD | typeof VERDICT_L2TP_UNNUMBERED | undefined;
}

interface Waiting<Packet> {
  readonly number: number;
  readonly packet: Packet;
  readonly since: Millis;
}

export class SequenceWindow<Packet> {
  /** Packets dropped for an old number, held because they came ahead, and never seen. */
  old = 0;
  reordered = 0;
  missing = 0;
  readonly #terms: SequenceTerms;
  readonly #count: number;
  #expected: number | undefined;
  /** The last old number, and how many came one after another up to it. */
  #oldLast = 0;
  #oldRun = 0;
  /** What waits, in order. */
  #waiting: Waiting<Packet>[] = [];

  constructor(terms: SequenceTerms) {
    this.#terms = terms;
    this.#count = 2 ** terms.bits;
  }

  /** How many packets wait for those before them. */
  get held(): number {
    return this.#waiting.length;
  }

  /** Takes in a packet, which has a number or none. */
  arrive(number: number | undefined, packet: Packet, now: Millis): Sequenced<Packet> {
    if (this.#terms.ignored) return { ready: [packet], drop: undefined };
    if (number !== undefined) return this.#numbered(number, packet, now);
    if (this.#terms.required) return { ready: [], drop: VERDICT_L2TP_UNNUMBERED };
    return { ready: [...this.#giveUpAll(), packet], drop: undefined };
  }

  /** The packets that have waited for long enough, and what comes next after each. */
  expire(now: Millis): Packet[] {
    const ready: Packet[] = [];
    while (this.#waiting[0] && now - this.#waiting[0].since >= this.#terms.hold)
      ready.push(...this.#giveUp());
    return ready;
  }

  #numbered(number: number, packet: Packet, now: Millis): Sequenced<Packet> {
    this.#expected ??= number; // the first of all says where the peer is
    if (this.#isBehind(number)) return this.#behind(number, packet);
    this.#oldRun = 0;
    if (this.#ahead(number) === 0) return { ready: this.#inTurn(number, packet), drop: undefined };
    if (this.#terms.hold === 0) return { ready: this.#overGap(number, packet), drop: undefined };

    const ready = this.#waiting.length >= this.#terms.holdMost ? this.#giveUp() : [];
    if (this.#isBehind(number)) return { ready, drop: this.#late() };
    if (this.#ahead(number) === 0)
      return { ready: [...ready, ...this.#inTurn(number, packet)], drop: undefined };
    if (this.#waiting.some((other) => other.number === number))
      return { ready, drop: this.#late() };
    this.#waiting.push({ number, packet, since: now });
    this.#waiting.sort((a, b) => this.#ahead(a.number) - this.#ahead(b.number));
    this.reordered++;
    return { ready, drop: undefined };
  }

  /** A run of old numbers, each one more than the last, is a peer that has started anew. */
  #behind(number: number, packet: Packet): Sequenced<Packet> {
    const follows = number === (this.#oldLast + 1) % this.#count;
    this.#oldRun = follows ? this.#oldRun + 1 : 1;
    this.#oldLast = number;
    const { restartAfter } = this.#terms;
    if (restartAfter === 0 || this.#oldRun < restartAfter) return { ready: [], drop: this.#late() };
    this.#oldRun = 0;
    const ready = [...this.#giveUpAll(), packet];
    this.#expect(number + 1);
    return { ready, drop: undefined };
  }

  #late(): typeof VERDICT_L2TP_OLD {
    this.old++;
    return VERDICT_L2TP_OLD;
  }

  /** The expected packet, and those that waited for it alone. */
  #inTurn(number: number, packet: Packet): Packet[] {
    this.#expect(number + 1);
    return [packet, ...this.#successors()];
  }

  /** A packet ahead of its turn, while none is waited for. */
  #overGap(number: number, packet: Packet): Packet[] {
    this.missing += this.#ahead(number);
    this.#expect(number + 1);
    return [packet];
  }

  /** Waits no longer for what comes before the first waiting packet. */
  #giveUp(): Packet[] {
    const number = this.#waiting[0]!.number;
    this.missing += this.#ahead(number);
    this.#expect(number);
    return this.#successors();
  }

  #giveUpAll(): Packet[] {
    const ready: Packet[] = [];
    while (this.#waiting.length > 0) ready.push(...this.#giveUp());
    return ready;
  }

  /** Takes out the waiting packets as long as each is the expected one. */
  #successors(): Packet[] {
    const ready: Packet[] = [];
    while (this.#waiting[0] && this.#ahead(this.#waiting[0].number) === 0) {
      const { number, packet } = this.#waiting.shift()!;
      this.#expect(number + 1);
      ready.push(packet);
    }
    return ready;
  }

  #expect(number: number): void {
    this.#expected = number % this.#count;
  }

  /** How far a number is ahead of what is expected, around the end of the numbers. */
  #ahead(number: number): number {
    return (number - this.#expected! + this.#count) % this.#count;
  }

  #isBehind(number: number): boolean {
    return this.#ahead(number) >= this.#count / 2;
  }
}
