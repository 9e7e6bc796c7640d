import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Family } from "../../src/core/address.ts";
import {
  emitReportDatagrams,
  parseMembershipDatagram,
} from "../../src/wire/membership-datagram.ts";
import type { GroupRecord, RecordKind } from "../../src/wire/membership.ts";
import { family, records } from "./arbitraries.ts";

const SOURCE = { 4: "0.0.0.0", 6: "fe80::b" } as const;

/** The records of each datagram, after the length of each has been held against `mtu`. */
function reports(said: readonly GroupRecord[], f: Family, mtu: number): GroupRecord[][] {
  return emitReportDatagrams(said, { family: f, source: SOURCE[f], mtu }).map((datagram) => {
    assert.ok(datagram.length <= mtu, `${datagram.length} octets in ${mtu}`);
    const result = parseMembershipDatagram(datagram);
    if ("drop" in result || result.message.kind !== "report") assert.fail("no report");
    assert.equal(result.length, datagram.length);
    return [...result.message.records];
  });
}

function record(kind: RecordKind, count: number, f: Family = 4): GroupRecord {
  const sources = Array.from({ length: count }, (_, i) =>
    f === 4 ? `192.0.${2 + (i >> 8)}.${i & 0xff}` : `2001:db8::1:${(i + 1).toString(16)}`,
  );
  return { kind, group: f === 4 ? "232.1.2.3" : "ff3e::8000:1234", sources };
}

test("records that fit together go together, in their order (RFC 3376 §4.2.16)", () => {
  const said = [record("is-in", 3), record("is-ex", 0), record("block", 1)];
  assert.deepEqual(reports(said, 4, 1500), [said]);
  assert.deepEqual(reports([], 4, 1500), []);
});

test("records that do not fit together go apart, each whole (RFC 3376 §4.2.16)", () => {
  const said = [record("is-in", 200), record("allow", 200), record("is-ex", 1)];
  assert.deepEqual(reports(said, 4, 1500), [[said[0]], [said[1], said[2]]]);
});

test("a datagram may be just as long as the MTU (RFC 3376 §4.2.16)", () => {
  // 24 octets of IPv4, 8 of report, 8 of record: 365 sources make 1500.
  assert.deepEqual(reports([record("is-in", 365)], 4, 1500), [[record("is-in", 365)]]);
  assert.deepEqual(
    reports([record("is-in", 366)], 4, 1500).map((datagram) => datagram[0]!.sources.length),
    [365, 1],
  );
  // 48 octets of IPv6, 8 of report, 20 of record: 75 sources make 1276.
  assert.deepEqual(reports([record("is-in", 75, 6)], 6, 1276), [[record("is-in", 75, 6)]]);
});

for (const kind of ["is-in", "to-in", "allow", "block"] as const)
  test(`a long ${kind} record is split and loses nothing (RFC 3376 §4.2.16)`, () => {
    const said = record(kind, 1000);
    const sent = reports([said], 4, 1500).flat();
    assert.deepEqual(
      sent.map((piece) => [piece.kind, piece.group, piece.sources.length]),
      [
        [kind, said.group, 365],
        [kind, said.group, 365],
        [kind, said.group, 270],
      ],
    );
    assert.deepEqual(
      sent.flatMap((piece) => piece.sources),
      said.sources,
    );
  });

for (const kind of ["is-ex", "to-ex"] as const)
  test(`a long ${kind} record is sent once, without what has no room (RFC 3376 §4.2.16)`, () => {
    const said = record(kind, 1000);
    assert.deepEqual(reports([said], 4, 1500), [[record(kind, 365)]]);
    const long = record(kind, 1000, 6);
    assert.deepEqual(reports([long], 6, 1280), [[record(kind, 75, 6)]]);
  });

test("an MTU with no room for one source is our own mistake", () => {
  const bug = { code: "CULVERT_BUG" };
  const emit = (f: Family, mtu: number) =>
    emitReportDatagrams([record("is-in", 1, f)], { family: f, source: SOURCE[f], mtu });
  assert.equal(emit(4, 44).length, 1);
  assert.throws(() => emit(4, 43), bug);
  assert.equal(emit(6, 92).length, 1);
  assert.throws(() => emit(6, 91), bug);
});

test("no datagram is longer than 65,535 octets, whatever the MTU (RFC 791 §3.1)", () => {
  const lengths = emitReportDatagrams([record("is-in", 20_000)], {
    family: 4,
    source: SOURCE[4],
    mtu: 1e9,
  }).map((datagram) => datagram.length);
  assert.deepEqual(lengths, [65_532, 14_548]);
});

test("no source is lost but by the rule, at any MTU (RFC 3376 §4.2.16)", () => {
  const said = family.chain((f) =>
    fc.tuple(fc.constant(f), records(f), fc.integer({ min: f === 4 ? 44 : 92, max: 400 })),
  );
  fc.assert(
    fc.property(said, ([f, asked, mtu]) => {
      const sent = reports(asked, f, mtu).flat();
      const flat = (list: readonly GroupRecord[], exclude: boolean) =>
        list
          .filter(({ kind }) => (kind === "is-ex" || kind === "to-ex") === exclude)
          .flatMap(({ kind, group, sources }) => [
            ...(exclude ? [`${kind} ${group}`] : []),
            ...(exclude ? [] : sources.map((source) => `${kind} ${group} ${source}`)),
          ]);
      assert.deepEqual(flat(sent, false), flat(asked, false));
      assert.deepEqual(flat(sent, true), flat(asked, true));
    }),
  );
});
