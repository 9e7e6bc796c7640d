import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../src/core/address.ts";
import { RecurringTexts } from "../../src/core/recurring.ts";

test("an address that recurs has the text that any other has, whatever came between", () => {
  const octets = fc.constantFrom(4 as const, 6 as const).chain((family) =>
    fc.record({
      family: fc.constant(family),
      // Few values, so that the same addresses come again.
      octets: fc.uint8Array({
        minLength: family === 4 ? 4 : 16,
        maxLength: family === 4 ? 4 : 16,
        max: 1,
      }),
      offset: fc.nat(3),
    }),
  );
  fc.assert(
    fc.property(fc.array(octets, { maxLength: 60 }), (addresses) => {
      const texts = new RecurringTexts();
      for (const { family, octets: address, offset } of addresses) {
        const room = new Uint8Array(offset + address.length);
        room.set(address, offset);
        assert.equal(texts.format(room, offset, family), formatAddress(address, 0, family));
      }
    }),
  );
});

test("more addresses than are remembered all have their own text", () => {
  const texts = new RecurringTexts();
  for (let round = 0; round < 2; round++)
    for (let i = 0; i < 100_000; i++) {
      const address = `10.${i >> 16}.${(i >> 8) & 0xff}.${i & 0xff}`;
      assert.equal(texts.format(parseAddress(address)!, 0, 4), address);
    }
});
