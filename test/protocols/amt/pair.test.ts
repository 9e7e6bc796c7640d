import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../../src/core/address.ts";
import { sameFilter } from "../../../src/membership/filter.ts";
import type { GatewayInput, GatewayOutput } from "../../../src/protocols/amt/gateway.ts";
import type { AmtRelay, RelayInput, RelayOutput } from "../../../src/protocols/amt/relay.ts";
import type { GroupFilter } from "../../../src/wire/membership.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { type LinkOptions, Network, Pair, type SimNode } from "../../sim/pair.ts";
import { DataPlane } from "./data-plane.ts";
import {
  ANYCAST,
  G,
  G6,
  GATEWAY,
  NOTHING,
  OTHER,
  RELAY,
  S,
  S6,
  T,
  exclude,
  include,
  newGateway,
  newRelay,
} from "./rig.ts";

const ASM = "239.1.1.1";

type RelayNode = SimNode<RelayInput, RelayOutput>;
type GatewayNode = SimNode<GatewayInput, GatewayOutput>;

function pairOf(link: Omit<LinkOptions, "seed"> = {}, seed = 1, options = {}) {
  const entropy = seededEntropy(seed);
  return new Pair(
    { machine: newRelay({ entropy }), at: RELAY },
    { machine: newGateway({ entropy, ...options }), at: GATEWAY },
    { seed, ...link },
  );
}

const want = (node: GatewayNode, group: string, filter: GroupFilter) =>
  node.give({ kind: "membership", group, filter });

/** The data plane as all of the relay's commands so far have made it. */
function planeOf(relay: RelayNode): DataPlane {
  const plane = new DataPlane();
  for (const out of relay.news) if (out.kind === "route" || out.kind === "member") plane.apply(out);
  return plane;
}

const tunnelsOf = (relay: RelayNode) =>
  relay.of("tunnel-up").length - relay.of("tunnel-down").length;

const ends = (node: RelayNode | GatewayNode) =>
  (node.news as readonly { kind: string }[]).filter(({ kind }) => kind === "dropped");

test("a join reaches the data plane one and a half round trips after the start", () => {
  const { network, a: relay, b: gateway } = pairOf({ latency: [20, 20] });
  want(gateway, G, include(S));
  gateway.give({ kind: "start" });
  network.run(59);
  assert.equal(tunnelsOf(relay), 0);
  network.run(1);
  assert.ok(planeOf(relay).gets(0, G, S));
  assert.ok(!planeOf(relay).gets(0, G, T));
});

test("once connected, joins and leaves take half a round trip", () => {
  const { network, a: relay, b: gateway } = pairOf({ latency: [20, 20] });
  gateway.give({ kind: "start" });
  network.run(1_000);
  want(gateway, ASM, exclude());
  want(gateway, ASM, exclude(T));
  network.run(20);
  assert.ok(planeOf(relay).gets(0, ASM, S) && !planeOf(relay).gets(0, ASM, T));
  want(gateway, ASM, NOTHING);
  network.run(20);
  assert.equal(planeOf(relay).routes.size, 0);
});

test("memberships last as long as the gateway does, and end with it", () => {
  const { network, a: relay, b: gateway } = pairOf();
  gateway.give({ kind: "start" });
  want(gateway, G, include(S));
  want(gateway, G6, include(S6));
  network.run(3_600_000);
  assert.equal(relay.of("tunnel-up").length, 1);
  assert.equal(tunnelsOf(relay), 1);
  assert.deepEqual(ends(gateway), []);
  assert.deepEqual(ends(relay), []);
  // 29 queries of each family in an hour: no more than the protocol needs.
  assert.ok(gateway.sent.length < 130, `${gateway.sent.length}`);
  gateway.give({ kind: "stop" });
  network.run(1_100);
  assert.equal(tunnelsOf(relay), 0);
  assert.equal(gateway.of("stopped").length, 1);
});

