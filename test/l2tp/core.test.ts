/** The core's L2TP path: headers, cookies, sublayers, trains, pseudowires, books. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { STAGE_CONTROL, STAGE_DEVICE, STAGE_RECEIVED } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import type { HeaderPlan, SessionPlan } from "../../src/engine/session.ts";
import { arrive, Desk, planOf, SOCKET, type Delivered } from "./desk.ts";

const A = { address: "192.0.2.1", port: 1701 };
const B = { address: "192.0.2.2", port: 1702 };
const A6 = { address: "2001:db8::1", port: 1701 };
const DEVICE = 2;
const COOKIE_A = Buffer.from("a1a2a3a4a5a6a7a8", "hex");
const COOKIE_B = Buffer.from("b1b2b3b4b5b6b7b8", "hex");

function ethernet(length: number, seed = 0): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);
  frame.set([0x08, 0x06], 12);
  return frame;
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString("hex");
const frames = (delivered: readonly Delivered[]): string[] =>
  delivered.map(({ octets }) => hex(octets));

interface Shape {
  readonly cookie: number;
  readonly sublayer: number;
  readonly numbered: boolean;
  readonly ip: boolean;
}

/** Two ends of one version 3 session: what A sends is what B expects. */
function pair(shape: Shape, plan: Partial<SessionPlan> = {}): { a: Desk; b: Desk } {
  const kind = shape.ip ? l2tp.PORT_IPV6 : l2tp.PORT_UDP;
  const a = new Desk(kind);
  const b = new Desk(kind);
  const header: Partial<HeaderPlan> & { id: number } = {
    id: 0xb0000002,
    udp: !shape.ip,
    cookie: COOKIE_B.subarray(0, shape.cookie),
    sublayer: shape.sublayer,
  };
  const from = shape.ip ? { ...A6, port: 0 } : A;
  const to = shape.ip ? { address: "2001:db8::2", port: 0 } : B;
  for (const desk of [a, b]) desk.port(DEVICE, l2tp.PORT_FRAMES);
  a.session(
    7,
    { port: SOCKET, version: 3, peer: to, id: 0xa0000001 },
    planOf(DEVICE, header, { ...plan, numbered: shape.numbered }),
  );
  b.session(
    9,
    { port: SOCKET, version: 3, peer: from, id: 0xb0000002 },
    planOf(
      DEVICE,
      { id: 0xa0000001, udp: !shape.ip },
      {
        ...plan,
        cookie: COOKIE_B.subarray(0, shape.cookie),
        sublayer: shape.sublayer,
        sequence: shape.numbered ? "require" : "accept",
      },
    ),
  );
  return { a, b };
}

const SHAPES: Shape[] = [0, 4, 8].flatMap((cookie) =>
  [l2tp.SUBLAYER_NONE, l2tp.SUBLAYER_DEFAULT].flatMap((sublayer) =>
    [false, true].flatMap((ip) => [
      { cookie, sublayer, ip, numbered: false },
      ...(sublayer === l2tp.SUBLAYER_DEFAULT ? [{ cookie, sublayer, ip, numbered: true }] : []),
    ]),
  ),
);

