/** L2TP sessions of all engines: the examples, each end against the other, and all alike. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { verdictName } from "../../src/core/drops.ts";
import { ConfigError } from "../../src/core/errors.ts";
import type { L2tpSession, L2tpSessionOptions } from "../../src/engine/l2tp-session.ts";
import type { PacketEngine } from "../../src/engine/packet-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { hex, toHex } from "../vectors/hex.ts";
import { L2TP_VECTORS, l2tpVector } from "../vectors/l2tp.ts";
import { holds } from "./holds.ts";
import { edit, edited, ends, frameOf } from "./l2tp-packets.ts";

const ENGINES = [
  createReferenceEngine(),
  createWasmEngine({ simd: false }),
  createWasmEngine({ simd: true }),
];
const GUARD = 0xa5;

/** What a call gave: the packet as hexadecimal digits, or why there is none. */
function call(
  method: (from: Uint8Array, to: Uint8Array) => number,
  input: Uint8Array,
  room: number,
) {
  const before = input.slice();
  const output = new Uint8Array(room + 4).fill(GUARD);
  const result = method(input, output.subarray(0, room));
  assert.deepEqual(input, before, "the input was written to");
  assert.ok(output.subarray(room).every((octet) => octet === GUARD));
  return result > 0 ? toHex(output.subarray(0, result)) : verdictName(-result);
}

function encapsulate(session: L2tpSession, frame: Uint8Array): string {
  return call((a, b) => session.encapsulate(a, b), frame, frame.length + session.overhead);
}

function decapsulate(session: L2tpSession, datagram: Uint8Array): string {
  return call((a, b) => session.decapsulate(a, b), datagram, datagram.length);
}

function withSession<Result>(
  engine: PacketEngine,
  options: L2tpSessionOptions,
  use: (session: L2tpSession) => Result,
): Result {
  const session = engine.l2tpSession(options);
  try {
    return use(session);
  } finally {
    session.close();
  }
}

const V2_OUT = { version: 2, tunnelId: 0x1001, sessionId: 0x0abc } as const;
const V2_IN = { version: 2, tunnelId: 0x2002, sessionId: 0x0def } as const;
const toIn = { peerTunnelId: 0x2002, peerSessionId: 0x0def };
const toOut = { peerTunnelId: 0x1001, peerSessionId: 0x0abc };
const LCP_REQUEST = "ff03c0210101000a050611223344";
const ARP = `ffffffffffff0200000000aa08060001080006040001${"0200000000aa0a000001"}${"0000000000000a000002"}`;

/** The data messages among the examples: who sends, who receives, and the frame in them. */
const DATA: readonly (readonly [string, L2tpSessionOptions, L2tpSessionOptions, string])[] = [
  [
    "v2 data, L and S set",
    { ...V2_OUT, ...toIn, length: true, sequence: true },
    { ...V2_IN, ...toOut, peerSequence: "require" },
    LCP_REQUEST,
  ],
  [
    "v2 data, minimal header",
    { ...V2_IN, ...toOut },
    { ...V2_OUT, ...toIn },
    "ff03c0210201000a050611223344",
  ],
  [
    "v2 data, L and O set",
    { ...V2_OUT, ...toIn, length: true, offset: 2 },
    { ...V2_IN, ...toOut },
    LCP_REQUEST,
  ],
  [
    "v3/UDP data",
    {
      sessionId: 0x11111111,
      peerSessionId: 0x22222222,
      cookie: hex("b1b2b3b4b5b6b7b8"),
      sublayer: "default",
      sequence: true,
    },
    {
      sessionId: 0x22222222,
      peerSessionId: 0x11111111,
      peerCookie: hex("b1b2b3b4b5b6b7b8"),
      sublayer: "default",
      peerSequence: "require",
    },
    ARP,
  ],
  [
    "v3/IP data",
    { encapsulation: "ip", sessionId: 1, peerSessionId: 0xabcd, cookie: hex("deadbeef") },
    { encapsulation: "ip", sessionId: 0xabcd, peerSessionId: 1, peerCookie: hex("deadbeef") },
    ARP,
  ],
  [
    "Keyed IPv6 tunnel data",
    {
      encapsulation: "ip",
      sessionId: 0,
      peerSessionId: 0xffffffff,
      cookie: hex("0102030405060708"),
    },
    {
      encapsulation: "ip",
      sessionId: 0,
      peerSessionId: 0xffffffff,
      peerCookie: hex("0102030405060708"),
    },
    ARP,
  ],
];

