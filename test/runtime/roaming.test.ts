import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../src/core/address.ts";
import type { Millis } from "../../src/core/machine.ts";
import { AmtRelay } from "../../src/protocols/amt/relay.ts";
import type { Candidate } from "../../src/protocols/driad/candidates.ts";
import { RoamingGateway, type RoamingInput } from "../../src/runtime/roaming.ts";
import { G, GATEWAY, include, newRelay, NOTHING, S } from "../protocols/amt/rig.ts";
import { seededEntropy } from "../sim/entropy.ts";

const DISCOVERY = 1;
const REQUEST = 3;
const UPDATE = 5;
const TEARDOWN = 7;

const at = (n: number): Endpoint => ({ address: `192.0.2.${n}`, port: 2268 });
const candidate = (n: number, discoveryOptional = false): Candidate => ({
  endpoint: at(n),
  precedence: n,
  discoveryOptional,
});

/** A relay of the world below: what it was sent by type, and how many tunnels it has. */
interface Box {
  relay: AmtRelay;
  readonly got: number[];
  tunnels: number;
  alive: boolean;
  /** Whether data comes from it to those who joined. */
  sends: boolean;
}

/** A gateway and relays joined by a link without delay, on virtual time. */
class World {
  readonly boxes = new Map<string, Box>();
  readonly gateway: RoamingGateway;
  /** "200 relay 192.0.2.1", "0 lookup", "5 state connected". */
  readonly log: string[] = [];
  candidates: readonly Candidate[] = [];
  now: Millis = 0;
  relay: string | undefined;
  #heardAt: Millis = 1_000;

  constructor(seed = 1) {
    this.gateway = new RoamingGateway({
      entropy: seededEntropy(seed),
      quirks: true,
      ecn: true,
      standing: true,
      tunnels: 64,
    });
  }

  /** Adds a relay at 192.0.2.n; `advertises` is the address it names, its own by default. */
  add(n: number, options: { readonly full?: boolean; readonly advertises?: number } = {}): Box {
    const box: Box = {
      relay: newRelay({
        relayAddresses: [at(options.advertises ?? n).address],
        ...(options.full ? { maxTunnels: 0 } : {}),
      }),
      got: [],
      tunnels: 0,
      alive: true,
      sends: true,
    };
    this.boxes.set(at(n).address, box);
    return box;
  }

  give(input: RoamingInput): void {
    this.gateway.handle(input, this.now);
    for (let out = this.gateway.poll(); out; out = this.gateway.poll())
      switch (out.kind) {
        case "send":
          this.#deliver(out.octets, out.to);
          break;
        case "lookup":
          this.log.push(`${this.now} lookup`);
          this.give({ kind: "candidates", candidates: this.candidates });
          break;
        case "relay":
          this.relay = out.endpoint?.address;
          this.log.push(`${this.now} relay ${this.relay}`);
          break;
        case "state":
        case "dropped":
          this.log.push(`${this.now} ${out.kind} ${out.kind === "state" ? out.state : out.drop}`);
          break;
        case "stopped":
          this.log.push(`${this.now} stopped`);
          break;
        case "accepted":
        case "query":
        case "quirk":
      }
  }

  /** Lets time pass; data is heard each second while the relay in use has a tunnel and sends. */
  run(until: Millis): void {
    for (;;) {
      const due = Math.min(this.gateway.deadline() ?? Infinity, this.#heardAt);
      if (due > until) break;
      this.now = Math.max(this.now, due);
      if (due === this.#heardAt) {
        this.#heardAt += 1_000;
        const box = this.relay === undefined ? undefined : this.boxes.get(this.relay);
        if (box?.alive && box.sends && box.tunnels > 0) this.give({ kind: "heard", slots: [0] });
      } else this.give({ kind: "timeout" });
    }
    this.now = until;
  }

  start(): void {
    this.give({ kind: "start" });
    this.give({ kind: "membership", group: G, filter: include(S) });
  }

  /** What the log says of one kind. */
  said(word: string): string[] {
    return this.log.filter((line) => line.includes(` ${word}`));
  }

  #deliver(octets: Uint8Array, to: Endpoint): void {
    const box = this.boxes.get(to.address);
    if (!box?.alive) return;
    box.got.push(octets[0]!);
    box.relay.handle({ kind: "datagram", octets, from: GATEWAY, to }, this.now);
    for (let out = box.relay.poll(); out; out = box.relay.poll()) {
      if (out.kind === "tunnel-up") box.tunnels++;
      if (out.kind === "tunnel-down") box.tunnels--;
      if (out.kind === "send") this.give({ kind: "datagram", octets: out.octets, from: out.from });
    }
  }
}

