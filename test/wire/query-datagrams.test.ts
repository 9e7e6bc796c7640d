import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, Family } from "../../src/core/address.ts";
import {
  emitMembershipDatagrams,
  parseMembershipDatagram,
} from "../../src/wire/membership-datagram.ts";
import type { MembershipMessage, MembershipQuery } from "../../src/wire/membership.ts";

const SENDER = {
  4: { family: 4, source: "0.0.0.0" },
  6: { family: 6, source: "fe80::b" },
} as const;

/** The messages of each datagram, after the length of each has been held against `mtu`. */
function said(message: MembershipMessage, family: Family, mtu: number): MembershipMessage[] {
  return emitMembershipDatagrams(message, { ...SENDER[family], mtu }).map((datagram) => {
    assert.ok(datagram.length <= mtu, `${datagram.length} octets in ${mtu}`);
    const result = parseMembershipDatagram(datagram, { onLink: true });
    if ("drop" in result) assert.fail("dropped");
    return result.message;
  });
}

function query(family: Family, count: number): MembershipQuery {
  const source = (i: number): Address =>
    family === 4 ? `192.0.${2 + (i >> 8)}.${i & 0xff}` : `2001:db8::1:${(i + 1).toString(16)}`;
  return {
    kind: "query",
    generation: 3,
    group: family === 4 ? "232.1.2.3" : "ff3e::8000:1234",
    sources: Array.from({ length: count }, (_, i) => source(i)),
    maxResponse: 1_000,
    suppress: true,
    robustness: 2,
    queryInterval: 125_000,
  };
}

// 36 octets before IPv4 sources, 76 before IPv6 ones.
for (const [family, mtu, most] of [
  [4, 1_500, 366],
  [6, 1_500, 89],
] as const) {
  test(`IPv${family}: a query of many sources goes as several that fit the MTU (RFC 3376 §4.1.8, RFC 3810 §5.1.10)`, () => {
    assert.deepEqual(said(query(family, most), family, mtu), [query(family, most)]);
    const all = query(family, 2 * most + 1);
    const parts = [all.sources.slice(0, most), all.sources.slice(most, -1), all.sources.slice(-1)];
    assert.deepEqual(
      said(all, family, mtu),
      parts.map((sources) => ({ ...all, sources })),
    );
  });

  test(`IPv${family}: older reports and leaves, and queries without sources, are one datagram (RFC 3376 §7.2.1, RFC 3810 §8.2.1)`, () => {
    const group = family === 4 ? "239.1.2.3" : "ff1e::1";
    for (const message of [
      { kind: "join", generation: 2, group },
      { kind: "leave", generation: 2, group },
      query(family, 0),
      { ...query(family, 0), group: undefined },
    ] as const)
      assert.deepEqual(said(message, family, 100), [message]);
  });

  test(`IPv${family}: an MTU without room for a source is our own mistake`, () => {
    const bug = { code: "CULVERT_BUG" };
    assert.throws(() => said(query(family, 1), family, 39), bug);
  });
}

test("reports go as several too (RFC 3376 §4.2.16)", () => {
  const { group, sources } = query(4, 1_000);
  const record = { kind: "allow", group: group!, sources } as const;
  const sent = said({ kind: "report", generation: 3, records: [record] }, 4, 1_500);
  assert.deepEqual(
    sent.map((one) => one.kind === "report" && one.records[0]!.sources.length),
    [365, 365, 270],
  );
});
