import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_AMT_LENGTH,
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_AMT_TYPE_UNKNOWN,
  VERDICT_AMT_VERSION,
  VERDICT_ANY_SOURCE,
  VERDICT_BAD_MAC,
  VERDICT_DRAINING,
  VERDICT_FAMILY,
  VERDICT_INNER_LENGTH,
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_NOT_MULTICAST,
  VERDICT_ROUTER_ALERT,
  VERDICT_UNKNOWN_TUNNEL,
  VERDICT_UNROUTABLE_GROUP,
  VERDICT_ZERO_NONCE,
} from "../../../assembly/layout/verdict.ts";
import type { AmtRelay, RelayOutput } from "../../../src/protocols/amt/relay.ts";
import {
  AdvertisementView,
  QueryView,
  emitDiscovery,
  emitRequest,
  emitTeardown,
} from "../../../src/wire/amt.ts";
import { parseMembershipDatagram } from "../../../src/wire/membership-datagram.ts";
import {
  ANYCAST,
  G,
  G6,
  GATEWAY,
  NOTHING,
  OTHER,
  RELAY,
  S,
  S6,
  T,
  datagram,
  drive,
  exclude,
  fate,
  given,
  hex,
  include,
  newRelay,
  only,
  proven,
  record,
  report,
  update,
} from "./rig.ts";

/** The commands to the data plane and upstream, without the rest. */
const commands = (outs: readonly RelayOutput[]) =>
  outs.filter(({ kind }) => kind !== "send" && kind !== "accepted" && kind !== "dropped");

/** A relay with one tunnel from GATEWAY that wants S of G. */
function joined(options = {}): { relay: AmtRelay; proof: ReturnType<typeof proven> } {
  const relay = newRelay(options);
  const proof = proven(relay, 0);
  assert.equal(fate(given(relay, datagram(report(proof, record("allow", G, S))), 0)), "accepted");
  return { relay, proof };
}

test("discovery is answered from the asked address with the relay's own (RFC 7450 §5.3.3.2)", () => {
  const relay = newRelay();
  for (const asked of [ANYCAST, RELAY]) {
    const outs = given(relay, datagram(emitDiscovery(0x1badcafe), GATEWAY, asked), 0);
    const [sent] = only(outs, "send");
    assert.deepEqual([sent?.from, sent?.to], [asked, GATEWAY]);
    const view = new AdvertisementView(sent!.octets);
    assert.deepEqual([view.nonce, view.relay], [0x1badcafe, RELAY.address]);
    assert.equal(fate(outs), "accepted");
  }
  assert.equal(relay.deadline(), undefined);
});

test("an advertised address has the family of the Discovery (RFC 7450 §5.1.2.5)", () => {
  const from = { address: "2001:db8::5", port: 4000 };
  const to = { address: "2001:db8:5::10", port: 2268 };
  const relay = newRelay({ relayAddresses: [RELAY.address, to.address] });
  const [sent] = only(given(relay, datagram(emitDiscovery(1), from, to), 0), "send");
  assert.equal(new AdvertisementView(sent!.octets).relay, to.address);
  assert.equal(fate(given(newRelay(), datagram(emitDiscovery(1), from, to), 0)), VERDICT_FAMILY);
});

test("of several own addresses the asked one is advertised, else the first of its family", () => {
  const second = { address: "198.51.100.11", port: 2268 };
  const relay = newRelay({ relayAddresses: ["2001:db8::1", RELAY.address, second.address] });
  const told = [RELAY, second, ANYCAST].map((asked) => {
    const [sent] = only(given(relay, datagram(emitDiscovery(1), GATEWAY, asked), 0), "send");
    assert.deepEqual(sent?.from, asked);
    return new AdvertisementView(sent!.octets).relay;
  });
  assert.deepEqual(told, [RELAY.address, second.address, RELAY.address]);
});

test("a Discovery with nonce zero is ignored (RFC 7450 §5.1.1.4)", () => {
  assert.equal(fate(given(newRelay(), datagram(emitDiscovery(0)), 0)), VERDICT_ZERO_NONCE);
});