for (const engine of ENGINES) {
  const { kind } = engine;
  for (const [name, from, to, frame] of DATA)
    test(`${kind}: ${name} is made of its frame, and its frame of it`, () => {
      const datagram = l2tpVector(name);
      withSession(engine, from, (a) => assert.equal(encapsulate(a, hex(frame)), toHex(datagram)));
      withSession(engine, to, (b) => assert.equal(decapsulate(b, datagram), frame));
    });

  test(`${kind}: control messages are not a session's`, () => {
    const control = L2TP_VECTORS.filter(({ name }) => !/data/.test(name));
    assert.equal(control.length, 25);
    for (const { name, encapsulation, octets } of control)
      withSession(engine, { encapsulation, sessionId: 1, peerSessionId: 1 }, (session) =>
        assert.equal(decapsulate(session, octets), "punted", name),
      );
  });

  test(`${kind}: any frame goes from one end to the other, and back`, (t) => {
    const cases = ends.chain((both) =>
      fc.tuple(
        fc.constant(both),
        fc.array(frameOf(both.a), { maxLength: 4 }),
        fc.array(frameOf(both.b), { maxLength: 4 }),
      ),
    );
    holds(
      t,
      fc.property(cases, ([{ a, b }, there, back]) => {
        const one = engine.l2tpSession(a);
        const other = engine.l2tpSession(b);
        for (const [from, to, options, frames] of [
          [one, other, b, there],
          [other, one, a, back],
        ] as const)
          for (const frame of frames) {
            const got = decapsulate(to, hex(encapsulate(from, frame)));
            assert.equal(got, toHex(expected(frame, options, from === one ? a : b)));
          }
        one.close();
        other.close();
      }),
      300,
    );
  });

  test(`${kind}: a wrong cookie is refused, either of two is taken (RFC 8159 §3)`, () => {
    const datagram = l2tpVector("v3/UDP data");
    const common = { sessionId: 0x22222222, peerSessionId: 1, sublayer: "default" as const };
    const right = hex("b1b2b3b4b5b6b7b8");
    const wrong = hex("b1b2b3b4b5b6b7b9");
    for (const [cookies, wanted] of [
      [{ peerCookie: wrong }, "l2tp-cookie"],
      [{ peerCookie: wrong, peerCookie2: wrong }, "l2tp-cookie"],
      [{ peerCookie: wrong, peerCookie2: right }, ARP],
      [{ peerCookie: right, peerCookie2: wrong }, ARP],
    ] as const)
      withSession(engine, { ...common, ...cookies }, (session) =>
        assert.equal(decapsulate(session, datagram), wanted),
      );
  });

  test(`${kind}: numbers behind are refused, numbers ahead taken, until the peer starts anew (RFC 3931 §4.6.1)`, () => {
    const options = {
      sessionId: 2,
      peerSessionId: 2,
      sublayer: "default",
      sequence: true,
    } as const;
    withSession(engine, { ...options, restartAfter: 3 }, (session) => {
      const frame = hex(ARP);
      const sent = Array.from({ length: 8 }, () => hex(encapsulate(session, frame)));
      const order = [0, 1, 4, 2, 3, 5, 5, 0, 1, 2, 3, 7];
      const taken = order.filter((i) => decapsulate(session, sent[i]!) === ARP);
      assert.deepEqual(taken, [0, 1, 4, 5, 2, 3, 7]);
    });
  });

  test(`${kind}: a LAC numbers as its peer does (RFC 2661 §5.4)`, () => {
    const lac = { ...V2_OUT, ...toIn, peerSequence: "mirror" } as const;
    withSession(engine, lac, (session) => {
      const lcp = hex("ff03c021");
      assert.equal(encapsulate(session, lcp), "000220020defff03c021");
      assert.equal(decapsulate(session, hex("080210010abc00050000ff03c021")), "ff03c021");
      assert.equal(encapsulate(session, lcp), "080220020def00000000ff03c021");
      assert.equal(decapsulate(session, hex("000210010abcff03c021")), "ff03c021");
      assert.equal(encapsulate(session, lcp), "000220020defff03c021");
    });
  });

  test(`${kind}: frames that a pseudowire cannot carry are refused, either way`, () => {
    const ids = { sessionId: 1, peerSessionId: 1 };
    const header = "0003000000000001";
    const cases: [Partial<L2tpSessionOptions>, string, string][] = [
      [{}, "00".repeat(13), "l2tp-payload"],
      [{ pseudowire: "vlan" }, `${"00".repeat(12)}0800${"00".repeat(20)}`, "l2tp-payload"],
      [{ pseudowire: "vlan" }, `${"00".repeat(12)}8100000000`, "l2tp-payload"],
      [{ pseudowire: "atm-vcc" }, "00".repeat(53), "l2tp-payload"],
      [{ pseudowire: "frame-relay" }, "18", "l2tp-payload"],
      [{ pseudowire: "frame-relay" }, "1941", "l2tp-payload"],
      [{ pseudowire: "frame-relay" }, "184041", "l2tp-payload"],
      [{ pseudowire: "frame-relay" }, "18404040", "l2tp-payload"],
      [{ pseudowire: "ip" }, "45".repeat(19), "l2tp-payload"],
      [{ pseudowire: "ip" }, "65".repeat(39), "l2tp-payload"],
      [{ pseudowire: "hdlc" }, "", "l2tp-payload"],
    ];
    for (const [options, frame, wanted] of cases)
      withSession(engine, { ...ids, ...options }, (session) => {
        assert.equal(encapsulate(session, hex(frame)), wanted, frame);
        assert.equal(decapsulate(session, hex(header + frame)), wanted, frame);
      });
    const trunk = { ...ids, pseudowire: "vlan", vlan: 7 } as const;
    withSession(engine, trunk, (session) => {
      const tagged = `${"00".repeat(12)}81006007${"00".repeat(46)}`;
      assert.equal(encapsulate(session, hex(tagged)), header + tagged);
      assert.equal(encapsulate(session, hex(tagged.replace("6007", "6008"))), "l2tp-vlan");
      assert.equal(encapsulate(session, hex("00".repeat(64))), "l2tp-vlan");
      assert.equal(decapsulate(session, hex(header + tagged.replace("6007", "6fff"))), tagged);
    });
  });

  test(`${kind}: the largest frame goes, a larger one does not`, () => {
    withSession(engine, { sessionId: 1, peerSessionId: 1 }, (session) => {
      const largest = new Uint8Array(65_507 - 8).fill(7);
      const datagram = encapsulate(session, largest);
      assert.equal(datagram.length, 2 * 65_507);
      assert.equal(decapsulate(session, hex(datagram)), toHex(largest));
      for (const more of [1, 100, 1 << 20])
        assert.equal(encapsulate(session, new Uint8Array(largest.length + more)), "too-big");
      assert.equal(decapsulate(session, new Uint8Array(65_536)), "too-big");
    });
    withSession(engine, { sessionId: 1, peerSessionId: 1, frameMax: 100 }, (session) => {
      assert.equal(encapsulate(session, new Uint8Array(101)), "too-big");
      assert.equal(encapsulate(session, new Uint8Array(100)).length, 216);
    });
  });

  test(`${kind}: a caller's buffer that is too small is a RangeError`, () => {
    withSession(engine, { sessionId: 1, peerSessionId: 1 }, (session) => {
      assert.equal(session.overhead, 8);
      assert.throws(() => session.encapsulate(new Uint8Array(64), new Uint8Array(71)), RangeError);
      assert.throws(() => session.decapsulate(new Uint8Array(64), new Uint8Array(63)), RangeError);
    });
  });

  test(`${kind}: options that cannot be are refused with their name`, () => {
    const ids = { sessionId: 1, peerSessionId: 1 };
    const cases: [Partial<L2tpSessionOptions>, string][] = [
      [{ sessionId: 0 }, "sessionId: expected 1 to 4294967295, got 0"],
      [{ cookie: new Uint8Array(5) }, "cookie: expected 0, 4 or 8 octets, got 5"],
      [{ peerCookie2: new Uint8Array(4) }, "peerCookie2: expected 0 octets, as peerCookie, got 4"],
      [{ sequence: true }, 'sublayer: expected one for the numbers, got "none"'],
      [{ version: 2 }, "tunnelId: expected 1 to 65535, got 0"],
      [{ vlan: 5 }, 'pseudowire: expected "vlan", as there is a vlan, got nothing'],
      [
        { sublayer: "atm" },
        'pseudowire: expected one of ATM, as the sublayer is "atm", got nothing',
      ],
      [{ peerSequence: "mirror" }, "peerSequence: expected"],
      [{ ...V2_IN, ...toOut, encapsulation: "ip" }, 'encapsulation: expected "udp" with version 2'],
      [{ ...V2_IN, ...toOut, offset: 33 }, "offset: expected 0 to 32, got 33"],
    ];
    for (const [options, wanted] of cases)
      assert.throws(
        () => engine.l2tpSession({ ...ids, ...options }),
        (error) =>
          error instanceof ConfigError && error.message.startsWith(`l2tpSession.${wanted}`),
        wanted,
      );
  });
}

