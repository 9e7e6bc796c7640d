import assert from "node:assert/strict";
import { test } from "node:test";
import { Gathering } from "../../src/ports/gathering.ts";

/** Milliseconds that a batch takes, and that packets gather. */
const SERVICE = 0.02;
const REST = 0.1;

/** What a lane makes of packets that arrive at these milliseconds: batches, rests, and the longest delay. */
function serve(arrivals: readonly number[]) {
  const gathering = new Gathering();
  let [now, batches, rests, delay] = [0, 0, 0, 0];
  for (let i = 0; i < arrivals.length; batches++) {
    const first = i;
    now = Math.max(now, arrivals[i]!);
    while (i < arrivals.length && arrivals[i]! <= now) i++;
    delay = Math.max(delay, now - arrivals[first]!);
    now += SERVICE;
    if (!gathering.after(i - first, now)) continue;
    now += REST;
    rests++;
  }
  return { batches, rests, delay };
}

/** `count` arrivals, so many a millisecond, from 1 ms on. */
function paced(count: number, rate: number): number[] {
  return Array.from({ length: count }, (_, i) => 1 + i / rate);
}

test("packets of 10,000 a second wait for nothing", () => {
  assert.deepEqual(serve(paced(1_000, 10)), { batches: 1_000, rests: 0, delay: 0 });
});

test("a sender of 10,000 a second that was held up for a millisecond makes good for it without a rest", () => {
  let free = 0;
  const late = paced(1_000, 10).map((at, i) => {
    if (i % 50 === 0) free = at + 1;
    return (free = Math.max(at, free + 0.02));
  });
  assert.equal(serve(late).rests, 0);
});

test("a rest that gathers nothing is the last", () => {
  const arrivals = [...paced(100, 200), ...paced(1_000, 10).map((at) => at + 1)];
  const { rests, delay } = serve(arrivals);
  assert.ok(rests > 0 && rests < 10, `${rests} rests`);
  assert.ok(delay <= REST + SERVICE);
});

test("packets of 200,000 a second are taken by the dozen, none of them later than a rest", () => {
  const { batches, delay } = serve(paced(20_000, 200));
  assert.ok(batches < 20_000 / 12, `${batches} batches`);
  assert.ok(delay <= REST + SERVICE);
});

test("large batches follow each other without a rest", () => {
  const gathering = new Gathering();
  for (let now = 1; now < 100; now++) assert.equal(gathering.after(100, now), false);
});
