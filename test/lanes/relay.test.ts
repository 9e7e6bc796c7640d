import assert from "node:assert/strict";
import { test } from "node:test";
import {
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  RX_BATCH,
  RX_CAPACITY,
  STAGE_EGRESS,
  STAGE_INGEST,
  STAGE_RECEIVED,
  TALLY_MESSAGES,
} from "../../assembly/layout/arena.ts";
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import {
  VERDICT_FORWARDED,
  VERDICT_NO_ROUTE,
  VERDICT_TOO_BIG,
} from "../../assembly/layout/verdict.ts";
import { endpointText } from "../../src/core/address.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import * as errno from "../../src/os/errno.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { makeBed } from "./bed.ts";
import { udpChecksum, udpDatagram, vnet } from "./packets.ts";

const reference = createReferenceEngine();

function payload(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31) & 0xff);
}

/** The datagram after one hop, as the reference engine relays it. */
function relayed(datagram: Uint8Array): string {
  const message = new Uint8Array(datagram.length + 2);
  const length = reference.amtEncapsulate(datagram, message);
  assert.ok(length > 0);
  return Buffer.from(message.subarray(0, length)).toString("hex");
}

test("each member of a route gets each packet, in order, as the reference engine makes it", () => {
  for (const simd of [true, false]) {
    const bed = makeBed("relay", 0, simd);
    bed.commands.config(CONFIG_SEGMENTS, 64);
    for (let tunnel = 0; tunnel < 1100; tunnel++) {
      bed.commands.tunnel(tunnel, {
        address: `10.0.${tunnel >> 8}.${tunnel & 255}`,
        port: 1000 + tunnel,
      });
      bed.commands.route(COMMAND_MEMBER_ADD, "232.1.2.3", "192.0.2.44", tunnel);
    }
    bed.commands.tunnel(7777, { address: "2001:db8::7", port: 9 });
    bed.commands.route(COMMAND_MEMBER_ADD, "ff3e::1234", undefined, 7777);
    bed.run();
    const sent: string[] = [];
    for (let i = 0; i < 60; i++) {
      const datagram = udpDatagram({
        source: "192.0.2.44",
        group: "232.1.2.3",
        payload: payload(i % 5 === 4 ? 100 : 300, i),
        id: i,
      });
      sent.push(relayed(datagram));
      bed.inner.arrivals.push({ octets: vnet(datagram) });
    }
    const v6 = udpDatagram({
      source: "2001:db8::44",
      group: "ff3e::1234",
      payload: payload(64, 1),
    });
    bed.inner.arrivals.push({ octets: vnet(v6) });
    const stranger = udpDatagram({
      source: "192.0.2.45",
      group: "232.1.2.3",
      payload: payload(10, 1),
    });
    bed.inner.arrivals.push({ octets: vnet(stranger) });
    bed.run();
    const got = new Map<string, string[]>();
    for (const { octets, to } of bed.socket.departures) {
      const key = endpointText(to!);
      if (!got.has(key)) got.set(key, []);
      got.get(key)!.push(Buffer.from(octets).toString("hex"));
    }
    assert.equal(got.size, 1101);
    assert.deepEqual(got.get("10.0.0.0:1000"), sent);
    assert.deepEqual(got.get("10.0.4.75:2099"), sent);
    assert.deepEqual(got.get("[2001:db8::7]:9"), [relayed(v6)]);
    const { stages } = bed.ledger();
    assert.equal(stages[STAGE_INGEST]![STAGE_RECEIVED], 62);
    assert.equal(stages[STAGE_INGEST]![VERDICT_FORWARDED], 61);
    assert.equal(stages[STAGE_INGEST]![VERDICT_NO_ROUTE], 1);
    assert.equal(stages[STAGE_EGRESS]![STAGE_RECEIVED], 1100 * 60 + 1);
    assert.equal(stages[STAGE_EGRESS]![VERDICT_FORWARDED], 1100 * 60 + 1);
  }
});

