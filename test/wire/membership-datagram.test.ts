import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  VERDICT_BAD_SOURCE,
  VERDICT_FRAGMENT,
  VERDICT_HOP_LIMIT,
  VERDICT_INNER_CHECKSUM,
  VERDICT_INNER_LENGTH,
  VERDICT_INNER_VERSION,
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_MEMBERSHIP_TYPE,
  VERDICT_NOT_GENERAL_QUERY,
  VERDICT_NOT_MEMBERSHIP,
  VERDICT_ROUTER_ALERT,
} from "../../assembly/layout/verdict.ts";
import type { Family } from "../../src/core/address.ts";
import { verdictName } from "../../src/core/drops.ts";
import {
  type MembershipChecks,
  type MembershipDatagram,
  emitMembershipDatagram,
  generalQuery,
  parseMembershipDatagram,
  writeMembershipDatagram,
} from "../../src/wire/membership-datagram.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { amtVector } from "../vectors/amt.ts";
import { hex, toHex } from "../vectors/hex.ts";
import { address, family, message } from "./arbitraries.ts";
import { fixChecksums } from "./fix-checksums.ts";

interface Golden {
  readonly vector: string;
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly length: number;
  readonly message: MembershipMessage;
}

const QUERY3 = {
  kind: "query",
  generation: 3,
  group: undefined,
  sources: [],
  suppress: false,
  robustness: 2,
  queryInterval: 125_000,
} as const;
const IGMP = { family: 4, source: "0.0.0.0" } as const;
const MLD = { family: 6, source: "fe80::b" } as const;

const GOLDEN: readonly Golden[] = [
  {
    vector: "Membership Query IGMPv3, G=0 L=0",
    ...IGMP,
    destination: "224.0.0.1",
    length: 36,
    message: { ...QUERY3, maxResponse: 100 },
  },
  {
    vector: "Membership Query MLDv2, G=1 L=1, IPv6 underlay",
    ...MLD,
    source: "fe80::a",
    destination: "ff02::1",
    length: 76,
    message: { ...QUERY3, maxResponse: 1 },
  },
  {
    vector: "Membership Update IGMPv3 ALLOW(S)",
    ...IGMP,
    destination: "224.0.0.22",
    length: 44,
    message: {
      kind: "report",
      generation: 3,
      records: [{ kind: "allow", group: "232.1.2.3", sources: ["192.0.2.44"] }],
    },
  },
  {
    vector: "Membership Update IGMPv3 IS_IN + IS_EX",
    ...IGMP,
    destination: "224.0.0.22",
    length: 52,
    message: {
      kind: "report",
      generation: 3,
      records: [
        { kind: "is-in", group: "232.1.2.3", sources: ["192.0.2.44"] },
        { kind: "is-ex", group: "239.9.9.9", sources: [] },
      ],
    },
  },
  {
    vector: "Membership Update IGMPv2 Report",
    ...IGMP,
    destination: "239.9.9.9",
    length: 32,
    message: { kind: "join", generation: 2, group: "239.9.9.9" },
  },
  {
    vector: "Membership Update IGMPv2 Leave",
    ...IGMP,
    destination: "224.0.0.2",
    length: 32,
    message: { kind: "leave", generation: 2, group: "239.9.9.9" },
  },
  {
    vector: "Membership Update MLDv2 ALLOW(S)",
    ...MLD,
    destination: "ff02::16",
    length: 92,
    message: {
      kind: "report",
      generation: 3,
      records: [{ kind: "allow", group: "ff3e::8000:1234", sources: ["2001:db8:44::44"] }],
    },
  },
  {
    vector: "Membership Update MLDv1 Report",
    ...MLD,
    destination: "ff0e::9",
    length: 72,
    message: { kind: "join", generation: 2, group: "ff0e::9" },
  },
  {
    vector: "Membership Update MLDv1 Done",
    ...MLD,
    destination: "ff02::2",
    length: 72,
    message: { kind: "leave", generation: 2, group: "ff0e::9" },
  },
];

/** The room of the datagram in an AMT vector: all after the nonce. */
function room(vector: string): Uint8Array {
  return amtVector(vector).subarray(12);
}

