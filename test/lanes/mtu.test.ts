import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_LEAST_MTU,
  CONFIG_NOTED,
  CONFIG_NOTED_TUNNELS,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  FRAME_VNET,
  PUNT_HEAD,
  PUNT_TOO_BIG,
  PUNT_UNSENT,
  STAGE_EGRESS,
  STAGE_INGEST,
  STAGE_RECEIVED,
  TALLY_FRAGMENTED,
  TALLY_MESSAGES,
  TALLY_NOTED,
  TALLY_REDUCED,
} from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_TOO_BIG } from "../../assembly/layout/verdict.ts";
import { cut } from "../../src/engine/reference/offload.ts";
import { ECONNREFUSED, EINVAL, EMSGSIZE } from "../../src/os/errno.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { makeBed, type Bed } from "./bed.ts";
import { tunnelled } from "./fragments.ts";
import { hex, pattern, udpDatagram, vnet } from "./packets.ts";

const FLOW = { source: "192.0.2.44", group: "232.1.2.3" };
const FLOW_6 = { source: "2001:db8::44", group: "ff3e::1234" };
const MTU = 1_470;

interface Tunnel {
  readonly mtu: number;
  readonly flows: readonly (typeof FLOW)[];
}

/** A relay's lane whose tunnels have these MTUs, 0 for the lane's own. */
function relaying(tunnels: readonly Tunnel[], frame = FRAME_IP, simd = true): Bed {
  const bed = makeBed("relay", frame, simd);
  bed.commands.config(CONFIG_TUNNEL_MTU, MTU);
  bed.commands.config(CONFIG_LEAST_MTU, Math.min(MTU, ...tunnels.map(({ mtu }) => mtu || MTU)));
  bed.commands.config(CONFIG_SEGMENTS, 64);
  for (const [tunnel, { mtu, flows }] of tunnels.entries()) {
    bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: 1 + tunnel }, false, mtu);
    for (const { group, source } of flows)
      bed.commands.route(COMMAND_MEMBER_ADD, group, source, tunnel);
  }
  bed.run();
  return bed;
}

/** What each tunnel was sent, by the port of its gateway. */
function sent(bed: Bed): Map<number, string[]> {
  const got = new Map<number, string[]>();
  for (const { octets, to } of bed.socket.departures) {
    const list = got.get(to!.port) ?? [];
    list.push(hex(octets.subarray(2)));
    got.set(to!.port, list);
  }
  return got;
}

test("each tunnel gets what its own MTU has room for, in order, however they are mixed (RFC 7450 §5.3.3.6.2)", (t) => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  const random = new SeededEntropy(seed);
  for (let turn = 0; turn < 60; turn++) {
    const tunnels = Array.from({ length: 1 + random.below(turn % 10 === 0 ? 1_200 : 12) }, () => ({
      mtu: random.pick([0, 0, 0, 1_400, 1_250, 600, 28, 27]),
      flows: random.pick([[FLOW], [FLOW_6], [FLOW, FLOW_6]]),
    }));
    const bed = relaying(tunnels, FRAME_IP, turn % 2 === 0);
    const expected = tunnels.map((): string[] => []);
    let lost = 0;
    for (let i = random.below(tunnels.length > 100 ? 6 : 150); i >= 0; i--) {
      const flow = random.pick([FLOW, FLOW_6]);
      const datagram = udpDatagram({
        ...flow,
        payload: pattern(random.pick([0, 64, 64, 560, 1_200, 1_300, 1_400, 1_440, 3_000]), i),
        df: random.below(2) === 0,
        id: i,
      });
      bed.inner.arrivals.push({ octets: datagram });
      if (tunnelled(datagram, MTU) === undefined) continue;
      for (const [tunnel, { mtu, flows }] of tunnels.entries()) {
        if (!flows.includes(flow)) continue;
        const pieces = tunnelled(datagram, mtu || MTU);
        if (pieces) expected[tunnel]!.push(...pieces.map(hex));
        else lost++;
      }
    }
    bed.socket.room = random.below(200);
    bed.run();
    bed.socket.room = Infinity;
    bed.socket.becomeWritable();
    bed.run();
    const got = sent(bed);
    for (const [tunnel, pieces] of expected.entries()) {
      for (const { group } of [FLOW, FLOW_6]) {
        const ofFlow = (one: string): boolean => one.startsWith("4") === (group === FLOW.group);
        assert.deepEqual((got.get(1 + tunnel) ?? []).filter(ofFlow), pieces.filter(ofFlow));
      }
    }
    const egress = bed.ledger().stages[STAGE_EGRESS]!;
    assert.equal(egress[VERDICT_TOO_BIG], lost);
    assert.equal(egress[STAGE_RECEIVED], egress[VERDICT_FORWARDED]! + lost);
  }
});