test("large messages are received a few at a time, so that caches hold a batch", () => {
  const bed = makeBed("relay");
  const asked: number[] = [];
  const { inner } = bed;
  const receive = inner.receive.bind(inner);
  inner.receive = (most) => {
    asked.push(most);
    return receive(most);
  };
  const push = (count: number, length: number): void => {
    const datagram = udpDatagram({
      source: "192.0.2.45",
      group: "232.1.2.3",
      payload: payload(length, 1),
    });
    for (let i = 0; i < count; i++) inner.arrivals.push({ octets: vnet(datagram) });
  };
  push(10, 60_000);
  bed.run();
  push(20, 60_000);
  bed.run();
  push(300, 1_000);
  bed.run();
  const few = Math.floor(RX_BATCH / (60_000 + 28 + VNET_LENGTH));
  const all = RX_CAPACITY;
  assert.deepEqual(asked.slice(0, 7), [all, few, few, few, few, all, all]);
  assert.equal(inner.arrivals.length, 0);
});

test("a full outlet holds the batch back, in order, and commands wait until it has left", () => {
  const bed = makeBed("relay");
  bed.commands.config(CONFIG_SEGMENTS, 4);
  for (let tunnel = 0; tunnel < 3; tunnel++) {
    bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: 1000 + tunnel });
    bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", undefined, tunnel);
  }
  bed.run();
  const sent: string[] = [];
  const push = (i: number): void => {
    const datagram = udpDatagram({
      source: "10.9.9.9",
      group: "239.1.1.1",
      payload: payload(50, i),
    });
    sent.push(relayed(datagram));
    bed.inner.arrivals.push({ octets: vnet(datagram) });
  };
  for (let i = 0; i < 10; i++) push(i);
  bed.socket.room = 2;
  bed.run();
  bed.commands.route(COMMAND_MEMBER_REMOVE, "239.1.1.1", undefined, 1);
  bed.run();
  assert.ok(bed.socket.departures.length < 10, "the port had room for two messages only");
  bed.socket.room = Infinity;
  bed.socket.becomeWritable();
  bed.run();
  push(10);
  bed.run();
  const to = (port: number): string[] =>
    bed.socket.departures
      .filter((departure) => departure.to!.port === port)
      .map(({ octets }) => Buffer.from(octets).toString("hex"));
  assert.deepEqual(to(1000), sent);
  assert.deepEqual(to(1001), sent.slice(0, 10));
  assert.deepEqual(to(1002), sent);
});

test("a super-packet leaves as the datagrams it stands for", () => {
  for (const [source, group] of [
    ["192.0.2.44", "232.1.2.3"],
    ["2001:db8::44", "ff3e::1234"],
  ] as const) {
    const bed = makeBed("relay");
    bed.commands.config(CONFIG_SEGMENTS, 64);
    bed.commands.config(CONFIG_TUNNEL_MTU, 1470);
    bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
    bed.commands.route(COMMAND_MEMBER_ADD, group, source, 0);
    bed.run();
    const data = payload(10_000, 3);
    const giant = udpDatagram({ source, group, payload: data, id: 100 });
    const ip = giant.length - 10_008;
    // The checksum field holds the pseudo-header's part, as the kernel leaves it.
    new DataView(giant.buffer).setUint16(ip + 6, 0x1111);
    bed.inner.arrivals.push({
      octets: vnet(giant, { flags: 1, type: 5, size: 1316, start: ip, offset: 6 }),
    });
    bed.run();
    const expected = Array.from({ length: 8 }, (_, i) =>
      relayed(
        udpDatagram({
          source,
          group,
          payload: data.subarray(i * 1316, (i + 1) * 1316),
          id: 100 + i,
        }),
      ),
    );
    assert.deepEqual(
      bed.socket.departures.map(({ octets }) => Buffer.from(octets).toString("hex")),
      expected,
    );
    assert.equal(bed.ledger().stages[STAGE_INGEST]![STAGE_RECEIVED], 8);
  }
});

test("a partial checksum is completed", () => {
  const bed = makeBed("relay");
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
  bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", undefined, 0);
  bed.run();
  const whole = udpDatagram({ source: "10.9.9.9", group: "239.1.1.1", payload: payload(777, 2) });
  const partial = whole.slice();
  const pseudo = Uint8Array.from([10, 9, 9, 9, 239, 1, 1, 1, 0, 17, (785 >> 8) & 255, 785 & 255]);
  new DataView(partial.buffer).setUint16(26, ~reference.checksum(pseudo) & 0xffff);
  bed.inner.arrivals.push({ octets: vnet(partial, { flags: 1, start: 20, offset: 6 }) });
  bed.run();
  assert.equal(Buffer.from(bed.socket.departures[0]!.octets).toString("hex"), relayed(whole));
});

