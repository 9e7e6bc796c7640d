/**
 * What every `PacketEngine` must do, and that two of them answer alike. An engine's own test file
 * calls these with the engines that it has.
 *
 * Inputs and outputs lie at odd offsets of larger buffers; the octets around an output must stay
 * what they were, and so must the whole input.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as ip from "../../assembly/layout/ip.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { AMT_OVERHEAD, PacketBatch, type PacketEngine } from "../../src/engine/packet-engine.ts";
import { holds } from "./holds.ts";
import { oracleChecksum, oracleCrc32c } from "./oracle.ts";
import {
  anyDatagram,
  anyMessage,
  datagram,
  decapsulationVerdict,
  encapsulationVerdict,
  messageOf,
  octetsOf,
  repairIpv4,
  type Packet,
} from "./packets.ts";

const GUARD = 0xa5;
const alignment = fc.nat({ max: 67 });
const word = fc.oneof(fc.constantFrom(0, 1, 0xfffe, 0xffff), fc.nat({ max: 0xffff }));

/** What a call gave: the result, and the packet that it made. */
interface Answer {
  readonly result: number;
  readonly packet: Uint8Array;
}

/** Calls one of the two packet methods between guard octets and checks that they are untouched. */
function call(
  method: (input: Uint8Array, output: Uint8Array) => number,
  input: Uint8Array,
  room: number,
  inputOffset = 0,
  outputOffset = 0,
): Answer {
  const inside = new Uint8Array(inputOffset + input.length + 3).fill(GUARD);
  inside.set(input, inputOffset);
  const before = inside.slice();
  const outside = new Uint8Array(outputOffset + room + 3).fill(GUARD);
  const result = method(
    inside.subarray(inputOffset, inputOffset + input.length),
    outside.subarray(outputOffset, outputOffset + room),
  );
  assert.deepEqual(inside, before, "the input was written to");
  const guards = [outside.subarray(0, outputOffset), outside.subarray(outputOffset + room)];
  for (const guard of guards)
    assert.ok(
      guard.every((octet) => octet === GUARD),
      "octets around the output were written to",
    );
  const packet = outside.slice(outputOffset, outputOffset + Math.max(0, result));
  return { result, packet };
}

function encapsulate(engine: PacketEngine, input: Uint8Array, from = 0, to = 0): Answer {
  return call((a, b) => engine.amtEncapsulate(a, b), input, input.length + AMT_OVERHEAD, from, to);
}

function decapsulate(engine: PacketEngine, input: Uint8Array, from = 0, to = 0): Answer {
  const room = Math.max(0, input.length - AMT_OVERHEAD);
  return call((a, b) => engine.amtDecapsulate(a, b), input, room, from, to);
}

/** What a relay must make of a sound packet, by the oracle. */
function relayed(packet: Packet): Uint8Array {
  const octets = packet.octets.slice(0, packet.length);
  octets[octets[0]! >> 4 === 4 ? ip.IPV4_TTL : ip.IPV6_HOP_LIMIT]!--;
  repairIpv4(octets);
  return messageOf(octets, 0);
}

