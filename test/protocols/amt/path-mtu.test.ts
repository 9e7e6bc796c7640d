import assert from "node:assert/strict";
import { test } from "node:test";
import { VERDICT_UNEXPECTED, VERDICT_UNKNOWN_TUNNEL } from "../../../assembly/layout/verdict.ts";
import type { Endpoint } from "../../../src/core/address.ts";
import type { AmtRelay, RelayInput } from "../../../src/protocols/amt/relay.ts";
import { emitTeardown } from "../../../src/wire/amt.ts";
import { amtData, udpDatagram } from "../../lanes/packets.ts";
import {
  ANYCAST,
  G,
  GATEWAY,
  OTHER,
  RELAY,
  S,
  T,
  datagram,
  drive,
  fate,
  given,
  newRelay,
  only,
  proven,
  record,
  report,
} from "./rig.ts";

const LEAST = { 4: 576, 6: 1_280 };
const DATA = Uint8Array.of(6, 0, 0x45);
const GATEWAY_6: Endpoint = { address: "2001:db8:6::5", port: 40_123 };
const RELAY_6: Endpoint = { address: "2001:db8:5::10", port: 2268 };

function tooBig(mtu: number, more: Partial<Extract<RelayInput, { kind: "too-big" }>> = {}) {
  return { kind: "too-big", gateway: GATEWAY, local: RELAY, mtu, payload: DATA, ...more } as const;
}

/** A relay with a tunnel to each of these gateways, which renew it until `until`. */
function served(gateways: readonly Endpoint[] = [GATEWAY], to = RELAY): AmtRelay {
  const relay = newRelay({ leastPathMtu: LEAST });
  for (const from of gateways) renew(relay, 0, from, to);
  return relay;
}

function renew(relay: AmtRelay, now: number, from = GATEWAY, to = RELAY): void {
  const octets = report(proven(relay, now, { from }), record("allow", G, S));
  assert.equal(fate(given(relay, datagram(octets, from, to), now)), "accepted");
}

const mtus = (outs: readonly object[]) =>
  only(outs as Parameters<typeof only>[0], "tunnel-up" as never).map(
    (out) => (out as { pathMtu?: number }).pathMtu,
  );

test("a router's word of a path MTU is for the tunnel that its message quotes (RFC 7450 §5.3.3.6.1)", () => {
  const relay = served([GATEWAY, OTHER]);
  const outs = given(relay, tooBig(1_400), 0);
  const ups = only(outs, "tunnel-up");
  assert.deepEqual(ups, [
    { kind: "tunnel-up", tunnel: 0, gateway: GATEWAY, local: RELAY, ecn: false, pathMtu: 1_400 },
  ]);
  assert.deepEqual(only(outs, "path-mtu"), [{ kind: "path-mtu", change: "reduced" }]);
  assert.deepEqual(mtus([...relay.replay()]), [1_400, undefined]);
  assert.deepEqual(
    Array.from(relay.tunnels(), ({ pathMtu }) => pathMtu),
    [1_400, undefined],
  );
});

test("it is believed only about data of a live tunnel, from where that data leaves", () => {
  for (const [input, drop] of [
    [tooBig(1_400, { gateway: OTHER }), VERDICT_UNKNOWN_TUNNEL],
    [tooBig(1_400, { gateway: { ...GATEWAY, port: 1 } }), VERDICT_UNKNOWN_TUNNEL],
    [tooBig(1_400, { local: ANYCAST }), VERDICT_UNKNOWN_TUNNEL],
    [tooBig(1_400, { payload: Uint8Array.of(4, 0) }), VERDICT_UNEXPECTED],
  ] as const) {
    const relay = served();
    assert.equal(fate(given(relay, input, 0)), drop);
    assert.deepEqual(mtus([...relay.replay()]), [undefined]);
  }
  for (const [source, believed] of [
    [S, true],
    [T, false],
  ] as const) {
    const quoted = udpDatagram({ source, group: G, payload: new Uint8Array(9) });
    const outs = given(served(), tooBig(1_400, { payload: amtData(quoted) }), 0);
    assert.deepEqual(mtus(outs), believed ? [1_400] : [], "of what the tunnel gets alone");
  }
  // Eight octets of the quoted packet, which end with the UDP header, are all that some send.
  assert.deepEqual(mtus(given(served(), tooBig(1_400, { payload: new Uint8Array() }), 0)), [1_400]);
});

test("no message brings a tunnel below the floor, over IPv6 1,280 (RFC 7450 §5.3.3.6.1, RFC 8201 §4)", () => {
  assert.deepEqual(mtus(given(served(), tooBig(68), 0)), [576]);
  const relay = served([GATEWAY_6], RELAY_6);
  assert.deepEqual(
    mtus(given(relay, tooBig(0, { gateway: GATEWAY_6, local: RELAY_6 }), 0)),
    [1_280],
  );
});

test("a larger MTU is not believed, a smaller one is", () => {
  const relay = served();
  given(relay, tooBig(1_400), 0);
  assert.equal(fate(given(relay, tooBig(1_401), 1)), VERDICT_UNEXPECTED);
  assert.deepEqual(given(relay, tooBig(1_400), 2), [], "the same is no news");
  assert.deepEqual(mtus(given(relay, tooBig(1_300), 3)), [1_300]);
});

test("ten minutes after it was last told it is forgotten (RFC 1191 §6.3)", () => {
  const relay = served();
  given(relay, tooBig(1_400), 0);
  given(relay, tooBig(1_400), 100_000);
  const outs = [];
  for (let now = 100_000; now < 800_000; now += 100_000) {
    outs.push(...drive(relay, now));
    renew(relay, now);
  }
  const forgotten = outs.filter(({ out }) => out.kind === "path-mtu");
  assert.deepEqual(forgotten, [{ at: 700_000, out: { kind: "path-mtu", change: "forgotten" } }]);
  assert.deepEqual(mtus([...relay.replay()]), [undefined]);
});

test("a tunnel that ends or moves takes its path MTU with it", () => {
  const relay = served();
  given(relay, tooBig(1_400), 0);
  const proof = proven(relay, 0);
  given(relay, datagram(emitTeardown({ ...proof, gateway: GATEWAY })), 0);
  renew(relay, 1);
  assert.deepEqual(mtus([...relay.replay()]), [undefined]);
  given(relay, tooBig(1_400), 2);
  renew(relay, 3, GATEWAY, ANYCAST);
  assert.deepEqual(mtus([...relay.replay()]), [undefined]);
  assert.deepEqual(
    drive(relay, 5_000_000).filter(({ out }) => out.kind === "path-mtu"),
    [],
  );
});

test("without a floor nothing is believed", () => {
  const relay = newRelay();
  renew(relay, 0);
  assert.equal(fate(given(relay, tooBig(1_400), 0)), VERDICT_UNEXPECTED);
});

test("the receivers of a source are known if one asks for it by name", () => {
  const relay = served([GATEWAY, OTHER]);
  assert.deepEqual([...relay.receivers(G, S)], [0, 1]);
  assert.deepEqual([...relay.receivers(G, T)], []);
  assert.deepEqual([...relay.receivers("232.9.9.9", S)], []);
  // One that excludes T makes a route for it, to those who want all but this or all: nobody named T.
  const any = newRelay();
  for (const [from, ...sources] of [[GATEWAY, T], [OTHER]] as const) {
    const octets = report(proven(any, 0, { from }), record("to-ex", "239.1.1.1", ...sources));
    assert.equal(fate(given(any, datagram(octets, from), 0)), "accepted");
  }
  assert.deepEqual([...any.receivers("239.1.1.1", T)], []);
});
