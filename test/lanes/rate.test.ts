/** What a relay sends each tunnel at most. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_BURST,
  CONFIG_RATE,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_VNET,
  STAGE_EGRESS,
  STAGE_RECEIVED,
} from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_TUNNEL_RATE } from "../../assembly/layout/verdict.ts";
import { endpointText } from "../../src/core/address.ts";
import { seededEntropy } from "../sim/entropy.ts";
import { makeIngressBed } from "./bed.ts";
import { pattern, udpDatagram, vnet } from "./packets.ts";

/** Octets before a datagram on the way to each tunnel: IP, UDP, AMT. */
const TUNNELS = [
  { address: "10.0.0.1", port: 1_000, outer: 30 },
  { address: "10.0.0.2", port: 1_001, outer: 30 },
  { address: "2001:db8::3", port: 1_002, outer: 50 },
] as const;

interface Settings {
  readonly segments: number;
  readonly rate: number;
  readonly burst: number;
}

function makeRelay({ segments, rate, burst }: Settings, start = 0) {
  const time = { now: start };
  const bed = makeIngressBed([FRAME_VNET], () => time.now >>> 0);
  bed.commands.config(CONFIG_TUNNEL_MTU, 1_450);
  bed.commands.config(CONFIG_SEGMENTS, segments);
  bed.commands.config(CONFIG_RATE, rate);
  bed.commands.config(CONFIG_BURST, burst);
  for (const [tunnel, to] of TUNNELS.entries()) {
    bed.commands.tunnel(tunnel, to);
    bed.commands.route(COMMAND_MEMBER_ADD, "232.1.2.3", "192.0.2.44", tunnel);
  }
  const source = { source: "192.0.2.44", group: "232.1.2.3" };
  /** Relays datagrams with payloads of these lengths; gives how many octets went to each tunnel. */
  const relay = (lengths: readonly number[]): Map<string, number[]> => {
    for (const [id, length] of lengths.entries()) {
      const datagram = udpDatagram({ ...source, payload: pattern(length, id), id });
      bed.ingress[0]!.arrivals.push({ octets: vnet(datagram) });
    }
    bed.run();
    const sent = new Map<string, number[]>();
    for (const { octets, to } of bed.socket.departures.splice(0)) {
      const key = endpointText(to!);
      sent.set(key, [...(sent.get(key) ?? []), octets.length]);
    }
    return sent;
  };
  return { bed, time, relay };
}

test("a tunnel gets what its rate and burst let through, as a leaky bucket in plain words says", (t) => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  const random = seededEntropy(seed);
  const below = (limit: number) => random.u32() % limit;
  for (let run = 0; run < 20; run++) {
    const rate = 10 + below(2_000);
    const burst = 1_500 + below(60_000);
    // The clock may be about to wrap.
    const { bed, time, relay } = makeRelay({ segments: 1, rate, burst }, 2 ** 32 - below(300));
    const levels = TUNNELS.map(() => 0);
    let [given, taken] = [0, 0];
    for (let batch = 0; batch < 30; batch++) {
      const passed = below(batch % 7 === 0 ? 400 : 5);
      time.now += passed;
      const lengths = Array.from({ length: below(60) }, () => below(1_400));
      const sent = relay(lengths);
      given += TUNNELS.length * lengths.length;
      for (const [tunnel, to] of TUNNELS.entries()) {
        levels[tunnel] = Math.max(0, levels[tunnel]! - passed * rate);
        const expected = lengths.flatMap((length) => {
          const message = length + 28 + 2;
          const whole = message + to.outer - 2;
          if (levels[tunnel]! + whole > burst) return [];
          levels[tunnel]! += whole;
          return [message];
        });
        taken += expected.length;
        assert.deepEqual(sent.get(endpointText(to)) ?? [], expected);
      }
    }
    const egress = bed.ledger().stages[STAGE_EGRESS]!;
    assert.equal(egress[STAGE_RECEIVED], given);
    assert.equal(egress[VERDICT_FORWARDED], taken);
    assert.equal(egress[VERDICT_TUNNEL_RATE], given - taken);
  }
});

test("trains that no tunnel may be sent are all dropped, however many they are", () => {
  const { bed, time, relay } = makeRelay({ segments: 2, rate: 8, burst: 1_000 });
  // Lengths that fall begin a train each: more than the staging area has places for.
  const lengths = Array.from({ length: 150 }, (_, i) => (i % 2 === 0 ? 1_200 : 1_300));
  assert.equal(relay(lengths).size, 0);
  assert.ok(bed.lane.idle);
  time.now += 1_000;
  assert.deepEqual(relay([900]).get("10.0.0.1:1000"), [930]);
  const egress = bed.ledger().stages[STAGE_EGRESS]!;
  assert.equal(egress[VERDICT_TUNNEL_RATE], 450);
  assert.equal(egress[STAGE_RECEIVED], 453);
});
