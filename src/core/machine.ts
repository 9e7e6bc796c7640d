/**
 * The shape of every protocol machine: octets and time in, octets and news out, no input or output
 * of its own. A driver calls `handle`, drains `poll`, and comes back at `deadline`.
 */

/** Monotonic milliseconds. Only differences mean anything. */
export type Millis = number;

export interface Machine<In, Out> {
  /** Takes one input. Never throws for what a peer sent. */
  handle(input: In, now: Millis): void;
  /** The next output, oldest first; undefined once drained. */
  poll(): Out | undefined;
  /** When `handle` must next be called with a timeout, if nothing arrives before. */
  deadline(): Millis | undefined;
}

/** What a machine takes from outside besides time: all randomness comes through here. */
export interface Entropy {
  /** A uniformly random integer in [0, 2^32). */
  u32(): number;
  /** A uniformly random number in [0, 1). */
  fraction(): number;
}
