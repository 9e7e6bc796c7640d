import assert from "node:assert/strict";
import { test } from "node:test";
import { AMT_QUERY_FLAGS, AMT_QUERY_MISPLACED, AMT_REQUEST } from "../../../assembly/layout/amt.ts";
import { VERDICT_PROTOCOL_MISMATCH } from "../../../assembly/layout/verdict.ts";
import type { Family } from "../../../src/core/address.ts";
import type { Millis } from "../../../src/core/machine.ts";
import type {
  AmtGateway,
  GatewayInput,
  GatewayOptions,
} from "../../../src/protocols/amt/gateway.ts";
import { RequestForms } from "../../../src/protocols/amt/request-forms.ts";
import { amtType } from "../../../src/wire/amt.ts";
import { seededEntropy } from "../../sim/entropy.ts";
import { Pair } from "../../sim/pair.ts";
import { DriverRelay } from "./driver-relay.ts";
import { connected, query, recordsOf, saidOf } from "./gateway-rig.ts";
import {
  G,
  G6,
  GATEWAY,
  RELAY,
  S,
  S6,
  drive,
  exclude,
  fate,
  given,
  include,
  newGateway,
  newRelay,
  only,
} from "./rig.ts";

const HOUR = 3_600_000;
const START = { kind: "start" } as const;
const want = (group: string, filter = include(group.includes(":") ? S6 : S)): GatewayInput => ({
  kind: "membership",
  group,
  filter,
});

/** The forms of the Requests that a gateway for one group sends to nobody: E and P, as flags. */
function formsAsked(group: string, options: Partial<GatewayOptions>, until = 60_000): string[] {
  const gateway = newGateway(options);
  given(gateway, want(group), 0);
  const outs = [...given(gateway, START, 0), ...drive(gateway, until).map(({ out }) => out)];
  return saidOf(outs, "request").map(({ ecn, misplacedP }) =>
    [ecn ? "E" : "", misplacedP ? "0x80" : ""].join(" ").trim(),
  );
}

test("an unanswered Request is repeated in the right form, and then in odd ones: P at 0x80, no E (RFC 9601 §4)", () => {
  const mld = ["E", "E", "0x80", "", "0x80", "E", "0x80"];
  assert.deepEqual(formsAsked(G6, { ecn: true }).slice(0, 7), mld);
  assert.deepEqual(formsAsked(G6, {}).slice(0, 5), ["", "", "0x80", "", "0x80"]);
  assert.deepEqual(formsAsked(G, { ecn: true }).slice(0, 5), ["E", "E", "", "E", ""]);
  assert.deepEqual(new Set(formsAsked(G, {})), new Set([""]));
});

test("without quirks Requests never change", () => {
  assert.deepEqual(new Set(formsAsked(G6, { ecn: true, quirks: false })), new Set(["E"]));
});

test("odd forms go along with repetitions: at no other times, one at most (RFC 7450 §5.2.3.5)", () => {
  const times = (quirks: boolean) => {
    const gateway = newGateway({
      ecn: true,
      quirks,
      entropy: { u32: () => 1, fraction: () => 0.7 },
    });
    given(gateway, want(G6), 0);
    given(gateway, START, 0);
    return drive(gateway, HOUR)
      .filter(({ out }) => out.kind === "send")
      .map(({ at }) => at);
  };
  assert.deepEqual(
    times(true),
    times(false).flatMap((at) => [at, at]),
  );
});

/** A gateway and a driver's relay, with what the Updates of the gateway came to. */
function withDriver(options: Partial<GatewayOptions> = {}, mldFrom: Millis = 0, seed = 3) {
  const pair = new Pair(
    { machine: new DriverRelay({ mldFrom }), at: RELAY },
    { machine: newGateway({ entropy: seededEntropy(seed), ecn: true, ...options }), at: GATEWAY },
    { seed: seed + 1 },
  );
  return { network: pair.network, relay: pair.a, gateway: pair.b };
}

/** What the Updates were obeyed for so far. */
function obeyed(relay: ReturnType<typeof withDriver>["relay"]): Set<string> {
  const updates = relay.of("update").filter((update) => update.obeyed);
  return new Set(updates.flatMap(({ groups }) => groups));
}

test("a driver's relay serves either family, and both, after one repetition", () => {
  for (const groups of [[G], [G6], [G, G6]])
    for (let seed = 1; seed <= 50; seed++) {
      const { network, relay, gateway } = withDriver({}, 0, seed);
      for (const group of groups) gateway.give(want(group));
      gateway.give(START);
      network.run(1_500);
      assert.deepEqual(obeyed(relay), new Set(groups), `seed ${seed}`);
    }
});

test("a driver's relay whose MLD begins late, when its address is no more tentative, serves IPv6 with the next repetition", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { network, relay, gateway } = withDriver({}, 1_000 + seed * 40, seed);
    for (const group of [G, G6]) gateway.give(want(group));
    gateway.give(START);
    network.run(1_500);
    assert.deepEqual(obeyed(relay), new Set([G]));
    network.run(6_000); // the third repetition is 7 s after the first Request at the latest
    assert.deepEqual(obeyed(relay), new Set([G, G6]), `seed ${seed}`);
  }
});

