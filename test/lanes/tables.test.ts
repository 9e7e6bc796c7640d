/** Routes and members, set by commands and seen by packets, against a Map. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  ARENA_COMMANDS,
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
  FRAME_IP,
} from "../../assembly/layout/arena.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { makeBed, type Bed } from "./bed.ts";
import { udpDatagram } from "./packets.ts";

const TUNNELS = 1_000;
const FIRST_PORT = 1_000;

/** A route's name: group and source by number; no source for (*,G). */
type Key = `${number}/${number | "*"}`;

/** Commands given at once, before the lane gets to run. */
const TURN = 2_000;

class Routes {
  readonly bed: Bed;
  /** Tunnels of each route in the order in which they are served. */
  readonly #model = new Map<Key, number[]>();
  /** Members of all routes. */
  members = 0;
  #given = 0;

  constructor(simd: boolean) {
    this.bed = makeBed("relay", FRAME_IP, simd);
    for (let tunnel = 0; tunnel < TUNNELS; tunnel++)
      this.bed.commands.tunnel(tunnel, { address: "10.0.0.1", port: FIRST_PORT + tunnel });
    this.bed.run();
  }

  get keys(): Key[] {
    return [...this.#model.keys()];
  }

  tunnels(key: Key): readonly number[] {
    return this.#model.get(key) ?? [];
  }

  command(op: number, key: Key, tunnel = 0): void {
    const [group, source] = key.split("/") as [string, string];
    const from = source === "*" ? undefined : sourceOf(Number(source));
    this.bed.commands.route(op, groupOf(Number(group)), from, tunnel);
    if (++this.#given % TURN === 0) this.bed.run();
    const before = this.tunnels(key).length;
    this.#note(op, key, tunnel);
    this.members += this.tunnels(key).length - before;
  }

  #note(op: number, key: Key, tunnel: number): void {
    const tunnels = this.#model.get(key);
    if (op === COMMAND_ROUTE_REMOVE) this.#model.delete(key);
    else if (op === COMMAND_ROUTE_ADD) this.#model.set(key, tunnels ?? []);
    else if (op === COMMAND_MEMBER_ADD) {
      if (!tunnels) this.#model.set(key, [tunnel]);
      else if (!tunnels.includes(tunnel)) tunnels.push(tunnel);
    } else if (tunnels?.includes(tunnel)) {
      const last = tunnels.pop()!;
      if (last !== tunnel) tunnels[tunnels.indexOf(tunnel)] = last;
    }
  }

  /** Sends one datagram for each pair of group and source; each must reach whom the model says. */
  probe(pairs: readonly (readonly [group: number, source: number])[]): void {
    this.bed.run();
    for (const [i, [group, source]] of pairs.entries()) {
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, i);
      const octets = udpDatagram({ source: sourceOf(source), group: groupOf(group), payload });
      this.bed.inner.arrivals.push({ octets });
    }
    this.bed.run();
    const got: number[][] = pairs.map(() => []);
    for (const { octets, to } of this.bed.socket.departures.splice(0)) {
      const index = new DataView(octets.buffer, octets.byteOffset).getUint32(octets.length - 4);
      got[index]!.push(to!.port - FIRST_PORT);
    }
    for (const [i, [group, source]] of pairs.entries()) {
      const wanted = this.#model.get(`${group}/${source}`) ?? this.tunnels(`${group}/*`);
      assert.deepEqual(got[i], wanted, `group ${group}, source ${source}`);
    }
  }

  get memory(): number {
    return this.bed.inner.arena.memory.buffer.byteLength;
  }
}

/** Half of the groups are of IPv6. */
function groupOf(number: number): string {
  const low = number >> 1;
  return number % 2 === 0
    ? `239.${low >> 16}.${(low >> 8) & 255}.${low & 255}`
    : `ff3e::${(low + 0x10000).toString(16).replace(/(....)$/, ":$1")}`;
}

/** The source that goes with a group: of its family, by the number's parity. */
function sourceOf(number: number): string {
  return number % 2 === 0 ? `192.0.2.${1 + (number >> 1)}` : `2001:db8::${1 + (number >> 1)}`;
}

function seeded(t: TestContext): SeededEntropy {
  const seed = Number(process.env.CULVERT_SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`CULVERT_SEED=${seed}`);
  return new SeededEntropy(seed);
}

/** A source of the group's family. */
function sourceFor(group: number, random: SeededEntropy, sources: number): number {
  return random.below(sources) * 2 + (group % 2);
}

