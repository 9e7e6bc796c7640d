/**
 * The core where a lane uses it: on octets that are in the arena already. Checksums, the route table
 * at 1 to a million entries, a ring hand-over, and what the core does for each packet that a relay
 * sends. The reference does the first three in plain TypeScript: engine, `Map`, `Atomics`.
 */
import {
  ARENA_COMMANDS,
  ARENA_COUNTERS,
  ARENA_PUNTS,
  ARENA_RX,
  ARENA_TX,
  COMMAND_MEMBER_ADD,
  CONFIG_SEGMENTS,
  FRAME_IP,
  KEY_GROUP,
  KEY_KIND,
  KEY_LENGTH,
  KEY_SOURCE,
  PUNT_SLOTS,
  PUNT_SLOT_SHIFT,
  RING_HEAD,
  RING_SLOTS,
  RING_TAIL,
  RX_CAPACITY,
  RX_HEADERS,
  RX_HEADROOM,
  RX_REGION,
  RX_SLOT,
  RX_SLOTS,
  SCRATCH_IN,
  STAGE_INGEST,
  STAGE_SHIFT,
  TRAIN_SEGMENTS_MAX,
  TX_STAGING,
} from "../../assembly/layout/arena.ts";
import * as ip from "../../assembly/layout/ip.ts";
import { MMSGHDR_LENGTH, MMSGHDR_SHIFT } from "../../assembly/layout/system.ts";
import { VERDICT_NO_MEMBER } from "../../assembly/layout/verdict.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { CommandWriter } from "../../src/engine/arena.ts";
import { compileCore, createArena, startCore, type Core } from "../../src/engine/core.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import type { Case, Suite } from "../harness.ts";
import { ratio, sideBySide, type Figure } from "../result.ts";
import { LENGTHS, datagram, noise } from "./packets.ts";
import { trains } from "./trains.ts";

const ENTRIES = [1, 1_000, 100_000, 1_000_000] as const;
/** Lookups in a run: whole batches, of more keys than a cache near the core holds. */
const LOOKUPS = 171 * RX_CAPACITY;
/** The leading words of every group and source. */
const GROUP_HIGH = 0xff3e_0000;
const SOURCE_HIGH = 0x2001_0db8;
/** Where keys to look up lie: a receive region that nothing else uses. */
const SCRATCH = ARENA_RX + RX_REGION;
const GATEWAYS = [1, 10, 100, 1000] as const;
/** Octets of the datagrams that are replicated: a UDP payload of 1316. */
const REPLICATED = 1344;

const SUBJECTS = ["wasm-simd", "wasm-scalar", "reference"] as const;

export const suite: Suite = {
  subjects: SUBJECTS,
  cases: (subject) =>
    subject === "reference" ? referenceCases() : coreCases(subject === "wasm-simd"),
  ratios: (figures) => [
    ...sideBySide(figures, "wasm-simd", "reference"),
    ...sideBySide(figures, "wasm-simd", "wasm-scalar"),
    ...lookupSlopes(figures),
  ],
  goals: [
    // 1316 octets at 20 and at 2 octets a nanosecond.
    { case: "checksum 1316", subject: "wasm-simd", goal: { atMost: 65.8 } },
    { case: "crc32c 1316", subject: "wasm-simd", goal: { atMost: 658 } },
    { case: "replicate to 100", subject: "wasm-simd", goal: { atMost: 25 } },
  ],
};

/** How lookups among a million compare with those among a thousand. */
function lookupSlopes(figures: readonly Figure[]) {
  const slope = (subject: string, suffix: string) => {
    const at = (entries: number) =>
      figures.find((one) => one.subject === subject && one.case === `lookup ${entries}${suffix}`);
    const [few, many] = [at(1_000), at(1_000_000)];
    if (few === undefined || many === undefined) return [];
    const goal = suffix === "" ? undefined : ({ atLeast: 1 / 3 } as const);
    return [
      ratio(
        { ...many, case: subject, subject: many.case },
        { ...few, case: subject, subject: few.case },
        goal,
      ),
    ];
  };
  return ["wasm-simd", "reference"].flatMap((subject) => [
    ...slope(subject, ""),
    ...slope(subject, ", batch"),
  ]);
}

function coreCases(simd: boolean): Case[] {
  const { module } = compileCore({ simd });
  return [
    ...LENGTHS.flatMap((length) => sums(length, coreSums(module, length))),
    ...ENTRIES.flatMap((entries) => coreLookups(module, entries)),
    coreRing(module),
    ...GATEWAYS.map((gateways) => replication(module, gateways)),
    ...trains(module),
  ];
}

function referenceCases(): Case[] {
  const engine = createReferenceEngine();
  return [
    ...LENGTHS.flatMap((length) => {
      const octets = noise(length);
      return sums(length, {
        checksum: (sum) => engine.checksum(octets, sum),
        crc32c: (crc) => engine.crc32c(octets, crc),
      });
    }),
    ...ENTRIES.map(mapLookup),
    atomicsRing(),
  ];
}

/** A seed that is the same for every run. */
const entropy: Entropy = { u32: () => 0x1234_5678, fraction: () => 0.5 };

