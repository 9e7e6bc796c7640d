/**
 * Forged and mutated datagrams and frames against sessions that are at work, in both builds of the
 * core: `node dist/test/l2tp/flood.js 1000000 [seed]` prints what became of them.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { STAGE_CONTROL, STAGE_DEVICE } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { VERDICT_FORWARDED, VERDICT_PUNTED } from "../../assembly/layout/verdict.ts";
import { verdictName } from "../../src/core/drops.ts";
import { readLedger } from "../../src/engine/arena.ts";
import type { Arrival } from "../../src/ports/messages.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { arrive, Desk, planOf, SOCKET } from "./desk.ts";

const A = { address: "192.0.2.1", port: 1701 };
const B = { address: "192.0.2.2", port: 1701 };
const COOKIE = Buffer.from("0123456789abcdef", "hex");

/** The sessions at work: one of every kind of header. */
const SESSIONS = [
  { version: 3, id: 0x10, cookie: 8, sublayer: l2tp.SUBLAYER_DEFAULT, numbered: true },
  { version: 3, id: 0x11, cookie: 4, sublayer: l2tp.SUBLAYER_NONE, numbered: false },
  { version: 3, id: 0x12, cookie: 8, sublayer: l2tp.SUBLAYER_ATM, numbered: true },
  { version: 2, id: 0x0013_0001, cookie: 0, sublayer: l2tp.SUBLAYER_NONE, numbered: true },
] as const;

/** The device of session number `i`. */
const deviceOf = (i: number): number => 2 + i;

function end(simd: boolean, peer: typeof A): Desk {
  const desk = new Desk(l2tp.PORT_UDP, simd);
  for (const [i, { version, id, cookie, sublayer, numbered }] of SESSIONS.entries()) {
    desk.port(deviceOf(i), l2tp.PORT_MARKED);
    const header = { version, id, sublayer, cookie: COOKIE.subarray(0, cookie), numbers: numbered };
    const plan = {
      pseudowire: sublayer === l2tp.SUBLAYER_ATM ? l2tp.PW_AAL5 : l2tp.PW_HDLC,
      cookie: COOKIE.subarray(0, cookie),
      sublayer,
      numbered,
      hold: numbered ? 5 : 0,
      frameMax: 60_000,
    };
    desk.session(i, { port: SOCKET, version, peer, id }, planOf(deviceOf(i), header, plan));
  }
  return desk;
}

export interface Flooded {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly delivered: number;
}

/** Sends `count` hostile datagrams and as many frames, with honest ones among them. */
export function flood(count: number, seed: number): Flooded {
  const random = new SeededEntropy(seed);
  const sender = end(true, B);
  const targets = [end(true, A), end(false, A)];
  const sizes = targets.map(({ arena }) => arena.buffer.byteLength);
  const mark = Buffer.alloc(4);
  let serial = 0;
  let delivered = 0;
  for (let done = 0; done < count;) {
    const session = random.below(SESSIONS.length);
    const frame = Buffer.alloc(4 + 20 + random.below(60));
    frame.writeUInt32BE(++serial, 4);
    const genuine = sender.send(deviceOf(session), [frame]).flat();
    const hostile: Arrival[] = [];
    for (let i = random.below(60); i >= 0; i--) hostile.push(forge(random, genuine[0]!.octets));
    done += hostile.length;
    const arrivals = [...hostile, ...arrive(A, genuine)];
    const pause = random.below(2) * 10;
    const [one, other] = targets.map((target) => {
      const out = target.receive(arrivals);
      out.push(...target.wait(pause));
      while (target.punts.next()) target.punts.answer();
      return out;
    });
    // Both builds do the same, and what was sent honestly comes out.
    assert.deepEqual(one, other);
    delivered += one!.length;
    const came = one!.some(
      ({ octets }) => octets.length > 8 && Buffer.from(octets).readUInt32BE(4) === serial,
    );
    const sent = SESSIONS[session]!.numbered;
    assert.ok(came || sent, "an unnumbered session lost a packet to a flood");
    const frames = hostile.map(({ octets }) =>
      random.below(2) ? octets : Buffer.concat([mark, octets]),
    );
    for (const target of targets) target.send(deviceOf(session), frames);
  }
  for (const [i, target] of targets.entries()) {
    assert.deepEqual(target.books, [0, 0, 0]);
    target.wait(1_000);
    assert.equal(target.core.l2tpHeld(), 0);
    assert.equal(target.arena.buffer.byteLength, sizes[i], "the arena grew");
  }
  const { stages } = readLedger(targets[0]!.arena);
  const outcomes: Record<string, number> = {};
  for (const stage of [STAGE_CONTROL, STAGE_DEVICE])
    for (const [verdict, packets] of stages[stage]!.slice(0, 127).entries())
      if (packets > 0)
        outcomes[`${stage === STAGE_CONTROL ? "socket" : "device"} ${nameOf(verdict)}`] = packets;
  return { outcomes, delivered };
}

function nameOf(verdict: number): string {
  if (verdict === VERDICT_FORWARDED) return "forwarded";
  return verdict === VERDICT_PUNTED ? "punted" : verdictName(verdict);
}

/** A datagram that somebody sends who should not. */
function forge(random: SeededEntropy, genuine: Uint8Array): Arrival {
  const kind = random.below(5);
  let octets = Uint8Array.from(genuine);
  // A wrong cookie, identifier, version, length, sublayer: the first 24 octets hold them all.
  if (kind === 0) octets[random.below(Math.min(24, octets.length))]! ^= 1 + random.below(255);
  if (kind === 1) octets = octets.slice(0, random.below(octets.length));
  if (kind === 2) octets = Uint8Array.from({ length: random.below(100) }, () => random.below(256));
  if (kind === 3) {
    const word = random.pick([0x0003, 0x0002, 0xc803, 0xc802, 0x4a02, 0x0004, 0x8003]);
    octets.set([word >> 8, word & 0xff]);
  }
  const from =
    kind === 4
      ? { address: `198.51.${random.below(256)}.${random.below(256)}`, port: random.below(65_536) }
      : A;
  const segment = random.below(8) === 0 ? 1 + random.below(octets.length + 1) : undefined;
  return segment === undefined ? { octets, from } : { octets, from, segment };
}

const [count, seed = "1"] = process.argv.slice(2);
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href && count !== undefined)
  console.log(JSON.stringify(flood(Number(count), Number(seed)), null, 2));
