import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Endpoint } from "../../../src/core/address.ts";
import {
  ECN,
  PLAIN,
  PLAYER,
  RESPONSE_MAC_LENGTH,
  ResponseMac,
} from "../../../src/protocols/amt/response-mac.ts";
import { OwnSecrets } from "../../../src/protocols/amt/secrets.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { GATEWAY } from "./rig.ts";

const HOUR = 3_600_000;
const newMac = (seed = 1) =>
  new ResponseMac(new OwnSecrets(seededEntropy(seed), 2 * HOUR, 250_000));

function signed(mac: ResponseMac, gateway: Endpoint, nonce: number, traits = PLAIN, now = 0) {
  const octets = new Uint8Array(RESPONSE_MAC_LENGTH);
  mac.sign(octets, gateway, nonce, traits, now);
  return octets;
}

test("a MAC verifies and tells the E flag it was made for (RFC 9601 §4)", () => {
  const mac = newMac();
  const plain = signed(mac, GATEWAY, 7);
  const ecn = signed(mac, GATEWAY, 7, ECN);
  assert.notDeepEqual(plain, ecn);
  assert.equal(mac.verify(plain, GATEWAY, 7, 1)?.ecn, false);
  assert.equal(mac.verify(ecn, GATEWAY, 7, 1)?.ecn, true);
});

test("a MAC holds for its address, port and nonce only, and for no other secret (RFC 7450 §5.3.5)", () => {
  const mac = newMac();
  const octets = signed(mac, GATEWAY, 7);
  assert.equal(mac.verify(octets, { ...GATEWAY, address: "203.0.113.6" }, 7, 1), undefined);
  assert.equal(mac.verify(octets, { ...GATEWAY, port: 40_124 }, 7, 1), undefined);
  assert.equal(mac.verify(octets, GATEWAY, 8, 1), undefined);
  assert.equal(newMac(2).verify(octets, GATEWAY, 7, 1), undefined);
});

test("a MAC that differs in any one bit does not verify", () => {
  const mac = newMac();
  const octets = signed(mac, GATEWAY, 7);
  for (let bit = 0; bit < 8 * RESPONSE_MAC_LENGTH; bit++) {
    const other = octets.slice();
    other[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(mac.verify(other, GATEWAY, 7, 1), undefined);
  }
});

test("an IPv4 address and the IPv6 address of the same octets have different MACs", () => {
  const mac = newMac();
  const ipv6 = { address: "cb00:7105::", port: GATEWAY.port };
  assert.notDeepEqual(signed(mac, GATEWAY, 7), signed(mac, ipv6, 7));
});

test("any endpoint and nonce verify", () => {
  const mac = newMac();
  const address = fc.oneof(fc.constant("203.0.113.5"), fc.constant("2001:db8::1"));
  fc.assert(
    fc.property(
      address,
      fc.nat(0xffff),
      fc.nat(0xffffffff),
      fc.constantFrom(PLAIN, ECN, PLAYER),
      (a, port, nonce, traits) => {
        const gateway = { address: a, port };
        const octets = signed(mac, gateway, nonce, traits);
        assert.deepEqual(mac.verify(octets, gateway, nonce, 1), traits);
      },
    ),
  );
});

test("after the secret changes the old MAC holds for the time of grace (RFC 7450 §5.3.5)", () => {
  const mac = newMac();
  const octets = signed(mac, GATEWAY, 7, PLAIN, 0);
  assert.ok(mac.verify(octets, GATEWAY, 7, 2 * HOUR - 1));
  assert.ok(mac.verify(octets, GATEWAY, 7, 2 * HOUR));
  assert.ok(mac.verify(octets, GATEWAY, 7, 2 * HOUR + 249_999));
  assert.equal(mac.verify(octets, GATEWAY, 7, 2 * HOUR + 250_000), undefined);
  assert.notDeepEqual(signed(mac, GATEWAY, 7, PLAIN, 2 * HOUR + 250_000), octets);
});

test("a secret that lay idle for several intervals is not taken up again", () => {
  const mac = newMac();
  const octets = signed(mac, GATEWAY, 7, PLAIN, 0);
  assert.equal(mac.verify(octets, GATEWAY, 7, 4 * HOUR + 1), undefined);
});
