import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { VERDICT_BAD_MAC, VERDICT_RATE_LIMIT } from "../../../assembly/layout/verdict.ts";
import type { Endpoint } from "../../../src/core/address.ts";
import type { RateLimits } from "../../../src/protocols/amt/rate-limit.ts";
import type { RelayOutput } from "../../../src/protocols/amt/relay.ts";
import { emitRequest } from "../../../src/wire/amt.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { Network } from "../../sim/pair.ts";
import {
  G,
  RELAY,
  S,
  T,
  datagram,
  exclude,
  include,
  newGateway,
  newRelay,
  record,
  report,
} from "./rig.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const FORGED = 200_000;
/** Forged messages a millisecond: 20,000 a second. */
const PACE = 20;
const GATEWAYS = 50;

const rates = (strangers: number): RateLimits => ({
  discovery: { perAddress: 100, strangers },
  request: { perAddress: 1_000, strangers },
  update: { perAddress: 5_000, strangers },
});

/** Megabytes in use after a collection. */
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}

/** A flood at a relay that serves well-behaved gateways, which change what they want meanwhile. */
function flooded(strangers: number) {
  const entropy = seededEntropy(77);
  const relay = newRelay({ entropy, rates: rates(strangers) });
  const network = new Network({ seed: 7 });
  network.record = false;
  network.join(relay, RELAY);
  const gateways = Array.from({ length: GATEWAYS }, (_, i) => {
    const gateway = network.join(newGateway({ entropy }), {
      address: `203.0.113.${i}`,
      port: 4_000,
    });
    gateway.give({ kind: "membership", group: G, filter: include(S) });
    gateway.give({ kind: "start" });
    return gateway;
  });
  network.run(5_000);

  const fates = new Map<number | "accepted", number>();
  const said: RelayOutput[] = [];
  const forge = () => {
    const from: Endpoint = {
      address: Array.from({ length: 4 }, () => 1 + (entropy.u32() % 200)).join("."),
      port: entropy.u32() % 3 === 0 ? 2268 : 1_024 + (entropy.u32() % 60_000),
    };
    const nonce = entropy.u32();
    const mac = Uint8Array.from({ length: 6 }, () => entropy.u32());
    const octets =
      entropy.u32() % 2 === 0
        ? emitRequest(nonce, { family: 6, ecn: false, misplacedP: entropy.u32() % 2 === 0 })
        : report({ mac, nonce }, record("allow", G, T));
    relay.handle(datagram(octets, from), network.now);
    for (let out = relay.poll(); out !== undefined; out = relay.poll()) {
      if (out.kind === "accepted" || out.kind === "dropped") {
        const key = out.kind === "accepted" ? "accepted" : out.drop;
        fates.set(key, (fates.get(key) ?? 0) + 1);
      } else if (out.kind !== "send" && out.kind !== "quirk") said.push(out);
    }
  };

  let early = 0;
  for (let sent = 0; sent < FORGED; sent += PACE) {
    for (let i = 0; i < PACE; i++) forge();
    network.run(1);
    const who = gateways[sent % GATEWAYS]!;
    if (sent % 2_000 === 0)
      who.give({ kind: "membership", group: `239.0.0.${1 + (sent % 7)}`, filter: exclude() });
    // The tables are full by then.
    if (sent === FORGED / 2) early = heap();
  }
  return { relay, network, gateways, fates, said, early, late: heap() };
}

test("200,000 forged Requests and Updates make no tunnel, take no memory, and cost no gateway", () => {
  const { relay, network, fates, said, early, late } = flooded(50_000);
  assert.deepEqual(said, []);
  assert.equal([...relay.tunnels()].length, GATEWAYS);
  assert.ok((fates.get(VERDICT_BAD_MAC) ?? 0) > FORGED / 3);
  assert.equal(
    [...fates.values()].reduce((sum, count) => sum + count),
    FORGED,
  );
  assert.ok(late < early + 2, `${early} MB grew to ${late} MB`);
  // Everything that was asked for meanwhile is there, and a new gateway is served.
  const groups = new Map([...relay.groups()].map(({ group, members }) => [group, members]));
  assert.equal(groups.get(G), GATEWAYS);
  assert.ok(groups.size > 1);
  const newcomer = network.join(newGateway({ entropy: seededEntropy(5) }), {
    address: "203.0.113.200",
    port: 9,
  });
  newcomer.give({ kind: "membership", group: G, filter: include(S) });
  newcomer.give({ kind: "start" });
  network.run(100);
  assert.equal([...relay.tunnels()].length, GATEWAYS + 1);
});

test("a flood beyond the limit of strangers costs those nothing who hold a tunnel", () => {
  const { relay, network, fates, gateways } = flooded(1_000);
  assert.ok((fates.get(VERDICT_RATE_LIMIT) ?? 0) > FORGED / 2);
  for (const [i, gateway] of gateways.entries())
    gateway.give({ kind: "membership", group: `239.1.0.${i}`, filter: exclude() });
  network.run(20);
  const groups = new Set([...relay.groups()].map(({ group }) => group));
  for (const i of gateways.keys()) assert.ok(groups.has(`239.1.0.${i}`), `${i}`);
});