test("a driver's relay serves IPv4 within 5 s, without E from then on", () => {
  const { network, relay, gateway } = withDriver();
  gateway.give(want(G));
  gateway.give(START);
  network.run(5_000);
  assert.deepEqual(relay.of("update")[0], { kind: "update", obeyed: true, groups: [G] });
  const before = gateway.sent.length;
  network.run(1_000_000);
  // One Request and one Update in each interval.
  assert.ok(gateway.sent.length - before <= 18, `${gateway.sent.length - before}`);
  assert.ok(relay.of("update").every(({ obeyed }) => obeyed));
});

test("E is tried again after an hour", () => {
  const { network, gateway } = withDriver();
  gateway.give(want(G));
  gateway.give(START);
  network.run(HOUR - 200_000);
  const asked = () => gateway.sent.filter(({ octets }) => amtType(octets) === AMT_REQUEST);
  const withE = () => asked().filter(({ octets }) => (octets[1]! & 2) !== 0).length;
  assert.equal(withE(), 2);
  network.run(400_000);
  assert.equal(withE(), 4);
});

test("a driver's relay serves both families: all Updates come under its one nonce", () => {
  const { network, relay, gateway } = withDriver();
  gateway.give(want(G));
  gateway.give(want(G6));
  gateway.give(START);
  network.run(15_000);
  assert.deepEqual(obeyed(relay), new Set([G, G6]));
  relay.news.length = 0;
  // Cycles of either family, and joins and leaves at any time between them.
  for (let change = 0; change < 200; change++) {
    network.run(17_000);
    gateway.give(want(`239.0.0.${change % 9}`, exclude()));
    gateway.give(want(`ff0e::${1 + (change % 9)}`, exclude()));
    network.run(1_000);
    gateway.give(want(`239.0.0.${change % 9}`, include()));
    if (change % 5 === 0) gateway.give({ kind: "rebound" });
  }
  const updates = relay.of("update");
  const refused = updates.filter((update) => !update.obeyed);
  // Only what is said while a Query is under way can be lost, and that Query brings it again.
  assert.ok(updates.length > 800 && refused.length < updates.length / 20, `${refused.length}`);
  assert.ok(gateway.of("quirk").some(({ quirk }) => quirk === "shared-nonce"));
  assert.ok(!gateway.of("dropped").some(({ drop }) => drop === VERDICT_PROTOCOL_MISMATCH));
});

test("a family that joins later takes the other along, so that neither loses its nonce", () => {
  for (const [first, second] of [
    [G, G6],
    [G6, G],
  ] as const) {
    const { network, relay, gateway } = withDriver();
    gateway.give(want(first));
    gateway.give(START);
    network.run(60_000);
    gateway.give(want(second));
    network.run(20_000);
    relay.news.length = 0;
    gateway.give(want("239.9.9.9", exclude()));
    gateway.give(want("ff0e::9:9", exclude()));
    network.run(3_000);
    assert.ok(relay.of("update").length >= 2);
    assert.ok(
      relay.of("update").every(({ obeyed }) => obeyed),
      `${first} first`,
    );
  }
});

test("a relay without MLD loses no IPv4 membership to the search for its P", () => {
  const { network, relay, gateway } = withDriver({}, Number.POSITIVE_INFINITY);
  gateway.give(want(G));
  gateway.give(want(G6));
  gateway.give(START);
  network.run(10_000);
  let last = network.now;
  let longest: Millis = 0;
  for (let i = 0; i < 3_000; i++) {
    relay.news.length = 0;
    network.run(1_000);
    if (relay.of("update").some(({ obeyed, groups }) => obeyed && groups.includes(G)))
      last = network.now;
    longest = Math.max(longest, network.now - last);
  }
  // Memberships last 260 s.
  assert.ok(longest < 200_000, `${longest}`);
});

test("a conforming relay that was away is asked as the RFCs say again, with E and both families", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const entropy = seededEntropy(seed);
    const {
      network,
      a: relay,
      b: gateway,
    } = new Pair(
      { machine: newRelay({ entropy }), at: RELAY },
      { machine: newGateway({ entropy, ecn: true }), at: GATEWAY },
      { seed, loss: 1 },
    );
    gateway.give(want(G));
    gateway.give(want(G6));
    gateway.give(START);
    network.run(seed * 5_000);
    network.relink({});
    network.run(130_000);
    assert.deepEqual(
      [...(relay.machine as ReturnType<typeof newRelay>).groups()].map(({ group }) => group).sort(),
      [G, G6],
    );
    gateway.sent.length = 0;
    network.run(2 * HOUR);
    const requests = gateway.sent.filter(({ octets }) => amtType(octets) === AMT_REQUEST);
    assert.deepEqual(new Set(requests.slice(-4).map(({ octets }) => octets[1])), new Set([2, 3]));
  }
});

