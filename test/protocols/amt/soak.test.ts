import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { sameFilter } from "../../../src/membership/filter.ts";
import { AmtGateway } from "../../../src/protocols/amt/gateway.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { Network } from "../../sim/pair.ts";
import { RELAY, S, T, exclude, include, newRelay } from "./rig.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Megabytes in use after a collection. */
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}

test("10,000 gateways join and stay for an hour: all are served, memory does not grow", () => {
  const count = 10_000;
  const entropy = seededEntropy(5);
  const relay = newRelay({
    entropy,
    maxTunnels: count,
    queryInterval: 600_000,
    secretInterval: 1_000_000,
  });
  const network = new Network({ seed: 5, latency: [5, 60] });
  network.record = false;
  network.join(relay, RELAY);
  const empty = heap();
  const nodes = Array.from({ length: count }, (_, i) => {
    const address = `10.0.${i >> 8}.${i & 255}`;
    return network.join(new AmtGateway({ relay: RELAY, entropy }), { address, port: 2268 });
  });
  // All within the first minute.
  for (const [i, node] of nodes.entries()) {
    node.give({ kind: "membership", group: `232.0.0.${i % 10}`, filter: include(S, T) });
    node.give({ kind: "membership", group: `239.0.0.${i % 7}`, filter: exclude(T) });
    node.give({ kind: "start" });
    if (i % 100 === 99) network.run(600);
  }
  network.run(900_000);
  const early = heap();
  network.run(2_700_000);
  const late = heap();
  assert.ok(late < early * 1.02 + 1, `${early} MB grew to ${late} MB`);
  assert.equal([...relay.tunnels()].length, count);
  const groups = [...relay.groups()];
  assert.equal(groups.length, 17);
  for (const { group, filter, members } of groups) {
    assert.ok(sameFilter(filter, group.startsWith("232.") ? include(S, T) : exclude(T)));
    assert.ok(members >= Math.floor(count / 10));
  }
  assert.equal(network.lost, 0);

  for (const node of nodes) node.give({ kind: "stop" });
  network.run(2_000);
  assert.equal([...relay.tunnels()].length, 0);
  assert.equal([...relay.groups()].length, 0);
  assert.equal(relay.deadline(), undefined);
  while (nodes.length > 0) network.leave(nodes.pop()!);
  const left = heap();
  assert.ok(left < empty + 5, `${empty} MB before, ${left} MB after`);
});
