import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  STAGE_CONTROL,
  TALLY_ECN_ODD,
} from "../../assembly/layout/arena.ts";
import { VERDICT_ECN } from "../../assembly/layout/verdict.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { makeBed } from "./bed.ts";
import { tosControl, udpDatagram, vnet, withEcn } from "./packets.ts";

const RELAY = { address: "192.0.2.1", port: 2268 };
const V4 = { source: "10.9.9.9", group: "239.1.1.1" } as const;
const V6 = { source: "2001:db8::9", group: "ff3e::9" } as const;

const [NOT, ECT1, ECT0, CE] = [0, 1, 2, 3] as const;

test("data bears its ECN field towards gateways that asked for it, and 00 otherwise (RFC 9601 §4)", () => {
  const bed = makeBed("relay");
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 }, true);
  bed.commands.tunnel(1, { address: "10.0.0.2", port: 1000 }, false);
  bed.commands.tunnel(2, { address: "2001:db8::1", port: 1000 }, true);
  for (const tunnel of [0, 1, 2]) {
    bed.commands.route(COMMAND_MEMBER_ADD, V4.group, undefined, tunnel);
    bed.commands.route(COMMAND_MEMBER_ADD, V6.group, V6.source, tunnel);
  }
  bed.run();
  const marks = [NOT, ECT0, ECT0, ECT0, CE, ECT1, NOT, NOT];
  for (const spec of [V4, V6])
    for (const [i, ecn] of marks.entries()) {
      const datagram = udpDatagram({ ...spec, payload: Uint8Array.of(i, i) });
      bed.inner.arrivals.push({ octets: vnet(withEcn(datagram, ecn)) });
    }
  bed.run();
  const seen = (address: string): number[] =>
    bed.socket.departures.filter(({ to }) => to!.address === address).map(({ ecn }) => ecn);
  assert.deepEqual(seen("10.0.0.1"), [...marks, ...marks]);
  assert.deepEqual(seen("10.0.0.2"), Array(16).fill(NOT));
  assert.deepEqual(seen("2001:db8::1"), [...marks, ...marks]);
  const order = bed.socket.departures
    .filter(({ to }) => to!.address === "10.0.0.1")
    .map(({ octets }) => octets.at(-1)!);
  assert.deepEqual(order, [...marks.keys(), ...marks.keys()]);
});

/** RFC 6040 §4.2, figure 4: inner, outer, result; "odd" where the pair should not occur. */
const TABLE = [
  [NOT, NOT, NOT],
  [NOT, ECT0, NOT, "odd"],
  [NOT, ECT1, NOT, "odd"],
  [NOT, CE, undefined, "odd"],
  [ECT0, NOT, ECT0],
  [ECT0, ECT0, ECT0],
  [ECT0, ECT1, ECT1],
  [ECT0, CE, CE],
  [ECT1, NOT, ECT1],
  [ECT1, ECT0, ECT1, "odd"],
  [ECT1, ECT1, ECT1],
  [ECT1, CE, CE],
  [CE, NOT, CE],
  [CE, ECT0, CE],
  [CE, ECT1, CE, "odd"],
  [CE, CE, CE],
] as const;

test("a gateway brings the outer ECN field inside (RFC 6040 §4.2)", () => {
  const reference = createReferenceEngine();
  for (const spec of [V4, V6])
    for (const [inner, outer, result, odd] of TABLE) {
      const bed = makeBed("gateway");
      bed.commands.relay(RELAY);
      bed.commands.route(COMMAND_MEMBER_ADD, spec.group, undefined, 0);
      bed.run();
      const datagram = withEcn(udpDatagram({ ...spec, payload: Uint8Array.of(7) }), inner);
      const octets = Uint8Array.from([6, 0, ...datagram]);
      bed.socket.arrivals.push({ octets, from: RELAY, control: tosControl(outer) });
      bed.run();
      const text = `${spec.group}: ${inner} in ${outer}`;
      const delivered = bed.inner.departures.map((departure) => departure.octets.subarray(10));
      if (result === undefined) {
        assert.deepEqual(delivered, [], text);
        assert.equal(bed.ledger().stages[STAGE_CONTROL]![VERDICT_ECN], 1, text);
      } else {
        assert.deepEqual(delivered, [withEcn(datagram, result)], text);
        const message = Uint8Array.from([6, 0, ...delivered[0]!]);
        const checked = reference.amtDecapsulate(message, new Uint8Array(message.length));
        assert.equal(checked, datagram.length, `${text}: its checksum is right`);
      }
      assert.equal(bed.ledger().tallies[TALLY_ECN_ODD], odd ? 1 : 0, text);
    }
});
