/**
 * Random datagrams through lanes of every kind, in the SIMD and the scalar build alike, with the
 * accounts checked: `node dist/test/lanes/flood.js 10000000 [seed]` prints the ledger.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import * as arena from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_PUNTED } from "../../assembly/layout/verdict.ts";
import { verdictName } from "../../src/core/drops.ts";
import { addLedgers, type Ledger } from "../../src/engine/arena.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { ECONNREFUSED, EMSGSIZE, ENOBUFS } from "../../src/os/errno.ts";
import type { Arrival, MemoryPort } from "../../src/ports/memory.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { makeBed, type Bed } from "./bed.ts";
import { GROUPS, RELAYS, SOURCES, Traffic } from "./traffic.ts";

const FRAMES = {
  relay: [
    arena.FRAME_VNET,
    arena.FRAME_IP,
    arena.FRAME_UDP,
    arena.FRAME_VNET_ETHERNET,
    arena.FRAME_ETHERNET,
  ],
  gateway: [arena.FRAME_VNET, arena.FRAME_IP, arena.FRAME_VNET_ETHERNET, arena.FRAME_ETHERNET],
} as const;

const reference = createReferenceEngine();
const inner = new Uint8Array(70_000);

const TUNNELS = 20;

/** Whether a tunnel's gateway has asked for the ECN field. */
function wantsEcn(tunnel: number): boolean {
  return tunnel % 2 === 1;
}

/** The ECN field of the datagram in `inner`. */
function innerEcn(): number {
  return inner[0]! >> 4 === 4 ? inner[1]! & 3 : (inner[1]! >> 4) & 3;
}

/** One lane in both builds, which get the same and must do the same. */
class Pair {
  readonly role: "relay" | "gateway";
  readonly #frame: number;
  readonly #random: SeededEntropy;
  readonly #traffic: Traffic;
  readonly #beds: readonly Bed[];
  readonly #memory: number;
  /** Datagrams that went to the AMT socket and to the inner port, and what came out of either. */
  #outer = 0;
  #inside = 0;
  readonly #departed = [0, 0];
  readonly #punted = [0, 0];

  constructor(role: "relay" | "gateway", frame: number, seed: number) {
    this.role = role;
    this.#frame = frame;
    this.#random = new SeededEntropy(seed);
    this.#traffic = new Traffic(this.#random);
    this.#beds = [true, false].map((simd) => makeBed(role, frame, simd));
    for (const bed of this.#beds) {
      unreliable(outletOf(role, bed), new SeededEntropy(seed));
      for (let tunnel = 0; tunnel < TUNNELS; tunnel++) {
        const address = tunnel % 4 < 2 ? "203.0.113.5" : "2001:db8:6::5";
        const mtu = [0, 0, 900, 100, 29][tunnel % 5];
        bed.commands.tunnel(tunnel, { address, port: tunnel }, wantsEcn(tunnel), mtu);
      }
      bed.commands.relay(RELAYS[0]);
      for (const group of GROUPS) bed.commands.route(arena.COMMAND_MEMBER_ADD, group, undefined, 0);
      bed.run();
    }
    this.#memory = this.#beds[0]!.inner.arena.memory.buffer.byteLength;
  }

