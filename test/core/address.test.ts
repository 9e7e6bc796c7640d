import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  canonicalAddress,
  endpointText,
  familyOf,
  formatAddress,
  isLinkScope,
  isMulticast,
  isSourceSpecific,
  parseAddress,
} from "../../src/core/address.ts";

const CANONICAL: readonly [string, string][] = [
  ["2001:0db8::0001", "2001:db8::1"], // leading zeros (§4.1)
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"], // as short as may be (§4.2.1)
  ["2001:db8::0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], // not for one word (§4.2.2)
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"], // the longest run (§4.2.3)
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"], // the first of equal runs (§4.2.3)
  ["2001:DB8::ABCD", "2001:db8::abcd"], // lower case (§4.3)
  ["0:0:0:0:0:0:0:0", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["0:0:1:0:0:0:0:0", "0:0:1::"],
  ["0:1:1:1:1:1:1:0", "0:1:1:1:1:1:1:0"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["192.0.2.1", "192.0.2.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
];
for (const [typed, canonical] of CANONICAL)
  test(`${typed} is written ${canonical} (RFC 5952 §4)`, () => {
    assert.equal(canonicalAddress(typed), canonical);
    assert.equal(canonicalAddress(canonical), canonical);
  });

const WRONG = [
  ..."|:|:::|1|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1:2:3:4:5:6:7:8::|::1::|12345::|g::|1:|:1".split(
    "|",
  ),
  ...":1:2:3:4:5:6:7|1:2:3:4:5:6:7:|::1.2.3|::1.2.3.4.5|::1.2.3.256|1.2.3.4::|fe80::1%eth0".split(
    "|",
  ),
  ..."1.2.3|1.2.3.4.5|256.1.1.1|01.2.3.4|1.2.3.|.1.2.3|1..2.3|1.2.3.4 | 1.2.3.4|1.2.3.a".split("|"),
  ..."0x1.2.3.4|-1.2.3.4|+1.2.3.4|1e1.2.3.4|[::1]|::1/128|1.2.3.4/8|:: 1|::-1|::+1".split("|"),
];
for (const typed of WRONG)
  test(`"${typed}" is no address (RFC 4291 §2.2)`, () => {
    assert.equal(parseAddress(typed), undefined);
    assert.equal(canonicalAddress(typed), undefined);
  });

test("any 4 or 16 octets survive their text, which the platform reads too (RFC 5952 §4)", () => {
  const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  const ipv6 = fc
    .array(word, { minLength: 8, maxLength: 8 })
    .map((words) => Uint8Array.from(words.flatMap((value) => [value >> 8, value & 0xff])));
  const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), (octets) => {
      const family = octets.length === 4 ? 4 : 6;
      const text = formatAddress(octets, 0, family);
      assert.equal(familyOf(text), family);
      assert.equal(isIP(text), family);
      assert.deepEqual(parseAddress(text), octets);
      if (family === 6) assert.equal(new URL(`http://[${text}]/`).hostname, `[${text}]`);
      const shifted = Uint8Array.from([0xa5, 0xa5, 0xa5, ...octets, 0xa5]);
      assert.equal(formatAddress(shifted, 3, family), text);
    }),
    { numRuns: 1000 },
  );
});

test("a text is an address just when the platform says so (RFC 4291 §2.2)", () => {
  const piece = fc.constantFrom("0", "1", "ffff", "10000", "255", "256", ":", "::", ".", "a", "g");
  const text = fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(text, (typed) => {
      assert.equal(parseAddress(typed) !== undefined, isIP(typed) !== 0, typed);
    }),
    { numRuns: 5000 },
  );
});

test("an endpoint is written with its address in brackets if need be (RFC 5952 §6)", () => {
  assert.equal(endpointText({ address: "192.0.2.1", port: 2268 }), "192.0.2.1:2268");
  assert.equal(endpointText({ address: "2001:db8::1", port: 2268 }), "[2001:db8::1]:2268");
});

/** Those of `texts` for which `is` holds. */
function those(is: (octets: Uint8Array) => boolean, ...texts: string[]): string[] {
  return texts.filter((text) => is(parseAddress(text)!));
}

test("multicast is 224.0.0.0/4 and ff00::/8 (RFC 1112 §4, RFC 4291 §2.7)", () => {
  assert.deepEqual(
    those(isMulticast, "223.255.255.255", "224.0.0.0", "239.255.255.255", "240.0.0.0"),
    ["224.0.0.0", "239.255.255.255"],
  );
  assert.deepEqual(those(isMulticast, "feff::", "ff00::", "ffff::", "::ff"), ["ff00::", "ffff::"]);
});

test("link scope is 224.0.0.0/24 and IPv6 scopes 0 to 2 (RFC 5771 §4, RFC 4291 §2.7)", () => {
  assert.deepEqual(those(isLinkScope, "224.0.0.0", "224.0.0.255", "224.0.1.0", "239.0.0.1"), [
    "224.0.0.0",
    "224.0.0.255",
  ]);
  assert.deepEqual(those(isLinkScope, "ff00::1", "ff01::1", "ff32::1", "ff03::1", "ff0e::1"), [
    "ff00::1",
    "ff01::1",
    "ff32::1",
  ]);
});

test("source-specific is 232.0.0.0/8 and ff3x::/32 (RFC 4607 §1)", () => {
  assert.deepEqual(those(isSourceSpecific, "231.0.0.1", "232.0.0.1", "232.255.0.1", "233.0.0.1"), [
    "232.0.0.1",
    "232.255.0.1",
  ]);
  assert.deepEqual(
    those(isSourceSpecific, "ff3e::8000:1", "ff35::1", "ff3e:1::1", "ff3e:20:2001::1", "ff2e::1"),
    ["ff3e::8000:1", "ff35::1"],
  );
});
