import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_BAD_ADDRESS,
  VERDICT_HELD_DOWN,
  VERDICT_STALE_NONCE,
  VERDICT_UNEXPECTED,
  VERDICT_WRONG_PEER,
} from "../../../assembly/layout/verdict.ts";
import { ConfigError } from "../../../src/core/errors.ts";
import { AmtGateway, type GatewayInput } from "../../../src/protocols/amt/gateway.ts";
import { emitAdvertisement } from "../../../src/wire/amt.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { connected, next, query, recordsOf, said, saidOf } from "./gateway-rig.ts";
import {
  ANYCAST,
  G,
  G6,
  GATEWAY,
  NOTHING,
  RELAY,
  S,
  S6,
  drive,
  fate,
  given,
  include,
  newGateway,
  only,
} from "./rig.ts";

const START = { kind: "start" } as const;
const SECOND = { address: "198.51.100.20", port: 2268 };
const MOVED = { address: "203.0.113.99", port: 50_000 };
const want = (group = G, filter = include(S)): GatewayInput => ({
  kind: "membership",
  group,
  filter,
});
const advertisement = (nonce: number, relay: string, from = ANYCAST): GatewayInput => ({
  kind: "datagram",
  octets: emitAdvertisement(nonce, relay),
  from,
});

/** A discovering gateway that wants S of G, and the nonce of its Discovery. */
function discovering() {
  const gateway = newGateway({ discovery: ANYCAST });
  given(gateway, want(), 0);
  const outs = given(gateway, START, 0);
  const [discovery] = saidOf(outs, "discovery");
  return { gateway, nonce: discovery!.nonce, outs };
}

/** A gateway that found RELAY and joined there with QRV `robustness`. */
function found(robustness = 1) {
  const { gateway, nonce } = discovering();
  const [request] = saidOf(given(gateway, advertisement(nonce, RELAY.address), 0), "request");
  given(gateway, query(request!.nonce, { robustness }), 0);
  return gateway;
}

test("a gateway must be told a relay or where to discover one", () => {
  assert.throws(() => new AmtGateway({ entropy: seededEntropy(1) }), ConfigError);
});

test("discovery asks the given address, with a nonce that is not zero (RFC 7450 §5.2.3.4)", () => {
  const { outs } = discovering();
  const sayings = said(outs);
  assert.equal(sayings.length, 1);
  assert.deepEqual([sayings[0]?.say, sayings[0]?.to], ["discovery", ANYCAST]);
  assert.notEqual(sayings[0]?.nonce, 0);
  assert.deepEqual(
    only(outs, "state").map(({ state }) => state),
    ["discovering"],
  );
});

test("an unanswered Discovery is repeated with its nonce, ever more slowly (RFC 7450 §5.2.3.4)", () => {
  const { gateway, nonce } = discovering();
  const repeats = drive(gateway, 600_000).flatMap(({ at, out }) =>
    saidOf([out], "discovery").map((one) => ({ at, nonce: one.nonce })),
  );
  assert.ok(repeats.length >= 6);
  for (const [n, { at, nonce: same }] of repeats.entries()) {
    assert.equal(same, nonce);
    const wait = at - (repeats[n - 1]?.at ?? 0);
    assert.ok(wait >= 1_000 && wait <= Math.min(1_000 * 2 ** n, 120_000), `${n}: ${wait}`);
  }
});

test("the advertised relay is asked next (RFC 7450 §5.2.3.4)", () => {
  const { gateway, nonce } = discovering();
  const outs = given(gateway, advertisement(nonce, RELAY.address), 100);
  assert.deepEqual(only(outs, "relay"), [{ kind: "relay", endpoint: RELAY }]);
  assert.deepEqual(
    saidOf(outs, "request").map(({ to }) => to),
    [RELAY],
  );
  assert.equal(fate(outs), "accepted");
});

