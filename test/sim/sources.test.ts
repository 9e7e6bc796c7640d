/** A gateway with relays by source, and the relays, on virtual time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VERDICT_TUNNEL_LIMIT } from "../../assembly/layout/verdict.ts";
import { endpointText, type Endpoint } from "../../src/core/address.ts";
import type { Millis } from "../../src/core/machine.ts";
import { isEmpty, wants } from "../../src/membership/filter.ts";
import type { AmtRelay } from "../../src/protocols/amt/relay.ts";
import { RoamingGateway, type RoamingInput } from "../../src/runtime/roaming.ts";
import { ANY_SOURCE, SourceRouter } from "../../src/runtime/source-router.ts";
import type { GroupFilter } from "../../src/wire/membership.ts";
import { holds } from "../engine/holds.ts";
import { exclude, GATEWAY, include, newRelay, NOTHING } from "../protocols/amt/rig.ts";
import { seededEntropy } from "./entropy.ts";

const GROUPS = ["239.1.1.1", "239.1.1.2"];
const SOURCES = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
const [G1, G2] = GROUPS as [string, string];
const [S1, S2, S3] = SOURCES as [string, string, string];
const UPDATE = 5;
const RELAYS = [1, 2, 3, 4];

const at = (n: number): Endpoint => ({
  address: n % 2 === 0 ? `2001:db8::${n}` : `192.0.2.${n}`,
  port: 2268,
});

/** The relay at `at(n)`. */
class Box {
  machine: AmtRelay;
  /** What its tunnels want of each group together. */
  readonly upstream = new Map<string, GroupFilter>();
  tunnels = 0;
  updates = 0;
  alive = true;
  full = false;
  /** The relay that it advertises. */
  advertises: number;
  /** How often gateways repeat what they report. */
  robustness = 2;

  constructor(readonly n: number) {
    this.advertises = n;
    this.machine = this.#make();
  }

  /** Starts it anew, without memory of what was. */
  restart(full = false): void {
    this.alive = true;
    this.full = full;
    this.tunnels = 0;
    this.upstream.clear();
    this.machine = this.#make();
  }

  sends(group: string, source: string): boolean {
    const filter = this.upstream.get(group);
    return this.alive && filter !== undefined && wants(filter, source);
  }

  #make(): AmtRelay {
    return newRelay({
      relayAddresses: [at(this.advertises).address],
      queryInterval: 20_000,
      robustness: this.robustness,
      ...(this.full ? { maxTunnels: 0 } : {}),
    });
  }
}

class World {
  readonly boxes = new Map(RELAYS.map((n) => [endpointText(at(n)), new Box(n)]));
  readonly gateway: RoamingGateway;
  readonly router: SourceRouter;
  readonly wanted = new Map<string, GroupFilter>();
  /** By slot, from whom data is accepted. */
  readonly accepts = new Map<number, string>();
  readonly drops: number[] = [];
  /** The relays of each source, the best first. */
  records: Readonly<Record<string, readonly number[]>> = {};
  /** Sources that send nothing, wherever they are asked for. */
  readonly paused = new Set<string>();
  now: Millis = 0;
  #listenAt: Millis = 1_000;

  constructor(seed = 1, tunnels = 64) {
    const entropy = seededEntropy(seed);
    const usual = { entropy, quirks: true, ecn: true };
    this.gateway = new RoamingGateway({ ...usual, standing: false, tunnels });
    this.router = new SourceRouter({ bySource: true, anySource: true, sources: 64 }, (drop) =>
      this.drops.push(drop),
    );
    this.give({ kind: "start" });
  }

  box(n: number): Box {
    return this.boxes.get(endpointText(at(n)))!;
  }

  join(group: string, filter: GroupFilter): void {
    this.wanted.set(group, filter);
    for (const part of this.router.route(group, filter)) this.give({ kind: "membership", ...part });
  }

  /** The relays, by number, that have been asked for a source of a group. */
  askedFor(group: string, source: string): number[] {
    return RELAYS.filter((n) => this.box(n).sends(group, source));
  }

  /** The relay from which a source's packets are accepted, and come. */
  relayOf(group: string, source: string): number | undefined {
    const accepted = this.accepts.get(this.router.slotOf(group, source));
    return this.askedFor(group, source).find((n) => endpointText(at(n)) === accepted);
  }

