import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_AMT_LENGTH,
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_AMT_TYPE_UNKNOWN,
  VERDICT_AMT_VERSION,
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_NOT_GENERAL_QUERY,
  VERDICT_PROTOCOL_MISMATCH,
  VERDICT_STALE_NONCE,
  VERDICT_UNEXPECTED,
  VERDICT_WRONG_PEER,
} from "../../../assembly/layout/verdict.ts";
import type { AmtGateway, GatewayInput } from "../../../src/protocols/amt/gateway.ts";
import { emitQuery } from "../../../src/wire/amt.ts";
import { emitMembershipDatagram } from "../../../src/wire/membership-datagram.ts";
import { connected, next, query, recordsOf, said, saidOf } from "./gateway-rig.ts";
import {
  G,
  G6,
  NOTHING,
  OTHER,
  RELAY,
  S,
  S6,
  T,
  drive,
  exclude,
  fate,
  given,
  hex,
  include,
  newGateway,
  only,
} from "./rig.ts";

const START = { kind: "start" } as const;
const want = (group: string, filter = include(S)): GatewayInput => ({
  kind: "membership",
  group,
  filter,
});
const states = (outs: Parameters<typeof only>[0]) => only(outs, "state").map(({ state }) => state);

/** A gateway that has joined S of G with QRV `robustness`, and has said all there is to say. */
function settled(robustness = 1): AmtGateway {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  connected(gateway, 0, { robustness });
  drive(gateway, 5_000);
  return gateway;
}

test("a gateway with a relay asks it for an IGMPv3 query at the start (RFC 7450 §5.2.3.5)", () => {
  const outs = given(newGateway(), START, 0);
  assert.deepEqual(only(outs, "relay"), [{ kind: "relay", endpoint: RELAY }]);
  const [request] = saidOf(outs, "request");
  assert.deepEqual([request?.to, request?.family, request?.ecn], [RELAY, 4, false]);
  assert.deepEqual(states(outs), ["requesting"]);
});

test("a gateway without groups tries the relay in the relay's own family (RFC 7450 §5.2.3.5)", () => {
  const relay = { address: "2001:db8::1", port: 2268 };
  const [request] = saidOf(given(newGateway({ relay }), START, 0), "request");
  assert.deepEqual([request?.to, request?.family], [relay, 6]);
});

test("E is set when decapsulation honours ECN (RFC 9601 §4)", () => {
  const [request] = saidOf(given(newGateway({ ecn: true }), START, 0), "request");
  assert.equal(request?.ecn, true);
});

test("a family asks only while it has groups; a lone IPv6 group asks for MLDv2", () => {
  const gateway = newGateway();
  assert.deepEqual(given(gateway, want(G6, include(S6)), 0), []);
  const requests = saidOf(given(gateway, START, 0), "request");
  assert.deepEqual(
    requests.map(({ family }) => family),
    [6],
  );
  assert.deepEqual(
    saidOf(given(gateway, want(G), 1), "request").map(({ family }) => family),
    [4],
  );
});

test("the accepted Query is answered at once with all memberships (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  given(gateway, want("239.1.1.1", exclude(T)), 0);
  const outs = connected(gateway, 0, { mac: 0xb2 });
  assert.deepEqual(recordsOf(outs).toSorted(), [`is-ex 239.1.1.1 ${T}`, `is-in ${G} ${S}`]);
  const [update] = saidOf(outs, "update");
  assert.deepEqual([update?.to, update?.mac], [RELAY, "b2b2b2b2b2b2"]);
  assert.deepEqual(states(outs), ["connected"]);
  assert.equal(only(outs, "query")[0]?.family, 4);
  assert.equal(fate(outs), "accepted");
});

test("an Update bears the nonce and MAC of its own family's last Query (RFC 7450 §5.2.3.6)", () => {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  given(gateway, want(G6, include(S6)), 0);
  const [v4, v6] = saidOf(given(gateway, START, 0), "request");
  const first = saidOf(given(gateway, query(v6!.nonce, { family: 6, mac: 0x66 }), 0), "update");
  const second = saidOf(given(gateway, query(v4!.nonce, { family: 4, mac: 0x44 }), 0), "update");
  assert.deepEqual(
    [...first, ...second].map(({ nonce, mac }) => [nonce, mac]),
    [
      [v6!.nonce, "666666666666"],
      [v4!.nonce, "444444444444"],
    ],
  );
  const join = saidOf(given(gateway, want("ff3e::9", include(S6)), 1), "update");
  assert.deepEqual([join[0]?.nonce, join[0]?.mac], [v6!.nonce, "666666666666"]);
});

test("without memberships a Query brings no Update (RFC 7450 §5.2.3.5)", () => {
  const outs = connected(newGateway(), 0);
  assert.deepEqual(said(outs), []);
  assert.deepEqual(states(outs), ["connected"]);
});

