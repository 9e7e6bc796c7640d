import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MESSAGE_ACK, MESSAGE_HELLO } from "../../src/wire/l2tp-control.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { type Drop, verdictName } from "../../src/core/drops.ts";
import * as l2tp from "../../src/wire/l2tp.ts";
import { holds } from "../engine/holds.ts";
import { L2TP_VECTORS, l2tpVector, type L2tpVector } from "../vectors/l2tp.ts";
import { hex, toHex } from "../vectors/hex.ts";

const u16 = fc.nat({ max: 0xffff });
const u32 = fc.nat({ max: 0xffff_ffff });
const octets = fc.uint8Array({ maxLength: 60 });
const encapsulation = fc.constantFrom("udp" as const, "ip" as const);

/** The value; a drop fails the test. */
function accepted<Value extends object>(result: Value | Drop): Value {
  if (typeof result === "number") assert.fail(`dropped: ${verdictName(result)}`);
  return result;
}

/** What is read out of a message, written again. */
function again({ octets, encapsulation }: L2tpVector): Uint8Array {
  const message = accepted(l2tp.parseMessage(octets, encapsulation));
  if (message.kind === "control") {
    const avps = l2tp.emitAvps(accepted(l2tp.parseAvps(message.avps)));
    return l2tp.emitControl({ ...message, avps }, encapsulation);
  }
  if (message.version === 2) return l2tp.emitDataV2(message);
  return l2tp.emitDataV3(encapsulation, message.sessionId, message.rest);
}

for (const vector of L2TP_VECTORS)
  test(`${vector.name}: read and written again, the octets are the same`, () => {
    assert.equal(toHex(again(vector)), toHex(vector.octets));
  });

/** Type, identifier, Ns and Nr of each control message, and its AVPs: vendor's are none. */
const CONTROL: readonly [string, number | undefined, number, number, number, readonly number[]][] =
  [
    ["v2 SCCRQ", 1, 0, 0, 0, [0, 2, 3, 4, 7, 8, 9, 10, 5, 11]],
    ["v2 SCCRP", 2, 0x10010000, 0, 1, [0, 2, 3, 7, 9, 10, 13]],
    ["v2 SCCCN", 3, 0x20020000, 1, 1, [0]],
    ["v2 ZLB", undefined, 0x10010000, 1, 2, []],
    ["v2 ICRQ", 10, 0x20020000, 2, 1, [0, 14, 15]],
    ["v2 ICRP", 11, 0x10010abc, 1, 3, [0, 14]],
    ["v2 ICCN", 12, 0x20020def, 3, 2, [0, 24, 19, 29, 30, 32, 36, 33]],
    ["v2 HELLO", 6, 0x20020000, 4, 2, [0]],
    ["v2 CDN", 14, 0x10010abc, 2, 5, [0, 1, 14]],
    ["v2 StopCCN", 4, 0x20020000, 5, 3, [0, 9, 1]],
    ["v3/UDP SCCRQ", 1, 0, 0, 0, [0, 59, 73, 7, 60, 61, 62, 10]],
    ["v3/UDP SCCRP", 2, 0x0a0a0001, 0, 1, [0, 59, 73, 7, 60, 61, 62, 10]],
    ["v3/UDP SCCCN", 3, 0x0b0b0002, 1, 1, [0, 59]],
    ["v3/UDP ACK", 20, 0x0a0a0001, 1, 2, [0, 59]],
    ["v3/UDP ICRQ, Ethernet PW", 10, 0x0b0b0002, 2, 1, [0, 59, 63, 64, 15, 68, 66, 71, 65, 69, 70]],
    ["v3/UDP ICRP", 11, 0x0a0a0001, 1, 3, [0, 59, 63, 64, 71, 65, 69, 70]],
    ["v3/UDP ICCN", 12, 0x0b0b0002, 3, 2, [0, 59, 63, 64]],
    ["v3/UDP HELLO", 6, 0x0b0b0002, 4, 2, [0, 59]],
    ["v3/UDP SLI", 16, 0x0a0a0001, 2, 5, [0, 59, 63, 64, 71]],
    ["v3/UDP ICRQ, VLAN PW", 10, 0x0b0b0002, 5, 3, [0, 59, 36, 63, 64, 15, 68, 66, 71, 65, 69]],
    ["v3/UDP CDN", 14, 0x0a0a0001, 3, 6, [0, 59, 1, 63, 64]],
    ["v3/UDP StopCCN", 4, 0x0b0b0002, 6, 4, [0, 59, 61, 1]],
    ["v3/IP SCCRQ", 1, 0, 0, 0, [0, 59, 73, 7, 60, 61, 62]],
    ["v3/IP ACK", 20, 0xaabbccdd, 3, 4, [0, 59]],
    ["Dual-version SCCRQ", 1, 0, 0, 0, [0, 2, 3, 7, 9, 10, 60, 61, 62]],
  ];

