import assert from "node:assert/strict";
import { test } from "node:test";
import { AMT_MEMBERSHIP, AMT_REQUEST_FLAGS } from "../../../assembly/layout/amt.ts";
import {
  VERDICT_AMT_LENGTH,
  VERDICT_BAD_MAC,
  VERDICT_ROUTER_ALERT,
} from "../../../assembly/layout/verdict.ts";
import type { Endpoint } from "../../../src/core/address.ts";
import type { AmtRelay, RelayOutput } from "../../../src/protocols/amt/relay.ts";
import { RelayQuirks } from "../../../src/protocols/amt/relay-quirks.ts";
import {
  QueryView,
  RequestView,
  emitDiscovery,
  emitRequest,
  emitTeardown,
} from "../../../src/wire/amt.ts";
import { internetChecksum } from "../../../src/wire/checksum.ts";
import { parseMembershipDatagram } from "../../../src/wire/membership-datagram.ts";
import { writeU16 } from "../../../src/wire/octets.ts";
import {
  G,
  GATEWAY,
  OTHER,
  type Proof,
  S,
  datagram,
  fate,
  given,
  newRelay,
  only,
  proven,
  record,
  report,
} from "./rig.ts";

const HOUR = 3_600_000;
/** What the Linux driver's gateway sends, by P: it knows neither 0x01 nor 0x02. */
const driverRequest = (family: 4 | 6, nonce = 2) =>
  emitRequest(nonce, { family, ecn: false, misplacedP: true });
/** VLC's nine octets. */
const playerRequest = (nonce = 7) =>
  Uint8Array.of(...emitRequest(nonce, { family: 4, ecn: false }), 0);

const DRIVER: Endpoint = { address: "203.0.113.7", port: 2268 };
const AWAY: Endpoint = { address: "203.0.113.7", port: 50_000 };

/** The Query that a Request brings. */
function queried(relay: AmtRelay, request: Uint8Array, from: Endpoint, now = 0): QueryView {
  const [sent] = only(given(relay, datagram(request, from), now), "send");
  assert.ok(sent);
  return new QueryView(sent.octets);
}

function familyOfQuery(query: QueryView): number {
  const inner = parseMembershipDatagram(query.datagram);
  assert.ok(!("drop" in inner));
  return inner.family;
}

const quirksOf = (outs: readonly RelayOutput[]) => only(outs, "quirk").map(({ quirk }) => quirk);
const flagsOf = (query: QueryView) => query.octets[1];

/** The Update as a player sends it: four zeros for Router Alert, and the checksum to match. */
function unalerted(octets: Uint8Array): Uint8Array {
  const changed = octets.slice();
  const inner = changed.subarray(AMT_MEMBERSHIP);
  inner.fill(0, 20, 24);
  writeU16(inner, 10, 0);
  writeU16(inner, 10, internetChecksum(inner, 0, 24));
  return changed;
}

test("P at 0x80 with 0x01 clear asks for MLDv2, unless the quirks are off (RFC 7450 §5.1.3.3)", () => {
  const relay = newRelay();
  const query = queried(relay, driverRequest(6), AWAY);
  assert.equal(familyOfQuery(query), 6);
  assert.equal(query.octets.length, 88);
  assert.deepEqual(quirksOf(given(relay, datagram(driverRequest(6), AWAY), 0)), [
    "misplaced-p",
    "plain-query",
  ]);
  const strict = newRelay({ quirks: false });
  const plain = queried(strict, driverRequest(6), AWAY);
  assert.equal(familyOfQuery(plain), 4);
  assert.deepEqual(plain.gateway, AWAY);
});

test("P at its own place counts whatever stands at 0x80", () => {
  const octets = emitRequest(3, { family: 6, ecn: false });
  octets[AMT_REQUEST_FLAGS]! |= 0x80;
  const query = queried(newRelay(), octets, AWAY);
  assert.equal(familyOfQuery(query), 6);
  assert.deepEqual(query.gateway, AWAY);
});