test("a change is reported at once, and QRV - 1 times again within a second (RFC 3376 §5.1)", () => {
  const gateway = newGateway();
  connected(gateway, 0, { robustness: 3 });
  assert.deepEqual(recordsOf(given(gateway, want(G), 10_000)), [`allow ${G} ${S}`]);
  const again = drive(gateway, 20_000);
  assert.deepEqual(recordsOf(again.map(({ out }) => out)), [`allow ${G} ${S}`, `allow ${G} ${S}`]);
  assert.ok(again.every(({ at }) => at > 10_000 && at <= 12_000));
  assert.deepEqual(recordsOf(given(gateway, want(G, include(T)), 30_000)).toSorted(), [
    `allow ${G} ${T}`,
    `block ${G} ${S}`,
  ]);
});

test("a relay that learns of us hears the memberships QRV times, one Update may get lost", () => {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  given(gateway, START, 0);
  drive(gateway, 900);
  const outs = connected2(gateway, 3);
  const later = drive(gateway, 10_000).map(({ out }) => out);
  assert.deepEqual(recordsOf([...outs, ...later]), Array(3).fill(`is-in ${G} ${S}`));
});

/** Answers the Request that is out with QRV `robustness`. */
function connected2(gateway: AmtGateway, robustness: number) {
  const { first, at } = next(gateway, "request");
  return given(gateway, query(first.nonce, { robustness }), at);
}

test("the next cycle begins when the query interval is over, with a new nonce (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  const [first] = saidOf(given(gateway, START, 0), "request");
  given(gateway, query(first!.nonce, { queryInterval: 60_000 }), 500);
  const second = next(gateway, "request");
  assert.equal(second.at, 60_500);
  assert.notEqual(second.first.nonce, first!.nonce);
  const outs = given(gateway, query(second.first.nonce), 60_600);
  assert.equal(saidOf(outs, "update").length, 1);
});

test("the configured longest query interval holds (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway({ longestQueryInterval: 30_000 });
  given(gateway, want(G), 0);
  connected(gateway, 0);
  assert.equal(next(gateway, "request").at, 30_000);
});

test("while the next Query is awaited Updates bear the previous one's values (RFC 7450 §5.2.3.6)", () => {
  const gateway = settled();
  const { first, at } = next(gateway, "request");
  const [update] = saidOf(given(gateway, want(G, include(S, T)), at), "update");
  assert.equal(update?.mac, "a1a1a1a1a1a1");
  assert.notEqual(update?.nonce, first.nonce);
});

test("a family without groups ends its cycle, and begins one with its next group", () => {
  const gateway = settled();
  given(gateway, want(G, NOTHING), 10_000);
  const outs = drive(gateway, 1_000_000);
  assert.deepEqual(
    saidOf(
      outs.map(({ out }) => out),
      "request",
    ),
    [],
  );
  assert.deepEqual(
    outs.flatMap(({ at, out }) => (out.kind === "state" ? [[at, out.state]] : [])),
    [[125_000, "idle"]],
  );
  assert.equal(gateway.deadline(), undefined);
  assert.equal(saidOf(given(gateway, want(G), 500_000), "request").length, 1);
});

test("groups of link scope are not reported", () => {
  const gateway = newGateway();
  connected(gateway, 0);
  for (const group of ["224.0.0.251", "ff02::fb", "192.0.2.1"])
    assert.deepEqual(given(gateway, want(group, exclude()), 1), []);
});

test("a long report is split into Updates that fit an MTU of 1280 (RFC 3376 §4.2.16)", () => {
  const gateway = newGateway();
  for (let i = 0; i < 300; i++) given(gateway, want(`239.1.${i >> 8}.${i & 255}`), 0);
  const updates = saidOf(connected(gateway, 0), "update");
  assert.ok(updates.length > 1);
  assert.ok(updates.every(({ length }) => length + 40 + 8 <= 1_280));
  assert.equal(
    updates.reduce(
      (sum, { message }) => sum + (message.kind === "report" ? message.records.length : 0),
      0,
    ),
    300,
  );
});

test("an unanswered Request is repeated with its nonce, ever more slowly (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway({ longestRetry: 8_000 });
  const [first] = saidOf(given(gateway, START, 0), "request");
  const repeats = drive(gateway, 60_000).flatMap(({ at, out }) =>
    saidOf([out], "request").map(({ nonce }) => ({ at, nonce })),
  );
  assert.ok(repeats.length >= 6);
  assert.ok(repeats.every(({ nonce }) => nonce === first!.nonce));
  for (const [n, { at }] of repeats.entries()) {
    const wait = at - (repeats[n - 1]?.at ?? 0);
    assert.ok(wait >= 1_000 && wait <= Math.min(1_000 * 2 ** n, 8_000), `${n}: ${wait}`);
  }
});

