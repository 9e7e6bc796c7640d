import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TunnelSet } from "../../../src/protocols/amt/tunnel-set.ts";

const sorted = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);

test("it holds what a Set would hold, whatever comes and goes", () => {
  const number = fc.oneof(fc.nat(20), fc.nat(100_000));
  const change = fc.record({ add: fc.boolean(), number });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
      const set = new TunnelSet();
      const model = new Set<number>();
      for (const { add, number: one } of changes) {
        const had = model.has(one);
        assert.equal(set.has(one), had);
        if (add) {
          assert.equal(set.add(one), !had);
          model.add(one);
        } else {
          assert.equal(set.delete(one), had);
          model.delete(one);
        }
        assert.equal(set.size, model.size);
      }
      assert.deepEqual(sorted(set), sorted(model));
    }),
  );
});

test("very many numbers that lie far apart come and go", () => {
  const set = new TunnelSet();
  const numbers = Array.from({ length: 20_000 }, (_, i) => i * 1_024);
  for (const number of numbers) assert.ok(set.add(number));
  assert.deepEqual(sorted(set), numbers);
  for (const number of numbers) assert.ok(set.delete(number));
  assert.equal(set.size, 0);
  assert.deepEqual([...set], []);
});