  give(input: RoamingInput): void {
    this.gateway.handle(input, this.now);
    for (let out = this.gateway.poll(); out; out = this.gateway.poll())
      switch (out.kind) {
        case "send":
          this.#deliver(out.octets, out.to);
          break;
        case "lookup": {
          const numbers = this.records[out.source ?? "any"] ?? [];
          const candidates = numbers.map((n, precedence) => ({
            endpoint: at(n),
            precedence,
            discoveryOptional: n % 2 === 1,
          }));
          const { slot, source } = out;
          this.give({ kind: "candidates", slot, source, candidates });
          break;
        }
        case "relay":
          if (out.endpoint === undefined) this.accepts.delete(out.slot ?? ANY_SOURCE);
          else this.accepts.set(out.slot ?? ANY_SOURCE, endpointText(out.endpoint));
          break;
        case "dropped":
          this.drops.push(out.drop);
          break;
        case "state":
        case "accepted":
        case "query":
        case "quirk":
        case "stopped":
      }
  }

  run(until: Millis): void {
    for (;;) {
      const due = Math.min(this.gateway.deadline() ?? Infinity, this.#listenAt);
      if (due > until) break;
      this.now = Math.max(this.now, due);
      if (due === this.#listenAt) {
        this.#listenAt += 1_000;
        this.give({ kind: "heard", slots: this.#heard() });
      } else this.give({ kind: "timeout" });
    }
    this.now = until;
  }

  /** The slots for which packets come from the relay that they use. */
  #heard(): number[] {
    const slots = new Set<number>();
    for (const group of GROUPS)
      for (const source of SOURCES)
        if (!this.paused.has(source) && this.relayOf(group, source) !== undefined)
          slots.add(this.router.slotOf(group, source));
    return [...slots];
  }

  #deliver(octets: Uint8Array, to: Endpoint): void {
    const box = this.boxes.get(endpointText(to));
    if (!box?.alive) return;
    if (octets[0] === UPDATE) box.updates++;
    box.machine.handle({ kind: "datagram", octets, from: GATEWAY, to }, this.now);
    for (let out = box.machine.poll(); out; out = box.machine.poll()) {
      if (out.kind === "tunnel-up") box.tunnels++;
      if (out.kind === "tunnel-down") box.tunnels--;
      if (out.kind === "upstream") {
        if (isEmpty(out.filter)) box.upstream.delete(out.group);
        else box.upstream.set(out.group, out.filter);
      }
      if (out.kind === "send") this.give({ kind: "datagram", octets: out.octets, from: out.from });
    }
  }
}

/** Every source that is wanted is asked of one relay, the one from which it is accepted. */
function assertSteady(world: World): void {
  for (const group of GROUPS) {
    const filter = world.wanted.get(group) ?? NOTHING;
    for (const source of SOURCES) {
      const asked = world.askedFor(group, source);
      const text = `${source} of ${group}: ${asked.join(" and ")}`;
      assert.equal(asked.length, wants(filter, source) ? 1 : 0, text);
      if (asked.length > 0) assert.equal(world.relayOf(group, source), asked[0], text);
    }
  }
}

test("sources with the same relay share a tunnel, others have their own (RFC 8777 §2.3)", () => {
  const world = new World();
  world.records = { [S1]: [1, 2], [S2]: [1, 3], [S3]: [2] };
  world.join(G1, include(S1, S2));
  world.join(G2, include(S3));
  world.run(2_000);
  assert.deepEqual(
    [S1, S2].map((source) => world.relayOf(G1, source)),
    [1, 1],
  );
  assert.equal(world.relayOf(G2, S3), 2);
  assert.deepEqual(
    RELAYS.map((n) => world.box(n).tunnels),
    [1, 1, 0, 0],
  );
  assertSteady(world);
});

test("addresses that lead to the same relay lead to the same tunnel (RFC 7450 §4.1.4)", () => {
  const world = new World();
  world.box(4).advertises = 2;
  world.box(4).restart();
  world.records = { [S1]: [2], [S2]: [4] };
  world.join(G1, include(S1));
  world.run(2_000);
  world.join(G1, include(S1, S2));
  world.run(40_000);
  assert.deepEqual(
    [S1, S2].map((source) => world.relayOf(G1, source)),
    [2, 2],
  );
  assert.deepEqual(
    [2, 4].map((n) => world.box(n).tunnels),
    [1, 0],
  );
  assertSteady(world);
  world.join(G1, include(S2));
  world.run(60_000);
  assert.equal(world.relayOf(G1, S2), 2);
  assertSteady(world);
});

test("the last source to leave closes its tunnel, and no other", () => {
  const world = new World();
  world.records = { [S1]: [1], [S2]: [1], [S3]: [2] };
  world.join(G1, include(S1, S2, S3));
  world.run(2_000);
  world.join(G1, include(S2, S3));
  world.run(20_000);
  assert.deepEqual(
    [1, 2].map((n) => world.box(n).tunnels),
    [1, 1],
  );
  assertSteady(world);
  world.join(G1, include(S3));
  world.run(30_000);
  assert.deepEqual(
    [1, 2].map((n) => world.box(n).tunnels),
    [0, 1],
  );
  assertSteady(world);
});

test("a source that comes back while its tunnel is left has it again within seconds", () => {
  for (let away = 0; away <= 6_000; away += 250) {
    const world = new World(away);
    world.records = { [S1]: [1] };
    world.join(G1, include(S1));
    world.run(10_000);
    world.join(G1, NOTHING);
    world.run(10_000 + away);
    world.join(G1, include(S1));
    world.run(10_000 + away + 4_000);
    assert.equal(world.relayOf(G1, S1), 1, `${away} ms`);
    world.run(10_000 + away + 60_000);
    assertSteady(world);
  }
});

test("a source that is silent while others of the tunnel are heard moves alone (RFC 8777 §2.5.4.1)", () => {
  const world = new World();
  world.records = { [S1]: [1, 2], [S2]: [1, 2] };
  world.join(G1, include(S1, S2));
  world.run(10_000);
  world.paused.add(S1);
  world.run(18_000);
  assert.equal(world.relayOf(G1, S1), 2);
  assert.equal(world.relayOf(G1, S2), 1);
  // For others the relay is as good as before.
  world.records = { ...world.records, [S3]: [1, 2] };
  world.join(G2, include(S3));
  world.run(20_000);
  assert.equal(world.relayOf(G2, S3), 1);
  assertSteady(world);
});

test("a relay that dies is left by all its sources within 10 s, and others are undisturbed", () => {
  for (let seed = 0; seed < 30; seed++) {
    const world = new World(seed);
    world.records = { [S1]: [1, 2], [S2]: [1, 3], [S3]: [4] };
    world.join(G1, include(...SOURCES));
    world.run(20_000 + seed * 137);
    const updates = world.box(4).updates;
    world.box(1).alive = false;
    world.run(world.now + 10_000);
    assert.deepEqual(
      SOURCES.map((source) => world.relayOf(G1, source)),
      [2, 3, 4],
    );
    assert.ok(world.box(4).updates - updates <= 2, "ordinary cycles at most");
    assertSteady(world);
  }
});

test("a relay that sets L is left by all its sources, and taken by no other (RFC 8777 §2.5.5)", () => {
  const world = new World();
  world.records = { [S1]: [1, 2], [S2]: [1, 3], [S3]: [1, 2] };
  world.join(G1, include(S1, S2));
  world.run(10_000);
  world.box(1).restart(true);
  world.give({ kind: "rebound" });
  world.run(20_000);
  assert.deepEqual(
    [S1, S2].map((source) => world.relayOf(G1, source)),
    [2, 3],
  );
  world.join(G2, include(S3));
  world.run(22_000);
  assert.equal(world.relayOf(G2, S3), 2);
  assertSteady(world);
});

test("when every relay was lost, those that come back are used before their hold-down ends", () => {
  const world = new World();
  world.records = { [S1]: [1, 2] };
  world.join(G1, include(S1));
  world.run(10_000);
  world.box(1).alive = false;
  world.run(30_000);
  assert.equal(world.relayOf(G1, S1), 2);
  world.box(1).restart();
  world.box(2).alive = false;
  world.run(90_000);
  assert.equal(world.relayOf(G1, S1), 1);
});

test("more relays than tunnels are refused and counted, and served when there is room", () => {
  const world = new World(1, 2);
  world.records = { [S1]: [1], [S2]: [2], [S3]: [3] };
  world.join(G1, include(...SOURCES));
  world.run(10_000);
  assert.equal(RELAYS.filter((n) => world.box(n).tunnels > 0).length, 2);
  assert.ok(world.drops.includes(VERDICT_TUNNEL_LIMIT));
  const served = SOURCES.find((source) => world.relayOf(G1, source) !== undefined)!;
  world.join(G1, include(...SOURCES.filter((source) => source !== served)));
  world.run(200_000);
  assertSteady(world);
  // One that moves may give up its own.
  world.records = { ...world.records, [S3]: [3, 4] };
  world.box(3).alive = false;
  world.run(400_000);
  assertSteady(world);
});

test("the end leaves every relay in order (RFC 7450 §5.2.3.7)", () => {
  const world = new World();
  world.records = { [S1]: [1], [S2]: [2], any: [3] };
  world.join(G1, include(S1, S2));
  world.join(G2, exclude(S3));
  world.run(5_000);
  assert.deepEqual(
    RELAYS.map((n) => world.box(n).tunnels),
    [1, 1, 1, 0],
  );
  assertSteady(world);
  world.give({ kind: "stop" });
  world.run(15_000);
  assert.deepEqual(
    RELAYS.map((n) => world.box(n).tunnels),
    [0, 0, 0, 0],
  );
  assert.equal(world.accepts.size, 0);
  assert.equal(world.gateway.deadline(), undefined);
});

const filters: fc.Arbitrary<GroupFilter> = fc.oneof(
  { weight: 3, arbitrary: fc.subarray(SOURCES).map((sources) => include(...sources)) },
  { weight: 1, arbitrary: fc.subarray(SOURCES).map((sources) => exclude(...sources)) },
);
const steps = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 8_000 }),
    what: fc.oneof(
      fc.record({ group: fc.constantFrom(...GROUPS), filter: filters }),
      fc.record({ dies: fc.constantFrom(...RELAYS) }),
      fc.record({ restarts: fc.constantFrom(...RELAYS) }),
    ),
  }),
  { maxLength: 25 },
);

