import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PAYLOAD_MIN, SEQUENCE_LIMIT, readPayload, writePayload } from "../../src/lab/payload.ts";
import { Tally } from "../../src/lab/tally.ts";

test("a tally counts what a list of all that came would tell", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 1 }), fc.nat(400), (came, sent) => {
      const tally = new Tally();
      for (const sequence of came) tally.add(sequence);
      const distinct = new Set(came);
      const [first, last] = [Math.min(...came), Math.max(...came)];
      const late = came.filter((sequence, i) => {
        const before = came.slice(0, i);
        return !before.includes(sequence) && before.some((other) => other > sequence);
      });
      const end = Math.max(sent, last + 1);
      assert.deepEqual(tally.summary(sent), {
        received: came.length,
        first,
        last,
        lost: end - first - distinct.size,
        duplicated: came.length - distinct.size,
        outOfOrder: late.length,
      });
    }),
  );
});

test("a tally that nothing came to has nothing to miss", () => {
  const { received, first, last, lost } = new Tally().summary(10);
  assert.deepEqual({ received, first, last, lost }, { received: 0, first: -1, last: -1, lost: 0 });
});

test("a tally grows with the stream", () => {
  const tally = new Tally();
  const numbers = [0, 65_535, 65_536, SEQUENCE_LIMIT - 1];
  for (const sequence of numbers) tally.add(sequence);
  const { received, lost, duplicated } = tally.summary();
  assert.deepEqual([received, lost, duplicated], [4, SEQUENCE_LIMIT - 4, 0]);
});

test("a payload gives back its number and time", () => {
  fc.assert(
    fc.property(
      fc.nat(SEQUENCE_LIMIT - 1),
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc.integer({ min: PAYLOAD_MIN, max: 1_500 }),
      (sequence, sentAt, length) => {
        const octets = new Uint8Array(length).fill(0xa5);
        writePayload(octets, sequence, sentAt);
        assert.deepEqual(readPayload(octets), { sequence, sentAt });
        assert.equal(
          octets.subarray(PAYLOAD_MIN).every((octet) => octet === 0xa5),
          true,
        );
      },
    ),
  );
});

test("somebody else's octets are no payload", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      assert.equal(readPayload(octets), undefined);
    }),
  );
  const beyond = new Uint8Array(PAYLOAD_MIN);
  writePayload(beyond, SEQUENCE_LIMIT, 0n);
  assert.equal(readPayload(beyond), undefined);
});