test("a Request brings the General Query of the asked protocol (RFC 7450 §5.1.3.3, §5.3.3.3)", () => {
  const relay = newRelay({ queryInterval: 60_000, robustness: 3 });
  for (const family of [4, 6] as const) {
    const outs = given(
      relay,
      datagram(emitRequest(0xfeed, { family, ecn: false }), GATEWAY, ANYCAST),
      0,
    );
    const [sent] = only(outs, "send");
    assert.deepEqual([sent?.from, sent?.to], [ANYCAST, GATEWAY]);
    const view = new QueryView(sent!.octets);
    assert.deepEqual([view.nonce, view.limit, view.gateway], [0xfeed, false, GATEWAY]);
    const inner = parseMembershipDatagram(view.datagram, { onLink: true });
    assert.ok(!("drop" in inner));
    assert.equal(inner.family, family);
    assert.deepEqual(inner.message, {
      kind: "query",
      generation: 3,
      group: undefined,
      sources: [],
      maxResponse: family === 4 ? 100 : 1,
      suppress: false,
      robustness: 3,
      queryInterval: 60_000,
    });
  }
  assert.equal(relay.deadline(), undefined);
  assert.deepEqual([...relay.tunnels()], []);
});

test("the first Update that joins makes the tunnel (RFC 7450 §5.3.3.4)", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const outs = given(relay, datagram(report(proof, record("allow", G, S)), GATEWAY, ANYCAST), 10);
  assert.deepEqual(outs, [
    { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: ANYCAST, ecn: false },
    { kind: "route", change: "add", group: G, source: S },
    { kind: "member", change: "add", group: G, source: S, tunnel: 0 },
    { kind: "upstream", group: G, filter: include(S) },
    { kind: "accepted", type: 5 },
  ]);
  assert.deepEqual(
    [...relay.tunnels()],
    [{ tunnel: 0, gateway: GATEWAY, local: ANYCAST, since: 10, groups: 1 }],
  );
  assert.deepEqual([...relay.groups()], [{ group: G, filter: include(S), members: 1 }]);
});

test("the six messages of RFC 7450 §5.1.5 are obeyed", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const wanted = () => [...relay.groups()].map(({ group, filter }) => [group, filter.mode]);
  const say = (octets: Uint8Array) => {
    assert.equal(fate(given(relay, datagram(octets), 0)), "accepted");
    return wanted();
  };
  const ASM = "239.9.9.9";
  const ASM6 = "ff0e::9";
  assert.deepEqual(say(update(proof, { kind: "join", generation: 2, group: ASM })), [
    [ASM, "exclude"],
  ]);
  assert.deepEqual(say(update(proof, { kind: "leave", generation: 2, group: ASM })), []);
  assert.deepEqual(say(report(proof, record("to-ex", ASM))), [[ASM, "exclude"]]);
  assert.deepEqual(say(report(proof, record("to-in", ASM))), []);
  assert.deepEqual(say(update(proof, { kind: "join", generation: 2, group: ASM6 }, 6)), [
    [ASM6, "exclude"],
  ]);
  assert.deepEqual(say(update(proof, { kind: "leave", generation: 2, group: ASM6 }, 6)), []);
  assert.deepEqual(say(report(proof, record("allow", G6, S6))), [[G6, "include"]]);
  assert.deepEqual(say(report(proof, record("block", G6, S6))), []);
  assert.deepEqual([...relay.tunnels()], []);
});

test("an IGMPv1 report or a query in an Update is ignored (RFC 7450 §5.1.5)", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const igmpv1 = update(proof, { kind: "join", generation: 1, group: "239.9.9.9" });
  assert.equal(fate(given(relay, datagram(igmpv1), 0)), VERDICT_MEMBERSHIP_TYPE);
  const query = update(proof, {
    kind: "query",
    generation: 3,
    group: undefined,
    sources: [],
    maxResponse: 100,
    suppress: false,
    robustness: 2,
    queryInterval: 125_000,
  });
  assert.equal(fate(given(relay, datagram(query), 0)), VERDICT_MEMBERSHIP_TYPE);
});