test("once all is quiet, each source that is wanted comes from one relay, whatever went before", (t) => {
  holds(
    t,
    fc.property(steps, fc.nat(), (all, seed) => {
      const world = new World(seed);
      world.records = { [S1]: [1, 2, 3], [S2]: [2, 1], [S3]: [4, 3, 1], any: [1, 4] };
      for (const { after, what } of all) {
        world.run(world.now + after);
        if ("group" in what) world.join(what.group, what.filter);
        else if ("dies" in what) world.box(what.dies).alive = false;
        else world.box(what.restarts).restart();
      }
      for (const n of RELAYS) if (!world.box(n).alive) world.box(n).restart();
      world.run(world.now + 600_000);
      assertSteady(world);
      for (const group of GROUPS) world.join(group, NOTHING);
      world.run(world.now + 30_000);
      assert.deepEqual(
        RELAYS.map((n) => world.box(n).tunnels),
        [0, 0, 0, 0],
      );
      assert.equal(world.accepts.size, 0);
    }),
    100,
  );
});

test("sources that want a relay back while its tunnel is left share the tunnel that follows", () => {
  for (let away = 0; away <= 6_000; away += 250) {
    const world = new World(away);
    world.records = { [S1]: [1], [S2]: [1], [S3]: [1] };
    world.join(G1, include(S1));
    world.run(10_000);
    world.join(G1, NOTHING);
    world.run(10_000 + away);
    world.join(G1, include(S2));
    world.join(G2, include(S3));
    world.run(10_000 + away + 4_000);
    assert.deepEqual([world.relayOf(G1, S2), world.relayOf(G2, S3)], [1, 1], `${away} ms`);
  }
});