/** What comes out of the other end: the frame with its tag or marks as `to` wants them. */
function expected(frame: Uint8Array, to: L2tpSessionOptions, from: L2tpSessionOptions): Uint8Array {
  const got = frame.slice();
  if (to.vlan !== undefined) got.set([(got[14]! & 0xf0) | (to.vlan >> 8), to.vlan & 0xff], 14);
  const isMarked = [from.sublayer, to.sublayer].includes("atm");
  if (isMarked && from.sublayer !== "atm") got[0] = 0;
  return got;
}

for (const engine of ENGINES.slice(1))
  test(`reference and ${engine.kind} answer alike about any frames and datagrams`, (t) => {
    const step = fc.record({
      frame: fc.tuple(fc.nat(), edit),
      isOut: fc.boolean(),
      edit: fc.option(edit, { freq: 2 }),
      again: fc.boolean(),
    });
    const cases = ends.chain((both) =>
      fc.tuple(
        fc.constant(both),
        fc.array(frameOf(both.a), { minLength: 1, maxLength: 5 }),
        fc.array(step, { maxLength: 25 }),
      ),
    );
    holds(
      t,
      fc.property(cases, ([{ a, b }, frames, steps]) => {
        const sender = ENGINES[0]!.l2tpSession(a);
        const pairs = [a, b].map((options) =>
          [ENGINES[0]!, engine].map((engine) => engine.l2tpSession(options)),
        );
        for (const {
          frame: [index, change],
          isOut,
          edit,
          again,
        } of steps) {
          const frame = frames[index % frames.length]!;
          if (isOut) {
            const given = edited(frame, change);
            const [one, other] = pairs[0]!.map((session) => encapsulate(session, given));
            assert.equal(other, one);
            continue;
          }
          const datagram = hex(encapsulate(sender, frame));
          const arrives = edit ? edited(datagram, edit) : datagram;
          for (let times = again ? 2 : 1; times > 0; times--) {
            const [one, other] = pairs[1]!.map((session) => decapsulate(session, arrives));
            assert.equal(other, one);
            const [back, otherBack] = pairs[1]!.map((session) => encapsulate(session, frame));
            assert.equal(otherBack, back);
          }
        }
        for (const session of pairs.flat()) session.close();
      }),
      800,
    );
  });

test("an engine's sessions do not know each other, and their numbers are used again", () => {
  const engine = createWasmEngine();
  const options = { sessionId: 1, peerSessionId: 1, sublayer: "default", sequence: true } as const;
  const frame = hex(ARP);
  for (let i = 0; i < 5_000; i++) {
    const one = engine.l2tpSession(options);
    const other = engine.l2tpSession(options);
    const first = encapsulate(one, frame);
    assert.equal(encapsulate(other, frame), first);
    assert.equal(decapsulate(other, hex(first)), ARP);
    one.close();
    one.close();
    assert.equal(decapsulate(other, hex(first)), "l2tp-old");
    other.close();
  }
});
