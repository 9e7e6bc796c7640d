import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_MEMBERSHIP_TYPE,
} from "../../assembly/layout/verdict.ts";
import { verdictName } from "../../src/core/drops.ts";
import { igmpLength, parseIgmp, writeIgmp } from "../../src/wire/igmp.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { hex, toHex } from "../vectors/hex.ts";
import { message } from "./arbitraries.ts";
import { fixIgmp } from "./fix-checksums.ts";

/** The message of these octets, whose checksum need not be right. */
function read(text: string): MembershipMessage {
  const octets = hex(text);
  fixIgmp(octets, 0, octets.length);
  const result = parseIgmp(octets);
  if (typeof result === "number") assert.fail(`dropped: ${verdictName(result)}`);
  return result;
}

function dropped(text: string, verdict: number): void {
  const octets = hex(text);
  fixIgmp(octets, 0, octets.length);
  const result = parseIgmp(octets);
  assert.equal(typeof result === "number" ? verdictName(result) : result, verdictName(verdict));
}

/** What is written for a message, where other octets were before and stay around. */
function write(said: MembershipMessage): string {
  const octets = new Uint8Array(igmpLength(said) + 5).fill(0xa5);
  const end = writeIgmp(said, octets, 2);
  assert.equal(end, octets.length - 3);
  assert.equal(toHex(octets.subarray(0, 2)), "a5a5");
  assert.equal(toHex(octets.subarray(end)), "a5a5a5");
  return toHex(octets.subarray(2, end));
}

const OLD_QUERY = { kind: "query", sources: [], suppress: false, robustness: 0 } as const;

test("a query's version is told by its length and code (RFC 3376 §7.1)", () => {
  assert.deepEqual(read("1100 0000 00000000"), {
    ...OLD_QUERY,
    generation: 1,
    group: undefined,
    maxResponse: 10_000,
    queryInterval: 0,
  });
  assert.deepEqual(read("1164 0000 ef010203"), {
    ...OLD_QUERY,
    generation: 2,
    group: "239.1.2.3",
    maxResponse: 10_000,
    queryInterval: 0,
  });
  const third = read("1100 0000 00000000 0000 0000");
  assert.equal(third.generation, 3);
  for (const more of ["aa", "aaaa", "aaaaaa"])
    dropped(`1164 0000 00000000 ${more}`, VERDICT_MEMBERSHIP_LENGTH);
});

test("a v2 query's code is linear, a v3 query's is not (RFC 2236 §2.2, RFC 3376 §4.1.1)", () => {
  const old = read("11ff 0000 00000000");
  assert.equal(old.kind === "query" && old.maxResponse, 25_500);
  const recent = read("11ff 0000 00000000 0000 0000");
  assert.equal(recent.kind === "query" && recent.maxResponse, 3_174_400);
});

test("a v3 query tells S, QRV, QQIC, group and sources (RFC 3376 §4.1)", () => {
  assert.deepEqual(read("110a 0000 e8010203 fb8f 0002 c0000201 c0000202"), {
    kind: "query",
    generation: 3,
    group: "232.1.2.3",
    sources: ["192.0.2.1", "192.0.2.2"],
    maxResponse: 1000,
    suppress: true,
    robustness: 3,
    queryInterval: 248_000,
  });
});

test("octets after the sources of a query are only under its checksum (RFC 3376 §4.1.10)", () => {
  const query = "110a 0000 e8010203 027d 0001 c0000201";
  assert.deepEqual(read(`${query} deadbeef 01`), read(query));
});

test("sources or records that run past the end are refused (RFC 3376 §4.2.4)", () => {
  dropped("1101 0000 e8010203 027d 0002 c0000201", VERDICT_MEMBERSHIP_LENGTH);
  dropped("1101 0000 e8010203 027d ffff c0000201", VERDICT_MEMBERSHIP_LENGTH);
  dropped("2200 0000 0000 0001", VERDICT_MEMBERSHIP_LENGTH);
  dropped("2200 0000 0000 0001 01000001 e8010203", VERDICT_MEMBERSHIP_LENGTH);
  dropped("2200 0000 0000 0001 01010000 e8010203", VERDICT_MEMBERSHIP_LENGTH);
  dropped("2200 0000 0000 ffff 01000000 e8010203", VERDICT_MEMBERSHIP_LENGTH);
  dropped("2200 0000 0000 0001 0100ffff e8010203 c0000201", VERDICT_MEMBERSHIP_LENGTH);
});

