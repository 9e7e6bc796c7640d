/** Time for the machines. */
import { hrtime } from "node:process";
import type { Millis } from "../core/machine.ts";

/** Monotonic milliseconds (CLOCK_MONOTONIC), with fractions; alike in every thread of the host. */
export function monotonic(): Millis {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}
