/** Where the benchmarks' files are: in a checkout its own folders, else one in the current folder. */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The package's root, seen from `dist/bench`. */
export const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** False in an installed package, which has no sources. */
export const CHECKOUT = existsSync(path.join(ROOT, "bench/main.ts"));

const OUTSIDE = path.resolve("culvert-bench");

/** Results, one file for each suite. */
export const RESULTS = CHECKOUT ? path.join(ROOT, "bench/results") : OUTSIDE;

/** What can be made anew: native programs and the report. */
export const WORK = CHECKOUT ? path.join(ROOT, ".cache/bench") : OUTSIDE;
