/**
 * How many messages of a kind a relay takes: from one address, and from all addresses that hold no
 * tunnel here. Who holds one is not slowed down by what strangers send.
 *
 * The buckets are kept as the time at which they would be full again (the generic cell rate
 * algorithm): a bucket that is full needs no memory, so the table can forget the one unused longest.
 */
import type { Address } from "../../core/address.ts";
import type { Millis } from "../../core/machine.ts";

/** Kinds of messages that are limited; a Teardown counts as an Update, which it costs as much as. */
export type LimitedKind = "discovery" | "request" | "update";

/** Messages a second; a burst of two seconds' worth passes at once. */
export interface RateLimit {
  readonly perAddress: number;
  /** From all addresses without a tunnel together. */
  readonly strangers: number;
}

export type RateLimits = Readonly<Record<LimitedKind, RateLimit>>;

/** Addresses whose buckets are kept; beyond, the one unused longest gets a full one again. */
const ADDRESSES = 65_536;
/** Seconds' worth of messages that may come at once. */
const BURST = 2;

/** When each kind's bucket is full again. */
type Buckets = Record<LimitedKind, Millis>;

export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #strangers: Buckets = { discovery: 0, request: 0, update: 0 };
  /** The unused longest first. */
  readonly #addresses = new Map<Address, Buckets>();

  constructor(limits: RateLimits) {
    this.#limits = limits;
  }

  /** Addresses in memory. */
  get size(): number {
    return this.#addresses.size;
  }

  /** Takes a message into account; false if it is one too many. `stranger`: holds no tunnel. */
  admits(kind: LimitedKind, from: Address, stranger: boolean, now: Millis): boolean {
    const { perAddress, strangers } = this.#limits[kind];
    let buckets = this.#addresses.get(from);
    if (buckets === undefined) {
      buckets = { discovery: 0, request: 0, update: 0 };
      if (this.#addresses.size >= ADDRESSES) {
        const [oldest] = this.#addresses.keys();
        this.#addresses.delete(oldest!);
      }
    } else this.#addresses.delete(from);
    this.#addresses.set(from, buckets);
    if (!take(buckets, kind, perAddress, now)) return false;
    return !stranger || take(this.#strangers, kind, strangers, now);
  }
}

/** Takes one out of a bucket; false if it is empty. */
function take(buckets: Buckets, kind: LimitedKind, perSecond: number, now: Millis): boolean {
  const full = Math.max(buckets[kind], now) + 1_000 / perSecond;
  if (full - now > BURST * 1_000) return false;
  buckets[kind] = full;
  return true;
}