test("only the awaited Advertisement counts (RFC 7450 §5.2.3.4)", () => {
  const { gateway, nonce } = discovering();
  const fateOf = (input: GatewayInput) => fate(given(gateway, input, 1));
  assert.equal(fateOf(advertisement(nonce ^ 1, RELAY.address)), VERDICT_STALE_NONCE);
  assert.equal(fateOf(advertisement(nonce, RELAY.address, RELAY)), VERDICT_WRONG_PEER);
  assert.equal(
    fateOf(advertisement(nonce, RELAY.address, { ...ANYCAST, port: 9 })),
    VERDICT_WRONG_PEER,
  );
  for (const address of [
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "2001:db8::1",
    "0.1.2.3",
  ])
    assert.equal(fateOf(advertisement(nonce, address)), VERDICT_BAD_ADDRESS, address);
  assert.equal(fateOf(advertisement(nonce, RELAY.address)), "accepted");
  assert.equal(fateOf(advertisement(nonce, RELAY.address)), VERDICT_UNEXPECTED);
});

test("an advertised IPv6 relay must be one that any host can reach", () => {
  const asked = { address: "2001:3::1", port: 2268 };
  const gateway = newGateway({ discovery: asked });
  const [discovery] = saidOf(given(gateway, START, 0), "discovery");
  const fateOf = (relay: string) =>
    fate(given(gateway, advertisement(discovery!.nonce, relay, asked), 1));
  for (const address of ["::", "::1", "ff3e::1", "fe80::1", "::ffff:192.0.2.1", "192.0.2.1"])
    assert.equal(fateOf(address), VERDICT_BAD_ADDRESS, address);
  assert.equal(fateOf("2001:db8::1"), "accepted");
});

test("a relay on loopback is taken if discovery asked on loopback", () => {
  const asked = { address: "127.0.0.1", port: 2268 };
  const gateway = newGateway({ discovery: asked });
  const [discovery] = saidOf(given(gateway, START, 0), "discovery");
  const outs = given(gateway, advertisement(discovery!.nonce, "127.0.0.2", asked), 0);
  assert.equal(fate(outs), "accepted");
});

test("a relay that does not answer is lost after four Requests, another is looked for", () => {
  const { gateway, nonce } = discovering();
  given(gateway, advertisement(nonce, RELAY.address), 0);
  let requests = 1;
  const outs = drive(gateway, 15_000).map(({ out }) => out);
  requests += saidOf(outs, "request").length;
  assert.equal(requests, 5);
  const [again] = saidOf(outs, "discovery");
  assert.notEqual(again?.nonce, nonce);
});

test("a new relay after the loss of one: Teardown to the old, all said to the new (RFC 7450 §5.2.3.7)", () => {
  const gateway = found();
  const { first: discovery, at } = next(gateway, "discovery");
  assert.ok(at > 125_000 && at < 145_000);
  const outs = given(gateway, advertisement(discovery.nonce, SECOND.address), at);
  const [teardown] = saidOf(outs, "teardown");
  assert.deepEqual(
    [teardown?.to, teardown?.gateway, teardown?.mac],
    [RELAY, GATEWAY, "a1a1a1a1a1a1"],
  );
  assert.deepEqual(only(outs, "relay"), [{ kind: "relay", endpoint: SECOND }]);
  const [request] = saidOf(outs, "request");
  assert.deepEqual(request?.to, SECOND);
  const answered = given(gateway, query(request!.nonce, { mac: 0xc3, from: SECOND }), at);
  assert.deepEqual(recordsOf(answered), [`is-in ${G} ${S}`]);
  assert.deepEqual(saidOf(answered, "update")[0]?.to, SECOND);
});

test("the same relay found again gets no Teardown", () => {
  const gateway = found();
  const { first: discovery, at } = next(gateway, "discovery");
  const outs = given(gateway, advertisement(discovery.nonce, RELAY.address), at);
  assert.deepEqual(saidOf(outs, "teardown"), []);
  assert.deepEqual(only(outs, "relay"), []);
  assert.equal(saidOf(outs, "request").length, 1);
});

test("a relay that answers one family is not lost for not answering the other", () => {
  const gateway = found();
  given(gateway, want(G6, include(S6)), 1_000);
  const requests = { 4: 0, 6: 0 };
  for (let at = gateway.deadline()!; at < 120_000; at = gateway.deadline()!) {
    const outs = given(gateway, { kind: "timeout" }, at);
    assert.deepEqual(saidOf(outs, "discovery"), []);
    for (const { family, nonce } of saidOf(outs, "request")) {
      requests[family]++;
      if (family === 4) given(gateway, query(nonce), at);
    }
  }
  assert.ok(requests[6] > 4);
  assert.ok(requests[4] < requests[6]);
});

