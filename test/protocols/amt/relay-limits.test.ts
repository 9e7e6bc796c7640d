import assert from "node:assert/strict";
import { test } from "node:test";
import {
  VERDICT_ADDRESS_LIMIT,
  VERDICT_GROUP_LIMIT,
  VERDICT_SOURCE_LIMIT,
  VERDICT_TUNNEL_LIMIT,
} from "../../../assembly/layout/verdict.ts";
import type { AmtRelay } from "../../../src/protocols/amt/relay.ts";
import { QueryView, emitRequest } from "../../../src/wire/amt.ts";
import {
  G,
  GATEWAY,
  OTHER,
  S,
  T,
  datagram,
  exclude,
  fate,
  given,
  include,
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
