import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  AMT_ADVERTISEMENT,
  AMT_DATA,
  AMT_DISCOVERY,
  AMT_QUERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../assembly/layout/amt.ts";
import { VERDICT_AMT_LENGTH } from "../../assembly/layout/verdict.ts";
import { type Drop, verdictName } from "../../src/core/drops.ts";
import * as amt from "../../src/wire/amt.ts";
import { AMT_VECTORS, amtVector } from "../vectors/amt.ts";
import { hex, toHex } from "../vectors/hex.ts";
import { address, endpoint, family, mac, nonce } from "./arbitraries.ts";

const MAC4 = hex("a1b2c3d4e5f6");
const MAC6 = hex("0f1e2d3c4b5a");
const GATEWAY4 = { address: "203.0.113.5", port: 40_123 };
const GATEWAY6 = { address: "2001:db8:6::5", port: 40_123 };

/** The view; a drop fails the test. */
function accepted<View extends object>(result: View | Drop): View {
  if (typeof result === "number") assert.fail(`dropped: ${verdictName(result)}`);
  return result;
}

/** What is read out of a message, written again. */
function again(octets: Uint8Array): Uint8Array {
  switch (amt.amtType(octets)) {
    case AMT_DISCOVERY:
      return amt.emitDiscovery(accepted(amt.parseDiscovery(octets)).nonce);
    case AMT_ADVERTISEMENT: {
      const view = accepted(amt.parseAdvertisement(octets));
      return amt.emitAdvertisement(view.nonce, view.relay);
    }
    case AMT_REQUEST: {
      const view = accepted(amt.parseRequest(octets));
      return amt.emitRequest(view.nonce, view);
    }
    case AMT_QUERY:
      return amt.emitQuery(accepted(amt.parseQuery(octets)));
    case AMT_UPDATE:
      return amt.emitUpdate(accepted(amt.parseUpdate(octets)));
    case AMT_TEARDOWN:
      return amt.emitTeardown(accepted(amt.parseTeardown(octets)));
    case undefined:
    default:
      assert.fail("no control message");
  }
}

for (const vector of AMT_VECTORS.filter(({ octets }) => octets[0] !== AMT_DATA)) {
  test(`${vector.name}: read and written again, the octets are the same (RFC 7450 §5.1)`, () => {
    assert.equal(toHex(again(vector.octets)), toHex(vector.octets));
  });
}

test("a Relay Discovery tells its nonce (RFC 7450 §5.1.1)", () => {
  const view = accepted(amt.parseDiscovery(amtVector("Relay Discovery")));
  assert.equal(view.nonce, 0x1badcafe);
});

test("a Relay Advertisement tells the relay, the family by its length (RFC 7450 §5.1.2)", () => {
  const ipv4 = accepted(amt.parseAdvertisement(amtVector("Relay Advertisement (IPv4)")));
  assert.deepEqual([ipv4.nonce, ipv4.relay], [0x1badcafe, "198.51.100.10"]);
  const ipv6 = accepted(amt.parseAdvertisement(amtVector("Relay Advertisement (IPv6 underlay)")));
  assert.deepEqual([ipv6.nonce, ipv6.relay], [0x1badcafe, "2001:db8:5::10"]);
});

test("P is the last bit of a Request's flags and E the one before (RFC 7450 §5.1.3, RFC 9601)", () => {
  const read = (name: string) => {
    const view = accepted(amt.parseRequest(amtVector(name)));
    return [view.family, view.ecn, view.flags, view.nonce];
  };
  assert.deepEqual(read("Request P=0"), [4, false, 0, 0x5eed0001]);
  assert.deepEqual(read("Request P=1"), [6, false, 1, 0x5eed0006]);
  assert.deepEqual(read("Request P=1 E=1 (RFC 9601)"), [6, true, 3, 0x5eed0006]);
});

test("a Membership Query tells MAC, nonce, limit, gateway and datagram (RFC 7450 §5.1.4)", () => {
  const ipv4 = accepted(amt.parseQuery(amtVector("Membership Query IGMPv3, G=1")));
  assert.deepEqual(ipv4.mac, MAC4);
  assert.equal(ipv4.nonce, 0x5eed0001);
  assert.equal(ipv4.limit, false);
  assert.deepEqual(ipv4.gateway, GATEWAY4);
  assert.equal(ipv4.datagram.length, 36);
  assert.equal(
    toHex(ipv4.gatewayFields!.octets),
    "9cbb000000000000000000000000cb007105",
    "IPv4-compatible, not IPv4-mapped",
  );
  const ipv6 = accepted(
    amt.parseQuery(amtVector("Membership Query MLDv2, G=1 L=1, IPv6 underlay")),
  );
  assert.deepEqual(ipv6.mac, MAC6);
  assert.equal(ipv6.limit, true);
  assert.deepEqual(ipv6.gateway, GATEWAY6);
  assert.equal(ipv6.datagram.length, 76);
});