test("control messages tell type, identifier, numbers and AVPs (RFC 2661 §3.1, RFC 3931 §3.2.1)", () => {
  const read = L2TP_VECTORS.flatMap(({ name, octets, encapsulation }) => {
    const message = accepted(l2tp.parseMessage(octets, encapsulation));
    if (message.kind === "data") return [];
    const avps = accepted(l2tp.parseAvps(message.avps));
    assert.ok(avps.every((avp) => avp.vendor === 0 && !avp.reserved));
    const { connection, ns, nr } = message;
    return [[name, l2tp.messageType(avps), connection, ns, nr, avps.map(({ type }) => type)]];
  });
  assert.deepEqual(read, CONTROL);
});

test("M and H of an AVP are told (RFC 2661 §4.1)", () => {
  const avps = (name: string) =>
    accepted(l2tp.parseAvps(accepted(l2tp.parseControl(l2tpVector(name))).avps));
  const flags = (name: string, type: number) => {
    const avp = avps(name).find((avp) => avp.type === type);
    return [avp?.mandatory, avp?.hidden, avp?.value.length];
  };
  assert.deepEqual(flags("v2 SCCRQ", 5), [false, false, 8]);
  assert.deepEqual(flags("v2 SCCRQ", 11), [true, false, 16]);
  assert.deepEqual(flags("v2 ICCN", 33), [false, true, 9]);
  assert.deepEqual(flags("v3/UDP ICRQ, VLAN PW", 65), [true, true, 14]);
  assert.deepEqual(flags("Dual-version SCCRQ", 61), [false, false, 4]);
});

test("a HELLO and its acknowledgement are written as in the examples (RFC 2661 §5.5, RFC 3931 §4.4)", () => {
  const hello = l2tp.emitAvps([l2tp.messageTypeAvp(MESSAGE_HELLO)]);
  const v2 = { version: 2, connection: 0x20020000, ns: 4, nr: 2, avps: hello } as const;
  assert.equal(toHex(l2tp.emitControl(v2, "udp")), toHex(l2tpVector("v2 HELLO")));
  const zlb = { version: 2, connection: 0x10010000, ns: 1, nr: 2, avps: new Uint8Array() } as const;
  assert.equal(toHex(l2tp.emitControl(zlb, "udp")), toHex(l2tpVector("v2 ZLB")));
  const ack = l2tp.emitAvps([l2tp.messageTypeAvp(MESSAGE_ACK)]);
  const v3 = { version: 3, connection: 0x0a0a0001, ns: 1, nr: 2, avps: ack } as const;
  assert.equal(
    toHex(l2tp.emitControl(v3, "ip")),
    "00000000c80300140a0a0001000100028008000000000014",
  );
});

test("data messages of version 2 tell every field (RFC 2661 §3.1)", () => {
  const lcp = (code: number) => hex(`ff03c0210${code}01000a050611223344`);
  const common = { kind: "data", version: 2, priority: false, sequence: undefined };
  const read = (name: string) => l2tp.parseMessage(l2tpVector(name), "udp");
  const out = { ...common, tunnelId: 0x2002, sessionId: 0x0def, hasLength: true };
  assert.deepEqual(read("v2 data, L and S set"), {
    ...out,
    sequence: { ns: 0, nr: 0 },
    offset: undefined,
    payload: lcp(1),
  });
  assert.deepEqual(read("v2 data, L and O set"), { ...out, offset: 2, payload: lcp(1) });
  assert.deepEqual(read("v2 data, minimal header"), {
    ...common,
    tunnelId: 0x1001,
    sessionId: 0x0abc,
    hasLength: false,
    offset: undefined,
    payload: lcp(2),
  });
});

test("what follows the Length is no part of a message", () => {
  for (const name of ["v2 data, L and S set", "v2 HELLO", "v3/UDP ICRP"]) {
    const octets = l2tpVector(name);
    const longer = new Uint8Array([...octets, 1, 2, 3]);
    assert.deepEqual(l2tp.parseMessage(longer, "udp"), l2tp.parseMessage(octets, "udp"));
  }
});