test("with D=0 a relay is asked for its Advertisement before any Request (RFC 8777 §4.2.2)", () => {
  const world = new World();
  const box = world.add(1, { advertises: 2 });
  const other = world.add(2);
  world.candidates = [candidate(1)];
  world.start();
  world.run(500);
  assert.deepEqual(box.got, [DISCOVERY]);
  assert.deepEqual(other.got.slice(0, 2), [REQUEST, UPDATE]);
  assert.equal(world.relay, at(2).address);
});

test("with D=1 a relay is asked by a Request at once (RFC 8777 §4.2.2)", () => {
  const world = new World();
  const box = world.add(1);
  world.candidates = [candidate(1, true)];
  world.start();
  world.run(500);
  assert.deepEqual(box.got.slice(0, 2), [REQUEST, UPDATE]);
  assert.equal(box.tunnels, 1);
});

test("the first relay that answers wins after one attempt delay, and only it gets reports (RFC 8777 §2.3)", () => {
  const world = new World();
  const dead = world.add(1);
  dead.alive = false;
  const second = world.add(2);
  const third = world.add(3);
  world.candidates = [candidate(1), candidate(2), candidate(3)];
  world.start();
  world.run(2_000);
  assert.deepEqual(world.said("relay"), ["250 relay 192.0.2.2"]);
  assert.equal(second.tunnels, 1);
  assert.deepEqual(third.got, []);
  dead.alive = true;
  world.run(60_000);
  assert.deepEqual(dead.got, []);
});

test("a relay with L set is passed over at once and left alone for 10 minutes (RFC 8777 §2.5.5)", () => {
  const world = new World();
  const full = world.add(1, { full: true });
  const second = world.add(2);
  world.candidates = [candidate(1), candidate(2)];
  world.start();
  assert.deepEqual(world.said("relay"), ["0 relay 192.0.2.2"]);
  assert.ok(!full.got.includes(UPDATE));
  const asked = full.got.length;
  world.run(60_000);
  second.alive = false;
  world.run(590_000);
  assert.equal(full.got.length, asked);
  world.run(900_000);
  assert.ok(full.got.length > asked);
});

test("a relay in use that sets L is left once there is another (RFC 8777 §2.5.5)", () => {
  const world = new World();
  const first = world.add(1);
  world.candidates = [candidate(1, true)];
  world.start();
  world.run(10_000);
  first.relay = newRelay({ relayAddresses: [at(1).address], maxTunnels: 0 });
  world.give({ kind: "rebound" });
  world.run(60_000);
  assert.equal(world.relay, at(1).address, "no other is known");
  world.add(2);
  world.candidates = [candidate(1, true), candidate(2, true)];
  world.run(200_000);
  assert.equal(world.relay, at(2).address);
});

test("a relay that sets L has answered, and is asked no sooner than it wants", () => {
  const world = new World();
  const only = world.add(1);
  world.candidates = [candidate(1, true)];
  world.start();
  world.run(10_000);
  only.relay.handle({ kind: "drain" }, world.now);
  world.run(180_000);
  assert.equal(only.got.filter((type) => type === REQUEST).length, 2);
});

test("a relay that dies is replaced within 10 s, and not chosen again soon (RFC 8777 §2.5.4.1)", () => {
  for (let seed = 0; seed < 50; seed++) {
    const world = new World(seed);
    const first = world.add(1);
    const second = world.add(2);
    world.candidates = [candidate(1), candidate(2, true)];
    world.start();
    const death = 20_000 + 37 * seed;
    world.run(death);
    first.alive = false;
    world.run(death + 10_000);
    assert.equal(world.relay, at(2).address, `seed ${seed}`);
    assert.equal(second.tunnels, 1);
    first.alive = true;
    first.got.length = 0;
    world.run(death + 180_000);
    assert.ok(!first.got.includes(DISCOVERY));
    assert.deepEqual(world.said("dropped"), []);
  }
});

