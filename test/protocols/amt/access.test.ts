import assert from "node:assert/strict";
import { test } from "node:test";
import { VERDICT_DENIED } from "../../../assembly/layout/verdict.ts";
import type { AccessLists } from "../../../src/protocols/amt/access.ts";
import type { AmtRelay } from "../../../src/protocols/amt/relay.ts";
import { emitDiscovery, emitRequest, emitTeardown } from "../../../src/wire/amt.ts";
import type { GroupRecord } from "../../../src/wire/membership.ts";
import {
  G,
  G6,
  GATEWAY,
  OTHER,
  S,
  S6,
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
  update,
} from "./rig.ts";

const ASM = "239.1.1.1";

/** What became of a report of these records, and the filters that the relay then holds. */
function asked(access: AccessLists, ...records: GroupRecord[]) {
  const relay = newRelay({ access });
  const octets = report(proven(relay, 0), ...records);
  return { fate: fate(given(relay, datagram(octets), 0)), filters: filtersOf(relay) };
}

const filtersOf = (relay: AmtRelay) =>
  Object.fromEntries([...relay.groups()].map(({ group, filter }) => [group, filter]));

test("a gateway that is denied, or not allowed, is not heard at all (RFC 7450 §6.1)", () => {
  const messages = [
    emitDiscovery(1),
    emitRequest(1, { family: 4, ecn: false }),
    emitTeardown({ mac: new Uint8Array(6), nonce: 1, gateway: GATEWAY }),
  ];
  for (const access of [{ denyGateways: ["203.0.113.5"] }, { allowGateways: ["203.0.113.6/31"] }])
    for (const octets of messages) {
      const outs = given(newRelay({ access }), datagram(octets), 0);
      assert.equal(fate(outs), VERDICT_DENIED);
      assert.deepEqual(only(outs, "send"), []);
    }
  const relay = newRelay({
    access: { allowGateways: ["203.0.113.0/24"], denyGateways: ["203.0.113.5"] },
  });
  assert.equal(fate(given(relay, datagram(messages[1]!, OTHER), 0)), "accepted");
});

test("groups that are denied, or not allowed, are not joined; the rest of the report is obeyed", () => {
  const records = [record("allow", G, S), record("to-ex", ASM), record("is-in", "232.9.9.9", S)];
  assert.deepEqual(asked({ denyGroups: ["232.9.0.0/16"] }, ...records), {
    fate: VERDICT_DENIED,
    filters: { [G]: include(S), [ASM]: exclude() },
  });
  assert.deepEqual(asked({ allowGroups: ["232.0.0.0/8"] }, ...records), {
    fate: VERDICT_DENIED,
    filters: { [G]: include(S), "232.9.9.9": include(S) },
  });
  assert.deepEqual(
    asked({ allowGroups: ["224.0.0.0/4"], denyGroups: ["ff00::/8"] }, ...records).fate,
    "accepted",
  );
  assert.deepEqual(asked({ denyGroups: ["ff3e::/16"] }, record("allow", G6, S6)).filters, {});
});

test("sources that are denied, or not allowed, are taken out", () => {
  const both = record("allow", G, S, T);
  const some = { fate: VERDICT_DENIED, filters: { [G]: include(S) } };
  assert.deepEqual(asked({ denySources: [T] }, both), some);
  assert.deepEqual(asked({ allowSources: [`${S}/32`] }, both), some);
  assert.deepEqual(asked({ denySources: ["192.0.2.0/24"] }, both).filters, {});
  assert.equal(asked({ allowSources: ["192.0.2.0/24"] }, both).fate, "accepted");
});

test("with a list of sources a membership must name its own", () => {
  const access = { denySources: ["10.0.0.0/8"] };
  for (const kind of ["to-ex", "is-ex"] as const)
    assert.deepEqual(asked(access, record(kind, ASM)), { fate: VERDICT_DENIED, filters: {} });
  const relay = newRelay({ access });
  const join = update(proven(relay, 0), { kind: "join", generation: 2, group: ASM });
  assert.equal(fate(given(relay, datagram(join), 0)), VERDICT_DENIED);
  assert.deepEqual([...relay.tunnels()], []);
});

test("leaves are never denied", () => {
  const relay = newRelay({ access: { allowSources: [S] } });
  const proof = proven(relay, 0);
  given(relay, datagram(report(proof, record("allow", G, S))), 0);
  const leave = report(proof, record("to-in", G));
  assert.equal(fate(given(relay, datagram(leave), 1)), "accepted");
  given(relay, datagram(report(proof, record("allow", G, S))), 2);
  assert.equal(
    fate(given(relay, datagram(report(proof, record("block", G, S, T))), 3)),
    "accepted",
  );
  assert.deepEqual(filtersOf(relay), {});
});

test("a gateway that asks only for what is denied gets no tunnel", () => {
  const relay = newRelay({ access: { denyGroups: ["232.0.0.0/8"] } });
  const octets = report(proven(relay, 0), record("allow", G, S));
  assert.equal(fate(given(relay, datagram(octets), 0)), VERDICT_DENIED);
  assert.deepEqual([...relay.tunnels()], []);
});