describe("L2TP in the core", () => {
  for (const shape of SHAPES) {
    const { cookie, sublayer, numbered, ip } = shape;
    it(`carries frames over ${ip ? "IP" : "UDP"}: cookie ${cookie}, sublayer ${sublayer}, numbered ${numbered}`, () => {
      const { a, b } = pair(shape, { segmentMax: 9_000 });
      const sent = [
        ethernet(64),
        ethernet(64, 1),
        ethernet(60, 2),
        ethernet(9_000, 3),
        ethernet(64, 4),
      ];
      const messages = a.send(DEVICE, sent);
      // The first two and the shorter third are a train; then each length is on its own.
      assert.deepEqual(
        messages.map((datagrams) => datagrams.length),
        [3, 1, 1],
      );
      const from = ip ? { ...A6, port: 0 } : A;
      const got = b.receive(arrive(from, messages.flat()));
      assert.deepEqual(frames(got), sent.map(hex));
      assert.ok(got.every(({ port }) => port === DEVICE));
      const octets = sent.reduce((sum, frame) => sum + frame.length, 0);
      assert.equal(a.counters(7).txPackets, sent.length);
      assert.equal(a.counters(7).txOctets, octets);
      assert.equal(b.counters(9).rxPackets, sent.length);
      assert.equal(b.counters(9).rxOctets, octets);
      assert.deepEqual([...a.books, ...b.books], [0, 0, 0, 0, 0, 0]);
    });
  }

  it("takes trains that the kernel joined apart", () => {
    const { a, b } = pair({ cookie: 4, sublayer: 0, numbered: false, ip: false });
    const sent = [ethernet(100, 1), ethernet(100, 2), ethernet(80, 3)];
    const datagrams = a.send(DEVICE, sent).flat();
    const joined = Buffer.concat(datagrams.map(({ octets }) => octets));
    const got = b.receive([{ octets: joined, from: A, segment: datagrams[0]!.octets.length }]);
    assert.deepEqual(frames(got), sent.map(hex));
  });

  it("drops a wrong cookie, and takes either of two while one is being replaced", () => {
    const { a, b } = pair({ cookie: 8, sublayer: 0, numbered: false, ip: false });
    const key = { port: SOCKET, version: 3 as const, peer: A, id: 0xb0000002 };
    const good = arrive(A, a.send(DEVICE, [ethernet(64)]).flat());
    const change = (cookie: Uint8Array, cookie2?: Uint8Array): void => {
      b.commands.sessionChange(9, key, planOf(DEVICE, { id: 1 }, { cookie, cookie2 }));
      b.apply();
    };
    change(COOKIE_A, COOKIE_B);
    assert.equal(b.receive(good).length, 1);
    change(COOKIE_A);
    assert.equal(b.receive(good).length, 0);
    assert.equal(b.counters(9).rxCookie, 1);
    assert.equal(b.count(STAGE_CONTROL, verdict.VERDICT_L2TP_COOKIE), 1);
    assert.deepEqual(b.books, [0, 0, 0]);
  });

  it("knows a session by its peer, too", () => {
    const { a, b } = pair({ cookie: 0, sublayer: 0, numbered: false, ip: false });
    const datagrams = a.send(DEVICE, [ethernet(64)]).flat();
    assert.equal(b.receive(arrive({ ...A, port: 1 }, datagrams)).length, 0);
    assert.equal(b.receive(arrive({ ...A, address: "192.0.2.9" }, datagrams)).length, 0);
    assert.equal(b.count(STAGE_CONTROL, verdict.VERDICT_L2TP_SESSION), 2);
    assert.equal(b.receive(arrive(A, datagrams)).length, 1);
  });

  it("serves a keyed IPv6 tunnel by its addresses alone (RFC 8159)", () => {
    const b = new Desk(l2tp.PORT_IPV6);
    b.port(DEVICE, l2tp.PORT_FRAMES);
    b.session(
      1,
      { port: SOCKET, version: 3, peer: { ...A6, port: 0 }, id: 0 },
      planOf(DEVICE, { id: 0xffffffff, udp: false }, { cookie: COOKIE_A }),
    );
    const frame = ethernet(64);
    for (const id of ["ffffffff", "12345678"]) {
      const octets = Buffer.concat([Buffer.from(id, "hex"), COOKIE_A, frame]);
      assert.deepEqual(frames(b.receive([{ octets, from: { ...A6, port: 0 } }])), [hex(frame)]);
    }
  });

  it("leaves control messages to the control thread, with the port and without the zero octets", () => {
    const hello = Buffer.from("c803000c0b0b000200040002", "hex");
    for (const [kind, octets] of [
      [l2tp.PORT_UDP, hello],
      [l2tp.PORT_IPV6, Buffer.concat([Buffer.alloc(4), hello])],
    ] as const) {
      const b = new Desk(kind);
      b.receive([{ octets, from: A6 }]);
      const punt = b.punts.next();
      assert.equal(punt?.port, SOCKET);
      assert.deepEqual(punt?.from, A6);
      assert.equal(hex(punt?.octets ?? new Uint8Array()), hex(hello));
      assert.deepEqual(b.books, [0, 0, 0]);
    }
  });

  it("reads version 2 with every optional field, and sends the ones that are asked for", () => {
    for (const [numbers, length, offset] of [
      [false, false, undefined],
      [true, false, undefined],
      [false, true, 0],
      [true, true, 6],
    ] as const) {
      const a = new Desk();
      const b = new Desk();
      for (const desk of [a, b]) desk.port(DEVICE, l2tp.PORT_FRAMES);
      const header = {
        version: 2 as const,
        id: 0x20020def,
        numbers,
        length,
        ...(offset === undefined ? {} : { offset }),
      };
      const plan = { pseudowire: l2tp.PW_PPP };
      a.session(
        1,
        { port: SOCKET, version: 2, peer: B, id: 0x10010abc },
        planOf(DEVICE, header, { ...plan, numbered: numbers }),
      );
      b.session(
        1,
        { port: SOCKET, version: 2, peer: A, id: 0x20020def },
        planOf(DEVICE, { ...header, id: 0x10010abc }, plan),
      );
      const lcp = Buffer.from("ff03c0210101000a050611223344", "hex");
      const datagrams = a.send(DEVICE, [lcp, lcp]).flat();
      assert.deepEqual(frames(b.receive(arrive(A, datagrams))), [hex(lcp), hex(lcp)]);
      if (!numbers && !length && offset === undefined)
        assert.equal(hex(datagrams[0]!.octets), `000220020def${hex(lcp)}`);
    }
  });

  it("numbers as its peer does when it is a version 2 LAC (RFC 2661 §5.4)", () => {
    const lac = new Desk();
    lac.port(DEVICE, l2tp.PORT_FRAMES);
    lac.session(
      1,
      { port: SOCKET, version: 2, peer: B, id: 0x10010abc },
      planOf(
        DEVICE,
        { version: 2, id: 0x20020def, numbers: true },
        { pseudowire: l2tp.PW_PPP, sequence: "mirror" },
      ),
    );
    const lcp = Buffer.from("ff03c021", "hex");
    const first = (): string => hex(lac.send(DEVICE, [lcp]).flat()[0]!.octets);
    const hear = (text: string): number =>
      lac.receive([{ octets: Buffer.from(text, "hex"), from: B }]).length;
    assert.equal(first(), "000220020defff03c021");
    assert.equal(hear("080210010abc00050000ff03c021"), 1);
    assert.equal(first(), "080220020def00000000ff03c021");
    assert.equal(first(), "080220020def00010000ff03c021");
    assert.equal(hear("000210010abcff03c021"), 1);
    assert.equal(first(), "000220020defff03c021");
  });

  it("carries frames of a trunk by their VLAN, and rewrites the tag on the way out", () => {
    const { a, b } = { a: new Desk(), b: new Desk() };
    const tagged = (vlan: number): Uint8Array => {
      const frame = ethernet(64, vlan);
      frame.set([0x81, 0x00, 0x60 | (vlan >> 8), vlan & 0xff], 12);
      return frame;
    };
    for (const desk of [a, b]) desk.port(DEVICE, l2tp.PORT_TRUNK);
    for (const [i, vlan] of [100, 200].entries()) {
      const plan = { pseudowire: l2tp.PW_VLAN };
      a.session(
        i,
        { port: SOCKET, version: 3, peer: B, id: 10 + i },
        planOf(DEVICE, { id: 20 + i }, { ...plan, vlan }),
      );
      b.session(
        i,
        { port: SOCKET, version: 3, peer: A, id: 20 + i },
        planOf(DEVICE, { id: 10 + i }, { ...plan, vlan: vlan + 1 }),
      );
    }
    const sent = a.send(DEVICE, [tagged(100), tagged(200), tagged(300), ethernet(64)]).flat();
    assert.equal(sent.length, 2);
    assert.equal(a.count(STAGE_DEVICE, verdict.VERDICT_L2TP_VLAN), 2);
    const got = b.receive(arrive(A, sent));
    const wanted = [100, 200].map((vlan) => {
      const frame = tagged(vlan);
      frame.set([0x60 | ((vlan + 1) >> 8), (vlan + 1) & 0xff], 14);
      return hex(frame);
    });
    assert.deepEqual(frames(got), wanted);
    assert.deepEqual([...a.books, ...b.books], [0, 0, 0, 0, 0, 0]);
  });

  it("leaves the frames of other pseudowires as they are, on a trunk too", () => {
    const a = new Desk();
    const b = new Desk();
    a.port(DEVICE, l2tp.PORT_FRAMES);
    b.port(DEVICE, l2tp.PORT_TRUNK);
    a.session(1, { port: SOCKET, version: 3, peer: B, id: 10 }, planOf(DEVICE, { id: 20 }));
    b.session(
      1,
      { port: SOCKET, version: 3, peer: A, id: 20 },
      planOf(DEVICE, { id: 10 }, { vlan: 100 }),
    );
    const sent = a.send(DEVICE, [ethernet(64)]).flat();
    assert.deepEqual(frames(b.receive(arrive(A, sent))), [hex(ethernet(64))]);
  });

  it("keeps the bits of the ATM sublayer beside the frame", () => {
    const a = new Desk();
    const b = new Desk();
    for (const desk of [a, b]) desk.port(DEVICE, l2tp.PORT_MARKED);
    const plan = { pseudowire: l2tp.PW_AAL5, sublayer: l2tp.SUBLAYER_ATM };
    const header = { sublayer: l2tp.SUBLAYER_ATM };
    a.session(
      1,
      { port: SOCKET, version: 3, peer: B, id: 1 },
      planOf(DEVICE, { ...header, id: 2 }, { ...plan, numbered: true }),
    );
    b.session(
      1,
      { port: SOCKET, version: 3, peer: A, id: 2 },
      planOf(DEVICE, { ...header, id: 1 }, plan),
    );
    const sdu = Buffer.from("05000000aabbccdd", "hex"); // G and U
    const cell = Buffer.concat([Buffer.from("08000000", "hex"), ethernet(52)]); // T
    const sent = a.send(DEVICE, [sdu, cell]).flat();
    assert.equal(hex(sent[0]!.octets), "000300000000000245000000aabbccdd");
    assert.deepEqual(frames(b.receive(arrive(A, sent))), [hex(sdu), hex(cell)]);
    const bad = [
      Buffer.from("10000000aa", "hex"),
      Buffer.from("000000", "hex"),
      Buffer.from("08000000aa", "hex"),
    ];
    assert.equal(a.send(DEVICE, bad).length, 0);
    assert.deepEqual(a.books, [0, 0, 0]);
  });

  it("completes checksums that the host left open", () => {
    const { a } = pair({ cookie: 0, sublayer: 0, numbered: false, ip: false });
    a.port(DEVICE, l2tp.PORT_FRAMES | l2tp.PORT_VNET);
    a.commands.sessionRemove(7);
    a.session(7, { port: SOCKET, version: 3, peer: B, id: 1 }, planOf(DEVICE, { id: 2 }));
    const frame = ethernet(74);
    frame.fill(0, 34);
    frame.set([0x12, 0x34], 40); // the pseudo-header's sum
    const vnet = Buffer.from("01000000000022000600", "hex"); // start 34, offset 6
    const [sent] = a.send(DEVICE, [frame], vnet).flat();
    assert.equal(hex(sent!.octets.subarray(8 + 40, 8 + 42)), "edcb");
  });

  it("lets go of a session at once", () => {
    const { a, b } = pair({ cookie: 0, sublayer: 0, numbered: false, ip: false });
    const datagrams = a.send(DEVICE, [ethernet(64)]).flat();
    for (const [desk, number] of [
      [a, 7],
      [b, 9],
    ] as const) {
      desk.commands.sessionRemove(number);
      desk.apply();
    }
    assert.equal(b.receive(arrive(A, datagrams)).length, 0);
    assert.equal(a.send(DEVICE, [ethernet(64)]).length, 0);
    assert.equal(a.count(STAGE_DEVICE, verdict.VERDICT_L2TP_DEVICE), 1);
    assert.deepEqual([...a.books, ...b.books], [0, 0, 0, 0, 0, 0]);
  });

  it("counts every malformed datagram under one reason", () => {
    const { b } = pair({ cookie: 8, sublayer: l2tp.SUBLAYER_DEFAULT, numbered: false, ip: false });
    const cases: [string, number][] = [
      ["", verdict.VERDICT_TRUNCATED],
      ["00", verdict.VERDICT_TRUNCATED],
      ["0001", verdict.VERDICT_L2TP_VERSION],
      ["0004", verdict.VERDICT_L2TP_VERSION],
      ["0003", verdict.VERDICT_TRUNCATED],
      ["0003000000000000", verdict.VERDICT_L2TP_HEADER],
      ["00030000b0000003", verdict.VERDICT_L2TP_SESSION],
      ["00030000b0000002b1b2b3b4b5b6b7b8", verdict.VERDICT_TRUNCATED],
      [
        `00030000b0000002b1b2b3b4b5b6b7b9${"00".repeat(4)}${"00".repeat(14)}`,
        verdict.VERDICT_L2TP_COOKIE,
      ],
      [
        `00030000b0000002b1b2b3b4b5b6b7b8${"00".repeat(4)}${"00".repeat(13)}`,
        verdict.VERDICT_L2TP_PAYLOAD,
      ],
      [`00030000b0000002b1b2b3b4b5b6b7b880000021${"00".repeat(14)}`, verdict.VERDICT_L2TP_VCCV],
      [`00030000b0000002b1b2b3b4b5b6b7b860000000${"00".repeat(14)}`, verdict.VERDICT_L2TP_FRAGMENT],
      ["c803000b", verdict.VERDICT_TRUNCATED],
      ["8803000c0000000000000000", verdict.VERDICT_L2TP_HEADER],
      ["c803000d0000000000000000", verdict.VERDICT_L2TP_HEADER],
      ["ca02000c0000000000000000", verdict.VERDICT_L2TP_HEADER],
      ["4002001020020def", verdict.VERDICT_TRUNCATED],
      ["4002000720020def", verdict.VERDICT_L2TP_HEADER],
      ["020220020defffff", verdict.VERDICT_L2TP_HEADER],
    ];
    for (const [octets, wanted] of cases) {
      const before = b.count(STAGE_CONTROL, wanted);
      b.receive([{ octets: Buffer.from(octets, "hex"), from: A }]);
      assert.equal(b.count(STAGE_CONTROL, wanted), before + 1, octets);
    }
    assert.equal(b.count(STAGE_CONTROL, STAGE_RECEIVED), cases.length);
    assert.deepEqual(b.books, [0, 0, 0]);
  });
});