function freshCore(module: WebAssembly.Module): { core: Core; arena: WebAssembly.Memory } {
  const arena = createArena();
  return { core: startCore(module, arena, 0, entropy), arena };
}

interface Sums {
  readonly checksum: (sum: number) => number;
  readonly crc32c: (crc: number) => number;
}

function coreSums(module: WebAssembly.Module, length: number): Sums {
  const { core, arena } = freshCore(module);
  new Uint8Array(arena.buffer).set(noise(length), SCRATCH_IN);
  return {
    checksum: (sum) => core.checksum(SCRATCH_IN, length, sum),
    crc32c: (crc) => core.crc32c(SCRATCH_IN, length, crc) >>> 0,
  };
}

function sums(length: number, { checksum, crc32c }: Sums): Case[] {
  const operations = Math.ceil(16_384 / length);
  const repeat = (step: (last: number) => number) => () => {
    let last = 0;
    for (let i = 0; i < operations; i++) last = step(last);
    return last;
  };
  const common = { unit: "ns/packet", operations, octets: length } as const;
  return [
    { ...common, name: `checksum ${length}`, run: repeat(checksum) },
    { ...common, name: `crc32c ${length}`, run: repeat(crc32c) },
  ];
}

/** Writes the key of entry `entry`: a source of its own in one of 65,536 IPv6 groups. */
function putKey(view: DataView, at: number, entry: number): void {
  for (let octet = 0; octet < KEY_LENGTH; octet++) view.setUint8(at + octet, 0);
  view.setUint8(at + KEY_KIND, 6);
  view.setUint32(at + KEY_GROUP, GROUP_HIGH);
  view.setUint32(at + KEY_GROUP + 12, entry & 0xffff);
  view.setUint32(at + KEY_SOURCE, SOURCE_HIGH);
  view.setUint32(at + KEY_SOURCE + 12, entry);
}

/** The entry that lookup `i` asks for, so that neighbours in time are none in the table. */
function entryOf(i: number, entries: number): number {
  return (Math.imul(i, 0x9e37_79b1) >>> 0) % entries;
}

const lookup = { unit: "ns/operation", operations: LOOKUPS } as const;

/** One lookup at a time, and as a lane does it: for the packets of a whole batch. */
function coreLookups(module: WebAssembly.Module, entries: number): Case[] {
  const { core, arena } = freshCore(module);
  for (let entry = 0; entry < entries; entry++) {
    putKey(new DataView(arena.buffer), SCRATCH, entry);
    if (core.routeAdd(SCRATCH) === 0) throw new Error(`no memory for ${entries} routes`);
  }
  const view = new DataView(arena.buffer);
  for (let i = 0; i < LOOKUPS; i++) putKey(view, SCRATCH + i * KEY_LENGTH, entryOf(i, entries));
  const run = () => {
    let found = 0;
    const end = SCRATCH + LOOKUPS * KEY_LENGTH;
    for (let key = SCRATCH; key < end; key += KEY_LENGTH)
      if (core.routeFor(key, core.routeHash(key)) !== 0) found++;
    return found;
  };
  return [
    { ...lookup, name: `lookup ${entries}`, run },
    { ...lookup, name: `lookup ${entries}, batch`, run: batchLookup(core, view, entries) },
  ];
}

/** Packets of which no route has members: what `ingest` does until it has the route, no more. */
function batchLookup(core: Core, view: DataView, entries: number): () => number {
  const packetAt = (i: number) => ARENA_RX + RX_SLOTS + i * RX_SLOT + RX_HEADROOM;
  core.rxPrepare(ARENA_RX, FRAME_IP);
  for (let i = 0; i < RX_CAPACITY; i++) {
    const packet = packetAt(i);
    view.setUint32(packet, 0x6000_0000);
    view.setUint16(packet + ip.IPV6_PAYLOAD_LENGTH, ip.UDP_HEADER);
    view.setUint8(packet + ip.IPV6_NEXT_HEADER, ip.PROTOCOL_UDP);
    view.setUint8(packet + ip.IPV6_HOP_LIMIT, 8);
    view.setUint32(packet + ip.IPV6_SOURCE, SOURCE_HIGH);
    view.setUint32(packet + ip.IPV6_DESTINATION, GROUP_HIGH);
    const header = ARENA_RX + RX_HEADERS + (i << MMSGHDR_SHIFT);
    view.setUint32(header + MMSGHDR_LENGTH, ip.IPV6_HEADER + ip.UDP_HEADER, true);
  }
  const counters = new BigUint64Array(view.buffer);
  const found = ((ARENA_COUNTERS + (STAGE_INGEST << STAGE_SHIFT)) >> 3) + VERDICT_NO_MEMBER;
  return () => {
    const before = counters[found]!;
    for (let first = 0; first < LOOKUPS; first += RX_CAPACITY) {
      for (let i = 0; i < RX_CAPACITY; i++) {
        const packet = packetAt(i);
        const entry = entryOf(first + i, entries);
        view.setUint32(packet + ip.IPV6_DESTINATION + 12, entry & 0xffff);
        view.setUint32(packet + ip.IPV6_SOURCE + 12, entry);
      }
      core.ingest(ARENA_RX, RX_CAPACITY, FRAME_IP, 0, 0);
    }
    return Number(counters[found]! - before);
  };
}

