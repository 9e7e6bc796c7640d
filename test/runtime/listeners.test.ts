import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { Listeners, warnOfRobustness, type QuerierConfig } from "../../src/runtime/listeners.ts";
import { Tale } from "../../src/runtime/tale.ts";
import {
  emitMembershipDatagram,
  parseMembershipDatagram,
} from "../../src/wire/membership-datagram.ts";
import type { GroupFilter, MembershipMessage } from "../../src/wire/membership.ts";
import { join, query } from "../membership/support.ts";

const CONFIG: QuerierConfig = {
  queryInterval: 125_000,
  queryResponseInterval: 10_000,
  robustness: 2,
  lastMemberQueryInterval: 1_000,
  igmpVersion: 3,
  mldVersion: 2,
};

/** Listeners on a link that is a list, with what was wanted, sent and said. */
function makeLink(t: TestContext, config: Partial<QuerierConfig> = {}) {
  const sent: Uint8Array[] = [];
  const wanted: [Address, GroupFilter][] = [];
  const said: string[] = [];
  const tale = new Tale("test", "gateway");
  t.mock.method(tale, "warn", (text: string) => said.push(text));
  const listeners = new Listeners(
    {
      text: "interface eth1",
      send: (datagram) => sent.push(datagram),
      mtu: () => 1500,
      wanted: (group, filter) => wanted.push([group, filter]),
    },
    { ...CONFIG, ...config },
    tale,
  );
  t.after(() => listeners.close());
  const hear = (source: Address, message: MembershipMessage): void =>
    listeners.hear(
      emitMembershipDatagram(message, { family: source.includes(":") ? 6 : 4, source }),
    );
  return { sent, wanted, said, tale, listeners, hear };
}

test("a query goes out from the link's address in the version that is set (RFC 3376 §7.3.1, RFC 3810 §8.3.1)", (t) => {
  for (const [igmpVersion, mldVersion] of [
    [3, 2],
    [2, 1],
    [1, 1],
  ] as const) {
    const { listeners, sent } = makeLink(t, { igmpVersion, mldVersion });
    listeners.start(4, "192.0.2.5");
    listeners.start(6, "fe80::5");
    assert.deepEqual(
      sent.map((datagram) => {
        const parsed = parseMembershipDatagram(datagram, { onLink: true });
        return "drop" in parsed
          ? parsed
          : [parsed.source, parsed.message.kind === "query" && parsed.message.generation];
      }),
      [
        ["192.0.2.5", igmpVersion],
        ["fe80::5", mldVersion + 1],
      ],
    );
  }
});

test("MLD that is not link-local is ignored, and told of once a minute (RFC 3810 §5.1.14)", (t) => {
  const { listeners, hear, wanted, said, tale } = makeLink(t);
  listeners.start(6, "fe80::5");
  for (let i = 0; i < 3; i++) hear("2001:db8::1", query());
  hear("2001:db8::1", join("ff0e::1:3"));
  assert.deepEqual(wanted, []);
  assert.deepEqual(said, [
    "interface eth1: MLD came from an address that is not link-local, and is ignored",
  ]);
  assert.deepEqual(tale.status(undefined).drops, { machine: { "bad-source": 4 } });
  assert.equal(listeners.querier(6), "self");
});

test("an older querier is told of once a minute, with the setting that mends it (RFC 3376 §7.3.1)", (t) => {
  const { listeners, hear, said, tale } = makeLink(t);
  listeners.start(4, "192.0.2.5");
  for (let i = 0; i < 3; i++) hear("192.0.2.3", query({ generation: 2 }));
  assert.deepEqual(said, [
    "interface eth1: the router 192.0.2.3 speaks IGMPv2; all routers of a link must be set to one version (igmpVersion: 2)",
  ]);
  assert.equal(tale.status(undefined).counters["older_querier_igmp"], 3);
  assert.equal(listeners.querier(4), "192.0.2.3");
});

test("our own query that comes back is nobody's (RFC 3376 §6.6.2)", (t) => {
  const { listeners, sent } = makeLink(t);
  listeners.start(4, "192.0.2.5");
  listeners.hear(sent[0]!);
  assert.equal(listeners.querier(4), "self");
});

test("a family without an address is listened to again once it has one", (t) => {
  const { listeners, hear, wanted } = makeLink(t);
  listeners.start(6, "fe80::5");
  hear("fe80::9", join("ff0e::1:3"));
  listeners.clear(6);
  assert.deepEqual(
    wanted.map(([, { mode }]) => mode),
    ["exclude", "include"],
  );
  assert.equal(listeners.querier(6), undefined);
  listeners.start(6, "fe80::6");
  hear("fe80::9", join("ff0e::1:3"));
  assert.equal(listeners.groupCount, 1);
});

test("a Robustness Variable of 1 is warned of (RFC 3376 §8.1, RFC 3810 §9.1)", (t) => {
  const { tale, said } = makeLink(t);
  warnOfRobustness(2, tale);
  assert.deepEqual(said, []);
  warnOfRobustness(1, tale);
  assert.match(said.join(), /^robustness 1: /);
});