test("IGMP in answer to a misplaced P is refused, and brings the right Request at once", () => {
  const gateway = newGateway();
  given(gateway, want(G6), 0);
  const outs = [...given(gateway, START, 0)];
  let at: Millis = 0;
  while (!saidOf(outs, "request").at(-1)!.misplacedP)
    outs.push(...given(gateway, { kind: "timeout" }, (at = gateway.deadline()!)));
  const odd = saidOf(outs, "request").at(-1)!;
  const mistaken = given(gateway, query(odd.nonce, { family: 4 }), at + 10);
  assert.equal(fate(mistaken), VERDICT_PROTOCOL_MISMATCH);
  const [right, ...more] = saidOf(mistaken, "request");
  const { nonce } = saidOf(outs, "request")[0]!;
  assert.deepEqual([right?.misplacedP, right?.family, right?.nonce], [false, 6, nonce]);
  assert.deepEqual(more, []);
  // Said twice by a relay that knows nothing but IGMP, it brings no second one.
  const again = given(gateway, query(odd.nonce, { family: 4 }), at + 20);
  assert.deepEqual(saidOf(again, "request"), []);
  const answered = given(gateway, query(nonce, { family: 6 }), at + 30);
  assert.deepEqual(recordsOf(answered), [`is-in ${G6} ${S6}`]);
});

test("a late answer to the right form still counts after an odd one was tried", () => {
  const gateway = newGateway();
  given(gateway, want(G6), 0);
  const outs = [...given(gateway, START, 0)];
  let at: Millis = 0;
  while (!saidOf(outs, "request").at(-1)!.misplacedP)
    outs.push(...given(gateway, { kind: "timeout" }, (at = gateway.deadline()!)));
  const [first] = saidOf(outs, "request");
  const answered = given(gateway, query(first!.nonce, { family: 6 }), at + 10);
  assert.deepEqual(recordsOf(answered), [`is-in ${G6} ${S6}`]);
});

test("G and L at the driver's positions are reserved bits: nothing is read from them", () => {
  const gateway = newGateway();
  given(gateway, want(G), 0);
  const [request] = saidOf(given(gateway, START, 0), "request");
  const input = query(request!.nonce, { gateway: null });
  assert.ok(input.kind === "datagram");
  const octets = Uint8Array.of(...input.octets, ...new Uint8Array(18).fill(7));
  octets[AMT_QUERY_FLAGS]! |= AMT_QUERY_MISPLACED;
  const outs = given(gateway, { ...input, octets }, 0);
  assert.deepEqual(recordsOf(outs), [`is-in ${G} ${S}`]);
  assert.deepEqual(only(outs, "quirk"), [{ kind: "quirk", quirk: "misplaced-flags" }]);
  assert.deepEqual(saidOf(given(gateway, { kind: "stop" }, 1), "teardown"), []);
});

test("what worked with one relay is not assumed of the next", () => {
  const forms = new RequestForms(true, true);
  const families: readonly Family[] = [4, 6];
  forms.answered(6, { ecn: false, misplacedP: true }, 0);
  assert.deepEqual(
    families.map((family) => forms.forms(family, 0, 1)),
    [[{ ecn: false, misplacedP: false }], [{ ecn: false, misplacedP: true }]],
  );
  assert.equal(forms.oneNonce, true);
  forms.forget();
  assert.equal(forms.oneNonce, false);
  assert.deepEqual(
    families.map((family) => forms.forms(family, 0, 1)),
    [[forms.right], [forms.right]],
  );
});

test("a relay that conforms but hears no first Request is not taken for one that drops E", () => {
  const gateway = newGateway({ ecn: true });
  given(gateway, want(G), 0);
  given(gateway, START, 0);
  const said = (until: Millis) =>
    saidOf(
      drive(gateway, until).map(({ out }) => out),
      "request",
    );
  const again = said(1_000);
  assert.deepEqual(
    again.map(({ ecn }) => ecn),
    [true, false],
  );
  // Its answer to the one without E overtakes the other, and bears G.
  given(gateway, query(again[1]!.nonce, { gateway: GATEWAY }), 1_010);
  const [next] = said(200_000);
  assert.equal(next?.ecn, true);
});

test("each odd Request is counted by its quirk", () => {
  const gateway: AmtGateway = newGateway({ ecn: true });
  given(gateway, want(G6), 0);
  given(gateway, START, 0);
  const outs = drive(gateway, 60_000).map(({ out }) => out);
  const odd = saidOf(outs, "request").filter(({ ecn }) => !ecn);
  assert.deepEqual(
    only(outs, "quirk").map(({ quirk }) => quirk),
    odd.map(({ misplacedP }) => (misplacedP ? "request-misplaced-p" : "request-without-e")),
  );
  const right = connected(newGateway({ ecn: true }), 0);
  assert.deepEqual(only(right, "quirk"), []);
});
