/** How many lanes a service has, and on which processors. */
import { availableParallelism } from "node:os";
import { EINVAL, osError } from "../os/errno.ts";
import { allowedProcessors } from "../os/affinity.ts";

/** Lanes that `auto` makes at most: what comes in costs as many times, or is spread unevenly. */
const AUTO_MAX = 4;

/**
 * Lanes for each of so many endpoints. `auto` leaves a processor to the kernel's own work and to the
 * control thread.
 */
export function laneCount(
  asked: number | "auto",
  endpoints = 1,
  processors = availableParallelism(),
): number {
  if (asked !== "auto") return asked;
  return Math.max(1, Math.min(AUTO_MAX, Math.floor((processors - 1) / endpoints)));
}

/** Refuses processors that this process must not run on. Throws OsError. */
export function checkPin(pin: readonly number[] | undefined): void {
  if (pin === undefined) return;
  const allowed = allowedProcessors();
  const strange = pin.find((one) => !allowed.includes(one));
  if (strange === undefined) return;
  const list = allowed.join(",");
  throw osError(
    "sched_setaffinity",
    EINVAL,
    `processor ${strange}`,
    `pin: expected some of ${list}, on which this process may run`,
  );
}
