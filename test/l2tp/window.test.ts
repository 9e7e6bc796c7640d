/** The core's reordering against the model of it, arrival by arrival. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import type { SessionPlan } from "../../src/engine/session.ts";
import { SequenceWindow } from "../../src/engine/reference/sequence.ts";
import { holds } from "../engine/holds.ts";
import { Desk, planOf, SOCKET } from "./desk.ts";

const PEER = { address: "192.0.2.1", port: 1701 };
const DEVICE = 2;

interface Arrival {
  /** Ahead of the number that would come next on a calm link, or behind it; undefined: none. */
  readonly step: number | undefined;
  /** True: half of all numbers further on, where ahead becomes behind. */
  readonly isFar: boolean;
  /** Milliseconds since the one before. */
  readonly after: number;
}

/** The datagram with this number, or none, of the packet with this name. */
function datagram(version: 2 | 3, number: number | undefined, name: number): Uint8Array {
  const octets = new Uint8Array(20);
  const view = new DataView(octets.buffer);
  view.setUint32(16, name);
  if (version === 3) {
    view.setUint16(0, 3);
    view.setUint32(4, 2);
    if (number !== undefined) view.setUint32(8, 0x40000000 | number);
    return octets;
  }
  view.setUint16(0, number === undefined ? 0x0002 : 0x0802);
  view.setUint32(2, 2);
  if (number !== undefined) view.setUint16(6, number);
  return number === undefined
    ? Uint8Array.of(...octets.subarray(0, 6), ...octets.subarray(10))
    : octets;
}

const nameOf = (octets: Uint8Array): number => Buffer.from(octets).readUInt32BE(octets.length - 4);

const arrival: fc.Arbitrary<Arrival> = fc.record({
  step: fc.oneof(
    { weight: 12, arbitrary: fc.constant(0) },
    { weight: 8, arbitrary: fc.integer({ min: -4, max: 6 }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  ),
  isFar: fc.nat({ max: 19 }).map((die) => die === 0),
  after: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 12 })),
});

test("what the core holds, lets go and drops is what the model says, on any link", (t) => {
  const plan = fc.record({
    version: fc.constantFrom(2 as const, 3 as const),
    sequence: fc.constantFrom<SessionPlan["sequence"][]>("accept", "require", "ignore"),
    hold: fc.constantFrom(0, 5, 1_000),
    restartAfter: fc.constantFrom(0, 3, 16),
    first: fc.constantFrom(0, 7, 0xffff_fffa),
  });
  const arrivals = fc.array(arrival, { maxLength: 300, size: "max" });
  let reordered = 0;
  let full = 0;
  holds(
    t,
    fc.property(plan, arrivals, ({ version, sequence, hold, restartAfter, first }, arrivals) => {
      const bits = version === 2 ? 16 : 24;
      const model = new SequenceWindow<number>({
        bits,
        ignored: sequence === "ignore",
        required: sequence === "require",
        restartAfter,
        hold,
        holdMost: l2tp.HELD_MAX,
      });
      const desk = new Desk();
      desk.port(DEVICE, l2tp.PORT_FRAMES);
      const sublayer = version === 3 ? l2tp.SUBLAYER_DEFAULT : l2tp.SUBLAYER_NONE;
      desk.session(
        1,
        { port: SOCKET, version, peer: PEER, id: 2 },
        planOf(
          DEVICE,
          { version, id: 1 },
          { pseudowire: l2tp.PW_HDLC, sublayer, sequence, hold, restartAfter },
        ),
      );
      let next = first;
      let now = 0;
      for (const [name, { step, isFar, after }] of arrivals.entries()) {
        now += after;
        const waited = desk.wait(after).map(({ octets }) => nameOf(octets));
        assert.deepEqual(waited, model.expire(now), `before arrival ${name}`);
        const further = isFar ? 2 ** (bits - 1) : 0;
        const number = step === undefined ? undefined : (next + step + further) & (2 ** bits - 1);
        next++;
        const octets = datagram(version, number, name);
        const got = desk.receive([{ octets, from: PEER }]).map(({ octets }) => nameOf(octets));
        const wanted = model.arrive(number, name, now);
        assert.deepEqual(got, wanted.ready, `arrival ${name}`);
        assert.equal(desk.core.l2tpHeld(), model.held, `held after arrival ${name}`);
        if (model.held === l2tp.HELD_MAX) full++;
      }
      now += hold;
      assert.deepEqual(
        desk.wait(hold).map(({ octets }) => nameOf(octets)),
        model.expire(now),
      );
      const { rxOld, rxReordered, rxMissing } = desk.counters(1);
      assert.deepEqual(
        [rxOld, rxReordered, rxMissing],
        [model.old, model.reordered, model.missing],
      );
      assert.deepEqual(desk.books, [0, 0, 0]);
      reordered += rxReordered;
    }),
    200,
  );
  t.diagnostic(`${reordered} held, ${full} times all that may be`);
  assert.ok(reordered > 0 && full > 0);
});
