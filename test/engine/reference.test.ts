import assert from "node:assert/strict";
import { test } from "node:test";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { testEngine } from "./equivalence.ts";
import { oracleChecksum } from "./oracle.ts";

testEngine("reference", createReferenceEngine());

test("the oracle agrees with the worked example (RFC 1071 §3)", () => {
  const octets = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(oracleChecksum(octets), 0xffff - 0xddf2);
});
