import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PacketBatch } from "../../src/engine/packet-engine.ts";
import { holds } from "./holds.ts";

test("a batch gives back what was pushed, in order, one after another", (t) => {
  const packets = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 });
  holds(
    t,
    fc.property(packets, (packets) => {
      const octets = packets.reduce((sum, packet) => sum + packet.length, 0);
      const batch = new PacketBatch(packets.length, octets);
      for (const packet of packets) batch.push(packet);
      assert.equal(batch.count, packets.length);
      assert.equal(batch.used, octets);
      let start = 0;
      for (const [i, packet] of packets.entries()) {
        assert.deepEqual(batch.packet(i), packet);
        assert.equal(batch.results[i], packet.length);
        assert.equal(batch.offsets[i], start);
        start += packet.length;
      }
    }),
  );
});

test("a packet of a batch is a view, not a copy", () => {
  const batch = new PacketBatch(1, 4);
  batch.push(Uint8Array.of(1, 2, 3, 4));
  batch.octets[2] = 9;
  assert.deepEqual(batch.packet(0), Uint8Array.of(1, 2, 9, 4));
});

test("a pushed packet is a copy of the caller's", () => {
  const packet = Uint8Array.of(1, 2);
  const batch = new PacketBatch(1, 2);
  batch.push(packet);
  packet[0] = 9;
  assert.deepEqual(batch.packet(0), Uint8Array.of(1, 2));
});

test("a dropped packet takes no room and reads as empty", () => {
  const batch = new PacketBatch(3, 10);
  batch.push(Uint8Array.of(1));
  assert.equal(batch.claim(9), 1);
  batch.settle(-8);
  assert.equal(batch.used, 1);
  assert.equal(batch.results[1], -8);
  assert.equal(batch.packet(1).length, 0);
  batch.push(Uint8Array.of(2));
  assert.deepEqual(batch.packet(2), Uint8Array.of(2));
});

test("a claimed packet may turn out shorter, and the next follows it", () => {
  const batch = new PacketBatch(2, 10);
  const start = batch.claim(10);
  batch.octets.set([7, 8, 9], start);
  batch.settle(3);
  assert.deepEqual(batch.packet(0), Uint8Array.of(7, 8, 9));
  assert.equal(batch.claim(7), 3);
});

test("a batch refuses a packet too many and an octet too many, and stays as it was", () => {
  const batch = new PacketBatch(2, 3);
  batch.push(Uint8Array.of(1, 2));
  assert.throws(() => batch.push(Uint8Array.of(3, 4)), RangeError);
  assert.throws(() => batch.claim(2), RangeError);
  assert.equal(batch.count, 1);
  assert.equal(batch.used, 2);
  batch.push(Uint8Array.of(3));
  assert.throws(() => batch.push(new Uint8Array(0)), RangeError);
  assert.deepEqual(batch.packet(1), Uint8Array.of(3));
});

test("a cleared batch is empty and takes as much as a new one", () => {
  const batch = new PacketBatch(1, 2);
  batch.push(Uint8Array.of(1, 2));
  batch.clear();
  assert.equal(batch.count, 0);
  assert.equal(batch.used, 0);
  batch.push(Uint8Array.of(3, 4));
  assert.deepEqual(batch.packet(0), Uint8Array.of(3, 4));
});