test("a driver's MAC does not depend on P: either Query serves both families (RFC 7450 §5.3.5)", () => {
  const relay = newRelay();
  assert.deepEqual(
    queried(relay, driverRequest(4), DRIVER).mac,
    queried(relay, driverRequest(6), DRIVER).mac,
  );
});

test("a peer known by its P gets no G in either family, for ten minutes after the last", () => {
  const relay = newRelay();
  assert.deepEqual(queried(relay, driverRequest(4), AWAY).gateway, AWAY);
  queried(relay, driverRequest(6), AWAY);
  const query = queried(relay, driverRequest(4), AWAY, 599_999);
  assert.deepEqual([query.octets.length, flagsOf(query)], [48, 0]);
  assert.deepEqual(queried(relay, driverRequest(4), AWAY, 600_000).gateway, AWAY);
});

test("as long as a driver's tunnel is there it is known as one", () => {
  const relay = newRelay();
  const query = queried(relay, driverRequest(6), AWAY);
  const proof = { mac: query.mac.slice(), nonce: 2 };
  for (let now = 0; now <= HOUR; now += 200_000)
    assert.equal(
      fate(given(relay, datagram(report(proof, record("is-in", G, S)), AWAY), now)),
      "accepted",
    );
  assert.equal(flagsOf(queried(relay, driverRequest(4), AWAY, HOUR)), 0);
});

test("the driver's port is enough to leave out G, until P or E tell otherwise", () => {
  const relay = newRelay();
  assert.equal(flagsOf(queried(relay, driverRequest(4), DRIVER)), 0);
  const conforming = queried(relay, emitRequest(4, { family: 4, ecn: true }), DRIVER);
  assert.deepEqual(conforming.gateway, DRIVER);
  const ipv6 = queried(relay, emitRequest(4, { family: 6, ecn: false }), DRIVER);
  assert.deepEqual(ipv6.gateway, DRIVER);
  const strict = newRelay({ quirks: false });
  assert.deepEqual(queried(strict, driverRequest(4), DRIVER).gateway, DRIVER);
});

test("a conforming peer at an endpoint that was a driver's is told G again", () => {
  const relay = newRelay();
  queried(relay, driverRequest(6), AWAY);
  queried(relay, emitRequest(9, { family: 6, ecn: false }), AWAY);
  assert.deepEqual(queried(relay, driverRequest(4), AWAY).gateway, AWAY);
});

test("a full relay hides L from a recognised driver, not from a presumed one without a tunnel", () => {
  const relay = newRelay({ maxTunnels: 1 });
  const joined = report(proven(relay, 0, { from: DRIVER }), record("allow", G, S));
  assert.equal(fate(given(relay, datagram(joined, DRIVER), 0)), "accepted");
  assert.equal(flagsOf(queried(relay, driverRequest(4), DRIVER)), 0);
  assert.equal(queried(relay, driverRequest(4), OTHER).limit, true);
  assert.equal(queried(relay, driverRequest(4), GATEWAY).limit, true);
  queried(relay, driverRequest(6), GATEWAY);
  assert.equal(flagsOf(queried(relay, driverRequest(4), GATEWAY)), 0);
});

test("no more than 4,096 drivers are remembered, however many Requests are forged", () => {
  const quirks = new RelayQuirks(true, () => undefined);
  const view = new RequestView(driverRequest(6));
  const at = (i: number) => ({ address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 9 });
  for (let i = 0; i < 10_000; i++) quirks.manner(view, at(i), undefined, i);
  assert.equal(quirks.remembered, 4_096);
  assert.equal(quirks.isDriver(at(9_999), 10_000), true);
  assert.equal(quirks.isDriver(at(0), 10_000), false);
});

test("a player's Request of nine octets brings a Query of just 48 (RFC 7450 §5.1.4)", () => {
  const relay = newRelay({ maxTunnels: 0 });
  const outs = given(relay, datagram(playerRequest(), GATEWAY), 0);
  assert.equal(only(outs, "send")[0]?.octets.length, 48);
  assert.deepEqual(quirksOf(outs), ["trailing-octets", "plain-query"]);
});