test("one tunnel holds IPv4 and IPv6 groups", () => {
  const { relay, proof } = joined();
  const outs = given(relay, datagram(report(proof, record("allow", G6, S6))), 0);
  assert.deepEqual(only(outs, "tunnel-up"), []);
  assert.deepEqual(
    [...relay.tunnels()].map(({ groups }) => groups),
    [2],
  );
});

test("an Update without proof changes nothing (RFC 7450 §5.3.3.4)", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const octets = report(proof, record("allow", G, S));
  const wrong = [
    datagram(report({ ...proof, nonce: 1 }, record("allow", G, S))),
    datagram(report({ ...proof, mac: new Uint8Array(6) }, record("allow", G, S))),
    datagram(octets, OTHER),
    datagram(octets, { ...GATEWAY, port: 1 }),
  ];
  for (const input of wrong)
    assert.deepEqual(given(relay, input, 0), [{ kind: "dropped", drop: VERDICT_BAD_MAC, type: 5 }]);
  assert.equal(fate(given(relay, datagram(octets), 0)), "accepted");
});

test("an Update may bear any of the nonces asked with (RFC 7450 §5.3.5)", () => {
  const relay = newRelay();
  const first = proven(relay, 0, { nonce: 1 });
  const second = proven(relay, 0, { nonce: 2, family: 6 });
  assert.equal(fate(given(relay, datagram(report(second, record("allow", G, S))), 0)), "accepted");
  assert.equal(fate(given(relay, datagram(report(first, record("allow", G, T))), 0)), "accepted");
});

test("the Response MAC of one protocol serves the other", () => {
  const relay = newRelay();
  const proof = proven(relay, 0, { family: 6 });
  assert.equal(fate(given(relay, datagram(report(proof, record("allow", G, S))), 0)), "accepted");
});

test("an Update after the secret has changed twice is refused, the next cycle mends it", () => {
  const relay = newRelay({ secretInterval: 1_000, queryInterval: 10_000 });
  const proof = proven(relay, 0);
  const octets = report(proof, record("allow", G, S));
  assert.equal(fate(given(relay, datagram(octets), 1_500)), "accepted");
  assert.equal(fate(given(relay, datagram(octets), 2_000)), VERDICT_BAD_MAC);
  const again = report(proven(relay, 2_000), record("allow", G, S));
  assert.equal(fate(given(relay, datagram(again), 2_000)), "accepted");
});

test("checks come before the proof: length, inner datagram, type, checksum", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const good = report(proof, record("allow", G, S));
  const fateOf = (octets: Uint8Array) => fate(given(relay, datagram(octets), 0));
  assert.equal(fateOf(good.subarray(0, 11)), VERDICT_AMT_LENGTH);
  assert.equal(fateOf(good.subarray(0, 12)), VERDICT_INNER_LENGTH);
  assert.equal(fateOf(good.subarray(0, good.length - 1)), VERDICT_INNER_LENGTH);
  const damaged = good.slice();
  damaged[damaged.length - 1]! ^= 1;
  assert.equal(fateOf(damaged), VERDICT_MEMBERSHIP_CHECKSUM);
  assert.deepEqual([...relay.tunnels()], []);
});

test("octets after the inner datagram are ignored (RFC 7450 §5.1.5)", () => {
  const relay = newRelay();
  const octets = report(proven(relay, 0), record("allow", G, S));
  assert.equal(fate(given(relay, datagram(Uint8Array.of(...octets, 1, 2, 3)), 0)), "accepted");
});

test("Router Alert is demanded unless configured otherwise (RFC 3376 §4)", () => {
  // Four zero octets where the option should be, and the header checksum to match.
  const without = (octets: Uint8Array) => {
    const changed = octets.slice();
    changed.fill(0, 12 + 20, 12 + 24);
    const sum = ((changed[22]! << 8) | changed[23]!) + 0x9404;
    const folded = sum > 0xffff ? sum - 0xffff : sum;
    changed[22] = folded >> 8;
    changed[23] = folded;
    return changed;
  };
  const strict = newRelay();
  const octets = report(proven(strict, 0), record("allow", G, S));
  assert.equal(fate(given(strict, datagram(without(octets)), 0)), VERDICT_ROUTER_ALERT);
  const lenient = newRelay({ requireRouterAlert: false });
  proven(lenient, 0);
  assert.equal(fate(given(lenient, datagram(without(octets)), 0)), "accepted");
});

