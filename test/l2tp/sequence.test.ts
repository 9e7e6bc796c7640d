/** Sequence numbers: two cores over a link that loses, reorders and duplicates. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { STAGE_CONTROL } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import type { SessionPlan } from "../../src/engine/session.ts";
import type { Departure } from "../../src/ports/messages.ts";
import { arrive, Desk, planOf, SOCKET, type Delivered } from "./desk.ts";

const A = { address: "192.0.2.1", port: 1701 };
const B = { address: "192.0.2.2", port: 1701 };
const DEVICE = 2;

function ends(
  version: 2 | 3,
  sequence: SessionPlan["sequence"],
  hold: number,
): { a: Desk; b: Desk } {
  const sublayer = version === 3 ? l2tp.SUBLAYER_DEFAULT : l2tp.SUBLAYER_NONE;
  const a = new Desk();
  const b = new Desk();
  for (const desk of [a, b]) desk.port(DEVICE, l2tp.PORT_FRAMES);
  const header = { version, id: 2, sublayer, numbers: version === 2 };
  const plan = { pseudowire: l2tp.PW_HDLC };
  a.session(
    1,
    { port: SOCKET, version, peer: B, id: 1 },
    planOf(DEVICE, header, { ...plan, numbered: true }),
  );
  b.session(
    1,
    { port: SOCKET, version, peer: A, id: 2 },
    planOf(DEVICE, { ...header, id: 1 }, { ...plan, sublayer, sequence, hold }),
  );
  return { a, b };
}

/** A frame that says its number. */
function frame(number: number, length = 64): Uint8Array {
  const octets = new Uint8Array(length);
  new DataView(octets.buffer).setUint32(0, number);
  return octets;
}

const numberOf = ({ octets }: Delivered): number => Buffer.from(octets).readUInt32BE(0);

function sendMany(a: Desk, first: number, count: number, length?: number): Departure[] {
  const frames = Array.from({ length: count }, (_, i) => frame(first + i, length));
  return a.send(DEVICE, frames).flat();
}

interface Link {
  readonly loss: number;
  readonly duplicates: number;
  /** How far a datagram may fall behind, in datagrams. */
  readonly spread: number;
}

/** What arrives of a link's datagrams, in which order. */
function through<T>(datagrams: readonly T[], link: Link, random: () => number): T[] {
  const arrivals: { at: number; datagram: T }[] = [];
  for (const [i, datagram] of datagrams.entries()) {
    if (random() < link.loss) continue;
    const copies = random() < link.duplicates ? 2 : 1;
    for (let copy = 0; copy < copies; copy++)
      arrivals.push({ at: i + Math.floor(random() * (link.spread + 1)), datagram });
  }
  return arrivals.toSorted((x, y) => x.at - y.at).map(({ datagram }) => datagram);
}

/** Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("L2TP sequence numbers", () => {
  for (const version of [2, 3] as const)
    for (const length of [64, 9_000])
      it(`version ${version}: at 2 % loss with reordering and duplicates, what is missing is what was lost (${length} octets)`, () => {
        const { a, b } = ends(version, "require", 10);
        const random = randomFrom(version);
        const count = length > 1_000 ? 5_000 : 100_000;
        // The first number tells the receiver where to begin: it must come first.
        const got = b.receive(arrive(A, sendMany(a, 0, 1, length))).map(numberOf);
        let arrived = 1;
        for (let first = 1; first <= count; first += 100) {
          const sent = sendMany(a, first, 100, length);
          const link = { loss: 0.02, duplicates: 0.01, spread: 8 };
          const came = through(sent, link, random);
          arrived += new Set(came).size;
          for (let i = 0; i < came.length; i += 7)
            got.push(...b.receive(arrive(A, came.slice(i, i + 7))).map(numberOf));
          got.push(...b.wait(1).map(numberOf));
        }
        got.push(...b.wait(20).map(numberOf));
        assert.equal(b.core.l2tpHeld(), 0);
        const sorted = got.toSorted((x, y) => x - y);
        assert.deepEqual(got, sorted, "in order");
        assert.equal(new Set(got).size, got.length, "no duplicate");
        assert.equal(got.length, arrived, "nothing that arrived is missing");
        const missing = 1 - got.length / (count + 1);
        const lost = 1 - arrived / (count + 1);
        assert.ok(missing <= lost + 0.002, `${missing} missing of ${lost} lost`);
        const counters = b.counters(1);
        assert.ok(counters.rxReordered > 0 && counters.rxOld > 0);
        // What is lost at the very end is not missed yet.
        assert.equal(counters.rxMissing, got.at(-1)! + 1 - got.length);
        assert.deepEqual(b.books, [0, 0, 0]);
      });

  it("delivers in order and loses nothing but what was lost, whatever the link does", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2 as const, 3 as const),
        fc.integer(),
        fc.record({
          loss: fc.constantFrom(0, 0.02, 0.3),
          duplicates: fc.constantFrom(0, 0.2),
          spread: fc.integer({ min: 0, max: 40 }),
        }),
        fc.integer({ min: 1, max: 30 }),
        (version, seed, link, batch) => {
          const { a, b } = ends(version, "accept", 50);
          const random = randomFrom(seed);
          // The first number tells the receiver where to begin: it must come first.
          b.receive(arrive(A, sendMany(a, 0, 1)));
          const came = through(sendMany(a, 1, 300), link, random);
          const got: number[] = [];
          for (let i = 0; i < came.length; i += batch)
            got.push(...b.receive(arrive(A, came.slice(i, i + batch))).map(numberOf));
          got.push(...b.wait(50).map(numberOf));
          assert.deepEqual(
            got,
            got.toSorted((x, y) => x - y),
          );
          assert.equal(got.length, new Set(came).size);
          assert.equal(b.core.l2tpHeld(), 0);
          assert.deepEqual(b.books, [0, 0, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("accepts what is ahead at once when it does not hold, and never goes back", () => {
    const { a, b } = ends(3, "accept", 0);
    const sent = sendMany(a, 0, 6);
    const order = [0, 2, 1, 3, 5, 4].map((i) => sent[i]!);
    assert.deepEqual(b.receive(arrive(A, order)).map(numberOf), [0, 2, 3, 5]);
    assert.equal(b.count(STAGE_CONTROL, verdict.VERDICT_L2TP_OLD), 2);
    assert.deepEqual(b.books, [0, 0, 0]);
  });

  it("goes over the end of the numbers", () => {
    for (const version of [2, 3] as const) {
      const { a, b } = ends(version, "require", 5);
      const last = version === 2 ? 0xffff : 0xffffff;
      const place = version === 2 ? 6 : 8;
      const start = arrive(A, sendMany(a, 0, 1))[0]!;
      const bytes = start.octets.slice();
      const view = new DataView(bytes.buffer);
      if (version === 2) view.setUint16(place, last - 1);
      else view.setUint32(place, (0x40000000 | (last - 1)) >>> 0);
      assert.equal(b.receive([{ octets: bytes, from: A }]).length, 1);
      const next = bytes.slice();
      if (version === 2) new DataView(next.buffer).setUint16(place, last);
      else new DataView(next.buffer).setUint32(place, (0x40000000 | last) >>> 0);
      // 0, the number after the last, comes first and waits.
      assert.equal(b.receive([start]).length, 0);
      assert.equal(b.receive([{ octets: next, from: A }]).length, 2);
    }
  });

  it("takes over the numbers of a peer that has started anew", () => {
    const { a, b } = ends(3, "require", 0);
    assert.equal(b.receive(arrive(A, sendMany(a, 0, 100))).length, 100);
    const again = ends(3, "require", 0).a;
    const got = b.receive(arrive(A, sendMany(again, 1_000, 30)));
    assert.deepEqual(got.map(numberOf), [
      1_015,
      ...Array.from({ length: 14 }, (_, i) => 1_016 + i),
    ]);
    assert.equal(b.counters(1).rxOld, 15);
  });

  it("does not take duplicates of a late train for a new start", () => {
    const { a, b } = ends(3, "require", 0);
    const sent = sendMany(a, 0, 200);
    b.receive(arrive(A, sent));
    assert.equal(b.receive(arrive(A, sent.slice(0, 15))).length, 0);
    assert.equal(b.receive(arrive(A, sendMany(a, 200, 1))).length, 1);
    assert.equal(b.receive(arrive(A, sent.slice(15, 30))).length, 0);
  });

  it("drops unnumbered packets only where numbers are required", () => {
    for (const [sequence, wanted] of [
      ["require", 0],
      ["accept", 1],
      ["ignore", 1],
    ] as const) {
      const { b } = ends(3, sequence, 0);
      const octets = Buffer.concat([Buffer.from("000300000000000200000000", "hex"), frame(1)]);
      assert.equal(b.receive([{ octets, from: A }]).length, wanted, sequence);
      assert.deepEqual(b.books, [0, 0, 0]);
    }
  });

  it("lets an unnumbered packet follow what is held", () => {
    const { a, b } = ends(3, "accept", 100);
    const sent = sendMany(a, 0, 4);
    b.receive(arrive(A, [sent[0]!]));
    assert.equal(b.receive(arrive(A, [sent[2]!, sent[3]!])).length, 0);
    const octets = Buffer.concat([Buffer.from("000300000000000200000000", "hex"), frame(9)]);
    assert.deepEqual(b.receive([{ octets, from: A }]).map(numberOf), [2, 3, 9]);
    assert.equal(b.receive(arrive(A, [sent[1]!])).length, 0);
  });

  it("holds no more than its pool, and drops what a removed session held", () => {
    const { a, b } = ends(3, "accept", 1_000);
    const sent = sendMany(a, 0, 200);
    b.receive(arrive(A, [sent[0]!]));
    const got = b.receive(arrive(A, sent.slice(2)));
    assert.ok(b.core.l2tpHeld() <= l2tp.HELD_MAX);
    assert.deepEqual(
      got.map(numberOf),
      got.map((_, i) => i + 2),
    );
    const held = b.core.l2tpHeld();
    b.commands.sessionRemove(1);
    b.apply();
    assert.equal(b.core.l2tpHeld(), 0);
    assert.equal(b.wait(2_000).length, 0);
    assert.equal(got.length + held, 198);
    assert.deepEqual(b.books, [0, 0, 0]);
  });
});
