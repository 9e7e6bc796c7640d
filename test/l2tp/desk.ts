/** One end of L2TP on a desk: the real core, with ports in memory. */
import {
  ARENA_CURSOR,
  CURSOR_PORT,
  FRAME_IP,
  RX_CAPACITY,
  STAGE_CONTROL,
  STAGE_DEVICE,
  STAGE_EGRESS,
  STAGE_RECEIVED,
} from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import type { Endpoint } from "../../src/core/address.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { CommandWriter, PuntReader, readLedger } from "../../src/engine/arena.ts";
import { compileCore, createArena, startCore, type Core } from "../../src/engine/core.ts";
import {
  prepareHeader,
  readSession,
  type HeaderPlan,
  type SessionCounters,
  type SessionKey,
  type SessionPlan,
} from "../../src/engine/session.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import { ArenaMessages, type Arrival, type Departure } from "../../src/ports/messages.ts";
import { viewArena } from "../../src/ports/port.ts";

const BASE = 0x7f12_3456_7000;
const entropy: Entropy = { u32: () => 0x1234_5678, fraction: () => 0.5 };
const NOTHING = new Uint8Array(0);

/** The number of the port that is the socket. */
export const SOCKET = 1;

/** A frame that came out of a device. */
export interface Delivered {
  readonly port: number;
  readonly octets: Uint8Array;
}

/** The plan of an ordinary Ethernet session; `header` is what matters of the one that is sent. */
export function planOf(
  device: number,
  header: Partial<HeaderPlan> & { readonly id: number },
  plan: Partial<SessionPlan> = {},
): SessionPlan {
  return {
    pseudowire: l2tp.PW_ETHERNET,
    device,
    cookie: NOTHING,
    sublayer: l2tp.SUBLAYER_NONE,
    sequence: "accept",
    hold: 0,
    restartAfter: 16,
    header: prepareHeader({
      version: 3,
      udp: true,
      cookie: NOTHING,
      sublayer: l2tp.SUBLAYER_NONE,
      ...header,
    }),
    numbered: false,
    frameMax: 65_000,
    segmentMax: 0,
    trafficClass: 0,
    inheritDscp: false,
    inheritEcn: false,
    ...plan,
  };
}

export class Desk {
  readonly arena = createArena();
  readonly core: Core;
  readonly commands: CommandWriter;
  readonly punts: PuntReader;
  readonly #messages: ArenaMessages;
  readonly #words: Uint32Array;
  #now = 1_000;

  constructor(kind = l2tp.PORT_UDP, simd = true) {
    this.core = startCore(compileCore({ simd }).module, this.arena, BASE, entropy);
    this.commands = new CommandWriter(this.arena, () => undefined);
    this.punts = new PuntReader(this.arena);
    this.#messages = new ArenaMessages(viewArena(this.arena, BASE));
    this.#words = new Uint32Array(this.arena.buffer);
    for (const region of [0, 1]) this.core.rxPrepare(regionAddress(region), FRAME_IP);
    this.port(SOCKET, kind);
  }

  port(number: number, kind: number): void {
    this.commands.port(number, kind);
    this.apply();
  }

  session(number: number, key: SessionKey, plan: SessionPlan): void {
    this.commands.sessionAdd(number, key, plan);
    this.apply();
  }

  apply(): void {
    do {
      this.commands.flush();
      this.core.applyCommands(4_096);
    } while (this.commands.backlog > 0);
  }

  counters(number: number): SessionCounters {
    const counters = readSession(this.arena, number);
    if (!counters) throw new Error(`no session ${number}`);
    return counters;
  }

  /** What the device `port` gave, as datagrams for the tunnel, and the messages they leave in. */
  send(port: number, frames: readonly Uint8Array[], vnet?: Uint8Array): Departure[][] {
    const sent: Departure[][] = [];
    for (let at = 0; at < frames.length; at += RX_CAPACITY) {
      const some = frames.slice(at, at + RX_CAPACITY);
      for (const [i, frame] of some.entries()) {
        const octets = vnet ? Buffer.concat([vnet, frame]) : frame;
        this.#messages.put(regionAddress(1), i, vnet ? VNET_LENGTH : 0, { octets });
      }
      this.core.l2tpSend(regionAddress(1), some.length, port, this.#now);
      this.#fill(
        () => this.core.l2tpSendFill(),
        (i) => sent.push(this.#messages.take(i)),
      );
    }
    return sent;
  }

  /** What comes out of devices when these datagrams arrive. */
  receive(arrivals: readonly Arrival[]): Delivered[] {
    const delivered: Delivered[] = [];
    for (let at = 0; at < arrivals.length; at += RX_CAPACITY) {
      const some = arrivals.slice(at, at + RX_CAPACITY);
      for (const [i, arrival] of some.entries())
        this.#messages.put(regionAddress(0), i, 0, arrival);
      this.core.l2tpReceive(regionAddress(0), some.length, SOCKET, this.#now);
      this.#deliver(delivered);
    }
    return delivered;
  }

  /** What comes out of devices once this time has passed. */
  wait(millis: number): Delivered[] {
    this.#now += millis;
    const delivered: Delivered[] = [];
    this.core.l2tpExpire(this.#now);
    this.#deliver(delivered);
    return delivered;
  }

  /** Packets of a stage with this verdict, or STAGE_RECEIVED. */
  count(stage: number, verdict: number): number {
    return readLedger(this.arena).stages[stage]![verdict]!;
  }

  /** Packets in less those that went on, were punted or dropped; held ones have gone on. */
  unaccounted(stage: number): number {
    const counts = readLedger(this.arena).stages[stage]!;
    const all = counts.reduce((sum, count) => sum + count, 0) - counts[STAGE_RECEIVED]!;
    return counts[STAGE_RECEIVED]! - all;
  }

  /** All stages' `unaccounted`. */
  get books(): number[] {
    return [STAGE_CONTROL, STAGE_DEVICE, STAGE_EGRESS].map((stage) => this.unaccounted(stage));
  }

  #deliver(delivered: Delivered[]): void {
    this.#fill(
      () => this.core.l2tpReceiveFill(),
      (i, port) => delivered.push({ port, octets: this.#messages.gather(i) }),
    );
  }

  #fill(fill: () => number, take: (i: number, port: number) => void): void {
    for (let count = fill(); count > 0; count = fill()) {
      const port = this.#words[(ARENA_CURSOR + CURSOR_PORT) >> 2]!;
      for (let i = 0; i < count; i++) take(i, port);
      this.core.sent(0, count);
    }
  }
}

/** Datagrams as they arrive from this endpoint. */
export function arrive(from: Endpoint, sent: readonly Departure[]): Arrival[] {
  return sent.map(({ octets }) => ({ octets, from }));
}