test("discovery at an anycast address leads to the relay's own", () => {
  const network = new Network({ seed: 1 });
  const relay = network.join(newRelay(), RELAY, ANYCAST);
  const gateway = network.join(newGateway({ discovery: ANYCAST }), GATEWAY);
  want(gateway, G, include(S));
  gateway.give({ kind: "start" });
  network.run(100);
  assert.deepEqual(
    relay.of("tunnel-up").map(({ local }) => local),
    [RELAY],
  );
});

test("over a bad link relay and gateway come to agree, and to nothing after the end", () => {
  const groups = [ASM, "239.1.1.2", "ff0e::1:2"];
  for (let seed = 1; seed <= 25; seed++) {
    const link = { loss: 0.2, duplication: 0.2, latency: [1, 400] } as const;
    const { network, a: relay, b: gateway } = pairOf(link, seed);
    const entropy = seededEntropy(1_000 + seed);
    const wanted = new Map<string, GroupFilter>();
    gateway.give({ kind: "start" });
    for (let change = 0; change < 30; change++) {
      const group = groups[entropy.u32() % groups.length]!;
      const [one, two] = group.includes(":") ? [S6, "2001:db8::2"] : [S, T];
      const choices = [include(one), include(one, two), exclude(), exclude(two), NOTHING];
      const filter = choices[entropy.u32() % choices.length]!;
      wanted.set(group, filter);
      want(gateway, group, filter);
      network.run(entropy.fraction() * 20_000);
    }
    // What a lost report asked for is mended by the next cycle, what it left by expiry; two reports
    // lost in a row would cost the membership, which only a better link prevents.
    network.relink({});
    network.run(300_000);
    const held = new Map(
      relay.news.filter((out) => out.kind === "upstream").map((out) => [out.group, out.filter]),
    );
    for (const [group, filter] of wanted)
      assert.ok(
        sameFilter(held.get(group) ?? NOTHING, filter),
        `seed ${seed} ${group}: ${JSON.stringify([held.get(group), filter])}`,
      );
    network.relink(link);
    gateway.give({ kind: "stop" });
    network.run(300_000);
    assert.equal(gateway.of("stopped").length, 1, `seed ${seed}`);
    assert.equal(tunnelsOf(relay), 0, `seed ${seed}`);
    assert.equal(planeOf(relay).routes.size, 0);
    assert.equal(gateway.machine.deadline(), undefined);
    assert.equal(relay.machine.deadline(), undefined);
  }
});

/** Puts a relay with another secret and no memory in the place of this one. */
function restart(network: Network, relay: RelayNode): RelayNode {
  network.leave(relay);
  return network.join(newRelay({ entropy: seededEntropy(77) }), RELAY);
}

test("a relay that lost its memory serves again with the next cycle, within a query interval", () => {
  const { network, a: relay, b: gateway } = pairOf();
  gateway.give({ kind: "start" });
  want(gateway, G, include(S));
  network.run(10_000);
  const again = restart(network, relay);
  network.run(115_000 - 50);
  assert.equal(tunnelsOf(again), 0);
  network.run(200);
  assert.ok(planeOf(again).gets(0, G, S));
});

test("with ICMP unreachable or silence noticed, within a round trip or two", () => {
  for (const kind of ["unreachable", "silent"] as const) {
    const { network, a: relay, b: gateway } = pairOf();
    gateway.give({ kind: "start" });
    want(gateway, G, include(S));
    network.run(10_000);
    const again = restart(network, relay);
    gateway.give({ kind });
    network.run(100);
    assert.ok(planeOf(again).gets(0, G, S), kind);
  }
});

test("a relay that is away for long is found when it comes back", () => {
  const { network, a: relay, b: gateway } = pairOf({}, 1, { longestRetry: 20_000 });
  gateway.give({ kind: "start" });
  want(gateway, G, include(S));
  network.run(10_000);
  network.leave(relay);
  network.run(600_000);
  const again = network.join(newRelay({ entropy: seededEntropy(77) }), RELAY);
  network.run(20_100);
  assert.ok(planeOf(again).gets(0, G, S));
});