test("a relay that answers but sends no data is left in order (RFC 8777 §2.5.4.1, RFC 7450 §5.2.3.7)", () => {
  const world = new World();
  const first = world.add(1);
  const second = world.add(2);
  world.candidates = [candidate(1, true), candidate(2, true)];
  world.start();
  world.run(30_000);
  assert.equal(first.tunnels, 1);
  first.sends = false;
  world.run(40_000);
  assert.equal(second.tunnels, 1);
  assert.equal(first.tunnels, 0);
  assert.ok(first.got.includes(TEARDOWN));
});

test("without another relay the lost one is kept, and serves again when it comes back", () => {
  const world = new World();
  const only = world.add(1);
  world.candidates = [candidate(1, true)];
  world.start();
  world.run(10_000);
  only.sends = false;
  world.run(60_000);
  assert.equal(world.relay, at(1).address);
  assert.equal(only.tunnels, 1);
  only.sends = true;
  world.run(62_500);
  const lookups = world.said("lookup").length;
  world.run(600_000);
  assert.equal(world.said("lookup").length, lookups, "the search is over");
  assert.equal(only.tunnels, 1);
});

test("relays that send nothing are waited for ever longer (RFC 8777 §2.5.4.1)", () => {
  const world = new World();
  for (const n of [1, 2, 3, 4]) world.add(n).sends = false;
  world.candidates = [1, 2, 3, 4].map((n) => candidate(n, true));
  world.start();
  world.run(60_000);
  const times = world.said("relay").map((line) => Number(line.split(" ")[0]));
  assert.equal(times.length, 4);
  for (const [i, time] of times.slice(1).entries()) {
    const wait = time - times[i]!;
    assert.ok(wait >= 4_000 && wait <= 4_000 * 2 ** i, `${i}: ${wait}`);
  }
});

test("a lookup that finds no relay is repeated ever more slowly, up to 120 s", () => {
  const world = new World();
  world.start();
  world.run(3_600_000);
  const times = world.said("lookup").map((line) => Number(line.split(" ")[0]));
  const waits = times.slice(1).map((time, i) => time - times[i]!);
  for (const [i, wait] of waits.entries())
    assert.ok(wait >= 1_000 && wait <= Math.min(1_000 * 2 ** i, 120_000));
  assert.ok(waits.length > 30 && waits.length < 120, `${waits.length}`);
});

test("relays learned after the start are used, and new ones after a loss", () => {
  const world = new World();
  world.start();
  const first = world.add(1);
  world.give({ kind: "candidates", candidates: [candidate(1)] });
  assert.equal(world.relay, at(1).address);
  world.run(20_000);
  world.add(2);
  world.candidates = [candidate(2)];
  first.alive = false;
  world.run(30_000);
  assert.equal(world.relay, at(2).address);
});

test("the end leaves the relay in use in order, and ends a search (RFC 7450 §5.2.3.7)", () => {
  const world = new World();
  const box = world.add(1);
  world.candidates = [candidate(1)];
  world.start();
  world.run(5_000);
  world.give({ kind: "stop" });
  world.run(20_000);
  assert.equal(box.tunnels, 0);
  assert.equal(world.said("stopped").length, 2, "the state and the word");
  assert.equal(world.relay, undefined);

  const searching = new World();
  searching.start();
  searching.give({ kind: "stop" });
  assert.equal(searching.said("stopped").length, 2);
  assert.equal(searching.gateway.deadline(), undefined);
});

test("a gateway without groups waits for no data", () => {
  const world = new World();
  world.add(1);
  world.add(2);
  world.candidates = [candidate(1), candidate(2)];
  world.start();
  world.run(2_000);
  world.give({ kind: "membership", group: G, filter: NOTHING });
  world.run(60_000);
  assert.equal(world.relay, at(1).address);
});

test("any datagram from anywhere changes nothing and is counted", () => {
  const world = new World();
  world.add(1);
  world.candidates = [candidate(1)];
  world.start();
  world.run(2_000);
  for (const from of [at(1), at(9)])
    for (let first = 0; first < 256; first++)
      world.give({ kind: "datagram", octets: Uint8Array.of(first, 0, 0, 0), from });
  assert.equal(world.said("dropped").length, 512);
  assert.equal(world.relay, at(1).address);
});
