/** Fields of every system that has lanes. */
import { processors, wholeOrAuto } from "./field.ts";

/** How many lanes there are at most. */
const LANES_MAX = 64;

/** `help` says what one lane is for, `fallback` how many there are. */
export function laneFields<const F extends number | "auto">(help: string, fallback: F) {
  return {
    lanes: wholeOrAuto({ fallback, min: 1, max: LANES_MAX, help }),
    pin: processors({
      optional: true,
      help: "processors that lanes keep to, one after another, as 1-3,6; where the system puts them if left out",
    }),
  };
}
