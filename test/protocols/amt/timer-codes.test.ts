/**
 * Max Resp Code, QRV and QQIC octet by octet: what a gateway makes of them in the Query of a
 * Membership Query, and what a relay writes there.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AMT_MEMBERSHIP } from "../../../assembly/layout/amt.ts";
import type { Millis } from "../../../src/core/machine.ts";
import { emitRequest } from "../../../src/wire/amt.ts";
import { parseMembershipDatagram } from "../../../src/wire/membership-datagram.ts";
import { fixChecksums } from "../../wire/fix-checksums.ts";
import { next, query, recordsOf, saidOf } from "./gateway-rig.ts";
import {
  G,
  G6,
  S,
  S6,
  datagram,
  drive,
  fate,
  given,
  include,
  newGateway,
  newRelay,
  only,
} from "./rig.ts";

/** The interval that QQIC stands for, in seconds (RFC 3376 §4.1.7); 0 is the default (§8.2). */
const QQIC = [
  [0x00, 125],
  [0x01, 1],
  [0x7d, 125],
  [0x7f, 127],
  [0x80, 128],
  [0x81, 136],
  [0x8f, 248],
  [0x90, 256],
  [0xa5, 672],
  [0xfe, 30_720],
  [0xff, 31_744],
] as const;

/** Where the fields stand in our General Queries, and what each Max Resp Code means. */
const FAMILIES = [
  {
    family: 4,
    protocol: "IGMPv3",
    clauses: {
      response: "RFC 3376 §4.1.1",
      robustness: "RFC 3376 §4.1.6",
      interval: "RFC 3376 §4.1.7",
    },
    group: G,
    source: S,
    response: { at: 24 + 1, octets: 1 },
    tail: 24 + 8,
    // Tenths of a second.
    responses: [
      [0x00, 0],
      [0x01, 100],
      [0x7f, 12_700],
      [0x80, 12_800],
      [0x8f, 24_800],
      [0xff, 3_174_400],
    ],
    sent: [1],
  },
  {
    family: 6,
    protocol: "MLDv2",
    clauses: {
      response: "RFC 3810 §5.1.3",
      robustness: "RFC 3810 §5.1.8",
      interval: "RFC 3810 §5.1.9",
    },
    group: G6,
    source: S6,
    response: { at: 48 + 4, octets: 2 },
    tail: 48 + 24,
    // Milliseconds.
    responses: [
      [0x0000, 0],
      [0x0001, 1],
      [0x7fff, 32_767],
      [0x8000, 32_768],
      [0x8fff, 65_528],
      [0xffff, 8_387_584],
    ],
    sent: [0, 1],
  },
] as const;

for (const { family, protocol, clauses, group, source, response, tail, ...codes } of FAMILIES) {
  /** The gateway's nonce and the Query that answers it, changed by `change`. */
  function asked(change: (inner: Uint8Array) => void) {
    const gateway = newGateway();
    given(gateway, { kind: "membership", group, filter: include(source) }, -10_000);
    drive(gateway, -1);
    const [request] = saidOf(given(gateway, { kind: "start" }, 0), "request");
    const answer = query(request!.nonce, { family });
    assert.ok(answer.kind === "datagram");
    const inner = answer.octets.subarray(AMT_MEMBERSHIP);
    change(inner);
    fixChecksums(inner);
    return { gateway, answer, inner };
  }

  /** Writes a Max Resp Code. */
  function writeResponse(inner: Uint8Array, code: number): void {
    for (let i = 0; i < response.octets; i++)
      inner[response.at + i] = code >>> (8 * (response.octets - 1 - i));
  }

  test(`${protocol}: a gateway asks again after the QQIC of the Query, a floating point code from 128 on, 125 s for 0 (${clauses.interval})`, () => {
    for (const [code, seconds] of QQIC) {
      const { gateway, answer } = asked((inner) => (inner[tail + 1] = code));
      assert.equal(fate(given(gateway, answer, 500)), "accepted");
      assert.equal(next(gateway, "request").at, 500 + 1_000 * seconds, `QQIC ${code}`);
    }
  });

  test(`${protocol}: Max Resp Code is a number at first, then a floating point code (${clauses.response})`, () => {
    for (const [code, milliseconds] of codes.responses) {
      const { inner } = asked((octets) => writeResponse(octets, code));
      const read = parseMembershipDatagram(inner);
      assert.ok("message" in read && read.message.kind === "query");
      assert.equal(read.message.maxResponse, milliseconds, `Max Resp Code ${code}`);
    }
  });

  test(`${protocol}: a gateway answers a Membership Query at once, whatever its Max Resp Code, 0 too (RFC 7450 §5.2.3.5)`, () => {
    for (const [code] of codes.responses) {
      const { gateway, answer } = asked((inner) => writeResponse(inner, code));
      assert.deepEqual(recordsOf(given(gateway, answer, 500)), [`is-in ${group} ${source}`]);
    }
  });

  test(`${protocol}: a gateway tells a relay that is new to it as often as QRV says, twice for 0 (${clauses.robustness})`, () => {
    for (const [robustness, times] of [
      [0, 2],
      [1, 1],
      [2, 2],
      [7, 7],
    ] as const) {
      const { gateway, answer } = asked((inner) => (inner[tail] = robustness));
      const outs = given(gateway, answer, 500);
      const later = drive(gateway, 60_000).map(({ out }) => out);
      assert.equal(recordsOf([...outs, ...later]).length, times, `QRV ${robustness}`);
    }
  });

  test(`${protocol}: a relay's QQIC is the code of its Query Interval, never of more (${clauses.interval})`, () => {
    const sent: readonly (readonly [Millis, number])[] = [
      ...QQIC.filter(([code]) => code !== 0).map(
        ([code, seconds]) => [1_000 * seconds, code] as const,
      ),
      [1_900, 0x01],
      [127_999, 0x7f],
      [135_000, 0x80],
      [31_743_000, 0xfe],
    ];
    for (const [queryInterval, code] of sent)
      assert.equal(general({ queryInterval })[tail + 1], code, `${queryInterval} ms`);
  });

  test(`${protocol}: a relay's Max Resp Code is the shortest that is not 0: gateways answer at once (${clauses.response})`, () => {
    const octets = general({ queryResponseInterval: 10_000 });
    assert.deepEqual(
      [...octets.subarray(response.at, response.at + response.octets)],
      [...codes.sent],
    );
  });

  test(`${protocol}: a relay's QRV is its Robustness Variable (RFC 7450 §5.1.4)`, () => {
    for (const robustness of [1, 2, 7]) assert.equal(general({ robustness })[tail], robustness);
  });

  /** The General Query that a relay with these options sends. */
  function general(options: Parameters<typeof newRelay>[0]): Uint8Array {
    const request = datagram(emitRequest(1, { family, ecn: false }));
    const [answer] = only(given(newRelay(options), request, 0), "send");
    return answer!.octets.subarray(AMT_MEMBERSHIP);
  }
}