test("a configured relay that stops answering is asked on, and is served again once it answers", () => {
  const gateway = settled();
  next(gateway, "request");
  const silent = drive(gateway, 1_000_000);
  assert.deepEqual(states(silent.map(({ out }) => out)), ["requesting"]);
  const { first, at } = next(gateway, "request");
  const outs = given(gateway, query(first.nonce), at);
  assert.deepEqual(states(outs), ["connected"]);
  assert.deepEqual(recordsOf(outs), [`is-in ${G} ${S}`]);
});

test("only the awaited Query counts (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway();
  assert.equal(fate(given(gateway, query(1), 0)), VERDICT_UNEXPECTED);
  const [request] = saidOf(given(gateway, START, 0), "request");
  const fateOf = (input: GatewayInput) => fate(given(gateway, input, 1));
  assert.equal(fateOf(query(request!.nonce ^ 1)), VERDICT_STALE_NONCE);
  assert.equal(fateOf(query(request!.nonce, { from: OTHER })), VERDICT_WRONG_PEER);
  assert.equal(fateOf(query(request!.nonce, { from: { ...RELAY, port: 1 } })), VERDICT_WRONG_PEER);
  assert.equal(fateOf(query(request!.nonce, { family: 6 })), VERDICT_PROTOCOL_MISMATCH);
  assert.equal(fateOf(query(request!.nonce)), "accepted");
  assert.equal(fateOf(query(request!.nonce)), VERDICT_UNEXPECTED);
});

test("only a General Query counts, of IGMPv3, intact (RFC 7450 §5.2.3.5)", () => {
  const gateway = newGateway();
  const [request] = saidOf(given(gateway, START, 0), "request");
  const nonce = request!.nonce;
  const say = (message: Parameters<typeof emitMembershipDatagram>[0]): GatewayInput => ({
    kind: "datagram",
    octets: emitQuery({
      mac: new Uint8Array(6),
      nonce,
      limit: false,
      datagram: emitMembershipDatagram(message, { family: 4, source: "0.0.0.0" }),
    }),
    from: RELAY,
  });
  const general = {
    kind: "query",
    generation: 3,
    group: undefined,
    sources: [],
    maxResponse: 100,
    suppress: false,
    robustness: 2,
    queryInterval: 125_000,
  } as const;
  for (const message of [
    { ...general, group: G },
    { ...general, group: G, sources: [S] },
    { ...general, generation: 2 },
    { kind: "report", generation: 3, records: [] },
  ] as const)
    assert.equal(fate(given(gateway, say(message), 0)), VERDICT_NOT_GENERAL_QUERY);
  const damaged = query(nonce, { gateway: null });
  assert.ok(damaged.kind === "datagram");
  damaged.octets[damaged.octets.length - 1]! ^= 1;
  assert.equal(fate(given(gateway, damaged, 0)), VERDICT_MEMBERSHIP_CHECKSUM);
  assert.equal(fate(given(gateway, say(general), 0)), "accepted");
});

test("what is not for a gateway is ignored (RFC 7450 §5.2.3.2)", () => {
  const gateway = newGateway();
  given(gateway, START, 0);
  const fateOf = (text: string) =>
    fate(given(gateway, { kind: "datagram", octets: hex(text), from: RELAY }, 0));
  for (const type of ["01", "03", "05", "07"])
    assert.equal(fateOf(`${type}000000`), VERDICT_AMT_TYPE_ROLE);
  for (const type of ["00", "08", "0f"]) assert.equal(fateOf(type), VERDICT_AMT_TYPE_UNKNOWN);
  assert.equal(fateOf("14"), VERDICT_AMT_VERSION);
  assert.equal(fateOf("06004500"), VERDICT_UNEXPECTED);
  for (const text of ["", "02", "04"]) assert.equal(fateOf(text), VERDICT_AMT_LENGTH);
});

test("ICMP unreachable, silence and a new address of ours begin a cycle at once (RFC 7450 §5.2.3)", () => {
  for (const kind of ["unreachable", "silent", "rebound"] as const) {
    const gateway = settled();
    given(gateway, { kind }, 10_000);
    assert.equal(next(gateway, "request").at, 10_000, kind);
    given(gateway, { kind }, 10_000);
    assert.ok(gateway.deadline()! >= 11_000, kind);
  }
});

test("such events cannot make a gateway ask more than once in a second", () => {
  const gateway = settled();
  let requests = 0;
  for (let now = 10_000; now < 20_000; now += 100) {
    const outs = [
      ...given(gateway, { kind: "unreachable" }, now),
      ...given(gateway, { kind: "timeout" }, now),
    ];
    for (const { nonce } of saidOf(outs, "request")) {
      requests++;
      given(gateway, query(nonce, { robustness: 1 }), now);
    }
  }
  assert.equal(requests, 10);
});
