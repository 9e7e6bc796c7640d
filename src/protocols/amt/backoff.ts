/** How long a gateway waits for an answer before it asks again (RFC 7450 §5.2.3.4.3, §5.2.3.5.3). */
import type { Entropy, Millis } from "../../core/machine.ts";

/** The first wait, and the least of all. */
const RETRY_FIRST: Millis = 1_000;
/** The longest wait, unless configured (§5.2.3.4.3: "recommended 120 seconds"). */
export const RETRY_LONGEST: Millis = 120_000;

/**
 * The wait after the `retry`-th repetition, 0 for the first try: uniform between one second and
 * 2^retry seconds or `longest`, whichever is less.
 */
export function retryWait(entropy: Entropy, retry: number, longest: Millis): Millis {
  const most = Math.max(RETRY_FIRST, Math.min(RETRY_FIRST * 2 ** retry, longest));
  return RETRY_FIRST + entropy.fraction() * (most - RETRY_FIRST);
}

/** A nonce other than zero: a Discovery's must be (§5.1.1.4), and some relays ignore a zero one. */
export function newNonce(entropy: Entropy): number {
  return entropy.u32() || 1;
}