function accepted(octets: Uint8Array, checks?: MembershipChecks): MembershipDatagram {
  const result = parseMembershipDatagram(octets, checks);
  if ("drop" in result) assert.fail(`dropped: ${verdictName(result.drop)}`);
  return result;
}

function dropped(octets: Uint8Array, verdict: number, checks?: MembershipChecks): void {
  const result = parseMembershipDatagram(octets, checks);
  assert.ok("drop" in result, "accepted");
  assert.equal(verdictName(result.drop), verdictName(verdict));
}

/** A change that leaves all checksums right. */
function changed(vector: string, change: (octets: Uint8Array) => void): Uint8Array {
  const octets = room(vector);
  change(octets);
  fixChecksums(octets);
  return octets;
}

for (const { vector, ...expected } of GOLDEN) {
  test(`${vector}: the datagram is read and written alike (RFC 7450 §5.1.4, §5.1.5)`, () => {
    const octets = room(vector);
    assert.deepEqual(accepted(octets), expected);
    const datagram = octets.subarray(0, expected.length);
    assert.equal(toHex(emitMembershipDatagram(expected.message, expected)), toHex(datagram));
    const used = new Uint8Array(expected.length).fill(0xa5);
    writeMembershipDatagram(expected.message, expected, used);
    assert.equal(toHex(used), toHex(datagram));
  });

  test(`${vector}: the datagram cut anywhere is dropped for its length (RFC 7450 §5.1.4)`, () => {
    const octets = room(vector);
    for (let length = 0; length < expected.length; length++)
      dropped(octets.subarray(0, length), VERDICT_INNER_LENGTH);
  });

  test(`${vector}: octets after the datagram are ignored (RFC 7450 §5.1.5)`, () => {
    const octets = room(vector);
    const padded = new Uint8Array(expected.length + 9).fill(0xff);
    padded.set(octets.subarray(0, expected.length));
    assert.deepEqual(accepted(padded), expected);
  });

  test(`${vector}: any bit of message and IPv4 header is under a checksum (RFC 3376 §4)`, () => {
    const octets = room(vector).slice(0, expected.length);
    for (let at = expected.family === 4 ? 0 : 48; at < expected.length; at++)
      for (let bit = 1; bit < 0x100; bit <<= 1) {
        octets[at]! ^= bit;
        assert.ok("drop" in parseMembershipDatagram(octets), `octet ${at} bit ${bit}`);
        octets[at]! ^= bit;
      }
  });
}

test("the General Queries of a relay are those of the examples (RFC 7450 §5.1.4)", () => {
  const options = { robustness: 2, queryInterval: 125_000 };
  const ipv4 = emitMembershipDatagram(generalQuery(4, options), { family: 4, source: "0.0.0.0" });
  assert.equal(toHex(ipv4), toHex(room("Membership Query IGMPv3, G=0 L=0")));
  const ipv6 = emitMembershipDatagram(generalQuery(6, options), { family: 6, source: "fe80::a" });
  const example = room("Membership Query MLDv2, G=1 L=1, IPv6 underlay").subarray(0, 76);
  assert.equal(toHex(ipv6), toHex(example));
});

test("a datagram of no IP version is dropped (RFC 7450 §5.1.5)", () => {
  dropped(new Uint8Array(), VERDICT_INNER_LENGTH);
  for (let version = 0; version < 16; version++)
    if (version !== 4 && version !== 6)
      dropped(new Uint8Array(60).fill(version << 4), VERDICT_INNER_VERSION);
});

const REPORT4 = "Membership Update IGMPv3 ALLOW(S)";
const REPORT6 = "Membership Update MLDv2 ALLOW(S)";

test("any source is accepted, even one that cannot be one (RFC 7450 §5.2.3.5.4)", () => {
  for (const source of ["255.255.255.255", "224.0.0.1", "127.0.0.1", "192.0.2.1"]) {
    const octets = emitMembershipDatagram(GOLDEN[2]!.message, { family: 4, source });
    assert.equal(accepted(octets).source, source);
  }
  for (const source of ["::", "ff02::1", "2001:db8::1"]) {
    const octets = emitMembershipDatagram(GOLDEN[6]!.message, { family: 6, source });
    assert.equal(accepted(octets).source, source);
  }
});

