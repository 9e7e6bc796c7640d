/** How long a scene under load is watched. */
import type { Effort } from "../result.ts";

export interface Timing {
  readonly rounds: number;
  /** Milliseconds from the start of the load to the window, and of the window. */
  readonly ramp: number;
  readonly window: number;
}

/** For figures of processor time, whose clock ticks every 10 ms. */
export const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { rounds: 5, ramp: 500, window: 2_000 },
  quick: { rounds: 3, ramp: 300, window: 1_000 },
  sanity: { rounds: 1, ramp: 100, window: 300 },
};