test("reserved bits are ignored, a version other than 0 is not (RFC 7450 §5.1)", () => {
  const relay = newRelay();
  const request = emitRequest(5, { family: 4, ecn: false });
  request[1] = 0xfc;
  request[2] = 0xff;
  assert.equal(fate(given(relay, datagram(request), 0)), "accepted");
  request[0] = 0x13;
  assert.equal(fate(given(relay, datagram(request), 0)), VERDICT_AMT_VERSION);
});

test("what is not for a relay is ignored (RFC 7450 §5.3.3)", () => {
  const relay = newRelay();
  const fateOf = (text: string) => fate(given(relay, datagram(hex(text)), 0));
  for (const type of ["02", "04", "06"])
    assert.equal(fateOf(`${type}000000`), VERDICT_AMT_TYPE_ROLE);
  for (const type of ["00", "08", "0f"])
    assert.equal(fateOf(`${type}000000`), VERDICT_AMT_TYPE_UNKNOWN);
  assert.equal(fateOf(""), VERDICT_AMT_LENGTH);
  for (const type of ["01", "03", "05", "07"]) assert.equal(fateOf(type), VERDICT_AMT_LENGTH);
});

test("a leave where nothing was joined makes no tunnel", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  for (const one of [record("to-in", G), record("block", G, S), record("is-in", G)])
    assert.deepEqual(given(relay, datagram(report(proof, one)), 0), [
      { kind: "accepted", type: 5 },
    ]);
  assert.deepEqual(given(relay, datagram(report(proof)), 0), [{ kind: "accepted", type: 5 }]);
  assert.equal(relay.deadline(), undefined);
});

test("the last leave ends the tunnel, and its number is used again (RFC 7450 §5.3.3.4)", () => {
  const { relay, proof } = joined();
  assert.deepEqual(commands(given(relay, datagram(report(proof, record("block", G, S))), 1)), [
    { kind: "route", change: "remove", group: G, source: S },
    { kind: "upstream", group: G, filter: NOTHING },
    { kind: "tunnel-down", tunnel: 0 },
  ]);
  assert.equal(relay.deadline(), undefined);
  const other = report(proven(relay, 2, { from: OTHER }), record("allow", G, S));
  const [up] = only(given(relay, datagram(other, OTHER), 2), "tunnel-up");
  assert.deepEqual([up?.tunnel, up?.gateway], [0, OTHER]);
});

test("a gateway's leave does not disturb another gateway", () => {
  const { relay, proof } = joined();
  const other = report(proven(relay, 0, { from: OTHER }), record("allow", G, S));
  given(relay, datagram(other, OTHER), 0);
  assert.deepEqual(commands(given(relay, datagram(report(proof, record("block", G, S))), 1)), [
    { kind: "member", change: "remove", group: G, source: S, tunnel: 0 },
    { kind: "tunnel-down", tunnel: 0 },
  ]);
});

test("a gateway that falls silent is forgotten after 260 s (RFC 7450 §5.3, RFC 3376 §8.4)", () => {
  const { relay } = joined();
  assert.deepEqual(
    drive(relay, 1_000_000).map(({ at, out }) => [at, out]),
    [
      [260_000, { kind: "route", change: "remove", group: G, source: S }],
      [260_000, { kind: "upstream", group: G, filter: NOTHING }],
      [260_000, { kind: "tunnel-down", tunnel: 0 }],
    ],
  );
});

test("a renewed membership lasts 260 s from its renewal", () => {
  const { relay, proof } = joined();
  given(relay, datagram(report(proof, record("is-in", G, S))), 200_000);
  const downs = drive(relay, 1_000_000).filter(({ out }) => out.kind === "tunnel-down");
  assert.deepEqual(
    downs.map(({ at }) => at),
    [460_000],
  );
});

