import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sipHash24 } from "../../src/core/siphash.ts";

const MASK = (1n << 64n) - 1n;

/** SipHash-2-4 as the paper's §2 writes it, on 64-bit integers. */
function oracle(key: Uint8Array, octets: Uint8Array): bigint {
  const word = (from: Uint8Array, at: number) =>
    from.subarray(at, at + 8).reduceRight((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
  const left = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & MASK;
  let v0 = word(key, 0) ^ 0x736f6d6570736575n;
  let v1 = word(key, 8) ^ 0x646f72616e646f6dn;
  let v2 = word(key, 0) ^ 0x6c7967656e657261n;
  let v3 = word(key, 8) ^ 0x7465646279746573n;
  const round = () => {
    v0 = (v0 + v1) & MASK;
    v1 = left(v1, 13n) ^ v0;
    v0 = left(v0, 32n);
    v2 = (v2 + v3) & MASK;
    v3 = left(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK;
    v3 = left(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK;
    v1 = left(v1, 17n) ^ v2;
    v2 = left(v2, 32n);
  };
  const padded = new Uint8Array((octets.length & ~7) + 8);
  padded.set(octets);
  padded[padded.length - 1] = octets.length & 0xff;
  for (let at = 0; at < padded.length; at += 8) {
    v3 ^= word(padded, at);
    round();
    round();
    v0 ^= word(padded, at);
  }
  v2 ^= 0xffn;
  for (let i = 0; i < 4; i++) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

function hashed(key: Uint8Array, octets: Uint8Array): bigint {
  const view = new DataView(key.buffer, key.byteOffset, 16);
  const words = Uint32Array.from({ length: 4 }, (_, i) => view.getUint32(4 * i, true));
  const hash = new Uint32Array(2);
  sipHash24(words, octets, hash);
  return (BigInt(hash[1]!) << 32n) | BigInt(hash[0]!);
}

const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);

test("the example of the SipHash paper (appendix A)", () => {
  assert.equal(hashed(counting(16), counting(15)), 0xa129ca6149be45e5n);
});

test("the first vectors of the reference implementation", () => {
  // vectors.h of https://github.com/veorq/SipHash, as little-endian words.
  const known = [0x726fdb47dd0e0e31n, 0x74f839c593dc67fdn, 0x0d6c8009d9a94f5an];
  for (const [length, hash] of known.entries())
    assert.equal(hashed(counting(16), counting(length)), hash);
});

test("any key and octets hash as 64-bit integers do", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ maxLength: 300 }),
      (key, octets) => assert.equal(hashed(key, octets), oracle(key, octets)),
    ),
  );
});
