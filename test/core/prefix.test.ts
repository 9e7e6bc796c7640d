import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../../src/core/address.ts";
import { PrefixList, canonicalPrefix } from "../../src/core/prefix.ts";

test("a prefix is an address and a length with no bits behind it, an address is its own prefix", () => {
  assert.equal(canonicalPrefix("232.0.0.0/8"), "232.0.0.0/8");
  assert.equal(canonicalPrefix("2001:DB8:0::/32"), "2001:db8::/32");
  assert.equal(canonicalPrefix("192.0.2.9"), "192.0.2.9/32");
  assert.equal(canonicalPrefix("::1"), "::1/128");
  assert.equal(canonicalPrefix("0.0.0.0/0"), "0.0.0.0/0");
  for (const text of ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/", "x/8", "", "::/129"])
    assert.equal(canonicalPrefix(text), undefined, text);
});

test("a list covers what one of its prefixes covers, in its family only", () => {
  const list = new PrefixList(["10.0.0.0/8", "192.0.2.128/25", "2001:db8::/33"]);
  for (const address of ["10.255.0.1", "192.0.2.200", "2001:db8:7fff::1"])
    assert.equal(list.has(address), true, address);
  for (const address of ["11.0.0.0", "192.0.2.127", "2001:db8:8000::1", "a00::"])
    assert.equal(list.has(address), false, address);
  assert.equal(new PrefixList([]).has("10.0.0.1"), false);
  assert.equal(new PrefixList(["0.0.0.0/0"]).has("::"), false);
});

test("a prefix of any length covers just the addresses that share its bits", () => {
  const octets = fc.uint8Array({ minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(octets, octets, fc.nat(32), (base, other, length) => {
      const bits = (address: Uint8Array) =>
        Array.from(address, (octet) => octet.toString(2).padStart(8, "0"))
          .join("")
          .slice(0, length);
      const masked = base.map(
        (octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))),
      );
      const list = new PrefixList([`${formatAddress(masked, 0, 4)}/${length}`]);
      assert.equal(list.size, 1);
      assert.equal(list.has(formatAddress(other, 0, 4)), bits(base) === bits(other));
    }),
  );
});