test("IPv4 lengths that contradict each other are dropped (RFC 791 §3.1)", () => {
  const lengths = (change: (octets: Uint8Array) => void) =>
    dropped(changed(REPORT4, change), VERDICT_INNER_LENGTH);
  lengths((octets) => (octets[0] = 0x44));
  lengths((octets) => (octets[0] = 0x40));
  lengths((octets) => (octets[0] = 0x4f)); // 60 octets of header, 44 of datagram
  lengths((octets) => (octets[3] = 23)); // shorter than the header
  lengths((octets) => (octets[3] = 45));
  lengths((octets) => (octets[2] = 0xff));
});

test("a wrong IPv4 header checksum is dropped (RFC 791 §3.1)", () => {
  const octets = room(REPORT4);
  octets[10]! ^= 0xff;
  dropped(octets, VERDICT_INNER_CHECKSUM);
});

test("fragments are dropped, DF or not (RFC 7450 §5.1.5)", () => {
  dropped(
    changed(REPORT4, (octets) => (octets[6] = 0x20)),
    VERDICT_FRAGMENT,
  );
  dropped(
    changed(REPORT4, (octets) => octets.set([0, 1], 6)),
    VERDICT_FRAGMENT,
  );
  accepted(changed(REPORT4, (octets) => (octets[6] = 0)));
  dropped(
    changed(REPORT6, (octets) => (octets[40] = 44)),
    VERDICT_FRAGMENT,
  );
});

test("what is neither IGMP nor MLD is dropped, whatever its TTL (RFC 7450 §5.2.1)", () => {
  const udp = changed(REPORT4, (octets) => {
    octets[9] = 17;
    octets[8] = 64;
  });
  dropped(udp, VERDICT_NOT_MEMBERSHIP);
  dropped(
    changed(REPORT6, (octets) => (octets[40] = 17)),
    VERDICT_NOT_MEMBERSHIP,
  );
  dropped(
    changed(REPORT6, (octets) => (octets[6] = 17)),
    VERDICT_NOT_MEMBERSHIP,
  );
  const solicitation = changed(REPORT6, (octets) => {
    octets[48] = 133;
    octets[7] = 255;
  });
  dropped(solicitation, VERDICT_NOT_MEMBERSHIP);
});

test("an unknown IGMP type is dropped as such (RFC 3376 §4)", () => {
  dropped(
    changed(REPORT4, (octets) => (octets[24] = 0x13)),
    VERDICT_MEMBERSHIP_TYPE,
  );
});

test("a wrong message checksum is dropped in either protocol (RFC 3376 §4.1.2, RFC 3810 §5.1.2)", () => {
  const ipv4 = room(REPORT4);
  ipv4[26]! ^= 1;
  dropped(ipv4, VERDICT_MEMBERSHIP_CHECKSUM);
  const ipv6 = room(REPORT6);
  ipv6[50]! ^= 1;
  dropped(ipv6, VERDICT_MEMBERSHIP_CHECKSUM);
});

test("MLD's checksum covers the addresses of the IPv6 header (RFC 8200 §8.1)", () => {
  for (const at of [8, 23, 24, 39]) {
    const octets = room(REPORT6);
    octets[at]! ^= 1;
    dropped(octets, VERDICT_MEMBERSHIP_CHECKSUM);
  }
});

test("a message shorter than any is dropped (RFC 3376 §4, RFC 2710 §3)", () => {
  for (let length = 0; length < 8; length++) {
    const octets = changed(REPORT4, (all) => (all[3] = 24 + length));
    dropped(octets, VERDICT_MEMBERSHIP_LENGTH);
  }
  for (let length = 0; length < 24; length++) {
    const octets = changed("Membership Update MLDv1 Report", (all) => (all[5] = 8 + length));
    dropped(octets, VERDICT_MEMBERSHIP_LENGTH);
  }
});

test("a TTL or hop limit other than 1 is dropped unless allowed (RFC 3376 §4, RFC 3810 §5)", () => {
  for (const [vector, at] of [
    [REPORT4, 8],
    [REPORT6, 7],
  ] as const)
    for (const limit of [0, 2, 255]) {
      const octets = changed(vector, (all) => (all[at] = limit));
      dropped(octets, VERDICT_HOP_LIMIT);
      accepted(octets, { requireHopLimit: false });
    }
});