test("octets behind Discovery, Request and Teardown pass, and not when the quirks are off", () => {
  const messages = [
    Uint8Array.of(...emitDiscovery(1), 0, 0),
    playerRequest(),
    Uint8Array.of(...emitTeardown({ mac: new Uint8Array(6), nonce: 1, gateway: GATEWAY }), 9),
  ];
  const fates = (relay: AmtRelay) =>
    messages.map((octets) => fate(given(relay, datagram(octets), 0)));
  assert.deepEqual(fates(newRelay()), ["accepted", "accepted", VERDICT_BAD_MAC]);
  assert.deepEqual(fates(newRelay({ quirks: false })), Array(3).fill(VERDICT_AMT_LENGTH));
});

test("a player's Updates need no Router Alert, those of others do (RFC 3376 §4)", () => {
  const relay = newRelay();
  const player: Proof = { mac: queried(relay, playerRequest(7), GATEWAY).mac.slice(), nonce: 7 };
  const outs = given(relay, datagram(unalerted(report(player, record("is-in", G, S)))), 0);
  assert.equal(fate(outs), "accepted");
  assert.deepEqual(quirksOf(outs), ["no-router-alert"]);
  assert.equal([...relay.tunnels()].length, 1);
  const other = unalerted(
    report(proven(relay, 0, { from: OTHER, nonce: 7 }), record("is-in", G, S)),
  );
  assert.equal(fate(given(relay, datagram(other, OTHER), 0)), VERDICT_ROUTER_ALERT);
  const stranger = unalerted(report({ ...player, nonce: 8 }, record("is-in", G, S)));
  assert.equal(fate(given(relay, datagram(stranger), 0)), VERDICT_ROUTER_ALERT);
});

test("four octets behind a player's IGMPv3 record change nothing (RFC 3376 §4.2.11)", () => {
  const relay = newRelay();
  const proof: Proof = { mac: queried(relay, playerRequest(7), GATEWAY).mac.slice(), nonce: 7 };
  const octets = Uint8Array.of(...report(proof, record("to-ex", "239.1.1.1")), 0, 0, 0, 0);
  const inner = octets.subarray(AMT_MEMBERSHIP);
  writeU16(inner, 2, inner.length);
  assert.equal(fate(given(relay, datagram(unalerted(octets)), 0)), "accepted");
  assert.deepEqual(
    [...relay.groups()].map(({ group }) => group),
    ["239.1.1.1"],
  );
});

test("a player that never asks again is served past its secret, as long as it repeats itself", () => {
  const relay = newRelay({ secretInterval: HOUR });
  const proof: Proof = { mac: queried(relay, playerRequest(7), GATEWAY).mac.slice(), nonce: 7 };
  const again = unalerted(report(proof, record("is-in", G, S)));
  let old = 0;
  for (let now = 0; now < 5 * HOUR; now += 125_000) {
    const outs = given(relay, datagram(again), now);
    assert.equal(fate(outs), "accepted");
    if (quirksOf(outs).includes("old-proof")) old++;
  }
  assert.ok(old > 0);
  const other = report({ ...proof, nonce: 8 }, record("is-in", G, S));
  assert.equal(fate(given(relay, datagram(other), 5 * HOUR)), VERDICT_BAD_MAC);
  given(relay, { kind: "timeout" }, 6 * HOUR);
  assert.deepEqual([...relay.tunnels()], []);
  assert.equal(fate(given(relay, datagram(again), 6 * HOUR)), VERDICT_ROUTER_ALERT);
});

test("others' old secrets stay old (RFC 7450 §5.3.5)", () => {
  const relay = newRelay({ secretInterval: 200_000 });
  const again = report(proven(relay, 0), record("is-in", G, S));
  assert.equal(fate(given(relay, datagram(again), 0)), "accepted");
  assert.equal(fate(given(relay, datagram(again), 200_000)), "accepted");
  assert.equal(fate(given(relay, datagram(again), 450_000)), VERDICT_BAD_MAC);
});