test("auxiliary data is skipped, and octets after the last record (RFC 3376 §4.2.10, §4.2.11)", () => {
  const said = read(
    "22ff 0000 ffff 0002 06020001 e8010203 c0000201 deadbeef deadbeef 03000000 ef010101 eeeeeeee",
  );
  assert.deepEqual(said, {
    kind: "report",
    generation: 3,
    records: [
      { kind: "block", group: "232.1.2.3", sources: ["192.0.2.1"] },
      { kind: "to-in", group: "239.1.1.1", sources: [] },
    ],
  });
});

test("records of unknown type are skipped, the others stand (RFC 3376 §4.2.12)", () => {
  const said = read(
    "2200 0000 0000 0003 00000000 ef010101 07000001 ef010101 c0000201 04000000 ef010102",
  );
  assert.deepEqual(said, {
    kind: "report",
    generation: 3,
    records: [{ kind: "to-ex", group: "239.1.1.2", sources: [] }],
  });
});

test("a v1 or v2 message may be longer than it is (RFC 2236 §2.5)", () => {
  for (const tail of ["", "00", "01020304", "0102030405060708"]) {
    assert.deepEqual(read(`1200 0000 ef090909 ${tail}`), {
      kind: "join",
      generation: 1,
      group: "239.9.9.9",
    });
    assert.deepEqual(read(`1600 0000 ef090909 ${tail}`), {
      kind: "join",
      generation: 2,
      group: "239.9.9.9",
    });
    assert.deepEqual(read(`1700 0000 ef090909 ${tail}`), {
      kind: "leave",
      generation: 2,
      group: "239.9.9.9",
    });
  }
});

test("types other than the five are refused (RFC 3376 §4)", () => {
  const known = [0x11, 0x12, 0x16, 0x17, 0x22];
  for (let type = 0; type < 256; type++)
    if (!known.includes(type))
      dropped(`${type.toString(16).padStart(2, "0")}00 0000 00000000`, VERDICT_MEMBERSHIP_TYPE);
});

test("a wrong checksum is refused, whatever else is wrong (RFC 3376 §4.1.2)", () => {
  assert.equal(parseIgmp(hex("ff00 0000 00000000")), VERDICT_MEMBERSHIP_CHECKSUM);
  assert.equal(parseIgmp(hex("1600 f1ec ef090908")), VERDICT_MEMBERSHIP_CHECKSUM);
});

test("a v2 query is never written with code 0, nor one beyond 255 (RFC 2236 §4)", () => {
  const query = { ...OLD_QUERY, generation: 2, group: undefined, queryInterval: 0 } as const;
  assert.equal(write({ ...query, maxResponse: 0 }).slice(0, 4), "1101");
  assert.equal(write({ ...query, maxResponse: 199 }).slice(0, 4), "1101");
  assert.equal(write({ ...query, maxResponse: 60_000 }).slice(0, 4), "11ff");
});

test("a robustness beyond 7 is sent as 0 (RFC 3376 §4.1.6)", () => {
  const query = { ...OLD_QUERY, generation: 3, group: undefined } as const;
  const sent = write({ ...query, robustness: 8, maxResponse: 100, queryInterval: 20_000 });
  assert.equal(sent.slice(16), "00140000");
});

test("what has no code is sent as the next lower that has (RFC 3376 §4.1.1, §4.1.7)", () => {
  const query = { ...OLD_QUERY, generation: 3, group: undefined } as const;
  const octets = hex(write({ ...query, maxResponse: 13_599, queryInterval: 263_999 }));
  assert.equal(octets[1], 0x80); // 135.99 s: 128 tenths is 0x80, 136 would be 0x81
  assert.equal(octets[9], 0x90); // 263 s: 256 is 0x90, 272 would be 0x91
});

test("what is written is what is read (RFC 3376 §4)", () => {
  fc.assert(
    fc.property(message(4), (said) => {
      assert.deepEqual(parseIgmp(hex(write(said))), said);
    }),
  );
});

test("a message cut anywhere gets a verdict or a shorter sense (RFC 3376 §4)", () => {
  fc.assert(
    fc.property(message(4), (said) => {
      const octets = hex(write(said));
      for (let length = 0; length < octets.length; length++) {
        const cut = octets.slice(0, length);
        fixIgmp(cut, 0, length);
        const result = parseIgmp(cut);
        if (said.kind === "report") assert.equal(result, VERDICT_MEMBERSHIP_LENGTH);
        else assert.notDeepEqual(result, said);
      }
    }),
    { numRuns: 30 },
  );
});
