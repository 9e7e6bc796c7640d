import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine, Millis } from "../../src/core/machine.ts";
import { type LinkOptions, Pair, type SimInput } from "./pair.ts";

type Out =
  | {
      readonly kind: "send";
      readonly octets: Uint8Array;
      readonly to: { address: string; port: number };
    }
  | { readonly kind: "got"; readonly at: Millis; readonly number: number };

const A = { address: "192.0.2.1", port: 1 };
const B = { address: "192.0.2.2", port: 2 };

/** Sends the numbers 0 to `count` - 1 to B, one every millisecond; tells which arrive, and when. */
class Counter implements Machine<SimInput, Out> {
  readonly #outs: Out[] = [];
  #next = 0;
  constructor(readonly count: number) {}
  handle(input: SimInput, now: Millis): void {
    if (input.kind === "datagram")
      this.#outs.push({ kind: "got", at: now, number: (input.octets[0]! << 8) | input.octets[1]! });
    else if (this.#next < this.count) {
      this.#outs.push({
        kind: "send",
        octets: Uint8Array.of(this.#next >> 8, this.#next),
        to: B,
      });
      this.#next++;
    }
  }
  poll(): Out | undefined {
    return this.#outs.shift();
  }
  deadline(): Millis | undefined {
    return this.#next < this.count ? this.#next : undefined;
  }
}

function run(options: LinkOptions, count = 1_000) {
  const pair = new Pair(
    { machine: new Counter(count), at: A },
    { machine: new Counter(0), at: B },
    options,
  );
  pair.run(10_000);
  return pair.b.of("got");
}

test("a plain link delivers all, in order, after its latency", () => {
  const got = run({ seed: 1, latency: [7, 7] });
  assert.deepEqual(
    got,
    Array.from({ length: 1_000 }, (_, number) => ({ kind: "got", at: number + 7, number })),
  );
});

test("a link loses, repeats and reorders the share it is told to", () => {
  const lost = 1_000 - run({ seed: 2, loss: 0.3 }).length;
  assert.ok(lost > 250 && lost < 350, `${lost}`);
  const repeated = run({ seed: 3, duplication: 0.3 }).length - 1_000;
  assert.ok(repeated > 250 && repeated < 350, `${repeated}`);
  const numbers = run({ seed: 4, latency: [1, 50] }).map(({ number }) => number);
  assert.notDeepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
});

test("one seed repeats a run, another gives another", () => {
  const options = { loss: 0.2, duplication: 0.2, latency: [1, 50] } as const;
  assert.deepEqual(run({ seed: 5, ...options }), run({ seed: 5, ...options }));
  assert.notDeepEqual(run({ seed: 5, ...options }), run({ seed: 6, ...options }));
});