test("a Query with G clear has no gateway, however long it is (RFC 7450 §5.1.4.5)", () => {
  const octets = amtVector("Membership Query IGMPv3, G=1");
  octets[1] = 0;
  const view = accepted(amt.parseQuery(octets));
  assert.equal(view.gateway, undefined);
  assert.equal(view.gatewayFields, undefined);
  assert.equal(view.datagram.length, 54);
});

test("the gateway fields are the last 18 octets, whatever precedes them (RFC 7450 §5.1.4)", () => {
  const octets = amtVector("Membership Query IGMPv3, G=1");
  const padded = Uint8Array.from([...octets.subarray(0, 48), 0xee, 0xee, ...octets.subarray(48)]);
  assert.deepEqual(accepted(amt.parseQuery(padded)).gateway, GATEWAY4);
});

test("a Membership Update tells MAC, nonce and datagram (RFC 7450 §5.1.5)", () => {
  const view = accepted(amt.parseUpdate(amtVector("Membership Update IGMPv3 ALLOW(S)")));
  assert.deepEqual(view.mac, MAC4);
  assert.equal(view.nonce, 0x5eed0001);
  assert.equal(view.datagram.length, 44);
});

test("Multicast Data tells its datagram (RFC 7450 §5.1.6)", () => {
  const view = accepted(amt.parseMulticastData(amtVector("Multicast Data IPv4 payload")));
  assert.equal(view.datagram.length, 36);
  assert.equal(view.datagram[0], 0x45);
});

test("a Teardown tells the endpoint that it ends (RFC 7450 §5.1.7)", () => {
  const ipv4 = accepted(amt.parseTeardown(amtVector("Teardown (IPv4 endpoint)")));
  assert.deepEqual(ipv4.mac, MAC4);
  assert.equal(ipv4.nonce, 0x5eed0001);
  assert.deepEqual(ipv4.gateway, GATEWAY4);
  const ipv6 = accepted(amt.parseTeardown(amtVector("Teardown (IPv6 endpoint)")));
  assert.deepEqual(ipv6.gateway, GATEWAY6);
});

test("a Teardown can be made of the octets of a Query's gateway fields (RFC 7450 §5.1.7)", () => {
  const query = accepted(amt.parseQuery(amtVector("Membership Query IGMPv3, G=1")));
  const { mac: proof, nonce: number, gatewayFields } = query;
  const octets = amt.emitTeardown({ mac: proof, nonce: number, gateway: gatewayFields! });
  assert.equal(toHex(octets), toHex(amtVector("Teardown (IPv4 endpoint)")));
});

test("a version other than 0, or no octet at all, has no type (RFC 7450 §5.1)", () => {
  assert.equal(amt.amtType(new Uint8Array()), undefined);
  for (let first = 0; first < 256; first++)
    assert.equal(amt.amtType(Uint8Array.of(first)), first < 16 ? first : undefined);
});

test("reserved bits of any message are ignored (RFC 7450 §5.1)", () => {
  const flags: Record<number, number> = { [AMT_REQUEST]: 0x03, [AMT_QUERY]: 0x03 };
  for (const { octets } of AMT_VECTORS.filter((vector) => vector.octets[0] !== AMT_DATA)) {
    const dirty = octets.slice();
    dirty[1]! |= ~(flags[octets[0]!] ?? 0);
    if (octets[0]! <= AMT_REQUEST) dirty.fill(0xff, 2, 4);
    assert.equal(toHex(again(dirty)), toHex(octets));
  }
});

