import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entropy } from "../../../src/core/machine.ts";
import {
  emitAdvertisement,
  emitDiscovery,
  emitRequest,
  emitTeardown,
} from "../../../src/wire/amt.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { query, saidOf } from "./gateway-rig.ts";
import {
  ANYCAST,
  G,
  G6,
  GATEWAY,
  OTHER,
  RELAY,
  S,
  S6,
  T,
  datagram,
  fate,
  given,
  include,
  newGateway,
  newRelay,
  only,
  proven,
  record,
  report,
  update,
} from "./rig.ts";

const RUNS = 20_000;

function below(entropy: Entropy, limit: number): number {
  return Math.floor(entropy.fraction() * limit);
}

function noise(entropy: Entropy): Uint8Array {
  const octets = Uint8Array.from({ length: below(entropy, 120) }, () => below(entropy, 256));
  // Most noise should come past the first octet.
  if (octets.length > 0 && entropy.fraction() < 0.9) octets[0] = below(entropy, 8);
  return octets;
}

/** A message with octets changed, cut short, or with others behind it. */
function mutated(octets: Uint8Array, entropy: Entropy): Uint8Array {
  const fraction = entropy.fraction();
  const length = fraction < 0.3 ? below(entropy, octets.length + 40) : octets.length;
  const copy = new Uint8Array(length);
  copy.set(octets.subarray(0, length));
  if (length === 0) return copy;
  for (let n = below(entropy, 4); n > 0; n--) copy[below(entropy, length)] = below(entropy, 256);
  return copy;
}

test("noise makes a relay neither throw nor keep anything, and each is counted once", () => {
  const relay = newRelay();
  const entropy = seededEntropy(11);
  for (let run = 0; run < RUNS; run++) fate(given(relay, datagram(noise(entropy)), run));
  assert.deepEqual([...relay.tunnels()], []);
  assert.equal(relay.deadline(), undefined);
});

test("messages whose MAC or endpoint is not proven keep nothing at a relay, however mutated", () => {
  const relay = newRelay();
  const entropy = seededEntropy(12);
  const proof = proven(relay, 0);
  const wrong = { ...proof, mac: new Uint8Array(6) };
  const messages = [
    report(wrong, record("allow", G, S)),
    report(wrong, record("to-ex", G6, S6)),
    emitTeardown({ ...wrong, gateway: GATEWAY }),
    emitDiscovery(1),
    emitRequest(1, { family: 6, ecn: true }),
  ];
  for (let run = 0; run < RUNS; run++)
    fate(given(relay, datagram(mutated(messages[run % messages.length]!, entropy)), run));
  assert.deepEqual([...relay.tunnels()], []);
  assert.equal(relay.deadline(), undefined);
});

test("mutated messages of a proven gateway make a relay neither throw nor lose count", () => {
  const relay = newRelay({ maxGroups: 8, maxSources: 4 });
  const entropy = seededEntropy(13);
  const proof = proven(relay, 0);
  const messages = [
    report(proof, record("allow", G, S, T), record("to-ex", "239.1.1.1", S)),
    report(proof, record("block", G, S), record("is-in", "239.1.1.1", S)),
    report(proof, record("to-ex", G6, S6), record("allow", "ff3e::9")),
    update(proof, { kind: "join", generation: 2, group: "239.2.2.2" }),
    update(proof, { kind: "leave", generation: 2, group: "239.2.2.2" }),
    emitTeardown({ ...proof, gateway: GATEWAY }),
  ];
  let ups = 0;
  for (let run = 0; run < RUNS; run++) {
    const outs = given(relay, datagram(mutated(messages[run % messages.length]!, entropy)), run);
    fate(outs);
    ups += only(outs, "tunnel-up").length;
  }
  assert.ok(ups > 0);
  assert.ok([...relay.tunnels()].length <= 1);
  assert.ok([...relay.groups()].length <= 16);
});

test("noise and mutated messages make a gateway neither throw nor lose count", () => {
  const gateway = newGateway({ discovery: ANYCAST });
  const entropy = seededEntropy(14);
  given(gateway, { kind: "membership", group: G, filter: include(S) }, 0);
  given(gateway, { kind: "membership", group: G6, filter: include(S6) }, 0);
  given(gateway, { kind: "start" }, 0);
  let discovery = 0;
  let request = 0;
  const senders = [RELAY, ANYCAST, OTHER];
  let accepted = 0;
  for (let run = 0; run < RUNS; run++) {
    const now = run * 500;
    const family = run % 2 ? 4 : 6;
    const answer = query(request, { family, limit: run % 5 === 0, gateway: GATEWAY });
    assert.ok(answer.kind === "datagram");
    const messages = [
      noise(entropy),
      mutated(answer.octets, entropy),
      mutated(emitAdvertisement(discovery, RELAY.address), entropy),
    ];
    const octets = messages[run % 3]!;
    const from = senders[below(entropy, 3)]!;
    const outs = given(gateway, { kind: "datagram", octets, from }, now);
    if (fate(outs) === "accepted") accepted++;
    outs.push(...given(gateway, { kind: "timeout" }, now));
    discovery = saidOf(outs, "discovery").at(-1)?.nonce ?? discovery;
    request = saidOf(outs, "request").at(-1)?.nonce ?? request;
  }
  assert.ok(accepted > 100);
});
