import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../../../src/core/address.ts";
import {
  emitRelayRecord,
  parseRelayRecord,
  reverseName,
  type RelayRecord,
} from "../../../src/protocols/driad/record.ts";
import { hex, toHex } from "../../vectors/hex.ts";

/** As an authoritative server writes them: text form, RDATA, meaning. */
const VECTORS: readonly (readonly [string, string, RelayRecord])[] = [
  [
    "10 0 1 203.0.113.15",
    "0a01cb00710f",
    {
      precedence: 10,
      discoveryOptional: false,
      relay: { kind: "address", address: "203.0.113.15" },
    },
  ],
  [
    "10 0 2 2001:db8::15",
    "0a0220010db8000000000000000000000015",
    {
      precedence: 10,
      discoveryOptional: false,
      relay: { kind: "address", address: "2001:db8::15" },
    },
  ],
  [
    "128 1 3 amtrelays.example.com.",
    "808309616d7472656c617973076578616d706c6503636f6d00",
    {
      precedence: 128,
      discoveryOptional: true,
      relay: { kind: "name", name: "amtrelays.example.com" },
    },
  ],
  ["0 0 0 .", "0000", { precedence: 0, discoveryOptional: false, relay: { kind: "none" } }],
];

for (const [text, octets, record] of VECTORS)
  test(`a record is read and written as ${text} (RFC 8777 §4.2)`, () => {
    assert.deepEqual(parseRelayRecord(hex(octets)), record);
    assert.equal(toHex(emitRelayRecord(record)), octets);
  });

test("a record whose length is not that of its type is skipped (RFC 8777 §4.2)", () => {
  for (const octets of [
    "",
    "0a",
    "000000",
    "0a01cb0071",
    "0a01cb00710f00",
    "0a02cb00710f",
    "0a03",
    "0a0300",
    "0a0301610000",
    "0a030161",
    "0a030561",
    "0a03c00c",
  ])
    assert.equal(parseRelayRecord(hex(octets)), undefined, octets);
});

test("a record of an unknown type is skipped (RFC 8777 §4.2.3)", () => {
  for (let type = 4; type < 128; type++)
    assert.equal(parseRelayRecord(Uint8Array.of(1, type, 1, 97, 0)), undefined);
});

test("a relay's name that text cannot carry is skipped", () => {
  for (const octet of [0x00, 0x20, 0x2e, 0x5c, 0x7f, 0xff])
    assert.equal(parseRelayRecord(Uint8Array.of(1, 3, 1, octet, 0)), undefined);
  const long = Array.from({ length: 5 }, () => [63, ...Array(63).fill(97)]).flat();
  assert.equal(parseRelayRecord(Uint8Array.from([1, 3, ...long, 0])), undefined);
});

test("any octets give a record or nothing, and a record is written as it was read", () => {
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 0x80, 0x81, 0x82, 0x83), fc.uint8Array())
      .map(([precedence, type, rest]) => Uint8Array.from([precedence, type, ...rest])),
  );
  fc.assert(
    fc.property(octets, (rdata) => {
      const record = parseRelayRecord(rdata);
      if (record !== undefined) assert.deepEqual(emitRelayRecord(record), rdata);
    }),
  );
});

test("records stand under the reverse name of the source, of either family (RFC 8777 §2.6)", () => {
  assert.equal(reverseName("198.51.100.12"), "12.100.51.198.in-addr.arpa");
  assert.equal(
    reverseName("2001:db8::a"),
    "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (octets) => {
      const nibbles = reverseName(formatAddress(octets, 0, 6))
        .split(".")
        .slice(0, 32);
      assert.equal(nibbles.reverse().join(""), toHex(octets));
    }),
  );
});
