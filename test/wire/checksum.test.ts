import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { internetChecksum, pseudoHeaderSum, sumWords } from "../../src/wire/checksum.ts";
import { AMT_VECTORS } from "../vectors/amt.ts";
import { hex } from "../vectors/hex.ts";

/** Octet by octet, end-around carry at once (RFC 1071 §4.1). */
function slow(octets: Uint8Array): number {
  let sum = 0;
  for (const [i, octet] of octets.entries()) {
    sum += i % 2 === 0 ? octet * 256 : octet;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

test("the worked example gives its checksum (RFC 1071 §3)", () => {
  assert.equal(internetChecksum(hex("0001 f203 f4f5 f6f7"), 0, 8), 0x220d);
});

test("octets with their own checksum among them sum to 0 (RFC 1071 §1)", () => {
  const header = hex("45000024 00004000 4011d485 cb007105 c633640a");
  assert.equal(internetChecksum(header, 0, 20), 0);
  header[8]! ^= 1;
  assert.notEqual(internetChecksum(header, 0, 20), 0);
});

test("nothing sums to nothing, and 65,535 octets of ones do not overflow (RFC 1071 §1)", () => {
  assert.equal(internetChecksum(new Uint8Array(), 0, 0), 0xffff);
  assert.equal(
    internetChecksum(new Uint8Array(65_535).fill(0xff), 0, 65_535),
    slow(new Uint8Array(65_535).fill(0xff)),
  );
});

test("any stretch of any octets agrees with the slow sum (RFC 1071 §4.1)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200), (octets, a, b) => {
      const start = Math.min(a, octets.length);
      const end = Math.max(start, Math.min(b, octets.length));
      assert.equal(internetChecksum(octets, start, end), slow(octets.subarray(start, end)));
    }),
  );
});

test("a sum may be taken in pieces of even length (RFC 1071 §2)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (octets, half) => {
      const cut = Math.min(half * 2, octets.length - (octets.length % 2));
      const first = sumWords(octets, 0, cut);
      assert.equal(internetChecksum(octets, cut, octets.length, first), slow(octets));
    }),
  );
});

test("a pseudo-header counts addresses, length and next header (RFC 8200 §8.1)", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ maxLength: 100 }),
      (addresses, payload) => {
        const pseudo = [
          ...addresses,
          0,
          0,
          payload.length >> 8,
          payload.length & 0xff,
          0,
          0,
          0,
          58,
        ];
        assert.equal(
          internetChecksum(
            payload,
            0,
            payload.length,
            pseudoHeaderSum(addresses, 0, payload.length, 58),
          ),
          slow(Uint8Array.from([...pseudo, ...payload])),
        );
      },
    ),
  );
});

test("the IPv4 and UDP checksums of the whole packets among the vectors are right (RFC 768)", () => {
  const packets = AMT_VECTORS.flatMap(({ packet }) => packet ?? []);
  assert.equal(packets.length, 7);
  for (const packet of packets) {
    assert.equal(internetChecksum(packet, 0, 20), 0);
    const pseudoHeader = sumWords(packet, 12, 20, 17 + packet.length - 20);
    assert.equal(internetChecksum(packet, 20, packet.length, pseudoHeader), 0);
  }
});