test("a malformed message is dropped for one reason", () => {
  const cases: [string, number][] = [
    ["", verdict.VERDICT_TRUNCATED],
    ["00", verdict.VERDICT_TRUNCATED],
    ["0001", verdict.VERDICT_L2TP_VERSION],
    ["0003000000000000", verdict.VERDICT_L2TP_HEADER],
    ["00030000000000", verdict.VERDICT_TRUNCATED],
    ["c803000b", verdict.VERDICT_TRUNCATED],
    ["8803000c0000000000000000", verdict.VERDICT_L2TP_HEADER],
    ["c803000d0000000000000000", verdict.VERDICT_L2TP_HEADER],
    ["c803000b0000000000000000", verdict.VERDICT_L2TP_HEADER],
    ["ca02000c0000000000000000", verdict.VERDICT_L2TP_HEADER],
    ["4002001020020def", verdict.VERDICT_TRUNCATED],
    ["4002000720020def", verdict.VERDICT_L2TP_HEADER],
    ["020220020defffff", verdict.VERDICT_L2TP_HEADER],
    ["020220020def00", verdict.VERDICT_TRUNCATED],
  ];
  for (const [text, wanted] of cases)
    assert.equal(l2tp.parseMessage(hex(text), "udp"), wanted, text);
  assert.equal(l2tp.parseMessage(hex("000000"), "ip"), verdict.VERDICT_TRUNCATED);
  const version1 = hex("00000000c801000c0000000000000000");
  assert.equal(l2tp.parseMessage(version1, "ip"), verdict.VERDICT_L2TP_VERSION);
});

test("an AVP that cannot be one, or ends outside, spoils the message (RFC 2661 §4.1)", () => {
  for (const text of ["80", "8005000000000001", "800900000000aabb", "80060000000000"])
    assert.equal(l2tp.parseAvps(hex(text)), verdict.VERDICT_L2TP_HEADER, text);
  assert.equal(accepted(l2tp.parseAvps(hex("bc0600000027")))[0]?.reserved, true);
});

test("any data message of version 2 is read as it was written", (t) => {
  const message = fc.record(
    {
      kind: fc.constant("data" as const),
      version: fc.constant(2 as const),
      tunnelId: u16,
      sessionId: u16,
      priority: fc.boolean(),
      hasLength: fc.boolean(),
      sequence: fc.option(fc.record({ ns: u16, nr: u16 }, { noNullPrototype: true }), {
        nil: undefined,
      }),
      offset: fc.option(fc.nat({ max: 300 }), { nil: undefined }),
      payload: octets,
    },
    { noNullPrototype: true },
  );
  holds(
    t,
    fc.property(message, (message) => {
      assert.deepEqual(l2tp.parseMessage(l2tp.emitDataV2(message), "udp"), message);
    }),
    1000,
  );
});

test("any data message of version 3 is read as it was written, its sublayer too", (t) => {
  const sublayer = fc.record(
    {
      vccv: fc.boolean(),
      fragment: fc.nat({ max: 3 }),
      mark: fc.nat({ max: 15 }),
      number: fc.option(fc.nat({ max: 0xff_ffff }), { nil: undefined }),
    },
    { noNullPrototype: true },
  );
  const id = fc.integer({ min: 1, max: 0xffff_ffff });
  holds(
    t,
    fc.property(encapsulation, id, octets, sublayer, octets, (carrier, id, cookie, sub, frame) => {
      const between = l2tp.emitSublayer(sub);
      const message = l2tp.emitDataV3(carrier, id, cookie, between, frame);
      const read = accepted(l2tp.parseMessage(message, carrier));
      if (read.kind === "control" || read.version === 2) assert.fail("another kind");
      assert.equal(read.sessionId, id);
      assert.deepEqual([...read.rest], [...cookie, ...between, ...frame]);
      assert.deepEqual(l2tp.parseSublayer(between), sub);
    }),
    1000,
  );
});

test("any control message is read as it was written", (t) => {
  const avp = fc.record(
    {
      mandatory: fc.boolean(),
      hidden: fc.boolean(),
      reserved: fc.constant(false),
      vendor: u16,
      type: u16,
      value: fc.uint8Array({ maxLength: 1017 }),
    },
    { noNullPrototype: true },
  );
  const version = fc.constantFrom(2 as const, 3 as const);
  const avps = fc.array(avp, { maxLength: 6 });
  holds(
    t,
    fc.property(
      encapsulation,
      version,
      u32,
      u16,
      u16,
      avps,
      (carrier, version, id, ns, nr, avps) => {
        const control = { version, connection: id, ns, nr, avps: l2tp.emitAvps(avps) };
        const read = l2tp.parseMessage(l2tp.emitControl(control, carrier), carrier);
        assert.deepEqual(read, { kind: "control", ...control });
        assert.deepEqual(l2tp.parseAvps(control.avps), avps);
      },
    ),
  );
});

test("any octets are a message or a drop", (t) => {
  holds(
    t,
    fc.property(fc.uint8Array({ maxLength: 40 }), encapsulation, (octets, carrier) => {
      const read = l2tp.parseMessage(octets, carrier);
      if (typeof read !== "number" && read.kind === "control") l2tp.parseAvps(read.avps);
    }),
    3000,
  );
});
