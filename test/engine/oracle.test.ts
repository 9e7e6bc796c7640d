import assert from "node:assert/strict";
import { test } from "node:test";
import { oracleChecksum, oracleCrc32c } from "./oracle.ts";

test("the slow checksum gives the worked example's complement (RFC 1071 §3)", () => {
  const octets = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(oracleChecksum(octets), 0xffff - 0xddf2);
});

test("the slow CRC32c gives the published values (RFC 3720 appendix B.4)", () => {
  assert.equal(oracleCrc32c(new Uint8Array(32)), 0x8a91_36aa);
  assert.equal(oracleCrc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd_794e);
});
