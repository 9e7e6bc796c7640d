import assert from "node:assert/strict";
import { test } from "node:test";
import type { Millis } from "../../../src/core/machine.ts";
import {
  PLAIN,
  RESPONSE_MAC_LENGTH,
  ResponseMac,
} from "../../../src/protocols/amt/response-mac.ts";
import { GroupSecrets, type SharedSecret } from "../../../src/protocols/amt/secrets.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { Network, Pair } from "../../sim/pair.ts";
import {
  ANYCAST,
  G,
  GATEWAY,
  RELAY,
  S,
  datagram,
  exclude,
  fate,
  given,
  include,
  newGateway,
  newRelay,
  proven,
  record,
  report,
} from "./rig.ts";

const HOUR = 3_600_000;
const GRACE = 250_000;

/** A group's secret at a relay whose clock is `ahead` of the others'. */
const shared = (ahead: Millis = 0, secret = 1): SharedSecret => ({
  key: (epoch) => Uint32Array.of(secret, epoch, 3, 4),
  wallClock: (now) => 1_000 * HOUR + now + ahead,
});
const group = (ahead = 0, secret = 1) =>
  new ResponseMac(new GroupSecrets(shared(ahead, secret), HOUR, GRACE));

function signed(mac: ResponseMac, now: Millis): Uint8Array {
  const octets = new Uint8Array(RESPONSE_MAC_LENGTH);
  mac.sign(octets, GATEWAY, 7, PLAIN, now);
  return octets;
}

test("relays with one secret verify each other's MACs, at any time (RFC 7450 §5.3.5)", () => {
  for (let now = 0; now < 3 * HOUR; now += 60_000)
    assert.ok(group().verify(signed(group(), now), GATEWAY, 7, now + 125_000), `${now}`);
  assert.equal(group().verify(signed(group(0, 2), 0), GATEWAY, 7, 0), undefined);
});

test("clocks that differ by up to a query interval do no harm", () => {
  for (const ahead of [-125_000, -1_000, 1_000, 125_000])
    for (let now = 0; now < 3 * HOUR; now += 50_000)
      assert.ok(group().verify(signed(group(ahead), now), GATEWAY, 7, now), `${ahead} at ${now}`);
});

test("a group's old secret holds for the time of grace, like a relay's own (RFC 7450 §5.3.5)", () => {
  const mac = group();
  const octets = signed(mac, HOUR - 1);
  assert.ok(mac.verify(octets, GATEWAY, 7, HOUR + GRACE - 1));
  assert.equal(mac.verify(octets, GATEWAY, 7, HOUR + GRACE), undefined);
  assert.notDeepEqual(signed(mac, HOUR), octets);
});

test("an Update may come to another relay of the group than the Request", () => {
  const [one, two, stranger] = [
    newRelay({ sharedSecret: shared(), entropy: seededEntropy(1) }),
    newRelay({ sharedSecret: shared(500), entropy: seededEntropy(2) }),
    newRelay({ entropy: seededEntropy(3) }),
  ];
  const octets = report(proven(one, 0), record("allow", G, S));
  assert.equal(fate(given(two, datagram(octets), 10)), "accepted");
  assert.notEqual(fate(given(stranger, datagram(octets), 10)), "accepted");
});

test("a gateway whose route moves to another relay of the group is served with its next cycle", () => {
  const network = new Network({ seed: 1 });
  const relays = [1, 2].map((seed) =>
    newRelay({ sharedSecret: shared(), entropy: seededEntropy(seed) }),
  );
  const first = network.join(relays[0]!, ANYCAST);
  const gateway = network.join(newGateway({ relay: ANYCAST }), GATEWAY);
  gateway.give({ kind: "membership", group: G, filter: include(S) });
  gateway.give({ kind: "start" });
  network.run(10_000);
  network.leave(first);
  const second = network.join(relays[1]!, ANYCAST);
  // A change is heard at once under the MAC of the relay before.
  gateway.give({ kind: "membership", group: "239.1.1.1", filter: exclude() });
  network.run(100);
  assert.deepEqual(
    [...relays[1]!.groups()].map((one) => one.group),
    ["239.1.1.1"],
  );
  network.run(125_000);
  assert.equal([...relays[1]!.groups()].length, 2);
  assert.deepEqual(second.of("dropped"), []);
});

test("no Update is refused while secrets rotate under a gateway (RFC 7450 §5.3.5)", () => {
  for (const options of [{}, { sharedSecret: shared() }]) {
    const {
      network,
      a: relay,
      b: gateway,
    } = new Pair(
      { machine: newRelay({ secretInterval: 130_000, ...options }), at: RELAY },
      { machine: newGateway(), at: GATEWAY },
      { seed: 2 },
    );
    gateway.give({ kind: "membership", group: G, filter: include(S) });
    gateway.give({ kind: "start" });
    for (let change = 0; change < 500; change++) {
      network.run(7_300);
      const filter = change % 2 === 0 ? exclude() : include();
      gateway.give({ kind: "membership", group: "239.1.1.1", filter });
    }
    assert.deepEqual(relay.of("dropped"), []);
    assert.equal(relay.of("tunnel-up").length, 1);
    assert.equal(relay.of("tunnel-down").length, 0);
  }
});
