/** A relay's lane over frames of a packet ring, laid out as the kernel does, against recvmmsg's way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_VNET,
  RX_CAPACITY,
  STAGE_INGEST,
  TALLY_RECEIVE_CALLS,
  TALLY_RING_FRAMES,
} from "../../assembly/layout/arena.ts";
import {
  TPACKET2_MAC,
  TPACKET2_SNAPLEN,
  TPACKET2_STATUS,
  TP_STATUS_COPY,
  TP_STATUS_KERNEL,
  TP_STATUS_USER,
  VNET_LENGTH,
} from "../../assembly/layout/system.ts";
import { VERDICT_TRUNCATED } from "../../assembly/layout/verdict.ts";
import type { ArenaView, HeldFrames, Port } from "../../src/ports/port.ts";
import { layBed, makeBed } from "./bed.ts";
import { pattern, udpDatagram, vnet } from "./packets.ts";

const GROUPS = ["232.1.2.3", "239.1.2.3", "ff3e::1234", "ff0e::1234"];
const sourceOf = (group: string): string => (group.includes(":") ? "2001:db8::44" : "192.0.2.44");

/** The kernel's side of a ring of 16 frames of 2 KiB, written by a test, and a port over it. */
class DeskRing implements Port {
  readonly frames = 4;
  readonly shift = 11;
  first = 0;
  held: HeldFrames | undefined;
  ready: (next: number) => number = () => 0;
  release: (first: number, count: number) => void = () => {};
  gather: (count: number) => boolean = () => false;
  readonly #view: DataView;
  readonly #octets: Uint8Array;
  #written = 0;
  #count = 0;

  constructor(
    arena: ArenaView,
    readonly ring: number,
  ) {
    this.#view = new DataView(arena.memory.buffer);
    this.#octets = new Uint8Array(arena.memory.buffer);
  }

