/**
 * Fuzzes one target, or all: `node dist/test/fuzz/run.js TARGET SECONDS [SEED]`. Prints the seed
 * first; exit status 1 and the input in hexadecimal if a promise is broken, 2 for wrong arguments.
 */
import { randomInt } from "node:crypto";
import { FuzzFailure, fuzz } from "./fuzz.ts";
import { TARGETS } from "./targets.ts";

const [name = "", seconds = "", given] = process.argv.slice(2);
const wanted = name === "all" ? Object.keys(TARGETS) : [name];
const duration = Number(seconds);
const seed = given === undefined ? randomInt(2 ** 32) : Number(given);
if (!wanted.every((target) => target in TARGETS) || !(duration > 0) || !Number.isInteger(seed)) {
  console.error(
    `usage: run.js TARGET SECONDS [SEED]; targets: all, ${Object.keys(TARGETS).join(", ")}`,
  );
  process.exit(2);
}
for (const target of wanted) {
  console.log(`${target}: seed ${seed}`);
  const end = performance.now() + duration * 1000;
  try {
    const { inputs, words } = fuzz(TARGETS[target]!, seed, () => performance.now() < end);
    console.log(`${target}: ${inputs} inputs`);
    for (const [word, count] of words) console.log(`  ${count}\t${word}`);
  } catch (failure) {
    if (!(failure instanceof FuzzFailure)) throw failure;
    console.error(`${target}: ${failure.message}`);
    process.exitCode = 1;
  }
}
