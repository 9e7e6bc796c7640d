/** Fields of every system that has lanes. */
import { count, processors, wholeOrAuto } from "./field.ts";

/** How many lanes there are at most. */
const LANES_MAX = 64;

/** Microseconds that lanes look for packets unless told: what who sends them on the same processor needs. */
export const BUSY_POLL = 20;

/** A lane leaves its event loop alone for ten milliseconds at most. */
const BUSY_POLL_MAX = 10_000;

/** `help` says what one lane is for, `fallback` how many there are. */
export function laneFields<const F extends number | "auto">(help: string, fallback: F) {
  return {
    lanes: wholeOrAuto({ fallback, min: 1, max: LANES_MAX, help }),
    pin: processors({
      optional: true,
      help: "processors that lanes keep to, one after another, as 1-3,6; where the system puts them if left out",
    }),
    busyPoll: count({
      fallback: BUSY_POLL,
      min: 0,
      max: BUSY_POLL_MAX,
      help: "microseconds that a lane looks for more packets after the last ones before it sleeps, giving way to others that want its processor; 0 to sleep at once",
    }),
  };
}