test("L sends a gateway that holds nothing there elsewhere, for ten minutes (RFC 7450 §5.1.4.4)", () => {
  const { gateway, nonce } = discovering();
  const [request] = saidOf(given(gateway, advertisement(nonce, RELAY.address), 0), "request");
  const refused = given(gateway, query(request!.nonce, { limit: true }), 0);
  assert.deepEqual(saidOf(refused, "update"), []);
  const [again] = saidOf(refused, "discovery");
  assert.ok(again);
  const held = given(gateway, advertisement(again.nonce, RELAY.address), 599_999);
  assert.equal(fate(held), VERDICT_HELD_DOWN);
  assert.equal(
    fate(given(gateway, advertisement(again.nonce, RELAY.address), 600_000)),
    "accepted",
  );
});

test("L with a configured relay: nothing is reported, the Request is repeated until there is room", () => {
  const gateway = newGateway();
  given(gateway, want(), 0);
  const refused = connected(gateway, 0, { limit: true });
  assert.deepEqual(said(refused), []);
  const { first, at } = next(gateway, "request");
  assert.ok(at <= 2_000);
  assert.deepEqual(recordsOf(given(gateway, query(first.nonce), at)), [`is-in ${G} ${S}`]);
});

test("L does not stop a gateway that holds a tunnel there (RFC 7450 §5.1.4.4)", () => {
  const gateway = found();
  const { first, at } = next(gateway, "request");
  const outs = given(gateway, query(first.nonce, { limit: true }), at);
  assert.deepEqual(recordsOf(outs), [`is-in ${G} ${S}`]);
  assert.deepEqual(saidOf(outs, "discovery"), []);
});

test("a changed address: Teardown with the old Query's values, then Updates with the new (RFC 7450 §5.2.3.7)", () => {
  const gateway = found(2);
  drive(gateway, 5_000);
  const { first, at } = next(gateway, "request");
  const outs = given(gateway, query(first.nonce, { mac: 0xc3, gateway: MOVED }), at);
  assert.deepEqual(
    said(outs).map((one) => [one.say, one.say !== "discovery" && "mac" in one ? one.mac : ""]),
    [
      ["teardown", "a1a1a1a1a1a1"],
      ["update", "c3c3c3c3c3c3"],
    ],
  );
  const [teardown] = saidOf(outs, "teardown");
  assert.deepEqual([teardown?.gateway, teardown?.to], [GATEWAY, RELAY]);
  assert.notEqual(teardown?.nonce, first.nonce);
  const later = drive(gateway, at + 5_000).map(({ out }) => out);
  assert.deepEqual(saidOf(later, "teardown"), [teardown]);
});

test("an address that is ours again is torn down no more, though that was to be repeated", () => {
  const gateway = found(7);
  drive(gateway, 10_000);
  const { first, at } = next(gateway, "request");
  const moved = given(gateway, query(first.nonce, { robustness: 7, gateway: MOVED }), at);
  assert.deepEqual(saidOf(moved, "teardown")[0]?.gateway, GATEWAY);
  given(gateway, { kind: "rebound" }, at + 1_500);
  const again = next(gateway, "request");
  const back = given(gateway, query(again.first.nonce, { robustness: 7 }), again.at);
  const named = [...back, ...drive(gateway, again.at + 20_000).map(({ out }) => out)];
  assert.deepEqual(
    saidOf(named, "teardown").map((one) => one.gateway),
    Array(7).fill(MOVED),
  );
});

test("a changed port is a changed address, an unchanged one is not", () => {
  const gateway = found();
  const { first, at } = next(gateway, "request");
  const same = given(gateway, query(first.nonce), at);
  assert.deepEqual(saidOf(same, "teardown"), []);
  const again = next(gateway, "request");
  const port = { ...GATEWAY, port: 1 };
  const outs = given(gateway, query(again.first.nonce, { gateway: port }), again.at);
  assert.equal(saidOf(outs, "teardown").length, 1);
});

