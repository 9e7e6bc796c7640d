import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hopByHopAlerts, ipv4Alerts } from "../../src/wire/router-alert.ts";
import { hex } from "../vectors/hex.ts";

function ipv4(options: string): boolean {
  const octets = hex(options);
  return ipv4Alerts(octets, 0, octets.length);
}

/** `options` follow a next header and a length, which nobody looks at here. */
function ipv6(options: string): boolean {
  const octets = hex(`3a00${options}`);
  return hopByHopAlerts(octets, 0, octets.length);
}

test("IPv4 Router Alert is option 148 of 4 octets and value 0 (RFC 2113 §2.1)", () => {
  assert.ok(ipv4("94040000"));
  assert.ok(ipv4("01010194040000"));
  assert.ok(ipv4("830711223344559404000000"));
  for (const options of ["", "94", "9404", "940400", "94040100", "94030000", "14040000"])
    assert.ok(!ipv4(options), options);
});

test("an IPv4 option of impossible length ends the search (RFC 791 §3.1)", () => {
  for (const options of ["830094040000", "830194040000", "83ff94040000", "83"])
    assert.ok(!ipv4(options), options);
});

test("nothing counts behind the end of the option list (RFC 791 §3.1)", () => {
  assert.ok(!ipv4("0094040000"));
});

test("IPv6 Router Alert is option 5 of value 0 (RFC 2711 §2.1)", () => {
  assert.ok(ipv6("050200000100"));
  assert.ok(ipv6("000005020000"));
  assert.ok(ipv6("3e03aabbcc0005020000"));
  for (const options of ["", "05", "0502", "050200", "050200010100", "0503000000", "0100"])
    assert.ok(!ipv6(options), options);
});

test("an IPv6 option that runs past the header ends the search (RFC 8200 §4.2)", () => {
  for (const options of ["3eff05020000", "3e", "3e05aabbccdd"]) assert.ok(!ipv6(options), options);
});

test("an alert cut by the end of its header is none, whatever follows (RFC 8200 §4.2)", () => {
  const ipv4Octets = hex("94040000");
  const ipv6Octets = hex("3a0005020000");
  for (let cut = 1; cut <= 3; cut++) {
    assert.ok(!ipv4Alerts(ipv4Octets, 0, 4 - cut));
    assert.ok(!hopByHopAlerts(ipv6Octets, 0, 6 - cut));
  }
});

test("both walks end on any octets and read none outside (RFC 791 §3.1, RFC 8200 §4.2)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(64), fc.nat(64), (octets, a, b) => {
      const start = Math.min(a, octets.length);
      const end = Math.max(start, Math.min(b, octets.length));
      const other = octets.slice();
      other.fill(0xa5, 0, start);
      other.fill(0xa5, end);
      assert.equal(ipv4Alerts(octets, start, end), ipv4Alerts(other, start, end));
      assert.equal(hopByHopAlerts(octets, start, end), hopByHopAlerts(other, start, end));
    }),
    { numRuns: 1000 },
  );
});
