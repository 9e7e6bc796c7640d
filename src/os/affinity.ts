/** The processors that threads run on. Read sched_setaffinity(2) first. */
import { osError } from "./errno.ts";
import { schedGetaffinity, schedSetaffinity } from "./libc.ts";

/** Octets of a set of 8,192 processors, the most that Linux can be built for. */
const SET_LENGTH = 1_024;

/** Keeps the calling thread to one processor. Throws OsError. */
export function keepTo(processor: number): void {
  const set = new Uint8Array(SET_LENGTH);
  set[processor >> 3] = 1 << (processor & 7);
  const result = schedSetaffinity(set);
  if (result < 0) throw osError("sched_setaffinity", -result, `processor ${processor}`);
}

/** The processors that the calling thread may run on. Throws OsError. */
export function allowedProcessors(): number[] {
  const set = new Uint8Array(SET_LENGTH);
  const result = schedGetaffinity(set);
  if (result < 0) throw osError("sched_getaffinity", -result, "of this thread");
  const all: number[] = [];
  for (let at = 0; at < 8 * SET_LENGTH; at++) if (set[at >> 3]! & (1 << (at & 7))) all.push(at);
  return all;
}