  /** Sends `count` datagrams through, after some commands. */
  step(count: number): void {
    const random = this.#random;
    for (let commands = random.below(6); commands > 0; commands--) this.#command();
    for (let i = 0; i < count; i++) {
      const outside = random.below(this.role === "relay" ? 5 : 2) === 0;
      const toSocket = this.role === "relay" ? outside : !outside;
      const arrival = toSocket ? this.#traffic.message() : this.#traffic.packet(this.#frame);
      if (toSocket) this.#outer += this.role === "relay" ? 1 : segments(arrival);
      else this.#inside++;
      for (const bed of this.#beds) (toSocket ? bed.socket : bed.inner).arrivals.push(arrival);
    }
    const rooms = Array.from({ length: random.below(4) }, () => random.below(300));
    const reads = random.below(4) > 0;
    for (const [index, bed] of this.#beds.entries()) {
      const outlet = outletOf(this.role, bed);
      for (const room of [...rooms, Infinity]) {
        outlet.room = room;
        outlet.becomeWritable();
        bed.run();
      }
      while (bed.commands.backlog > 0 || bed.socket.arrivals.length + bed.inner.arrivals.length > 0)
        bed.run();
      if (reads) this.#readPunts(index);
    }
    this.#compareDepartures();
  }

  #readPunts(index: number): void {
    while (this.#beds[index]!.punts.next()) this.#punted[index]!++;
  }

  /** Both builds sent the same, and what a relay sent is sound. */
  #compareDepartures(): void {
    const [one, other] = this.#beds.map((bed) => outletOf(this.role, bed).departures);
    assert.equal(one!.length, other!.length);
    for (const [i, { octets, to, ecn }] of one!.entries()) {
      const twin = other![i]!;
      assert.ok(Buffer.compare(octets, twin.octets) === 0);
      assert.ok(to?.port === twin.to?.port && ecn === twin.ecn);
      if (this.role !== "relay") continue;
      assert.equal(reference.amtDecapsulate(octets, inner), octets.length - 2);
      assert.equal(ecn, wantsEcn(to!.port) ? innerEcn() : 0);
    }
    for (const [index, departures] of [one!, other!].entries()) {
      this.#departed[index]! += departures.length;
      departures.length = 0;
    }
  }