test("a join that the restarted relay cannot verify is mended by the cycle it begins", () => {
  const { network, a: relay, b: gateway } = pairOf();
  gateway.give({ kind: "start" });
  want(gateway, G, include(S));
  network.run(10_000);
  const again = restart(network, relay);
  want(gateway, "239.1.1.1", exclude());
  network.run(2_000);
  assert.ok(again.of("dropped").length > 0);
  assert.equal(tunnelsOf(again), 0);
  network.run(125_000);
  assert.ok(planeOf(again).gets(0, "239.1.1.1", S) && planeOf(again).gets(0, G, S));
});

test("a new NAT binding ends the old tunnel and makes a new one, without a gap (RFC 7450 §5.2.3.7)", () => {
  const moved: Endpoint = { address: "203.0.113.77", port: 1_234 };
  const { network, a: relay, b: gateway } = pairOf();
  gateway.give({ kind: "start" });
  want(gateway, G, include(S));
  want(gateway, G6, include(S6));
  network.run(10_000);
  network.rebind(gateway, moved);
  gateway.give({ kind: "rebound" });
  network.run(5_000);
  assert.deepEqual(
    relay.of("tunnel-up").map((up) => up.gateway),
    [GATEWAY, moved],
  );
  assert.deepEqual(
    [...(relay.machine as AmtRelay).tunnels()].map((tunnel) => [tunnel.gateway, tunnel.groups]),
    [[moved, 2]],
  );
});

test("a gateway that was killed is served anew at once, and its old tunnel expires", () => {
  const network = new Network({ seed: 1 });
  const relay = network.join(newRelay(), RELAY);
  const first = network.join(newGateway(), GATEWAY);
  want(first, G, include(S));
  first.give({ kind: "start" });
  network.run(1_000);
  network.leave(first);
  const second = network.join(newGateway({ entropy: seededEntropy(3) }), {
    ...GATEWAY,
    port: 40_124,
  });
  want(second, G, include(S));
  second.give({ kind: "start" });
  network.run(1_000);
  assert.equal(tunnelsOf(relay), 2);
  network.run(260_000);
  assert.equal(tunnelsOf(relay), 1);
  assert.deepEqual(planeOf(relay).routes.get(`${S},${G}`), new Set([1]));
});

test("two gateways of one relay do not disturb each other", () => {
  const network = new Network({ seed: 1 });
  const relay = network.join(newRelay(), RELAY);
  const one = network.join(newGateway(), GATEWAY);
  const two = network.join(newGateway({ entropy: seededEntropy(3) }), OTHER);
  for (const node of [one, two]) {
    want(node, G, include(S));
    node.give({ kind: "start" });
  }
  network.run(1_000);
  want(one, G, NOTHING);
  network.run(1_000);
  assert.deepEqual(planeOf(relay).routes.get(`${S},${G}`), new Set([1]));
  one.give({ kind: "stop" });
  network.run(10_000);
  assert.ok(planeOf(relay).gets(1, G, S));
});

test("a stopped relay leaves its gateways looking for another", () => {
  const network = new Network({ seed: 1 });
  const relay = network.join(newRelay(), RELAY, ANYCAST);
  const gateway = network.join(newGateway({ discovery: ANYCAST }), GATEWAY);
  want(gateway, G, include(S));
  gateway.give({ kind: "start" });
  network.run(1_000);
  relay.give({ kind: "stop" });
  network.leave(relay);
  const address = "198.51.100.20";
  const other = network.join(
    newRelay({ relayAddresses: [address], entropy: seededEntropy(9) }),
    { address, port: 2268 },
    ANYCAST,
  );
  network.run(150_000);
  assert.ok(planeOf(other).gets(0, G, S));
  assert.equal(gateway.of("relay").at(-1)?.endpoint?.address, address);
});