test("each datagram of a super-packet is cut or dropped as if it had come alone (RFC 7450 §5.3.3.6.2)", (t) => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  const random = new SeededEntropy(seed);
  const options = Uint8Array.from([0x44, 8, 5, 0, 0, 0, 0, 0, 0x94, 4, 0, 0]); // one is copied
  for (let turn = 0; turn < 40; turn++) {
    const tunnels = Array.from({ length: 1 + random.below(6) }, () => ({
      mtu: random.pick([0, 0, 1_400, 1_250, 600, 100, 28, 27]),
      flows: random.pick([[FLOW], [FLOW, FLOW_6]]),
    }));
    const [merged, single] = [0, 1].map(() => relaying(tunnels, FRAME_VNET, turn % 2 === 0));
    const expected = tunnels.map((): string[] => []);
    let datagrams = 0;
    for (let i = random.below(12); i >= 0; i--) {
      const flow = random.pick([FLOW, FLOW, FLOW_6]);
      const size = random.pick([1, 100, 572, 580, 1_222, 1_400, 1_442, 1_443, 1_472, 4_000]);
      const many = 1 + random.below(Math.min(40, Math.floor(64_000 / size)));
      const df = random.below(3) === 0;
      // Of what must stay whole, a short last one would be dropped with those before it.
      const length = many * size - (df || flow === FLOW_6 ? 0 : random.below(size));
      const giant = udpDatagram({
        ...flow,
        payload: pattern(length, i),
        df,
        id: random.pick([7, 65_530]),
        ...(random.below(3) === 0 && { options }),
      });
      // The pseudo-header's part, as the kernel has it.
      new DataView(giant.buffer).setUint16(giant.length - length - 2, 0x1111);
      merged!.inner.arrivals.push({ octets: vnet(giant, { flags: 1, type: 5, size }) });
      for (const octets of cut({ octets: giant, ip: 0, size })) {
        single!.inner.arrivals.push({ octets: vnet(octets) });
        datagrams++;
        if (octets[0] === 0x48) continue; // the oracle knows no options
        for (const [tunnel, { mtu, flows }] of tunnels.entries())
          if (flows.includes(flow))
            expected[tunnel]!.push(...(tunnelled(octets, mtu || MTU) ?? []).map(hex));
      }
    }
    merged!.socket.room = random.below(200);
    merged!.run();
    merged!.socket.room = Infinity;
    merged!.socket.becomeWritable();
    for (const bed of [merged!, single!]) bed.run();
    const [got, alone] = [sent(merged!), sent(single!)];
    for (const [tunnel, pieces] of expected.entries())
      for (const start of ["45", "48", "6"]) {
        const kept = (list: string[] | undefined): string[] =>
          (list ?? []).filter((one) => one.startsWith(start));
        assert.deepEqual(kept(got.get(1 + tunnel)), kept(alone.get(1 + tunnel)));
        if (start !== "48") assert.deepEqual(kept(got.get(1 + tunnel)), kept(pieces));
      }
    const [of, ofSingle] = [merged!.ledger(), single!.ledger()];
    assert.deepEqual(of.stages, ofSingle.stages);
    assert.equal(of.stages[STAGE_INGEST]![STAGE_RECEIVED], datagrams);
    for (const tally of [TALLY_FRAGMENTED, TALLY_REDUCED])
      assert.equal(of.tallies[tally], ofSingle.tallies[tally]);
  }
});

test("what fits every tunnel leaves as one train for all of them, small MTUs or not", () => {
  const bed = relaying([0, 1_400, 1_250, 1_400].map((mtu) => ({ mtu, flows: [FLOW] })));
  for (let i = 0; i < 10; i++)
    bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(1_222, i) }) });
  bed.run();
  assert.equal(bed.ledger().tallies[TALLY_MESSAGES], 4);
  for (let i = 0; i < 10; i++)
    bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(1_223, i) }) });
  bed.run();
  // The three that take it share their trains by MTU; the one that does not gets nothing.
  const { tallies, stages } = bed.ledger();
  assert.equal(tallies[TALLY_MESSAGES], 4 + 3);
  assert.equal(stages[STAGE_EGRESS]![VERDICT_TOO_BIG], 10);
  assert.equal(tallies[TALLY_REDUCED], 0);
});