function mapLookup(entries: number): Case {
  const octets = Buffer.alloc(LOOKUPS * KEY_LENGTH);
  const view = new DataView(octets.buffer, octets.byteOffset);
  const textAt = (at: number) => octets.toString("latin1", at, at + KEY_LENGTH);
  const routes = new Map<string, number>();
  for (let entry = 0; entry < entries; entry++) {
    putKey(view, 0, entry);
    routes.set(textAt(0), entry);
  }
  for (let i = 0; i < LOOKUPS; i++) putKey(view, i * KEY_LENGTH, entryOf(i, entries));
  return {
    ...lookup,
    name: `lookup ${entries}`,
    run() {
      let found = 0;
      for (let at = 0; at < octets.length; at += KEY_LENGTH) if (routes.has(textAt(at))) found++;
      return found;
    },
  };
}

/** A slot filled and handed over, and taken and given back, half a ring at a time. */
const ring = { name: "ring hand-over", unit: "ns/operation", operations: PUNT_SLOTS / 2 } as const;

function coreRing(module: WebAssembly.Module): Case {
  const { core, arena } = freshCore(module);
  const words = new Int32Array(arena.buffer);
  return {
    ...ring,
    run() {
      for (let i = 0; i < ring.operations; i++) {
        words[core.ringFree(ARENA_PUNTS, PUNT_SLOTS, PUNT_SLOT_SHIFT) >> 2] = i;
        core.ringPublish(ARENA_PUNTS);
      }
      let sum = 0;
      while (core.ringWaiting(ARENA_PUNTS) > 0) {
        sum += words[core.ringOldest(ARENA_PUNTS, PUNT_SLOTS, PUNT_SLOT_SHIFT) >> 2]!;
        core.ringRelease(ARENA_PUNTS);
      }
      return sum;
    },
  };
}

function atomicsRing(): Case {
  const words = new Int32Array(new SharedArrayBuffer(RING_SLOTS + (PUNT_SLOTS << PUNT_SLOT_SHIFT)));
  const slotAt = (index: number) =>
    (RING_SLOTS + ((index & (PUNT_SLOTS - 1)) << PUNT_SLOT_SHIFT)) >> 2;
  const tailAt = RING_TAIL >> 2;
  const headAt = RING_HEAD >> 2;
  return {
    ...ring,
    run() {
      for (let i = 0; i < ring.operations; i++) {
        const tail = words[tailAt]!;
        if (((tail - Atomics.load(words, headAt)) | 0) === PUNT_SLOTS) throw new Error("full");
        words[slotAt(tail)] = i;
        Atomics.store(words, tailAt, (tail + 1) | 0);
      }
      let sum = 0;
      for (let head = words[headAt]!; head !== Atomics.load(words, tailAt);) {
        sum += words[slotAt(head)]!;
        head = (head + 1) | 0;
        Atomics.store(words, headAt, head);
      }
      return sum;
    },
  };
}

/**
 * A batch of received datagrams becomes messages to all gateways: everything that the core does
 * between two system calls of a relay.
 */
function replication(module: WebAssembly.Module, gateways: number): Case {
  const { core, arena } = freshCore(module);
  const octets = new Uint8Array(arena.buffer);
  const words = new Int32Array(arena.buffer);
  const commands = new CommandWriter(arena, () => {});
  commands.config(CONFIG_SEGMENTS, TRAIN_SEGMENTS_MAX);
  for (let tunnel = 0; tunnel < gateways; tunnel++) {
    commands.tunnel(tunnel, { address: "198.51.100.1", port: 20_000 + tunnel });
    commands.route(COMMAND_MEMBER_ADD, "232.1.1.1", "192.0.2.1", tunnel);
  }
  while (core.ringWaiting(ARENA_COMMANDS) > 0) core.applyCommands(4096);
  core.rxPrepare(ARENA_RX, FRAME_IP);
  const packet = datagram(REPLICATED);
  for (let i = 0; i < RX_CAPACITY; i++) {
    octets.set(packet, ARENA_RX + RX_SLOTS + i * RX_SLOT + RX_HEADROOM);
    words[(ARENA_RX + RX_HEADERS + (i << MMSGHDR_SHIFT) + MMSGHDR_LENGTH) >> 2] = REPLICATED;
  }
  return {
    name: `replicate to ${gateways}`,
    unit: "ns/packet",
    operations: RX_CAPACITY * gateways,
    run() {
      core.rxArm(ARENA_RX, RX_CAPACITY);
      core.ingest(ARENA_RX, RX_CAPACITY, FRAME_IP, 0, 0);
      let sent = 0;
      for (let count = core.relayFill(); count > 0; count = core.relayFill()) {
        core.sent(0, count);
        sent += count;
      }
      return sent;
    },
    output: () => octets.slice(ARENA_TX + TX_STAGING, ARENA_TX + TX_STAGING + packet.length + 2),
  };
}
