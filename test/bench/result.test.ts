import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { figure, ratio, reached, sideBySide } from "../../bench/result.ts";
import { spread } from "../../bench/statistics.ts";

const samples = fc.array(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { minLength: 1 });

test("half of the samples are not above the median and half not below it", () => {
  fc.assert(
    fc.property(samples, (list) => {
      const { median, min, max } = spread(list);
      assert.ok(list.filter((sample) => sample <= median).length * 2 >= list.length);
      assert.ok(list.filter((sample) => sample >= median).length * 2 >= list.length);
      assert.deepEqual([min, max], [Math.min(...list), Math.max(...list)]);
    }),
  );
});

test("a spread of nothing is refused", () => {
  assert.throws(() => spread([]), RangeError);
});

test("a ratio is formed round by round and is above one for the faster subject", () => {
  const times = [
    figure({ case: "sum", subject: "new", unit: "ns/packet" }, [10, 20, 30]),
    figure({ case: "sum", subject: "old", unit: "ns/packet" }, [40, 40, 30]),
  ] as const;
  assert.deepEqual(ratio(...times).samples, [4, 2, 1]);
  const rates = [
    figure({ case: "send", subject: "new", unit: "packets/s" }, [40, 40, 30]),
    figure({ case: "send", subject: "old", unit: "packets/s" }, [10, 20, 30]),
  ] as const;
  assert.deepEqual(ratio(...rates).samples, [4, 2, 1]);
});

test("figures of different units or rounds are no pair", () => {
  const one = figure({ case: "sum", subject: "a", unit: "ns/packet" }, [1, 2]);
  const rate = figure({ case: "sum", subject: "b", unit: "packets/s" }, [1, 2]);
  const short = figure({ case: "sum", subject: "b", unit: "ns/packet" }, [1]);
  assert.throws(() => ratio(one, rate), RangeError);
  assert.throws(() => ratio(one, short), RangeError);
});

test("subjects are compared in the cases that both have", () => {
  const of = (subject: string, name: string) =>
    figure({ case: name, subject, unit: "ns/packet" }, [1]);
  const figures = [of("a", "x"), of("a", "y"), of("b", "y"), of("b", "z")];
  const pairs = sideBySide(figures, "a", "b", { y: { atLeast: 2 } });
  assert.deepEqual(
    pairs.map(({ case: name, goal }) => [name, goal]),
    [["y", { atLeast: 2 }]],
  );
});

test("a goal is judged by the median", () => {
  const between = spread([1, 5, 9]);
  assert.equal(reached(between, { atLeast: 5 }), true);
  assert.equal(reached(between, { atLeast: 5.1 }), false);
  assert.equal(reached(between, { atMost: 5 }), true);
  assert.equal(reached(between, { atMost: 4.9 }), false);
});