test("datagrams that are cut for a small MTU are counted apart from those cut for all", () => {
  const bed = relaying([0, 600, 600, 500].map((mtu) => ({ mtu, flows: [FLOW] })));
  const octets = udpDatagram({ ...FLOW, payload: pattern(1_000, 1), df: false });
  bed.inner.arrivals.push({ octets });
  bed.run();
  assert.equal(bed.ledger().tallies[TALLY_REDUCED], 2, "once for each MTU");
  assert.equal(bed.ledger().stages[STAGE_EGRESS]![VERDICT_FORWARDED], 1 + 2 + 2 + 3);
});

test("control is shown one datagram of a source that is too big for some tunnel, until it has looked", () => {
  for (const flow of [FLOW, FLOW_6]) {
    const bed = relaying([0, 1_250].map((mtu) => ({ mtu, flows: [flow] })));
    const push = (length: number, df = true): Uint8Array => {
      const octets = udpDatagram({ ...flow, payload: pattern(length, length), df });
      bed.inner.arrivals.push({ octets });
      bed.run();
      return octets;
    };
    push(1_000);
    assert.equal(bed.punts.next(), undefined);
    for (const length of [1_300, 1_500]) {
      const octets = push(length); // too big for one, then for both
      push(length);
      const punt = bed.punts.next()!;
      assert.equal(punt.kind, PUNT_TOO_BIG);
      assert.equal(hex(punt.octets), hex(octets.subarray(0, PUNT_HEAD)));
      assert.equal(bed.punts.next(), undefined);
      bed.commands.config(CONFIG_NOTED, 0);
      bed.run();
    }
    assert.equal(bed.ledger().tallies[TALLY_NOTED], 2);
    assert.equal(bed.ledger().stages[STAGE_INGEST]![VERDICT_TOO_BIG], 2);
    if (flow === FLOW) push(1_500, false);
    assert.equal(bed.punts.next(), undefined, "what can be cut is no news");
  }
});

test("nothing is shown of a source that nobody asked for by name", () => {
  const bed = relaying([]);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1 });
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, undefined, 0);
  bed.run();
  bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(1_500, 1) }) });
  bed.run();
  assert.equal(bed.ledger().stages[STAGE_INGEST]![VERDICT_TOO_BIG], 1);
  assert.equal(bed.punts.next(), undefined);
});

test("of a super-packet control is shown the first of its datagrams, with a right checksum", () => {
  const bed = relaying([{ mtu: 1_250, flows: [FLOW] }], FRAME_VNET);
  const data = pattern(4_000, 2);
  const giant = udpDatagram({ ...FLOW, payload: data, id: 7 });
  new DataView(giant.buffer).setUint16(26, 0x1111); // the pseudo-header's part, as the kernel has it
  const octets = vnet(giant, { flags: 1, type: 5, size: 1_316, start: 20, offset: 6 });
  bed.inner.arrivals.push({ octets });
  bed.run();
  const first = udpDatagram({ ...FLOW, payload: data.subarray(0, 1_316), id: 7 });
  assert.equal(hex(bed.punts.next()!.octets), hex(first.subarray(0, PUNT_HEAD)));
});

test("control hears of a message that the system finds too big, once for a tunnel until it has looked", () => {
  for (const address of ["10.0.0.1", "2001:db8::1"]) {
    const bed = relaying([]);
    const gateway = { address, port: 4_000 };
    bed.commands.tunnel(0, gateway);
    bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, FLOW.source, 0);
    bed.run();
    const push = (error: number): void => {
      bed.socket.refusals.push(error);
      bed.inner.arrivals.push({ octets: udpDatagram({ ...FLOW, payload: pattern(100, 1) }) });
      bed.run();
    };
    push(ECONNREFUSED);
    assert.equal(bed.punts.next(), undefined);
    for (const error of [EMSGSIZE, EINVAL]) {
      push(error);
      push(error);
      const punt = bed.punts.next()!;
      assert.deepEqual([punt.kind, punt.from, punt.octets.length], [PUNT_UNSENT, gateway, 0]);
      assert.equal(bed.punts.next(), undefined);
      bed.commands.config(CONFIG_NOTED_TUNNELS, 0);
      bed.run();
    }
  }
});
