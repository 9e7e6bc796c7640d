/** Whole exchanges, octet by octet: 203.0.113.5:40123 asks 198.51.100.10 for (192.0.2.44, 232.1.2.3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE } from "../../../assembly/layout/amt.ts";
import { AmtGateway } from "../../../src/protocols/amt/gateway.ts";
import {
  ANYCAST,
  G,
  GATEWAY,
  RELAY,
  S,
  datagram,
  drained,
  given,
  hex,
  include,
  newRelay,
  only,
} from "./rig.ts";

const DISCOVERY = hex("01000000 1badcafe");
const ADVERTISEMENT = hex("02000000 1badcafe c633640a");
const REQUEST = hex("03000000 5eed0001");
const QUERY = hex(
  `0401 a1b2c3d4e5f6 5eed0001
   46c00024 00004000 01020413 00000000 e0000001 94040000
   1101ec81 00000000 027d0000
   9cbb 000000000000000000000000 cb007105`,
);
const UPDATE = hex(
  `0500 a1b2c3d4e5f6 5eed0001
   46c0002c 00004000 010203f6 00000000 e0000016 94040000
   22002ccc 00000001 05000001 e8010203 c000022c`,
);
const TEARDOWN = hex(`0700 a1b2c3d4e5f6 5eed0001 9cbb 000000000000000000000000 cb007105`);

const text = (octets: Uint8Array) => Buffer.from(octets).toString("hex");

test("a gateway's discovery, request, update and teardown (RFC 7450 §5.1)", () => {
  const numbers = [0x1badcafe, 0x5eed0001];
  const gateway = new AmtGateway({
    discovery: ANYCAST,
    entropy: { u32: () => numbers.shift() ?? 0, fraction: () => 0.5 },
  });
  const sent: string[] = [];
  const say = (input: Parameters<typeof gateway.handle>[0], now: number) => {
    gateway.handle(input, now);
    sent.push(...only(drained(gateway), "send").map(({ octets }) => text(octets)));
  };
  say({ kind: "start" }, 0);
  say({ kind: "datagram", octets: ADVERTISEMENT, from: ANYCAST }, 10);
  say({ kind: "datagram", octets: QUERY, from: RELAY }, 20);
  say({ kind: "membership", group: G, filter: include(S) }, 30);
  assert.deepEqual(sent, [DISCOVERY, REQUEST, UPDATE].map(text));
  say({ kind: "timeout" }, 5_000);
  sent.length = 0;
  say({ kind: "stop" }, 6_000);
  say({ kind: "timeout" }, 9_000);
  assert.equal(sent.at(-1), text(TEARDOWN));
});

test("a relay's advertisement and query, but for its own MAC (RFC 7450 §5.1)", () => {
  const relay = newRelay();
  const [advertisement] = only(given(relay, datagram(DISCOVERY, GATEWAY, ANYCAST), 0), "send");
  assert.equal(text(advertisement!.octets), text(ADVERTISEMENT));
  const [query] = only(given(relay, datagram(REQUEST), 0), "send");
  const octets = query!.octets.slice();
  const mac = octets.slice(AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE);
  octets.set(QUERY.subarray(AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE), AMT_RESPONSE_MAC);
  assert.equal(text(octets), text(QUERY));

  // With its MAC the relay takes the Update and the Teardown.
  const proven = (message: Uint8Array) => {
    const copy = message.slice();
    copy.set(mac, AMT_RESPONSE_MAC);
    return datagram(copy);
  };
  assert.equal(only(given(relay, proven(UPDATE), 0), "tunnel-up").length, 1);
  assert.equal(only(given(relay, proven(TEARDOWN), 0), "tunnel-down").length, 1);
});

test("an advertisement to an IPv6 gateway (RFC 7450 §5.1.2)", () => {
  const relay = newRelay({ relayAddresses: [RELAY.address, "2001:db8:5::10"] });
  const from = { address: "2001:db8:6::5", port: 40_123 };
  const to = { address: "2001:3::1", port: 2268 };
  const [sent] = only(given(relay, datagram(DISCOVERY, from, to), 0), "send");
  assert.equal(
    text(sent!.octets),
    text(hex("02000000 1badcafe 20010db8 00050000 00000000 00000010")),
  );
});