test("an excluded source has a route that leaves its excluder out (RFC 3376 §6.3)", () => {
  const relay = newRelay();
  const group = "239.1.1.1";
  const proof = proven(relay, 0);
  given(relay, datagram(report(proof, record("allow", group, S))), 0);
  const other = report(proven(relay, 0, { from: OTHER }), record("to-ex", group, S));
  assert.deepEqual(commands(given(relay, datagram(other, OTHER), 0)).slice(1), [
    { kind: "route", change: "add", group },
    { kind: "member", change: "add", group, tunnel: 1 },
    { kind: "upstream", group, filter: exclude() },
  ]);
  assert.deepEqual(commands(given(relay, datagram(report(proof, record("block", group, S))), 0)), [
    { kind: "member", change: "remove", group, source: S, tunnel: 0 },
    { kind: "upstream", group, filter: exclude(S) },
    { kind: "tunnel-down", tunnel: 0 },
  ]);
});

test("a source-specific group without its source is not joined (RFC 4604)", () => {
  const relay = newRelay();
  const anySource = report(proven(relay, 0), record("to-ex", G));
  assert.equal(fate(given(relay, datagram(anySource), 0)), VERDICT_ANY_SOURCE);
  assert.deepEqual([...relay.tunnels()], []);
});

test("groups of link scope are not joined (RFC 5771 §4, RFC 4291 §2.7)", () => {
  const relay = newRelay();
  const proof = proven(relay, 0);
  const mdns = report(proof, record("to-ex", "224.0.0.251"));
  assert.equal(fate(given(relay, datagram(mdns), 0)), VERDICT_UNROUTABLE_GROUP);
  const ipv6 = report(proof, record("to-ex", "ff02::fb"));
  assert.equal(fate(given(relay, datagram(ipv6), 0)), VERDICT_UNROUTABLE_GROUP);
  const unicast = report(proof, record("to-ex", "192.0.2.1"));
  assert.equal(fate(given(relay, datagram(unicast), 0)), VERDICT_NOT_MULTICAST);
  assert.deepEqual([...relay.tunnels()], []);
  const both = report(proof, record("to-ex", "224.0.0.251"), record("allow", G, S, "239.1.1.1"));
  assert.equal(fate(given(relay, datagram(both), 0)), VERDICT_UNROUTABLE_GROUP);
  assert.deepEqual([...relay.groups()], [{ group: G, filter: include(S), members: 1 }]);
});

test("E in the Request comes back with the Update (RFC 9601 §4)", () => {
  const relay = newRelay();
  const plain = proven(relay, 0);
  const ecn = proven(relay, 0, { ecn: true });
  const first = given(relay, datagram(report(ecn, record("allow", G, S))), 0);
  assert.deepEqual(
    only(first, "tunnel-up").map((up) => up.ecn),
    [true],
  );
  assert.deepEqual(given(relay, datagram(report(plain, record("allow", G, S))), 0), [
    { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: RELAY, ecn: false },
    { kind: "accepted", type: 5 },
  ]);
});

test("data leaves from where the last Update came to (RFC 7450 §5.3.3.6)", () => {
  const { relay, proof } = joined();
  const outs = given(relay, datagram(report(proof, record("is-in", G, S)), GATEWAY, ANYCAST), 0);
  assert.deepEqual(only(outs, "tunnel-up"), [
    { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: ANYCAST, ecn: false },
  ]);
});

test("a tunnel that moves to another endpoint of ours leaves its lists and enters them there", () => {
  const { relay, proof } = joined();
  const more = [record("to-ex", "239.1.1.1", T), record("is-in", G6, S6)];
  for (const one of more) given(relay, datagram(report(proof, one)), 0);
  given(
    relay,
    datagram(report(proven(relay, 0, { from: OTHER }), record("is-in", G, S)), OTHER),
    0,
  );
  const outs = given(relay, datagram(report(proof, record("is-in", G, S)), GATEWAY, ANYCAST), 0);
  const places = [
    { kind: "member", group: G, source: S, tunnel: 0 },
    { kind: "member", group: "239.1.1.1", tunnel: 0 },
    { kind: "member", group: G6, source: S6, tunnel: 0 },
  ];
  assert.deepEqual(outs, [
    ...places.map((place) => ({ ...place, change: "remove" })),
    { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: ANYCAST, ecn: false },
    ...places.map((place) => ({ ...place, change: "add" })),
    { kind: "accepted", type: 5 },
  ]);
});