test("a relay that is being left is used by another of its addresses once its tunnel is gone", () => {
  // Leaves are repeated for longer than a tunnel is kept that is not used.
  for (let away = 0; away <= 6_000; away += 250) {
    const world = new World(away);
    world.box(4).advertises = 2;
    for (const n of [2, 4]) world.box(n).robustness = 7;
    for (const n of [2, 4]) world.box(n).restart();
    world.records = { [S1]: [2], [S2]: [4], [S3]: [2] };
    world.join(G1, include(S1));
    world.run(10_000);
    world.join(G1, NOTHING);
    world.run(10_000 + away);
    world.join(G1, include(S2));
    world.join(G2, include(S3));
    const joined = world.now;
    for (let later = 4_000; later <= 14_000; later += 250) {
      world.run(joined + later);
      const relays = [world.relayOf(G1, S2), world.relayOf(G2, S3)];
      assert.deepEqual(relays, [2, 2], `left for ${away} ms, and ${later} ms later`);
    }
    assert.equal(world.box(2).tunnels, 1);
    assert.deepEqual(world.drops, []);
  }
});

test("a relay that has forgotten us is asked anew as soon as its data stays away, if there is no other", () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = new World(seed);
    world.records = { [S1]: [1] };
    world.join(G1, include(S1));
    world.run(1_500);
    world.box(1).restart();
    world.run(9_000); // the next Query would come after 20 s
    assert.equal(world.relayOf(G1, S1), 1, `seed ${seed}`);
    assertSteady(world);
  }
});

test("a relay that is in doubt is no one's choice until it has answered", () => {
  for (let seed = 0; seed < 20; seed++) {
    const world = new World(seed);
    world.records = { [S1]: [1, 2], [S2]: [1, 2], [S3]: [1, 2] };
    world.join(G1, include(S1, S3));
    world.run(1_500);
    world.paused.add(S1);
    world.run(3_500);
    world.box(1).alive = false;
    // The one was heard for the last time before the other, which is still to be found out.
    while (world.relayOf(G1, S1) !== 2) world.run(world.now + 50);
    world.join(G2, include(S2));
    world.run(world.now + 600);
    assert.equal(world.relayOf(G2, S2), 2, `seed ${seed}`);
  }
});