/** Registers the tests that one engine must pass alone. */
export function testEngine(name: string, engine: PacketEngine): void {
  test(`${name}: the checksum of any octets at any alignment is the oracle's (RFC 1071 §1)`, (t) => {
    const octets = octetsOf(fc.constantFrom(1316, 1500, 4095, 9000, 65_535));
    holds(
      t,
      fc.property(octets, alignment, word, (octets, offset, sum) => {
        const buffer = new Uint8Array(offset + octets.length + 9).fill(GUARD);
        buffer.set(octets, offset);
        const view = buffer.subarray(offset, offset + octets.length);
        assert.equal(engine.checksum(view), oracleChecksum(octets));
        assert.equal(engine.checksum(view, sum), oracleChecksum(octets, sum));
      }),
    );
  });

  test(`${name}: every length up to 600 octets of ones and zeros sums right (RFC 1071 §1)`, () => {
    for (let length = 0; length <= 600; length++)
      for (const fill of [0, 0xff]) {
        const octets = new Uint8Array(length).fill(fill);
        assert.equal(engine.checksum(octets), oracleChecksum(octets), `${length} of ${fill}`);
      }
  });

  test(`${name}: a checksum continues over any split, words swapped after an odd one (RFC 1071 §2B)`, (t) => {
    const sample = fc.uint8Array({ minLength: 1, maxLength: 200 });
    holds(
      t,
      fc.property(sample, fc.nat(), (octets, at) => {
        const split = at % (octets.length + 1);
        const sum = ~engine.checksum(octets.subarray(0, split)) & 0xffff;
        const rest = octets.subarray(split);
        if (split % 2 === 0) {
          assert.equal(engine.checksum(rest, sum), engine.checksum(octets));
          return;
        }
        const swapped = ((sum & 0xff) << 8) | (sum >> 8);
        const tail = engine.checksum(rest, swapped);
        assert.equal(((tail & 0xff) << 8) | (tail >> 8), engine.checksum(octets));
      }),
    );
  });

  test(`${name}: an updated checksum is the recomputed one (RFC 1624 §3, equation 3)`, (t) => {
    const words = fc.array(word, { minLength: 1, maxLength: 12 });
    holds(
      t,
      fc.property(words, fc.nat(), word, (words, at, newWord) => {
        const index = at % words.length;
        const after = words.with(index, newWord);
        const updated = engine.updateChecksum(
          oracleChecksum(networkOrder(words)),
          words[index]!,
          newWord,
        );
        // All-zero data has two sums, +0 and -0. No header is all zero.
        if (after.every((word) => word === 0)) assert.ok(updated === 0 || updated === 0xffff);
        else assert.equal(updated, oracleChecksum(networkOrder(after)));
      }),
      1000,
    );
  });

  test(`${name}: an update gives 0x0000 where equation 2 of RFC 1141 gives 0xffff (RFC 1624 §4)`, () => {
    assert.equal(engine.updateChecksum(0xdd2f, 0x5555, 0x3285), 0x0000);
    // A sender may have written minus zero; what verifies before verifies after.
    assert.equal(engine.updateChecksum(0xffff, 0x1234, 0x1134), 0x0100);
    assert.equal(engine.updateChecksum(0x0000, 0x1234, 0x1134), 0x0100);
  });

  test(`${name}: the CRC32c of any octets at any alignment is the oracle's (RFC 9260 appendix A)`, (t) => {
    const octets = octetsOf(fc.constantFrom(1316, 1500, 4097));
    holds(
      t,
      fc.property(octets, alignment, (octets, offset) => {
        const buffer = new Uint8Array(offset + octets.length + 9).fill(GUARD);
        buffer.set(octets, offset);
        const view = buffer.subarray(offset, offset + octets.length);
        assert.equal(engine.crc32c(view), oracleCrc32c(octets));
      }),
    );
  });

  test(`${name}: a CRC32c continues over any split`, (t) => {
    holds(
      t,
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(), (octets, at) => {
        const split = at % (octets.length + 1);
        const head = engine.crc32c(octets.subarray(0, split));
        assert.equal(engine.crc32c(octets.subarray(split), head), engine.crc32c(octets));
      }),
    );
  });

  test(`${name}: CRC32c gives the published values (RFC 3720 appendix B.4)`, () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
    assert.equal(engine.crc32c(new Uint8Array(0)), 0);
    assert.equal(engine.crc32c(new TextEncoder().encode("123456789")), 0xe306_9283);
    assert.equal(engine.crc32c(new Uint8Array(32)), 0x8a91_36aa);
    assert.equal(engine.crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
    assert.equal(engine.crc32c(ascending), 0x46dd_794e);
    assert.equal(engine.crc32c(ascending.toReversed()), 0x113f_db5c);
  });

  test(`${name}: megabytes sum and divide like their parts`, () => {
    const octets = new Uint8Array(17 * 1024 * 1024 + 3);
    for (let i = 0; i < octets.length; i++) octets[i] = Math.imul(i, 0x9e37_79b1) >>> 13;
    assert.equal(engine.checksum(octets), oracleChecksum(octets));
    const head = octets.subarray(0, 5_000_001);
    const tail = octets.subarray(5_000_001);
    assert.equal(engine.crc32c(octets), engine.crc32c(tail, engine.crc32c(head)));
  });

  test(`${name}: a datagram leaves with the verdict of its first defect, or one hop older (RFC 7450 §5.1.6)`, (t) => {
    holds(
      t,
      fc.property(datagram, alignment, alignment, (packet, from, to) => {
        const expected = encapsulationVerdict(packet);
        const { result, packet: message } = encapsulate(engine, packet.octets, from, to);
        if (expected !== verdict.VERDICT_FORWARDED) assert.equal(result, -expected);
        else assert.deepEqual(message, relayed(packet));
      }),
      1000,
    );
  });

  test(`${name}: a message's datagram comes out unchanged, or with the verdict of its first defect (RFC 7450 §5.2.3.6)`, (t) => {
    holds(
      t,
      fc.property(
        datagram,
        fc.nat({ max: 255 }),
        alignment,
        alignment,
        (packet, second, from, to) => {
          const expected = decapsulationVerdict(packet);
          const message = messageOf(packet.octets, second);
          const { result, packet: inner } = decapsulate(engine, message, from, to);
          if (expected !== verdict.VERDICT_FORWARDED) assert.equal(result, -expected);
          else assert.deepEqual(inner, packet.octets.slice(0, packet.length));
        },
      ),
      1000,
    );
  });

  test(`${name}: all 256 first octets of a message give the verdict of version, then type (RFC 7450 §5.1)`, () => {
    const [packet] = fc.sample(
      datagram.filter((packet) => packet.defects.length === 0),
      1,
    );
    const message = messageOf(packet!.octets, 0);
    for (let octet = 0; octet < 256; octet++) {
      message[0] = octet;
      const expected =
        octet > 15
          ? -verdict.VERDICT_AMT_VERSION
          : octet === 6
            ? packet!.length
            : octet === 0 || octet > 7
              ? -verdict.VERDICT_AMT_TYPE_UNKNOWN
              : -verdict.VERDICT_AMT_TYPE_ROLE;
      assert.equal(decapsulate(engine, message).result, expected, `first octet ${octet}`);
    }
  });

  test(`${name}: messages of 0, 1 and 2 octets are truncated, after version and type`, () => {
    assert.equal(decapsulate(engine, Uint8Array.of()).result, -verdict.VERDICT_TRUNCATED);
    assert.equal(decapsulate(engine, Uint8Array.of(6)).result, -verdict.VERDICT_TRUNCATED);
    assert.equal(decapsulate(engine, Uint8Array.of(6, 0)).result, -verdict.VERDICT_TRUNCATED);
    assert.equal(decapsulate(engine, Uint8Array.of(0x16)).result, -verdict.VERDICT_AMT_VERSION);
    assert.equal(decapsulate(engine, Uint8Array.of(1)).result, -verdict.VERDICT_AMT_TYPE_ROLE);
    assert.equal(decapsulate(engine, Uint8Array.of(8)).result, -verdict.VERDICT_AMT_TYPE_UNKNOWN);
  });

  test(`${name}: what is encapsulated decapsulates to the datagram one hop older`, (t) => {
    const sound = datagram.filter((packet) => packet.defects.length === 0);
    holds(
      t,
      fc.property(sound, (packet) => {
        const { packet: message } = encapsulate(engine, packet.octets);
        const { packet: inner } = decapsulate(engine, message);
        assert.deepEqual(inner, relayed(packet).subarray(AMT_OVERHEAD));
      }),
    );
  });

  test(`${name}: the largest datagrams of both families pass, with megabytes behind them`, () => {
    for (const [family, length] of [
      [4, 65_535],
      [6, 65_575],
    ] as const) {
      const octets = largest(family, length);
      const long = new Uint8Array(3 * 1024 * 1024);
      long.set(octets);
      const expected = relayed({ octets, length, defects: [] });
      assert.deepEqual(encapsulate(engine, octets).packet, expected);
      assert.deepEqual(encapsulate(engine, long).packet, expected);
      assert.deepEqual(decapsulate(engine, messageOf(long, 0)).packet, octets);
      const from = batchOf([octets, long, octets]);
      const to = new PacketBatch(3, from.used + 3 * AMT_OVERHEAD);
      engine.amtEncapsulateBatch(from, to);
      for (let i = 0; i < 3; i++) assert.deepEqual(to.packet(i), expected);
      const back = new PacketBatch(3, from.used);
      const messages = batchOf([messageOf(octets, 0), messageOf(long, 0), messageOf(octets, 0)]);
      engine.amtDecapsulateBatch(messages, back);
      for (let i = 0; i < 3; i++) assert.deepEqual(back.packet(i), octets);
    }
  });

  test(`${name}: a caller's buffer that is too small is a RangeError, whatever the packet`, () => {
    const datagram = new Uint8Array(100);
    assert.throws(() => engine.amtEncapsulate(datagram, new Uint8Array(101)), RangeError);
    assert.throws(() => engine.amtDecapsulate(datagram, new Uint8Array(97)), RangeError);
    assert.throws(() => engine.amtEncapsulate(new Uint8Array(0), new Uint8Array(1)), RangeError);
  });

  test(`${name}: a batch without room for what comes out is a RangeError`, () => {
    const datagrams = [largest(4, 60), largest(4, 40)];
    const messages = batchOf(datagrams.map((octets) => messageOf(octets, 0)));
    const from = batchOf(datagrams);
    for (const to of [new PacketBatch(1, 1000), new PacketBatch(2, 103)])
      assert.throws(() => engine.amtEncapsulateBatch(from, to), RangeError);
    for (const to of [new PacketBatch(1, 1000), new PacketBatch(2, 99)])
      assert.throws(() => engine.amtDecapsulateBatch(messages, to), RangeError);
  });

  test(`${name}: a batch gives packet by packet what single calls give, after what it held`, (t) => {
    const samples = fc.array(fc.oneof(anyDatagram, anyMessage), { maxLength: 40 });
    holds(
      t,
      fc.property(samples, fc.uint8Array({ maxLength: 9 }), (samples, first) => {
        const from = batchOf(samples);
        for (const [run, single] of [
          [engine.amtEncapsulateBatch.bind(engine), encapsulate],
          [engine.amtDecapsulateBatch.bind(engine), decapsulate],
        ] as const) {
          const to = new PacketBatch(samples.length + 1, from.used + 4 * samples.length + 9);
          to.push(first);
          run(from, to);
          assert.equal(to.count, samples.length + 1);
          assert.deepEqual(to.packet(0), first);
          for (const [i, sample] of samples.entries()) {
            const { result, packet } = single(engine, sample);
            assert.equal(to.results[i + 1], result);
            assert.deepEqual(to.packet(i + 1), packet);
          }
        }
      }),
      150,
    );
  });

  test(`${name}: a batch of 24 megabytes goes through whole, its drops in place`, () => {
    const packet = largest(4, 1400);
    const bad = packet.with(ip.IPV4_CHECKSUM, packet[ip.IPV4_CHECKSUM]! ^ 1);
    const count = 18_000;
    const isBad = (i: number) => i % 7 === 3;
    const from = new PacketBatch(count, count * packet.length);
    for (let i = 0; i < count; i++) from.push(isBad(i) ? bad : packet);
    const to = new PacketBatch(count, count * (packet.length + AMT_OVERHEAD));
    const back = new PacketBatch(count, count * packet.length);
    engine.amtEncapsulateBatch(from, to);
    engine.amtDecapsulateBatch(to, back);
    const message = Buffer.from(relayed({ octets: packet, length: 1400, defects: [] }));
    for (let i = 0; i < count; i++) {
      // A packet that was dropped before is an empty one to the next step.
      assert.equal(to.results[i], isBad(i) ? -verdict.VERDICT_INNER_CHECKSUM : 1402);
      assert.equal(back.results[i], isBad(i) ? -verdict.VERDICT_TRUNCATED : 1400);
      if (isBad(i)) continue;
      assert.ok(message.equals(to.packet(i)));
      assert.ok(message.subarray(AMT_OVERHEAD).equals(back.packet(i)));
    }
  });
}