  #at(i: number): number {
    return this.ring + ((i & 15) << this.shift);
  }

  status(i: number): number {
    return this.#view.getUint32(this.#at(i) + TPACKET2_STATUS, true);
  }

  /** Fills the next frame with a virtio_net_hdr and a packet; false when it is not the kernel's. */
  write(octets: Uint8Array, flags = 0): boolean {
    const at = this.#at(this.#written);
    if (this.status(this.#written) !== TP_STATUS_KERNEL) return false;
    const mac = 80 + VNET_LENGTH;
    const room = octets.subarray(0, 2_048 - mac + VNET_LENGTH);
    this.#octets.fill(0xa5, at + 32, at + 2_048);
    this.#octets.set(room, at + mac - VNET_LENGTH);
    this.#view.setUint16(at + TPACKET2_MAC, mac, true);
    this.#view.setUint32(at + TPACKET2_SNAPLEN, room.length - VNET_LENGTH, true);
    this.#view.setUint32(at + TPACKET2_STATUS, TP_STATUS_USER | flags, true);
    this.#written++;
    return true;
  }

  receive(): number {
    this.#count = this.ready(this.first);
    this.held = this.#count > 0 ? this : undefined;
    return this.#count;
  }

  done(): void {
    if (!this.held) return;
    this.held = undefined;
    this.release(this.first, this.#count);
    this.first = (this.first + this.#count) & 15;
  }

  send(): number {
    return 0;
  }
  watch(): void {}
  want(): void {}
  close(): void {}
}

function makeRingBed(simd = true) {
  let ring!: DeskRing;
  const bed = layBed(
    "relay",
    (arena) => {
      ring = new DeskRing(arena, arena.memory.grow(1) * 65_536);
      return { port: ring, frame: FRAME_VNET };
    },
    simd,
  );
  const { core } = bed;
  ring.ready = (next) => core.framesReady(ring.ring, 4, 11, next, RX_CAPACITY);
  ring.release = (first, count) => core.framesRelease(ring.ring, 4, 11, first, count);
  return { bed, ring, pump: () => bed.lane.pump(bed.numbers.get(ring)!) };
}

type Commands = ReturnType<typeof makeBed>["commands"];

function prepare(commands: Commands): void {
  commands.config(CONFIG_SEGMENTS, 64);
  commands.config(CONFIG_TUNNEL_MTU, 1_300);
  for (const tunnel of [0, 1, 2])
    commands.tunnel(tunnel, { address: "203.0.113.5", port: 40_000 + tunnel });
  for (const [i, group] of GROUPS.entries())
    for (const tunnel of [0, 1, 2].slice(0, i))
      commands.route(COMMAND_MEMBER_ADD, group, i % 2 ? undefined : sourceOf(group), tunnel);
}

const frame = fc
  .record({
    group: fc.constantFrom(...GROUPS, "232.9.9.9"),
    length: fc.integer({ min: 0, max: 1_400 }),
    ttl: fc.constantFrom(1, 2, 64),
    df: fc.boolean(),
    kind: fc.constantFrom("whole", "partial", "train", "cut"),
    seed: fc.nat(255),
  })
  .map(({ group, length, ttl, df, kind, seed }) => {
    const source = sourceOf(group);
    const packet = udpDatagram({ source, group, payload: pattern(length, seed), ttl, df });
    if (kind === "cut") return vnet(packet).subarray(0, VNET_LENGTH + (length % packet.length));
    if (kind === "partial")
      return vnet(packet, { flags: 1, start: source.includes(":") ? 40 : 20, offset: 6 });
    return kind === "train" ? vnet(packet, { type: 5, size: 100 }) : vnet(packet);
  });

test("frames of a ring become what the same packets become by recvmmsg (property)", () => {
  for (const simd of [true, false])
    fc.assert(
      fc.property(fc.array(fc.array(frame, { maxLength: 16 }), { maxLength: 6 }), (batches) => {
        const { bed, ring, pump } = makeRingBed(simd);
        const other = makeBed("relay", FRAME_VNET, simd);
        for (const { commands } of [bed, other]) prepare(commands);
        for (const one of [bed, other]) one.run();
        for (const batch of batches) {
          for (const octets of batch) {
            assert.ok(ring.write(octets));
            other.inner.arrivals.push({ octets });
          }
          pump();
          other.run();
          assert.deepEqual(bed.socket.departures, other.socket.departures);
        }
        const [ours, theirs] = [bed.ledger(), other.ledger()];
        assert.deepEqual(ours.stages, theirs.stages);
        assert.equal(ours.tallies[TALLY_RECEIVE_CALLS], 0);
        assert.equal(ours.tallies[TALLY_RING_FRAMES], batches.flat().length);
        for (let i = 0; i < 16; i++) assert.equal(ring.status(i), TP_STATUS_KERNEL);
      }),
      { numRuns: 40 },
    );
});

/** A relay that sends each datagram in a message of its own. */
function makeSingly(): ReturnType<typeof makeRingBed> {
  const made = makeRingBed();
  prepare(made.bed.commands);
  made.bed.commands.config(CONFIG_SEGMENTS, 1);
  made.bed.run();
  return made;
}

function packet(i: number): Uint8Array {
  return vnet(
    udpDatagram({ source: "2001:db8::44", group: "ff0e::1234", payload: pattern(40, i) }),
  );
}

test("frames go back to the kernel only when all that was made of them is sent", () => {
  const { bed, ring, pump } = makeSingly();
  for (let i = 0; i < 16; i++) assert.ok(ring.write(packet(i)));
  assert.equal(ring.write(packet(16)), false);
  bed.socket.room = 20;
  assert.equal(pump(), false);
  assert.equal(bed.socket.departures.length, 20);
  for (let i = 0; i < 16; i++) assert.equal(ring.status(i), TP_STATUS_USER);
  bed.socket.room = Infinity;
  bed.socket.becomeWritable();
  assert.equal(bed.socket.departures.length, 48);
  for (let i = 0; i < 16; i++) assert.equal(ring.status(i), TP_STATUS_KERNEL);
  // A lane that stops gives back what it could not send, and counts it.
  for (let i = 0; i < 3; i++) assert.ok(ring.write(packet(i)));
  bed.socket.room = 1;
  pump();
  bed.lane.stop();
  assert.equal(ring.status(0), TP_STATUS_KERNEL);
  assert.equal(bed.ledger().stages[STAGE_INGEST]![0], 19);
});

test("what has gathered after a small batch is taken at once; nothing gathers while the outlet is full", () => {
  const { bed, ring, pump } = makeSingly();
  const asked: number[] = [];
  ring.gather = (count) => asked.push(count) === 1 && [3, 4].every((i) => ring.write(packet(i)));
  for (let i = 0; i < 3; i++) ring.write(packet(i));
  assert.equal(pump(), true);
  assert.deepEqual(asked, [3, 2]);
  assert.equal(bed.socket.departures.length, 3 * 5);
  bed.socket.room = 1;
  ring.write(packet(5));
  assert.equal(pump(), false);
  assert.deepEqual(asked, [3, 2]);
});

test("frames that were cut short are told apart, and never relayed as they are", () => {
  const { bed, ring, pump } = makeRingBed();
  prepare(bed.commands);
  bed.run();
  const { core } = bed;
  const long = vnet(
    udpDatagram({ source: "192.0.2.44", group: "239.1.2.3", payload: pattern(3_000, 1) }),
    { type: 5, size: 1_000 },
  );
  const short = vnet(
    udpDatagram({ source: "192.0.2.44", group: "239.1.2.3", payload: pattern(30, 1) }),
  );
  for (const [octets, flags] of [
    [short, 0],
    [long, TP_STATUS_COPY],
    [long, TP_STATUS_COPY],
    [short, 0],
  ] as const)
    ring.write(octets, flags);
  const ready = (next: number): number => core.framesReady(ring.ring, 4, 11, next, RX_CAPACITY);
  assert.deepEqual([0, 1, 2, 3, 4].map(ready), [1, -2, -1, 1, 0]);
  ring.ready = (next) => Math.abs(ready(next));
  for (let i = 0; i < 3; i++) pump();
  assert.equal(bed.ledger().stages[STAGE_INGEST]![VERDICT_TRUNCATED], 2);
  assert.equal(bed.ledger().stages[STAGE_INGEST]![0], 2);
});