const LEAST: readonly [string, (octets: Uint8Array) => object | Drop, number][] = [
  ["Relay Discovery", amt.parseDiscovery, 8],
  ["Request P=0", amt.parseRequest, 8],
  ["Membership Query IGMPv3, G=0 L=0", amt.parseQuery, 12],
  ["Membership Query IGMPv3, G=1", amt.parseQuery, 30],
  ["Membership Update IGMPv3 ALLOW(S)", amt.parseUpdate, 12],
  ["Multicast Data IPv4 payload", amt.parseMulticastData, 2],
  ["Teardown (IPv4 endpoint)", amt.parseTeardown, 30],
];
for (const [name, parse, least] of LEAST) {
  test(`${name}: ${least} octets are the least, more are read (RFC 7450 §5.1)`, () => {
    const octets = Uint8Array.from([...amtVector(name), ...new Uint8Array(20)]);
    for (let length = 0; length <= octets.length; length++) {
      const result = parse(octets.subarray(0, length));
      if (length < least) assert.equal(result, VERDICT_AMT_LENGTH);
      else assert.equal(typeof result, "object");
    }
  });
}

test("an Advertisement is 12 or 24 octets long and no other length (RFC 7450 §5.1.2.5)", () => {
  const octets = new Uint8Array(40);
  octets[0] = AMT_ADVERTISEMENT;
  for (let length = 0; length <= octets.length; length++) {
    const result = amt.parseAdvertisement(octets.subarray(0, length));
    if (length === 12 || length === 24) assert.equal(typeof result, "object");
    else assert.equal(result, VERDICT_AMT_LENGTH);
  }
});

test("a view sees only its own part of a larger buffer", () => {
  const octets = amtVector("Membership Query IGMPv3, G=1");
  const buffer = new Uint8Array(octets.length + 30).fill(0xa5);
  buffer.set(octets, 13);
  const view = accepted(amt.parseQuery(buffer.subarray(13, 13 + octets.length)));
  assert.deepEqual(view.gateway, GATEWAY4);
  assert.equal(toHex(view.datagram), toHex(octets.subarray(12, 48)));
});

test("the unspecified and the loopback address are IPv6 ones (RFC 7450 §5.1.4)", () => {
  for (const address6 of ["::", "::1", "::ff:1", "::1:0:0", "::ffff:203.0.113.5"]) {
    const gateway = { address: address6, port: 1 };
    const octets = amt.emitTeardown({ mac: MAC4, nonce: 1, gateway });
    const read = accepted(amt.parseTeardown(octets)).gateway;
    assert.equal(toHex(amt.emitTeardown({ mac: MAC4, nonce: 1, gateway: read })), toHex(octets));
    assert.ok(read.address.includes(":"));
  }
});

test("any gateway fields, read and written, are the same 18 octets (RFC 7450 §5.1.7)", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 18, maxLength: 18 }), fc.boolean(), (fields, short) => {
      if (short) fields.fill(0, 2, 14);
      const octets = Uint8Array.from([7, 0, ...MAC4, 0, 0, 0, 1, ...fields]);
      assert.equal(toHex(again(octets)), toHex(octets));
    }),
  );
});

test("what is emitted is what is read (RFC 7450 §5.1)", () => {
  const datagram = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(nonce, fc.oneof(address(4), address(6)), family, fc.boolean(), (n, relay, p, e) => {
      assert.equal(accepted(amt.parseDiscovery(amt.emitDiscovery(n))).nonce, n);
      const advertisement = accepted(amt.parseAdvertisement(amt.emitAdvertisement(n, relay)));
      assert.deepEqual([advertisement.nonce, advertisement.relay], [n, relay]);
      const request = accepted(amt.parseRequest(amt.emitRequest(n, { family: p, ecn: e })));
      assert.deepEqual([request.nonce, request.family, request.ecn], [n, p, e]);
    }),
  );
  fc.assert(
    fc.property(
      mac,
      nonce,
      fc.boolean(),
      fc.option(endpoint, { nil: undefined }),
      datagram,
      (proof, n, limit, gateway, inner) => {
        const query = accepted(
          amt.parseQuery(amt.emitQuery({ mac: proof, nonce: n, limit, gateway, datagram: inner })),
        );
        assert.deepEqual(
          [query.mac, query.nonce, query.limit, query.gateway, query.datagram],
          [proof, n, limit, gateway, inner],
        );
        const update = accepted(
          amt.parseUpdate(amt.emitUpdate({ mac: proof, nonce: n, datagram: inner })),
        );
        assert.deepEqual([update.mac, update.nonce, update.datagram], [proof, n, inner]);
        if (!gateway) return;
        const teardown = accepted(
          amt.parseTeardown(amt.emitTeardown({ mac: proof, nonce: n, gateway })),
        );
        assert.deepEqual([teardown.mac, teardown.nonce, teardown.gateway], [proof, n, gateway]);
      },
    ),
  );
});