/** Registers the tests that two engines answer alike, to the octet. */
export function testAlike(name: string, one: PacketEngine, other: PacketEngine): void {
  test(`${name} answer alike about any datagram at any alignment`, (t) => {
    holds(
      t,
      fc.property(anyDatagram, alignment, alignment, (octets, from, to) => {
        assert.deepEqual(encapsulate(one, octets, from, to), encapsulate(other, octets, to, from));
      }),
      3000,
    );
  });

  test(`${name} answer alike about any message at any alignment`, (t) => {
    holds(
      t,
      fc.property(anyMessage, alignment, alignment, (octets, from, to) => {
        assert.deepEqual(decapsulate(one, octets, from, to), decapsulate(other, octets, to, from));
      }),
      3000,
    );
  });

  test(`${name} answer alike about a packet cut at every octet`, () => {
    const sound = datagram.filter((packet) => packet.defects.length === 0);
    for (const packet of fc.sample(sound, 20)) {
      const message = messageOf(packet.octets.subarray(0, 300), 0);
      for (let end = 0; end <= message.length; end++) {
        const cut = message.subarray(0, end);
        assert.deepEqual(decapsulate(one, cut), decapsulate(other, cut));
        const inner = cut.subarray(Math.min(end, AMT_OVERHEAD));
        assert.deepEqual(encapsulate(one, inner), encapsulate(other, inner));
      }
    }
  });

  test(`${name} answer alike about batches`, (t) => {
    const samples = fc.array(fc.oneof(anyDatagram, anyMessage), { maxLength: 60 });
    holds(
      t,
      fc.property(samples, (samples) => {
        const from = batchOf(samples);
        const room = from.used + 2 * samples.length;
        const batches = [one, other].map((engine) => {
          const out = new PacketBatch(samples.length, room);
          const back = new PacketBatch(samples.length, room);
          engine.amtEncapsulateBatch(from, out);
          engine.amtDecapsulateBatch(from, back);
          return [out, back].map((batch) => ({
            results: batch.results,
            packets: Array.from({ length: batch.count }, (_, i) => batch.packet(i).slice()),
          }));
        });
        assert.deepEqual(batches[0], batches[1]);
      }),
    );
  });

  test(`${name} answer alike about checksums and CRC32c`, (t) => {
    holds(
      t,
      fc.property(fc.uint8Array({ maxLength: 3000 }), word, word, word, (octets, a, b, c) => {
        assert.equal(one.checksum(octets, a), other.checksum(octets, a));
        assert.equal(one.updateChecksum(a, b, c), other.updateChecksum(a, b, c));
        assert.equal(one.crc32c(octets, a), other.crc32c(octets, a));
      }),
    );
  });
}

function batchOf(samples: readonly Uint8Array[]): PacketBatch {
  const batch = new PacketBatch(
    samples.length,
    samples.reduce((sum, sample) => sum + sample.length, 0),
  );
  for (const sample of samples) batch.push(sample);
  return batch;
}

/** A sound datagram of `length` octets whose payload counts. */
function largest(family: 4 | 6, length: number): Uint8Array {
  const octets = Uint8Array.from({ length }, (_, i) => i);
  const view = new DataView(octets.buffer);
  if (family === 4) {
    octets.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 232, 1, 2, 3]);
    view.setUint16(ip.IPV4_TOTAL_LENGTH, length);
    repairIpv4(octets);
  } else {
    octets.set([0x60, 0, 0, 0, 0, 0, 17, 64]);
    view.setUint16(ip.IPV6_PAYLOAD_LENGTH, length - ip.IPV6_HEADER);
    octets.set([0x20, 0x01, 0x0d, 0xb8], ip.IPV6_SOURCE);
    octets.set([0xff, 0x3e], ip.IPV6_DESTINATION);
  }
  return octets;
}

function networkOrder(words: readonly number[]): Uint8Array {
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}
