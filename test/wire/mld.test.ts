import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_MEMBERSHIP_TYPE,
} from "../../assembly/layout/verdict.ts";
import { verdictName } from "../../src/core/drops.ts";
import type { MembershipMessage } from "../../src/wire/membership.ts";
import { isMldType, mldLength, parseMld, writeMld } from "../../src/wire/mld.ts";
import { hex, toHex } from "../vectors/hex.ts";
import { message } from "./arbitraries.ts";
import { fixMld } from "./fix-checksums.ts";

/** Of some pseudo-header; which one does not matter here. */
const SUM = 0x12345;
const GROUP = "ff3e0000 00000000 00000000 80001234";
const SOURCE = "20010db8 00440000 00000000 00000044";

function read(text: string): MembershipMessage {
  const octets = hex(text);
  fixMld(octets, SUM);
  const result = parseMld(octets, SUM);
  if (typeof result === "number") assert.fail(`dropped: ${verdictName(result)}`);
  return result;
}

function dropped(text: string, verdict: number): void {
  const octets = hex(text);
  fixMld(octets, SUM);
  const result = parseMld(octets, SUM);
  assert.equal(typeof result === "number" ? verdictName(result) : result, verdictName(verdict));
}

/** What is written for a message, where other octets were before and stay around. */
function write(said: MembershipMessage): string {
  const octets = new Uint8Array(mldLength(said) + 5).fill(0xa5);
  const end = writeMld(said, octets, 2, SUM);
  assert.equal(end, octets.length - 3);
  assert.equal(toHex(octets.subarray(0, 2)), "a5a5");
  assert.equal(toHex(octets.subarray(end)), "a5a5a5");
  return toHex(octets.subarray(2, end));
}

const V1_QUERY = {
  kind: "query",
  generation: 2,
  sources: [],
  suppress: false,
  robustness: 0,
  queryInterval: 0,
} as const;

test("a query's version is told by its length (RFC 3810 §8.1)", () => {
  const group = "ff3e::8000:1234";
  assert.deepEqual(read(`8200 0000 2710 0000 ${GROUP}`), {
    ...V1_QUERY,
    group,
    maxResponse: 10_000,
  });
  const general = "00000000 00000000 00000000 00000000";
  const first = read(`8200 0000 ffff 0000 ${general}`);
  assert.deepEqual(first, { ...V1_QUERY, group: undefined, maxResponse: 65_535 });
  for (const more of ["aa", "aaaa", "aaaaaa"])
    dropped(`8200 0000 2710 0000 ${GROUP} ${more}`, VERDICT_MEMBERSHIP_LENGTH);
  assert.deepEqual(read(`8200 0000 8000 0000 ${GROUP} fb8f 0001 ${SOURCE}`), {
    kind: "query",
    generation: 3,
    group,
    sources: ["2001:db8:44::44"],
    maxResponse: 32_768,
    suppress: true,
    robustness: 3,
    queryInterval: 248_000,
  });
});

test("reserved bits and octets after the sources of a query are ignored (RFC 3810 §5.1.2 to §5.1.12)", () => {
  const rest = `${GROUP} 027d 0001 ${SOURCE}`;
  const plain = read(`8200 0000 0001 0000 ${rest}`);
  assert.deepEqual(read(`82ff 0000 0001 ffff ${rest.replace("027d", "f27d")} dead`), plain);
});

test("sources or records that run past the end are refused (RFC 3810 §5.2.4)", () => {
  dropped(`8200 0000 0001 0000 ${GROUP} 027d 0001`, VERDICT_MEMBERSHIP_LENGTH);
  dropped(`8f00 0000 0000 0001`, VERDICT_MEMBERSHIP_LENGTH);
  dropped(`8f00 0000 0000 0001 01000001 ${GROUP}`, VERDICT_MEMBERSHIP_LENGTH);
  dropped(`8f00 0000 0000 0001 01010000 ${GROUP}`, VERDICT_MEMBERSHIP_LENGTH);
  dropped(`8f00 0000 0000 0002 01000000 ${GROUP}`, VERDICT_MEMBERSHIP_LENGTH);
});

test("auxiliary data, unknown types and what follows are skipped (RFC 3810 §5.2.10 to §5.2.12)", () => {
  const said = read(
    `8fff 0000 ffff 0002 09010001 ${GROUP} ${SOURCE} deadbeef 05000001 ${GROUP} ${SOURCE} eeee`,
  );
  assert.deepEqual(said, {
    kind: "report",
    generation: 3,
    records: [{ kind: "allow", group: "ff3e::8000:1234", sources: ["2001:db8:44::44"] }],
  });
});

test("a report or done counts for 24 octets, however long it is (RFC 2710 §3.7)", () => {
  for (const tail of ["", "00", "0102030405060708"]) {
    const group = "ff3e::8000:1234";
    const join = read(`8301 0000 0000 0000 ${GROUP} ${tail}`);
    assert.deepEqual(join, { kind: "join", generation: 2, group });
    const leave = read(`8400 0000 0000 0000 ${GROUP} ${tail}`);
    assert.deepEqual(leave, { kind: "leave", generation: 2, group });
  }
});

test("types other than the four are refused (RFC 3810 §5)", () => {
  for (let type = 0; type < 256; type++) {
    assert.equal(isMldType(type), [130, 131, 132, 143].includes(type));
    if (!isMldType(type))
      dropped(
        `${type.toString(16).padStart(2, "0")}00 0000 0000 0000 ${GROUP}`,
        VERDICT_MEMBERSHIP_TYPE,
      );
  }
});

test("a wrong checksum is refused (RFC 3810 §5.1.2)", () => {
  const octets = hex(`8300 0000 0000 0000 ${GROUP}`);
  fixMld(octets, SUM);
  assert.equal(parseMld(octets, SUM + 1), VERDICT_MEMBERSHIP_CHECKSUM);
});

test("MLDv1's delay is a plain number, MLDv2's has a code (RFC 2710 §3.4, RFC 3810 §5.1.3)", () => {
  const delay = (said: MembershipMessage) => write(said).slice(8, 12);
  assert.equal(delay({ ...V1_QUERY, group: undefined, maxResponse: 40_000 }), "9c40");
  assert.equal(delay({ ...V1_QUERY, group: undefined, maxResponse: 1e6 }), "ffff");
  const recent = { ...V1_QUERY, generation: 3, group: undefined } as const;
  assert.equal(delay({ ...recent, maxResponse: 32_775 }), "8000");
  assert.equal(delay({ ...recent, maxResponse: 32_776 }), "8001");
});

test("what is written is what is read (RFC 3810 §5)", () => {
  fc.assert(
    fc.property(message(6), (said) => {
      assert.deepEqual(parseMld(hex(write(said)), SUM), said);
    }),
  );
});

test("a message cut anywhere gets a verdict or a shorter sense (RFC 3810 §5)", () => {
  fc.assert(
    fc.property(message(6), (said) => {
      const octets = hex(write(said));
      for (let length = 0; length < octets.length; length++) {
        const cut = octets.slice(0, length);
        fixMld(cut, SUM);
        const result = parseMld(cut, SUM);
        if (said.kind === "query") assert.notDeepEqual(result, said);
        else assert.equal(result, VERDICT_MEMBERSHIP_LENGTH);
      }
    }),
    { numRuns: 30 },
  );
});
