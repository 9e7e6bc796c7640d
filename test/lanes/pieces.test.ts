import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ARENA_TX,
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  FRAME_VNET,
  STAGE_EGRESS,
  STAGE_INGEST,
  STAGE_RECEIVED,
  TRAIN_LENGTH_MAX,
  TX_CAPACITY,
  TX_HEADERS,
} from "../../assembly/layout/arena.ts";
import {
  IOVEC_BASE,
  IOVEC_LENGTH,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_NAME,
  MMSGHDR_SHIFT,
  SOCKADDR_PORT,
} from "../../assembly/layout/system.ts";
import {
  VERDICT_FORWARDED,
  VERDICT_INNER_LENGTH,
  VERDICT_TOO_BIG,
} from "../../assembly/layout/verdict.ts";
import { makeBed, type Bed } from "./bed.ts";
import { hex, join, mendIpv4, pattern, udpDatagram, vnet } from "./packets.ts";

const FLOW = { source: "192.0.2.44", group: "232.1.2.3" };

function relaying(frame: number): Bed {
  const bed = makeBed("relay", frame);
  bed.commands.config(CONFIG_SEGMENTS, 64);
  bed.commands.tunnel(0, { address: "10.0.0.1", port: 1000 });
  bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, FLOW.source, 0);
  bed.run();
  return bed;
}

/** An IPv4 datagram of this length in all. */
function ofLength(length: number, df: boolean): Uint8Array {
  return udpDatagram({ ...FLOW, payload: pattern(length - 28, 1), df });
}

test("the largest message that a UDP datagram holds leaves whole, a larger one does not", () => {
  const largest = TRAIN_LENGTH_MAX - 2;
  for (const frame of [FRAME_IP, FRAME_VNET]) {
    const wrap = frame === FRAME_VNET ? vnet : (packet: Uint8Array) => packet;
    const bed = relaying(frame);
    bed.inner.arrivals.push({ octets: wrap(ofLength(largest, true)) });
    for (const length of [largest + 1, 65_535])
      bed.inner.arrivals.push({ octets: wrap(ofLength(length, true)) });
    bed.run();
    assert.deepEqual(
      bed.socket.departures.map(({ octets }) => octets.length),
      [TRAIN_LENGTH_MAX],
    );
    const { stages } = bed.ledger();
    assert.equal(stages[STAGE_INGEST]![VERDICT_TOO_BIG], 2);
    assert.equal(stages[STAGE_EGRESS]![VERDICT_FORWARDED], 1);
  }
});

test("a datagram too large for any message leaves in fragments where it may", () => {
  const bed = relaying(FRAME_IP);
  const datagram = ofLength(65_535, false);
  bed.inner.arrivals.push({ octets: datagram });
  bed.run();
  const pieces = bed.socket.departures.map(({ octets }) => octets.subarray(2));
  assert.equal(pieces.length, 2);
  assert.equal(hex(join(pieces.map((piece) => piece.subarray(20)))), hex(datagram.subarray(20)));
});

test("a super-packet of one segment too large for any message is dropped", () => {
  const bed = relaying(FRAME_VNET);
  bed.inner.arrivals.push({ octets: vnet(ofLength(65_535, true), { type: 5, size: 65_507 }) });
  bed.run();
  assert.equal(bed.socket.departures.length, 0);
  assert.equal(bed.ledger().stages[STAGE_INGEST]![VERDICT_TOO_BIG], 1);
});

test("a fragment that ends behind the largest datagram is not cut further (RFC 791 §3.2)", () => {
  const bed = relaying(FRAME_IP);
  bed.commands.config(CONFIG_TUNNEL_MTU, 1000);
  bed.run();
  const fragment = (offset: number, length: number): Uint8Array => {
    const packet = ofLength(length, false);
    new DataView(packet.buffer).setUint16(6, offset / 8);
    return mendIpv4(packet);
  };
  // With the 20 octets of header, the whole datagram has 65,535 octets, then one more.
  bed.inner.arrivals.push({ octets: fragment(63_912, 20 + 1_603) });
  bed.inner.arrivals.push({ octets: fragment(63_912, 20 + 1_604) });
  bed.run();
  const ends = bed.socket.departures.map(({ octets }) => {
    const view = new DataView(octets.buffer, octets.byteOffset + 2);
    return (view.getUint16(6) & 0x1fff) * 8 + view.getUint16(2) - 20;
  });
  assert.equal(ends.at(-1), 65_515);
  assert.equal(ends.length, 2);
  const { stages } = bed.ledger();
  assert.equal(stages[STAGE_INGEST]![VERDICT_INNER_LENGTH], 1);
  // What arrived as one datagram counts as one, however many fragments it leaves as.
  assert.equal(stages[STAGE_INGEST]![STAGE_RECEIVED], 2);
  assert.equal(stages[STAGE_EGRESS]![STAGE_RECEIVED], 2);
});