test("a Teardown ends the tunnel it names, whoever sends it (RFC 7450 §5.3.3.5)", () => {
  const { relay, proof } = joined();
  const teardown = emitTeardown({ ...proof, gateway: GATEWAY });
  const outs = given(relay, datagram(teardown, OTHER), 1);
  assert.deepEqual(only(outs, "tunnel-down"), [{ kind: "tunnel-down", tunnel: 0 }]);
  assert.equal(fate(outs), "accepted");
  assert.deepEqual([...relay.groups()], []);
  assert.equal(fate(given(relay, datagram(teardown, OTHER), 2)), VERDICT_UNKNOWN_TUNNEL);
});

test("a Teardown with the wrong MAC, nonce or endpoint ends nothing (RFC 7450 §5.3.3.5)", () => {
  const { relay, proof } = joined();
  for (const fields of [
    { ...proof, mac: new Uint8Array(6), gateway: GATEWAY },
    { ...proof, nonce: 1, gateway: GATEWAY },
    { ...proof, gateway: OTHER },
  ])
    assert.equal(fate(given(relay, datagram(emitTeardown(fields)), 1)), VERDICT_BAD_MAC);
  assert.equal([...relay.tunnels()].length, 1);
});

test("a relay that is stopped ends all tunnels, sets L and answers no discovery (RFC 7450 §5.3.3)", () => {
  const { relay, proof } = joined();
  assert.deepEqual(given(relay, { kind: "stop" }, 1), [
    { kind: "route", change: "remove", group: G, source: S },
    { kind: "upstream", group: G, filter: NOTHING },
    { kind: "tunnel-down", tunnel: 0 },
  ]);
  assert.equal(fate(given(relay, datagram(emitDiscovery(1)), 2)), VERDICT_DRAINING);
  const again = report(proof, record("allow", G, S));
  assert.equal(fate(given(relay, datagram(again), 2)), VERDICT_DRAINING);
  const request = emitRequest(1, { family: 4, ecn: false });
  const [query] = only(given(relay, datagram(request), 2), "send");
  assert.equal(new QueryView(query!.octets).limit, true);
  assert.deepEqual([...relay.tunnels()], []);
  assert.equal(relay.deadline(), undefined);
});

test("unreachable gateways are given up after the tolerated number in a row (RFC 7450 §5.3.3)", () => {
  const { relay, proof } = joined({ toleratedUnreachable: 2 });
  const unreachable = { kind: "unreachable", gateway: GATEWAY } as const;
  for (let i = 0; i < 2; i++) assert.deepEqual(given(relay, unreachable, 1), []);
  given(relay, datagram(report(proof, record("is-in", G, S))), 2);
  for (let i = 0; i < 2; i++) assert.deepEqual(given(relay, unreachable, 3), []);
  assert.equal(only(given(relay, unreachable, 4), "tunnel-down").length, 1);
  assert.deepEqual(given(relay, unreachable, 5), []);
});

test("unreachable gateways are kept when no number is configured", () => {
  const { relay } = joined();
  for (let i = 0; i < 100; i++)
    assert.deepEqual(given(relay, { kind: "unreachable", gateway: GATEWAY }, 1), []);
});

test("a replay rebuilds the tunnels and routes of a lane from nothing", () => {
  const { relay, proof } = joined();
  given(relay, datagram(report(proof, record("to-ex", "239.1.1.1", T))), 0);
  assert.deepEqual(
    [...relay.replay()],
    [
      { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: RELAY, ecn: false },
      { kind: "route", change: "add", group: G, source: S },
      { kind: "member", change: "add", group: G, source: S, tunnel: 0 },
      { kind: "route", change: "add", group: "239.1.1.1", source: T },
      { kind: "route", change: "add", group: "239.1.1.1" },
      { kind: "member", change: "add", group: "239.1.1.1", tunnel: 0 },
    ],
  );
});
