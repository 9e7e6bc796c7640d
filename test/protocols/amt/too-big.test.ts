import assert from "node:assert/strict";
import { test } from "node:test";
import { VERDICT_ICMP_FORBIDDEN, VERDICT_RATE_LIMIT } from "../../../assembly/layout/verdict.ts";
import { TooBigNotices, type TooBigInput } from "../../../src/protocols/amt/too-big.ts";
import { emitTooBig, readHead } from "../../../src/wire/icmp.ts";
import { pattern, udpDatagram } from "../../lanes/packets.ts";
import { drive, given } from "./rig.ts";

const GROUPS = { 4: "232.1.2.3", 6: "ff3e::8000:1234" } as const;

function shown(source: string, mtu: number, payload = 1_400): TooBigInput {
  const group = GROUPS[source.includes(":") ? 6 : 4];
  const octets = udpDatagram({ source, group, payload: pattern(payload, 1) });
  return { kind: "shown", octets, head: readHead(octets)!, mtu };
}

test("a source is told the smallest MTU of the tunnels, with its own datagram (RFC 7450 §5.3.3.6.2)", () => {
  for (const [family, source] of [
    [4, "192.0.2.44"],
    [6, "2001:db8::44"],
  ] as const) {
    const input = shown(source, 1_370);
    assert.ok(input.kind === "shown");
    const octets = emitTooBig(input.octets, family, 1_370);
    assert.deepEqual(given(new TooBigNotices(), input, 0), [
      { kind: "send", octets, family, to: source },
    ]);
  }
});

test("each source is told once a second at most, however many lanes show it", () => {
  const notices = new TooBigNotices();
  const kinds = (at: number, source: string) =>
    given(notices, shown(source, 1_370), at).map(({ kind }) => kind);
  assert.deepEqual(kinds(0, "192.0.2.44"), ["send"]);
  assert.deepEqual(given(notices, shown("192.0.2.44", 1_370), 10), [
    { kind: "dropped", drop: VERDICT_RATE_LIMIT },
  ]);
  assert.deepEqual(kinds(10, "192.0.2.45"), ["send"]);
  assert.deepEqual(kinds(999, "192.0.2.44"), ["dropped"]);
  assert.deepEqual(kinds(1_000, "192.0.2.44"), ["send"]);
});

test("all sources together are told a hundred times a second, and memory has a bound", () => {
  const notices = new TooBigNotices();
  const burst = (at: number): number => {
    let sent = 0;
    for (let i = 0; i < 3_000; i++) {
      const source = `10.${at / 1_000}.${i >> 8}.${i & 255}`;
      if (given(notices, shown(source, 1_370), at)[0]!.kind === "send") sent++;
    }
    return sent;
  };
  for (let second = 0; second < 30; second++) assert.equal(burst(second * 1_000), 100);
  assert.equal(notices.size, 1_024);
});

test("a datagram that now fits, as after a change of tunnels, is no news", () => {
  assert.deepEqual(given(new TooBigNotices(), shown("192.0.2.44", 1_428), 0), []);
  assert.deepEqual(given(new TooBigNotices(), shown("192.0.2.44", Infinity), 0), []);
  assert.equal(given(new TooBigNotices(), shown("192.0.2.44", 1_427), 0).length, 1);
});

test("an IPv6 source is told no less than 1,280, and nothing where that would not help (RFC 8201 §4)", () => {
  const [told] = given(new TooBigNotices(), shown("2001:db8::44", 1_000), 0);
  assert.ok(told?.kind === "send");
  assert.equal(new DataView(told.octets.buffer).getUint32(4), 1_280);
  assert.deepEqual(given(new TooBigNotices(), shown("2001:db8::44", 1_000, 1_232), 0), []);
});

test("what ICMP must not answer is not answered (RFC 1122 §3.2.2, RFC 4443 §2.4)", () => {
  const dropped = [{ kind: "dropped", drop: VERDICT_ICMP_FORBIDDEN }];
  for (const source of ["127.0.0.1", "0.1.2.3", "255.255.255.255", "fe80::1", "::1"])
    assert.deepEqual(given(new TooBigNotices(), shown(source, 1_370), 0), dropped, source);
  const input = shown("192.0.2.44", 1_370);
  assert.ok(input.kind === "shown");
  const head = { ...input.head, unanswerable: true };
  assert.deepEqual(given(new TooBigNotices(), { ...input, head }, 0), dropped);
});

test("the data plane is asked to look again a second after it showed something, and not else", () => {
  const notices = new TooBigNotices();
  assert.equal(notices.deadline(), undefined);
  given(notices, shown("192.0.2.44", 1_370), 500);
  given(notices, { kind: "noted" }, 900);
  assert.deepEqual(drive(notices, 10_000), [{ at: 1_500, out: { kind: "look" } }]);
  given(notices, { kind: "noted" }, 20_000);
  assert.deepEqual(drive(notices, 30_000), [{ at: 21_000, out: { kind: "look" } }]);
});
