import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  COMMAND_MEMBER_ADD,
  FLOW_HOLD,
  FLOW_SETS,
  FLOW_SET_SHIFT,
  FLOW_SHIFT,
  FRAME_IP,
  FRAME_VNET,
  STAGE_EGRESS,
  STAGE_INGEST,
  STAGE_RECEIVED,
} from "../../assembly/layout/arena.ts";
import {
  VERDICT_FORWARDED,
  VERDICT_NO_ROUTE,
  VERDICT_OTHER_INGRESS,
} from "../../assembly/layout/verdict.ts";
import { makeIngressBed } from "./bed.ts";
import { mendIpv4, pattern, udpDatagram, vnet } from "./packets.ts";

/** One group by source and one of any source, of either family, each with one member. */
const FLOWS = [
  { source: "192.0.2.44", group: "232.1.2.3" },
  { source: "192.0.2.45", group: "232.1.2.3" },
  { source: "192.0.2.44", group: "239.1.2.3" },
  { source: "192.0.2.45", group: "239.1.2.3" },
  { source: "2001:db8::44", group: "ff3e::1234" },
  { source: "2001:db8::44", group: "ff0e::1234" },
  { source: "2001:db8::45", group: "ff0e::1234" },
] as const;

const packets = FLOWS.map((flow) => udpDatagram({ ...flow, payload: pattern(40, 1) }));

function makeRelay(frames: readonly number[], simd = true) {
  const time = { now: 0 };
  const bed = makeIngressBed(frames, () => time.now, simd);
  bed.commands.tunnel(0, { address: "203.0.113.5", port: 40_123 });
  for (const { source, group } of FLOWS) {
    const isAny = group.startsWith("239.") || group.startsWith("ff0e:");
    bed.commands.route(COMMAND_MEMBER_ADD, group, isAny ? undefined : source, 0);
  }
  bed.run();
  return {
    time,
    ports: bed.ingress,
    run: () => bed.run(),
    ingest: () => bed.ledger().stages[STAGE_INGEST]!,
    /** Lets one packet of a flow arrive on an interface, from 0; true if it was relayed. */
    arrives(flow: number, ingress: number): boolean {
      const octets = frames[ingress] === FRAME_VNET ? vnet(packets[flow]!) : packets[flow]!;
      return this.takes(octets, ingress);
    },
    takes(octets: Uint8Array, ingress: number): boolean {
      const sent = () => bed.ledger().stages[STAGE_EGRESS]![VERDICT_FORWARDED]!;
      const before = sent();
      bed.ingress[ingress]!.arrivals.push({ octets });
      bed.run();
      return sent() > before;
    },
  };
}

test("a stream that several interfaces deliver is relayed once, as the first one delivers it", () => {
  for (const simd of [true, false]) {
    const relay = makeRelay([FRAME_IP, FRAME_IP, FRAME_IP], simd);
    for (const flow of FLOWS.keys())
      for (let i = 0; i < 10; i++) {
        const first = flow % 3;
        assert.equal(relay.arrives(flow, first), true);
        assert.equal(relay.arrives(flow, (first + 1) % 3), false);
        assert.equal(relay.arrives(flow, (first + 2) % 3), false);
      }
    const row = relay.ingest();
    const turns = 10 * FLOWS.length;
    assert.deepEqual(
      [row[STAGE_RECEIVED], row[VERDICT_FORWARDED], row[VERDICT_OTHER_INGRESS]],
      [3 * turns, turns, 2 * turns],
    );
  }
});

test("another interface may deliver once the first has been silent for a second", () => {
  const relay = makeRelay([FRAME_IP, FRAME_IP]);
  relay.time.now = 2 ** 32 - 500; // the clock wraps meanwhile
  assert.equal(relay.arrives(0, 0), true);
  relay.time.now += FLOW_HOLD - 1;
  assert.equal(relay.arrives(0, 1), false);
  relay.time.now += 1;
  assert.equal(relay.arrives(0, 1), true);
  assert.equal(relay.arrives(0, 0), false);
});

test("what nobody asked for elects no interface", () => {
  const relay = makeRelay([FRAME_IP, FRAME_IP]);
  const stray = udpDatagram({ source: "192.0.2.9", group: "232.1.2.3", payload: pattern(9, 1) });
  assert.equal(relay.takes(stray, 0), false);
  assert.equal(relay.takes(stray, 1), false);
  assert.equal(relay.ingest()[VERDICT_NO_ROUTE], 2);
});

test("interfaces with frames of different kinds take turns in one lane", () => {
  const relay = makeRelay([FRAME_IP, FRAME_VNET]);
  for (let i = 0; i < 5; i++)
    for (const flow of FLOWS.keys()) assert.equal(relay.arrives(flow, flow % 2), true);
  assert.equal(relay.ingest()[VERDICT_FORWARDED], 5 * FLOWS.length);
});

test("any arrivals are relayed as the rule says: first come, until silent (property)", () => {
  const arrivals = fc.array(
    fc.record({
      flow: fc.nat(FLOWS.length - 1),
      ingress: fc.nat(2),
      wait: fc.constantFrom(0, 1, 400, FLOW_HOLD - 1, FLOW_HOLD, 5_000),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(arrivals, (all) => {
      const relay = makeRelay([FRAME_IP, FRAME_IP, FRAME_IP]);
      const held = new Map<number, { ingress: number; heard: number }>();
      for (const { flow, ingress, wait } of all) {
        relay.time.now += wait;
        const { now } = relay.time;
        const holder = held.get(flow);
        const taken =
          holder === undefined || holder.ingress === ingress || now - holder.heard >= FLOW_HOLD;
        assert.equal(relay.arrives(flow, ingress), taken);
        if (taken) held.set(flow, { ingress, heard: now });
      }
    }),
    { numRuns: 30 },
  );
});

test("more flows than can be remembered lose no packet of the interface that brings them", () => {
  const relay = makeRelay([FRAME_IP, FRAME_IP]);
  const flows = ((FLOW_SETS << FLOW_SET_SHIFT) >> FLOW_SHIFT) + 20_000;
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < flows; i++) {
      const octets = packets[2]!.slice();
      octets.set([10, i >> 16, (i >> 8) & 255, i & 255], 12);
      relay.ports[i % 2]!.arrivals.push({ octets: mendIpv4(octets) });
    }
    relay.run();
  }
  assert.equal(relay.ingest()[VERDICT_FORWARDED], 2 * flows);
  assert.equal(relay.ingest()[VERDICT_OTHER_INGRESS], 0);
});
