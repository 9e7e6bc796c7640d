import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { FuzzFailure, fuzz } from "./fuzz.ts";
import { type FuzzTarget, TARGETS } from "./targets.ts";

/** Enough for a second or so; `run.ts` goes on for as long as one likes. */
const INPUTS = 10_000;

/** Says yes so many times. */
function times(count: number): () => boolean {
  let left = count;
  return () => left-- > 0;
}

/** What a run must have met, so that it is known to reach behind the first check. */
const MET: Readonly<Record<string, readonly string[]>> = {
  amt: ["discovery", "advertisement12", "request6", "queryG", "update", "teardown", "amt-length"],
  "l2tp-udp": ["data2", "data3", "control2 1 6", "control3 3 1", "control2 0 none", "l2tp-header"],
  "l2tp-ip": ["data3", "control3 3 1", "control3 2 20", "l2tp-version", "truncated"],
  igmp: ["report31", "query3", "membership-checksum", "membership-length", "membership-type"],
  mld: ["report31", "query3", "join2", "leave2", "membership-checksum", "membership-length"],
  "membership-datagram": ["4 report31 strict", "6 report31 strict", "6 join2 strict", "fragment"],
  "router-alert": ["true false", "false true", "false false"],
  icmp: ["payload none undefined", "none payload undefined", "none none true", "none none false"],
  address: ["none", "short", "ipv6", "ipv4"],
};

for (const [name, target] of Object.entries(TARGETS))
  test(`${name}: ${INPUTS} random inputs break no promise`, (t) => {
    const seed = randomInt(2 ** 32);
    t.diagnostic(`seed ${seed}`);
    const { inputs, words } = fuzz(target, seed, times(INPUTS));
    assert.equal(inputs, INPUTS);
    for (const word of MET[name]!) assert.ok(words.has(word), `seed ${seed} never met "${word}"`);
  });

test("a broken promise is found, and the input told", () => {
  const target: FuzzTarget = {
    seeds: [Uint8Array.of(1, 2, 3, 4)],
    fix: () => {},
    run(octets) {
      if (octets.length === 5) throw new Error("five");
      return "fine";
    },
  };
  assert.throws(
    () => fuzz(target, 1, times(INPUTS)),
    (error: unknown) =>
      error instanceof FuzzFailure && /^input [0-9a-f]{10}: five$/.test(error.message),
  );
});

test("the same seed makes the same run", () => {
  const run = () => fuzz(TARGETS["igmp"]!, 7, times(2000));
  assert.deepEqual(run(), run());
});