interface Relayed {
  /** Octets of each datagram to the first member. */
  readonly datagrams: readonly string[];
  /** The most iovecs of a message. */
  readonly parts: number;
}

/** What becomes of frames with a virtio_net_hdr on their way to so many members of all flows. */
function relayed(
  frames: readonly Uint8Array[],
  flows: readonly (typeof FLOW)[],
  members: number,
): Relayed {
  const bed = makeBed("relay", FRAME_VNET);
  bed.commands.config(CONFIG_SEGMENTS, 64);
  for (let tunnel = 0; tunnel < members; tunnel++) {
    bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: 1000 + tunnel });
    for (const { group, source } of flows)
      bed.commands.route(COMMAND_MEMBER_ADD, group, source, tunnel);
  }
  bed.run();
  const view = new DataView(bed.socket.arena.memory.buffer);
  const send = bed.socket.send.bind(bed.socket);
  let parts = 0;
  bed.socket.send = (first, count) => {
    for (let i = first; i < first + count; i++) {
      const header = ARENA_TX + TX_HEADERS + (i << MMSGHDR_SHIFT);
      parts = Math.max(parts, view.getUint32(header + MMSGHDR_IOV_COUNT, true));
    }
    return send(first, count);
  };
  for (const octets of frames) bed.inner.arrivals.push({ octets });
  bed.run();
  const first = bed.socket.departures.filter(({ to }) => to?.port === 1000);
  return { parts, datagrams: first.map(({ octets }) => hex(octets)) };
}

test("payload of super-packets stays in place for one member and is copied for two, to the same effect", () => {
  const flows = [FLOW, { source: "2001:db8::44", group: "ff0e::1234" }];
  const frames = Array.from({ length: 150 }, (_, i) => {
    const flow = flows[i % 7 === 3 ? 1 : 0]!;
    const packet = udpDatagram({ ...flow, payload: pattern(1 + ((i * 7_919) % 60_000), i) });
    // Ordinary ones between them join the trains.
    return vnet(packet, packet.length < 1_400 ? undefined : { type: 5, size: 1_316 });
  });
  const alone = relayed(frames, flows, 1);
  const shared = relayed(frames, flows, 2);
  assert.ok(alone.datagrams.length > 3_000);
  assert.deepEqual(alone.datagrams, shared.datagrams);
  // At most two for each datagram that the kernel cuts off a message.
  assert.ok(alone.parts > 64 && alone.parts <= 128, `${alone.parts} parts`);
  assert.equal(shared.parts, 1);
});

test("trains that fill the staging area over and over reach each of many members whole", () => {
  const bed = makeBed("relay", FRAME_IP);
  const members = TX_CAPACITY - 10; // so that each call of the core leaves a train half sent
  for (let tunnel = 0; tunnel < members; tunnel++) {
    bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: 1 + tunnel });
    bed.commands.route(COMMAND_MEMBER_ADD, FLOW.group, FLOW.source, tunnel);
  }
  bed.run();
  const sent = Array.from({ length: 190 }, (_, i) =>
    udpDatagram({ ...FLOW, payload: pattern(i % 40 === 39 ? 100 : 60_000, i) }),
  );
  for (const octets of sent) bed.inner.arrivals.push({ octets });
  // Copies of all would take gigabytes: each message is looked at where it lies.
  const { memory, base } = bed.socket.arena;
  const view = new DataView(memory.buffer);
  const arrived = new Uint32Array(members);
  let wrong = 0;
  bed.socket.send = (first, count) => {
    const at = (pointer: number): number => Number(view.getBigUint64(pointer, true)) - base;
    for (let i = first; i < first + count; i++) {
      const header = ARENA_TX + TX_HEADERS + (i << MMSGHDR_SHIFT);
      const member = view.getUint16(at(header + MMSGHDR_NAME) + SOCKADDR_PORT) - 1;
      const wanted = sent[arrived[member]!++]!;
      const iovec = at(header + MMSGHDR_IOV);
      const start = at(iovec + IOVEC_BASE) + 2;
      if (view.getUint32(iovec + IOVEC_LENGTH, true) !== wanted.length + 2) wrong++;
      // Behind the TTL and its checksum, all is as it was.
      for (const offset of [12, 28, wanted.length >> 1, wanted.length - 1])
        if (view.getUint8(start + offset) !== wanted[offset]) wrong++;
    }
    return count;
  };
  bed.run();
  assert.equal(wrong, 0);
  assert.ok(arrived.every((count) => count === sent.length));
});
