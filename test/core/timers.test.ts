import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Timers } from "../../src/core/timers.ts";
import { seededEntropy } from "../sim/entropy.ts";

test("deadlines come due in order of time, and of setting when times are equal", () => {
  const timers = new Timers<string>();
  timers.set("c", 30);
  timers.set("b", 10);
  timers.set("a", 10);
  timers.set("d", 20);
  assert.equal(timers.next(), 10);
  assert.equal(timers.take(9), undefined);
  const due: (string | undefined)[] = [];
  for (let key = timers.take(25); key !== undefined; key = timers.take(25)) due.push(key);
  assert.deepEqual(due, ["b", "a", "d"]);
  assert.equal(timers.next(), 30);
  assert.equal(timers.size, 1);
});

test("a key has one deadline: the last one set", () => {
  const timers = new Timers<number>();
  timers.set(1, 50);
  timers.set(1, 20);
  timers.set(2, 30);
  timers.set(2, 60);
  assert.equal(timers.size, 2);
  assert.equal(timers.get(2), 60);
  assert.equal(timers.take(40), 1);
  assert.equal(timers.take(40), undefined);
  assert.equal(timers.delete(2), true);
  assert.equal(timers.delete(2), false);
  assert.equal(timers.next(), undefined);
});

test("any run of set, delete and take gives what a sorted list gives", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("set" as const), key: fc.nat(15), at: fc.nat(40) }),
    fc.record({ do: fc.constant("delete" as const), key: fc.nat(15) }),
    fc.record({ do: fc.constant("take" as const), at: fc.nat(40) }),
    fc.record({ do: fc.constant("clear" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const timers = new Timers<number>();
      // In order of setting; a stable sort by time then gives the order of coming due.
      let model: { key: number; at: number }[] = [];
      for (const one of steps) {
        if (one.do === "set") {
          model = [...model.filter(({ key }) => key !== one.key), { key: one.key, at: one.at }];
          timers.set(one.key, one.at);
        } else if (one.do === "delete") {
          const there = model.some(({ key }) => key === one.key);
          model = model.filter(({ key }) => key !== one.key);
          assert.equal(timers.delete(one.key), there);
        } else if (one.do === "take") {
          const first = model.toSorted((a, b) => a.at - b.at)[0];
          const due = first !== undefined && first.at <= one.at ? first.key : undefined;
          model = model.filter(({ key }) => key !== due);
          assert.equal(timers.take(one.at), due);
        } else {
          model = [];
          timers.clear();
        }
        assert.equal(timers.size, model.length);
        assert.equal(timers.next(), model.length ? Math.min(...model.map((m) => m.at)) : undefined);
        for (const { key, at } of model) assert.equal(timers.get(key), at);
      }
    }),
  );
});

test("100,000 deadlines cost a logarithm each, not a scan", () => {
  const timers = new Timers<number>();
  const entropy = seededEntropy(1);
  const count = 100_000;
  for (let key = 0; key < count; key++) timers.set(key, entropy.u32());
  for (let key = 0; key < count; key++) timers.set(key, entropy.u32());
  let last = -1;
  let taken = 0;
  for (let next = timers.next(); next !== undefined; next = timers.next()) {
    assert.ok(next >= last);
    last = next;
    assert.notEqual(timers.take(next), undefined);
    taken++;
  }
  assert.equal(taken, count);
});
