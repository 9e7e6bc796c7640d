import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_ADDRESS_LIMIT,
  VERDICT_DRAINING,
  VERDICT_GROUP_LIMIT,
  VERDICT_SOURCE_LIMIT,
  VERDICT_TUNNEL_LIMIT,
} from "../../../assembly/layout/verdict.ts";
import type { AmtRelay } from "../../../src/protocols/amt/relay.ts";
import { QueryView, emitDiscovery, emitRequest } from "../../../src/wire/amt.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { Network } from "../../sim/pair.ts";
import {
  ANYCAST,
  G,
  GATEWAY,
  OTHER,
  RELAY,
  S,
  T,
  datagram,
  exclude,
  fate,
  given,
  include,
  newGateway,
  newRelay,
  only,
  proven,
  record,
  report,
} from "./rig.ts";

/** Joins S of G from an endpoint; what became of the Update. */
function join(relay: AmtRelay, from = GATEWAY) {
  const octets = report(proven(relay, 0, { from }), record("allow", G, S));
  return fate(given(relay, datagram(octets, from), 0));
}

function limitFlag(relay: AmtRelay): boolean {
  const request = emitRequest(1, { family: 4, ecn: false });
  return new QueryView(only(given(relay, datagram(request), 0), "send")[0]!.octets).limit;
}

test("a full relay sets L and takes no new tunnel (RFC 7450 §5.1.4.4, §5.3.3.3)", () => {
  const relay = newRelay({ maxTunnels: 1 });
  assert.equal(limitFlag(relay), false);
  assert.equal(join(relay), "accepted");
  assert.equal(limitFlag(relay), true);
  assert.equal(join(relay, OTHER), VERDICT_TUNNEL_LIMIT);
  assert.equal([...relay.tunnels()].length, 1);
});

test("a full relay still obeys the gateways that it has", () => {
  const relay = newRelay({ maxTunnels: 1 });
  join(relay);
  const leave = report(proven(relay, 0), record("block", G, S));
  assert.equal(fate(given(relay, datagram(leave), 0)), "accepted");
  assert.equal(limitFlag(relay), false);
  assert.equal(join(relay, OTHER), "accepted");
});

test("one address gets no more tunnels than allowed, others do (RFC 7450 §5.3.3.4)", () => {
  const relay = newRelay({ maxTunnelsPerAddress: 2 });
  const port = (number: number) => ({ ...GATEWAY, port: number });
  assert.equal(join(relay, port(1)), "accepted");
  assert.equal(join(relay, port(2)), "accepted");
  assert.equal(join(relay, port(3)), VERDICT_ADDRESS_LIMIT);
  assert.equal(join(relay, OTHER), "accepted");
  const leave = report(proven(relay, 0, { from: port(1) }), record("block", G, S));
  given(relay, datagram(leave, port(1)), 0);
  assert.equal(join(relay, port(3)), "accepted");
});

test("beyond the limit of groups only the additions are refused", () => {
  const relay = newRelay({ maxGroups: 2 });
  const proof = proven(relay, 0);
  const three = [1, 2, 3].map((i) => record("to-ex", `239.0.0.${i}`));
  assert.equal(fate(given(relay, datagram(report(proof, ...three)), 0)), VERDICT_GROUP_LIMIT);
  const groups = () => [...relay.groups()].map(({ group }) => group);
  assert.deepEqual(groups(), ["239.0.0.1", "239.0.0.2"]);
  const change = report(proof, record("to-in", "239.0.0.1"), record("is-ex", "239.0.0.2"));
  assert.equal(fate(given(relay, datagram(change), 0)), "accepted");
  assert.deepEqual(groups(), ["239.0.0.2"]);
});

test("beyond the limit of sources nothing breaks, and the rest is obeyed", () => {
  const relay = newRelay({ maxSources: 1 });
  const proof = proven(relay, 0);
  const octets = report(proof, record("allow", G, S, T), record("to-ex", "239.0.0.1"));
  assert.equal(fate(given(relay, datagram(octets), 0)), VERDICT_SOURCE_LIMIT);
  const filters = new Map([...relay.groups()].map(({ group, filter }) => [group, filter]));
  assert.deepEqual(filters.get("239.0.0.1"), exclude());
  assert.ok((filters.get(G) ?? include()).sources.length <= 1);
});

test("a relay that was full has room again only at 95 %, or where it is told (RFC 7450 §5.1.4.4)", () => {
  for (const [options, resume] of [
    [{ maxTunnels: 40 }, 38],
    [{ maxTunnels: 40, resumeTunnels: 10 }, 10],
  ] as const) {
    const relay = newRelay(options);
    const at = (i: number) => ({ address: `10.0.0.${i}`, port: 2_000 });
    for (let i = 0; i < 40; i++) assert.equal(join(relay, at(i)), "accepted");
    let left = 40;
    while (left > resume) {
      assert.equal(limitFlag(relay), true, `${left}`);
      assert.equal(join(relay, OTHER), VERDICT_TUNNEL_LIMIT);
      const from = at(--left);
      const leave = report(proven(relay, 0, { from }), record("block", G, S));
      assert.equal(fate(given(relay, datagram(leave, from), 0)), "accepted");
    }
    assert.equal(limitFlag(relay), false);
    assert.equal(join(relay, OTHER), "accepted");
    assert.equal(limitFlag(relay), false);
  }
});

test("a draining relay sets L, takes no one new, and serves those it has (RFC 7450 §5.1.4.4)", () => {
  const relay = newRelay();
  assert.equal(join(relay), "accepted");
  assert.deepEqual(given(relay, { kind: "drain" }, 1), []);
  assert.equal(limitFlag(relay), true);
  assert.equal(join(relay, OTHER), VERDICT_DRAINING);
  assert.equal(fate(given(relay, datagram(emitDiscovery(1)), 2)), VERDICT_DRAINING);
  const more = report(proven(relay, 2), record("allow", G, T));
  assert.equal(fate(given(relay, datagram(more), 2)), "accepted");
  assert.deepEqual(
    [...relay.groups()].map(({ filter }) => filter),
    [include(S, T)],
  );
  const leave = report(proven(relay, 3), record("block", G, S, T));
  assert.equal(fate(given(relay, datagram(leave), 3)), "accepted");
  assert.deepEqual([...relay.tunnels()], []);
  assert.equal(join(relay), VERDICT_DRAINING);
});

test("while a relay drains, its gateways are served; those that come find another", () => {
  const network = new Network({ seed: 1 });
  const relay = network.join(newRelay(), RELAY, ANYCAST);
  const old = network.join(newGateway({ discovery: ANYCAST }), GATEWAY);
  old.give({ kind: "membership", group: G, filter: include(S) });
  old.give({ kind: "start" });
  network.run(1_000);
  relay.give({ kind: "drain" });
  const late = network.join(newGateway({ relay: RELAY, entropy: seededEntropy(8) }), OTHER);
  late.give({ kind: "membership", group: G, filter: include(T) });
  late.give({ kind: "start" });
  network.run(1_000_000);
  assert.deepEqual(
    [...(relay.machine as AmtRelay).groups()].map(({ filter }) => filter),
    [include(S)],
  );
  assert.equal(late.of("state").at(-1)?.state, "requesting");
  relay.give({ kind: "stop" });
  assert.equal(relay.of("tunnel-down").length, 1);
});