test("no Teardown without G, without a report, or when switched off (RFC 7450 §5.2.3.7)", () => {
  const withoutG = newGateway();
  given(withoutG, want(), 0);
  connected(withoutG, 0, { gateway: null });
  const unreported = newGateway();
  given(unreported, want(), 0);
  connected(unreported, 0, { limit: true });
  const off = newGateway({ teardown: false });
  given(off, want(), 0);
  connected(off, 0, { robustness: 1 });
  for (const gateway of [withoutG, unreported, off]) {
    const { first, at } = next(gateway, "request");
    const outs = given(gateway, query(first.nonce, { gateway: MOVED }), at);
    assert.deepEqual(saidOf(outs, "teardown"), []);
  }
});

test("when one family sees the address change the other follows, and one Teardown does for both", () => {
  const gateway = newGateway();
  given(gateway, want(), 0);
  given(gateway, want(G6, include(S6)), 0);
  const [v4, v6] = saidOf(given(gateway, START, 0), "request");
  given(gateway, query(v4!.nonce, { robustness: 1 }), 0);
  given(gateway, query(v6!.nonce, { robustness: 1, family: 6 }), 60_000);
  const { first, at } = next(gateway, "request");
  assert.deepEqual([first.family, at], [4, 125_000]);
  const moved = given(gateway, query(first.nonce, { robustness: 1, gateway: MOVED }), at);
  assert.equal(saidOf(moved, "teardown").length, 1);
  const other = next(gateway, "request");
  assert.deepEqual([other.first.family, other.at], [6, at]);
  const outs = given(gateway, query(other.first.nonce, { family: 6, gateway: MOVED }), other.at);
  assert.deepEqual(saidOf(outs, "teardown"), []);
  assert.deepEqual(recordsOf(outs), [`is-in ${G6} ${S6}`]);
});

test("stopping leaves all groups, QRV times, then tears down and is done (RFC 7450 §5.2.3)", () => {
  const gateway = found(2);
  drive(gateway, 10_000);
  const stop = given(gateway, { kind: "stop" }, 10_000);
  assert.deepEqual(recordsOf(stop), [`block ${G} ${S}`]);
  assert.deepEqual(only(stop, "stopped"), []);
  const rest = drive(gateway, 20_000).map(({ out }) => out);
  assert.deepEqual(
    said(rest).map(({ say }) => say),
    ["update", "teardown"],
  );
  assert.deepEqual(recordsOf(rest), [`block ${G} ${S}`]);
  assert.deepEqual(
    rest.slice(-3).map((out) => (out.kind === "state" ? out.state : out.kind)),
    ["relay", "stopped", "stopped"],
  );
  assert.equal(gateway.deadline(), undefined);
  assert.deepEqual(given(gateway, want(), 30_000), []);
  assert.deepEqual(given(gateway, { kind: "timeout" }, 30_000), []);
  assert.equal(fate(given(gateway, query(1), 30_000)), VERDICT_UNEXPECTED);
});

test("stopping leaves many groups in one Update", () => {
  const gateway = newGateway();
  for (let i = 0; i < 50; i++) given(gateway, want(`232.0.0.${i}`), 0);
  connected(gateway, 0, { robustness: 1 });
  drive(gateway, 5_000);
  const stop = given(gateway, { kind: "stop" }, 5_000);
  assert.deepEqual(
    said(stop).map(({ say }) => say),
    ["update", "teardown"],
  );
  assert.equal(recordsOf(stop).length, 50);
});

test("stopping with QRV 1, without groups or without a relay ends at once", () => {
  const quick = found();
  const nothing = newGateway();
  connected(nothing, 0);
  const { gateway: lost } = discovering();
  for (const gateway of [quick, nothing, lost, newGateway()]) {
    const outs = given(gateway, { kind: "stop" }, 1_000);
    assert.equal(only(outs, "stopped").length, 1);
    assert.equal(gateway.deadline(), undefined);
  }
});

test("a group wanted again is said to the relay though it was just left", () => {
  const gateway = found();
  given(gateway, want(G, NOTHING), 1_000);
  assert.deepEqual(recordsOf(given(gateway, want(), 1_100)), [`allow ${G} ${S}`]);
});