test("IGMPv3 without Router Alert is dropped unless allowed (RFC 3376 §4)", () => {
  const others = ["00000000", "01010101", "94040001", "94000000", "94050000", "83049404"];
  for (const option of others) {
    const octets = changed(REPORT4, (all) => all.set(hex(option), 20));
    dropped(octets, VERDICT_ROUTER_ALERT);
    accepted(octets, { requireRouterAlert: false });
  }
  const bare = Uint8Array.from([...room(REPORT4).subarray(0, 20), ...room(REPORT4).subarray(24)]);
  bare.set([0x45, 0xc0, 0, 40]);
  fixChecksums(bare);
  dropped(bare, VERDICT_ROUTER_ALERT);
  accepted(bare, { requireRouterAlert: false });
});

test("Router Alert is found behind other options (RFC 2113 §2.1)", () => {
  const octets = room(REPORT4);
  const long = Uint8Array.from([
    ...octets.subarray(0, 20),
    ...hex("01 8303aa 94040000"),
    ...octets.subarray(24),
  ]);
  long.set([0x47, 0xc0, 0, 48]);
  fixChecksums(long);
  assert.equal(accepted(long).length, 48);
});

test("IGMPv1 needs no Router Alert, having none (RFC 1112 Appendix I)", () => {
  for (const type of [0x12, 0x11]) {
    const octets = hex("4500001c 00004000 0102 0000 c0000201 ef090909 00000000 ef090909");
    octets[20] = type;
    fixChecksums(octets);
    assert.equal(accepted(octets).message.generation, 1);
    octets[20] = 0x16;
    fixChecksums(octets);
    dropped(octets, VERDICT_ROUTER_ALERT);
  }
});

test("MLD without Router Alert is dropped unless allowed (RFC 3810 §5)", () => {
  for (const options of ["050200010100", "010400000000", "000000000000", "05030000aa00"]) {
    const octets = changed(REPORT6, (all) => all.set(hex(options), 42));
    dropped(octets, VERDICT_ROUTER_ALERT);
    accepted(octets, { requireRouterAlert: false });
  }
  const bare = Uint8Array.from([...room(REPORT6).subarray(0, 40), ...room(REPORT6).subarray(48)]);
  bare[5] = 44;
  bare[6] = 58;
  dropped(bare, VERDICT_ROUTER_ALERT);
  accepted(bare, { requireRouterAlert: false });
});

test("on a link MLD must come from a link-local address (RFC 3810 §5.1.14, §5.2.13)", () => {
  const report = { kind: "report", generation: 3, records: [] } as const;
  for (const said of [report, { ...QUERY3, maxResponse: 1 }])
    for (const source of ["::", "::1", "2001:db8::1", "fec0::1", "ff02::1", "fe7f::1"]) {
      const octets = emitMembershipDatagram(said, { family: 6, source });
      assert.deepEqual(parseMembershipDatagram(octets, { onLink: true }), {
        drop: VERDICT_BAD_SOURCE,
      });
      accepted(octets);
    }
  for (const source of ["fe80::1", "febf::1"])
    accepted(emitMembershipDatagram(report, { family: 6, source }), { onLink: true });
  accepted(emitMembershipDatagram(report, IGMP), { onLink: true });
});

test("on a link a General Query must be for all nodes or for one (RFC 3376 §4.1.12, §9.1)", () => {
  for (const [sender, at, others, own] of [
    [IGMP, 16, ["e0000002", "e8010203"], "c0000201"],
    [MLD, 24, ["ff020000000000000000000000000002"], "fe800000000000000000000000000001"],
  ] as const) {
    const octets = emitMembershipDatagram({ ...QUERY3, maxResponse: 100 }, sender);
    accepted(octets, { onLink: true });
    for (const to of others) {
      octets.set(hex(to), at);
      fixChecksums(octets);
      assert.deepEqual(parseMembershipDatagram(octets, { onLink: true }), {
        drop: VERDICT_NOT_GENERAL_QUERY,
      });
      accepted(octets);
    }
    octets.set(hex(own), at);
    fixChecksums(octets);
    accepted(octets, { onLink: true });
  }
});

