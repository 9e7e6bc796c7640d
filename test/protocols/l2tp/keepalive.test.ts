import assert from "node:assert/strict";
import { test } from "node:test";
import type { Millis } from "../../../src/core/machine.ts";
import { Keepalive, type KeepaliveOutput } from "../../../src/protocols/l2tp/keepalive.ts";
import {
  MESSAGE_ACK,
  MESSAGE_HELLO,
  parseL2tpControl,
  type L2tpControl,
} from "../../../src/wire/l2tp-control.ts";

const entropy = { u32: () => 0, fraction: () => 0 };

/** One end on virtual time. */
class End {
  heard = 0;
  readonly machine: Keepalive;
  constructor(version: 2 | 3, interval: Millis | undefined, retries?: number) {
    this.machine = new Keepalive({
      version,
      peerConnection: 7,
      interval,
      retries,
      heard: () => this.heard,
      entropy,
    });
    this.machine.handle({ kind: "start" }, 0);
  }

  /** Turns time to `until`; what came out, and when. */
  run(until: Millis): { at: Millis; out: KeepaliveOutput }[] {
    const outs: { at: Millis; out: KeepaliveOutput }[] = [];
    for (let at = this.machine.deadline(); at !== undefined && at <= until;) {
      this.machine.handle({ kind: "timeout" }, at);
      for (const out of this.drain()) outs.push({ at, out });
      at = this.machine.deadline();
    }
    return outs;
  }

  take(message: Partial<L2tpControl>, now: Millis): KeepaliveOutput[] {
    const whole = { version: 3, connection: 1, ns: 0, nr: 0, type: undefined, ...message } as const;
    this.machine.handle({ kind: "message", message: whole }, now);
    return this.drain();
  }

  drain(): KeepaliveOutput[] {
    const outs: KeepaliveOutput[] = [];
    for (let out = this.machine.poll(); out; out = this.machine.poll()) outs.push(out);
    return outs;
  }
}

function sent(out: KeepaliveOutput | undefined): L2tpControl {
  assert.equal(out?.kind, "send");
  const parsed = parseL2tpControl(out.octets);
  assert.ok("message" in parsed);
  return parsed.message;
}

test("a silent peer is asked, ever more slowly, and is dead after ten repetitions (RFC 3931 §4.2, §4.4)", () => {
  const end = new End(3, 60_000);
  const outs = end.run(200_000);
  const hellos = outs.filter(({ out }) => out.kind === "send").map(({ at }) => at - 60_000);
  assert.deepEqual(hellos.slice(0, 8), [0, 1_000, 3_000, 7_000, 15_000, 23_000, 31_000, 39_000]);
  const dead = outs.filter(({ out }) => out.kind === "dead");
  assert.equal(dead.length, 1);
  assert.equal(dead[0]!.at, 60_000 + 71_000);
  assert.equal(end.machine.alive, false);
  assert.ok(
    new Set(outs.flatMap(({ out }) => (out.kind === "send" ? [sent(out).ns] : []))).size === 1,
  );
});

test("version 2 gives up after five repetitions (RFC 2661 §5.8)", () => {
  const dead = new End(2, 60_000).run(200_000).find(({ out }) => out.kind === "dead");
  assert.equal(dead?.at, 60_000 + 31_000);
});

test("an acknowledgement ends the question, and data is a sign of life (RFC 3931 §4.4)", () => {
  const end = new End(3, 10_000);
  assert.equal(sent(end.run(10_000)[0]?.out).type, MESSAGE_HELLO);
  assert.deepEqual(end.take({ type: MESSAGE_ACK, nr: 1 }, 10_005), []);
  assert.equal(end.machine.deadline(), 20_005);
  end.heard++;
  assert.deepEqual(end.run(20_005), [], "data came, so nothing is asked");
  assert.equal(sent(end.run(30_005)[0]?.out).ns, 1);
});

test("a HELLO is acknowledged with any number, for its sender may have started anew", () => {
  const end = new End(3, undefined);
  for (const ns of [0, 1, 0, 65_535]) {
    const [out] = end.take({ type: MESSAGE_HELLO, ns }, 1);
    const { type, nr } = sent(out);
    assert.deepEqual([type, nr], [MESSAGE_ACK, (ns + 1) % 65_536]);
  }
  assert.equal(end.machine.deadline(), undefined, "without an interval nobody is asked");
});

test("a peer that expects another number is asked again with that one", () => {
  const end = new End(3, 10_000);
  end.run(10_000);
  assert.equal(sent(end.take({ type: MESSAGE_ACK, nr: 57 }, 10_001)[0]).ns, 57);
  end.take({ type: MESSAGE_ACK, nr: 58 }, 10_002);
  assert.equal(end.machine.deadline(), 20_002);
});

test("a dead peer is asked on, and lives once it answers", () => {
  const end = new End(3, 1_000, 1);
  end.run(60_000);
  assert.equal(end.machine.alive, false);
  const at = end.machine.deadline()!;
  end.run(at);
  const outs = end.take({ type: MESSAGE_ACK, nr: 1 }, at + 1);
  assert.deepEqual(outs, [{ kind: "alive" }]);
  assert.equal(end.machine.alive, true);
});
