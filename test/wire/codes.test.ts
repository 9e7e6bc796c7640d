import assert from "node:assert/strict";
import { test } from "node:test";
import { decode8, decode16, encode8, encode16 } from "../../src/wire/codes.ts";

test("an 8-bit code means what its fields say (RFC 3376 §4.1.1)", () => {
  assert.equal(decode8(0), 0);
  assert.equal(decode8(127), 127);
  assert.equal(decode8(0x80), 128);
  assert.equal(decode8(0x8f), 248);
  assert.equal(decode8(0x90), 256);
  assert.equal(decode8(0xff), 31_744);
});

test("a 16-bit code means what its fields say (RFC 3810 §5.1.3)", () => {
  assert.equal(decode16(0), 0);
  assert.equal(decode16(32_767), 32_767);
  assert.equal(decode16(0x8000), 32_768);
  assert.equal(decode16(0x8001), 32_776);
  assert.equal(decode16(0xffff), 8_387_584);
});

test("every code is the code of the number it means (RFC 3376 §4.1.1, RFC 3810 §5.1.3)", () => {
  for (let code = 0; code <= 0xff; code++) assert.equal(encode8(decode8(code)), code);
  for (let code = 0; code <= 0xffff; code++)
    if (encode16(decode16(code)) !== code) assert.fail(`code ${code}`);
});

test("codes grow with their numbers (RFC 3376 §4.1.1, RFC 3810 §5.1.3)", () => {
  for (let code = 1; code <= 0xff; code++) assert.ok(decode8(code) > decode8(code - 1));
  for (let code = 1; code <= 0xffff; code++)
    if (decode16(code) <= decode16(code - 1)) assert.fail(`code ${code}`);
});

test("a number without a code gets that of the next lower one that has (RFC 3376 §4.1.7)", () => {
  let code = 0;
  for (let value = 0; value <= 32_000; value++) {
    if (code < 0xff && decode8(code + 1) <= value) code++;
    assert.equal(encode8(value), code);
  }
  code = 0;
  for (let value = 0; value <= 8_400_000; value += 7) {
    while (code < 0xffff && decode16(code + 1) <= value) code++;
    if (encode16(value) !== code) assert.fail(`value ${value}`);
  }
});

test("what is out of range gets the nearest code, a fraction is cut (RFC 3376 §4.1.1)", () => {
  assert.equal(encode8(-5), 0);
  assert.equal(encode8(1e12), 0xff);
  assert.equal(encode16(1e12), 0xffff);
  assert.equal(encode8(Infinity), 0xff);
  assert.equal(encode8(12.9), 12);
});