for (const simd of [true, false])
  test(`packets go where a Map says, after any commands (${simd ? "SIMD" : "scalar"})`, (t) => {
    const random = seeded(t);
    const routes = new Routes(simd);
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 400; i++) {
        const group = random.below(150);
        const key: Key = `${group}/${random.below(3) === 0 ? "*" : sourceFor(group, random, 4)}`;
        const op = random.pick([
          COMMAND_MEMBER_ADD,
          COMMAND_MEMBER_ADD,
          COMMAND_MEMBER_ADD,
          COMMAND_MEMBER_REMOVE,
          COMMAND_MEMBER_REMOVE,
          COMMAND_ROUTE_ADD,
          COMMAND_ROUTE_REMOVE,
        ]);
        routes.command(op, key, random.below(12));
      }
      routes.probe(
        Array.from({ length: 150 }, () => {
          const group = random.below(160);
          return [group, sourceFor(group, random, 5)] as const;
        }),
      );
    }
  });

test("a hundred thousand entries come and go, and come again in the same memory", (t) => {
  const random = seeded(t);
  const roundSeed = random.u32();
  const routes = new Routes(true);
  const sizes: number[] = [];
  for (let round = 0; round < 2; round++) {
    const same = new SeededEntropy(roundSeed);
    for (let group = 0; routes.members < 100_000 && group < 60_000; group++) {
      const source = same.below(4) === 0 ? "*" : sourceFor(group, same, 100);
      const size = same.below(500) === 0 ? 1 + same.below(TUNNELS) : 1 + same.below(2);
      const first = same.below(TUNNELS);
      for (let i = 0; i < size; i++)
        routes.command(COMMAND_MEMBER_ADD, `${group}/${source}`, (first + i) % TUNNELS);
      // While the tables grow, what came first must not be lost.
      if (group % 5_000 === 0) routes.probe(pairsOf(routes, random, 200));
    }
    const { keys } = routes;
    assert.ok(keys.length > 20_000 && routes.members >= 100_000, `${keys.length} routes`);
    routes.probe(pairsOf(routes, random, 3_000));
    sizes.push(routes.memory);
    // Out again in another order: half with all their members, half one member after another.
    for (let left = keys.length; left > 0; left--) {
      const at = random.below(left);
      const key = keys[at]!;
      keys[at] = keys[left - 1]!;
      if (random.below(2) === 0)
        for (const tunnel of [...routes.tunnels(key)])
          routes.command(COMMAND_MEMBER_REMOVE, key, tunnel);
      routes.command(COMMAND_ROUTE_REMOVE, key);
      if (left % 10_000 === 0) routes.probe(pairsOf(routes, random, 200));
    }
    assert.equal(routes.keys.length, 0);
    routes.probe(Array.from({ length: 500 }, (_, i) => [i, i % 2] as const));
    sizes.push(routes.memory);
  }
  assert.ok(sizes[0]! > 64 * 2 ** 20, "the tables took memory of the heap");
  assert.deepEqual(new Set(sizes).size, 1, `the memory had ${sizes.join(", ")} octets`);
});

/** Pairs of which most have a route. */
function pairsOf(routes: Routes, random: SeededEntropy, count: number): [number, number][] {
  const { keys } = routes;
  return Array.from({ length: count }, (): [number, number] => {
    const [group, source] = keys.length > 0 ? random.pick(keys).split("/") : ["1", "*"];
    const own = source === "*" || random.below(10) === 0;
    return [Number(group), own ? sourceFor(Number(group), random, 100) : Number(source)];
  });
}

test("commands that are held reach the lane together, a route with its members", () => {
  const bed = makeBed("relay");
  bed.run();
  bed.commands.hold();
  bed.commands.route(COMMAND_ROUTE_ADD, "239.1.1.1", "192.0.2.1");
  bed.commands.route(COMMAND_MEMBER_ADD, "239.1.1.1", "192.0.2.1", 0);
  assert.equal(bed.core.ringWaiting(ARENA_COMMANDS), 0);
  bed.commands.flush();
  assert.equal(bed.core.ringWaiting(ARENA_COMMANDS), 2);
  // Until the next hold each goes at once.
  bed.commands.route(COMMAND_ROUTE_ADD, "239.1.1.2", undefined);
  assert.equal(bed.core.ringWaiting(ARENA_COMMANDS), 3);
});