test("reports count whatever their destination (RFC 3376 §4.2.14, RFC 3810 §5.2.14)", () => {
  for (const [sender, at, group, others] of [
    [IGMP, 16, "239.1.2.3", ["e0000001", "c0000201"]],
    [MLD, 24, "ff1e::1", ["ff020000000000000000000000000001", "fe800000000000000000000000000001"]],
  ] as const)
    for (const said of [
      { kind: "join", generation: 2, group },
      { kind: "leave", generation: 2, group },
      { kind: "report", generation: 3, records: [{ kind: "to-ex", group, sources: [] }] },
    ] as const) {
      const octets = emitMembershipDatagram(said, sender);
      for (const to of others) {
        octets.set(hex(to), at);
        fixChecksums(octets);
        assert.deepEqual(accepted(octets, { onLink: true }).message, said);
      }
    }
});

test("two Pad1 do as well as one PadN, before or after the alert (RFC 8200 §4.2)", () => {
  for (const options of ["050200000000", "000005020000", "010005020000", "000502000000"])
    accepted(changed(REPORT6, (all) => all.set(hex(options), 42)));
});

test("a Hop-by-Hop header longer than the datagram is dropped (RFC 8200 §4.3)", () => {
  dropped(
    changed(REPORT6, (all) => (all[41] = 7)),
    VERDICT_INNER_LENGTH,
  );
  const empty = room(REPORT6).slice(0, 40);
  empty[5] = 0;
  dropped(empty, VERDICT_INNER_LENGTH);
});

test("a message that cannot be said is our own mistake (RFC 3376 §4, RFC 3810 §5)", () => {
  const join = { kind: "join", generation: 2, group: "ff0e::9" } as const;
  const bug = { code: "CULVERT_BUG" };
  assert.throws(() => emitMembershipDatagram(join, { family: 4, source: "0.0.0.0" }), bug);
  assert.throws(() => emitMembershipDatagram(join, { family: 6, source: "0.0.0.0" }), bug);
  assert.throws(() => emitMembershipDatagram(join, { family: 6, source: "fe80::x" }), bug);
  const old = { kind: "join", generation: 1, group: "ff0e::9" } as const;
  assert.throws(() => emitMembershipDatagram(old, { family: 6, source: "::" }), bug);
  const sources = Array<string>(16_400).fill("192.0.2.1");
  const records = [{ kind: "is-in", group: "232.1.1.1", sources }] as const;
  const huge = { kind: "report", generation: 3, records } as const;
  assert.throws(() => emitMembershipDatagram(huge, { family: 4, source: "0.0.0.0" }), bug);
});

test("what is emitted is what is read, into whatever buffer (RFC 3376 §4, RFC 3810 §5)", () => {
  const said = family.chain((f) =>
    fc.tuple(fc.constant(f), address(f), message(f), fc.integer({ min: 0, max: 255 })),
  );
  fc.assert(
    fc.property(said, ([f, source, content, filler]) => {
      const octets = emitMembershipDatagram(content, { family: f, source });
      const read = accepted(octets);
      assert.deepEqual(
        [read.family, read.source, read.message, read.length],
        [f, source, content, octets.length],
      );
      const used = new Uint8Array(octets.length).fill(filler);
      writeMembershipDatagram(content, { family: f, source }, used);
      assert.equal(toHex(used), toHex(octets));
    }),
  );
});

test("any octets get a verdict and no exception (RFC 7450 §5.1.5)", () => {
  const first = fc.constantFrom(0x46, 0x4f, 0x60);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 120 }), first, (octets, version) => {
      octets[0] = version;
      if (version === 0x60) octets.set([0, octets.length % 128, 0], 4);
      else octets.set([0, octets.length], 2);
      fixChecksums(octets);
      const result = parseMembershipDatagram(octets, {
        requireHopLimit: false,
        requireRouterAlert: false,
      });
      if ("drop" in result) assert.ok(!verdictName(result.drop).startsWith("verdict-"));
      else assert.ok(result.length <= octets.length);
    }),
    { numRuns: 1000 },
  );
});