  /** Some change of what the lane does, the same to both. */
  #command(): void {
    const random = this.#random;
    const group = random.pick(GROUPS);
    const sources = SOURCES.filter((one) => one.includes(":") === group.includes(":"));
    const source = random.pick([undefined, ...sources]);
    const tunnel = random.below(TUNNELS);
    const [field, value] = random.pick([
      [arena.CONFIG_TUNNEL_MTU, random.pick([65_535, 9_000, 1_470, 1_000, 100, 28, 0])],
      [arena.CONFIG_LEAST_MTU, random.pick([65_535, 900, 100, 0])],
      [arena.CONFIG_NOTED, 0],
      [arena.CONFIG_SEGMENTS, random.pick([1, 3, 64])],
      [arena.CONFIG_SINK, random.below(5)],
      [arena.CONFIG_SINK_PORT, random.pick([0, 5_000])],
      [arena.CONFIG_SINK_LIMIT, random.pick([0, 0, 0, 1_000])],
    ] as const);
    const relay = random.pick([RELAYS[0], RELAYS[0], RELAYS[0], RELAYS[1], undefined]);
    const what = random.below(10);
    for (const { commands } of this.#beds) {
      if (what < 4) commands.route(arena.COMMAND_MEMBER_ADD, group, source, tunnel);
      else if (what === 4) commands.route(arena.COMMAND_MEMBER_REMOVE, group, source, tunnel);
      else if (what === 5) commands.route(arena.COMMAND_ROUTE_REMOVE, group, source);
      else if (what === 6) commands.route(arena.COMMAND_ROUTE_ADD, group, source);
      else if (what === 7) commands.relay(relay, tunnel % 3);
      else if (what === 8 && this.role === "gateway")
        commands.routeRelay(group, source, tunnel % 5);
      else commands.config(field, value);
    }
  }

  /** Throws unless every packet is accounted for; the ledger of both builds otherwise. */
  check(): readonly Ledger[] {
    const ledgers = this.#beds.map((bed) => bed.ledger());
    assert.deepEqual(ledgers[0], ledgers[1], "both builds count alike");
    for (const [index, bed] of this.#beds.entries()) {
      this.#readPunts(index);
      const { stages, tallies } = ledgers[index]!;
      for (const [stage, row] of stages.entries())
        assert.equal(row[arena.STAGE_RECEIVED], settled(row), `${this.role}, stage ${stage}`);
      const punted = stages.reduce((sum, row) => sum + row[VERDICT_PUNTED]!, 0);
      const noted = tallies[arena.TALLY_NOTED]!;
      assert.equal(this.#punted[index], punted + noted, "punts that were read");
      assert.equal(this.#departed[index], stages[arena.STAGE_EGRESS]![VERDICT_FORWARDED]);
      assert.equal(stages[arena.STAGE_CONTROL]![arena.STAGE_RECEIVED], this.#outer);
      // A super-packet counts as its segments.
      const inside = stages[this.role === "relay" ? arena.STAGE_INGEST : arena.STAGE_DEVICE]!;
      const received = inside[arena.STAGE_RECEIVED]!;
      const whole = this.role === "gateway" || this.#frame === arena.FRAME_UDP;
      if (whole) assert.equal(received, this.#inside);
      else assert.ok(received >= this.#inside);
      assert.equal(bed.inner.arena.memory.buffer.byteLength, this.#memory, "memory grew");
      assert.equal(bed.lane.idle, true);
    }
    return ledgers;
  }
}

/** The sum of all verdicts of a stage: forwarded, punted and dropped. */
function settled(row: readonly number[]): number {
  return row.slice(0, arena.STAGE_RECEIVED).reduce((sum, count) => sum + count, 0);
}

/** How many datagrams a message stands for; a port takes only what fits its slot. */
function segments({ octets, segment }: Arrival): number {
  const length = Math.min(octets.length, arena.RX_ROOM);
  return segment && length > 0 ? Math.ceil(length / segment) : 1;
}

function outletOf(role: "relay" | "gateway", bed: Bed): MemoryPort {
  return role === "relay" ? bed.socket : bed.inner;
}

/** Makes a port refuse a message now and then. */
function unreliable(port: MemoryPort, random: SeededEntropy): void {
  const send = port.send.bind(port);
  port.send = (first, count) =>
    random.below(20) === 0 ? -random.pick([ECONNREFUSED, EMSGSIZE, ENOBUFS]) : send(first, count);
}

/** Sends `datagrams` random datagrams to each build; returns the checked ledgers, one a lane. */
export function flood(datagrams: number, seed: number): readonly Ledger[] {
  const pairs = (["relay", "gateway"] as const).flatMap((role) =>
    FRAMES[role].map((frame, i) => new Pair(role, frame, seed + i + (role === "relay" ? 0 : 100))),
  );
  const random = new SeededEntropy(seed);
  for (let sent = 0; sent < datagrams;) {
    const count = Math.min(1 + random.below(400), datagrams - sent);
    random.pick(pairs).step(count);
    sent += count;
  }
  return pairs.flatMap((pair) => pair.check());
}

const STAGES = ["ingest", "control", "device", "egress"];

function print({ stages, tallies }: Ledger): void {
  for (const [stage, row] of stages.entries()) {
    console.log(`${STAGES[stage]}: received ${row[arena.STAGE_RECEIVED]}`);
    for (const [number, count] of row.slice(0, arena.STAGE_RECEIVED).entries())
      if (count > 0) console.log(`  ${verdictName(number).padEnd(20)} ${count}`);
  }
  console.log(`fragmented ${tallies[arena.TALLY_FRAGMENTED]}`);
  console.log(`segmented ${tallies[arena.TALLY_SEGMENTED]}`);
  console.log(`checksums completed ${tallies[arena.TALLY_COMPLETED]}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const datagrams = Number(process.argv[2] ?? 1_000_000);
  const seed = Number(process.argv[3] ?? 1);
  const before = performance.now();
  const ledgers = flood(datagrams / 2, seed);
  const seconds = (performance.now() - before) / 1_000;
  print(addLedgers(ledgers));
  console.log(`${datagrams} datagrams, seed ${seed}, ${seconds.toFixed(1)} s: all accounted for`);
}