test("what is larger than the tunnel leaves in fragments that join to the original, or not at all", () => {
  const bed = makeBed("relay");
  bed.commands.config(CONFIG_TUNNEL_MTU, 1000);
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
  bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", undefined, 0);
  bed.run();
  // Record Route is not copied to later fragments, Loose Source Route (0x83) is.
  const options = Uint8Array.of(0x07, 7, 4, 1, 2, 3, 4, 0x83, 4, 4, 0, 0);
  const data = payload(3000, 5);
  const spec = { source: "10.9.9.9", group: "239.1.1.1", payload: data, id: 9, options } as const;
  bed.inner.arrivals.push({ octets: vnet(udpDatagram({ ...spec, df: false })) });
  bed.inner.arrivals.push({ octets: vnet(udpDatagram(spec)) });
  bed.run();
  const joined: number[] = [];
  const pieces = bed.socket.departures.map(({ octets }) => octets.subarray(2));
  for (const [i, piece] of pieces.entries()) {
    const view = new DataView(piece.buffer, piece.byteOffset);
    assert.equal(reference.checksum(piece.subarray(0, 32)), 0);
    assert.equal(view.getUint16(2), piece.length);
    assert.ok(piece.length <= 1000);
    assert.equal(view.getUint16(4), 9);
    assert.equal((view.getUint16(6) & 0x1fff) * 8, joined.length);
    assert.equal((view.getUint16(6) & 0x2000) !== 0, i < pieces.length - 1);
    assert.equal(piece[20], i === 0 ? 0x07 : 1);
    assert.equal(piece[27], 0x83);
    joined.push(...piece.subarray(32));
  }
  assert.deepEqual(joined.slice(8), [...data]);
  const udp = Uint8Array.from(joined);
  const checksum = new DataView(udp.buffer).getUint16(6);
  udp[6] = udp[7] = 0;
  assert.equal(checksum, udpChecksum(Uint8Array.of(10, 9, 9, 9), Uint8Array.of(239, 1, 1, 1), udp));
  assert.equal(bed.ledger().stages[STAGE_INGEST]![VERDICT_TOO_BIG], 1);
});

test("what the kernel refuses is dropped by its reason, and the rest of the batch goes out", () => {
  const bed = makeBed("relay");
  for (let tunnel = 0; tunnel < 8; tunnel++) {
    bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: 1000 + tunnel });
    bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", undefined, tunnel);
  }
  bed.run();
  const refusals = [
    [errno.ECONNREFUSED, verdict.VERDICT_SEND_REFUSED],
    [errno.EPERM, verdict.VERDICT_SEND_DENIED],
    [errno.EMSGSIZE, verdict.VERDICT_SEND_TOO_BIG],
    [errno.ENETUNREACH, verdict.VERDICT_SEND_UNREACHABLE],
    [errno.ENOBUFS, verdict.VERDICT_SEND_NO_BUFFER],
    [errno.EINVAL, verdict.VERDICT_SEND_FAILED],
  ] as const;
  bed.socket.refusals.push(...refusals.map(([number]) => number));
  const spec = { source: "10.9.9.9", group: "239.1.1.1", payload: payload(50, 0) };
  bed.inner.arrivals.push({ octets: vnet(udpDatagram(spec)) });
  bed.run();
  assert.deepEqual(
    bed.socket.departures.map(({ to }) => to!.port),
    [1006, 1007],
  );
  const egress = bed.ledger().stages[STAGE_EGRESS]!;
  for (const [, reason] of refusals) assert.equal(egress[reason], 1);
  assert.equal(egress[VERDICT_FORWARDED], 2);
  assert.equal(egress[STAGE_RECEIVED], 8);
});

test("where the kernel takes no trains after all, datagrams leave singly", () => {
  const bed = makeBed("relay");
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
  bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", undefined, 0);
  bed.run();
  bed.socket.refusals.push(errno.EIO);
  const spec = { source: "10.9.9.9", group: "239.1.1.1" } as const;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 5; i++) {
      const datagram = udpDatagram({ ...spec, payload: payload(50, i) });
      bed.inner.arrivals.push({ octets: vnet(datagram) });
    }
    bed.run();
  }
  assert.equal(bed.socket.departures.length, 5, "the refused train is lost, what follows is not");
  assert.equal(bed.ledger().tallies[TALLY_MESSAGES], 5);
});
