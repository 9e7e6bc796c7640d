/**
 * Whether the peer of a tunnel without a control protocol is alive: HELLO and its acknowledgement,
 * delivered reliably (RFC 2661 §5.5, §5.8; RFC 3931 §4.2, §4.4). Read §4.2 first.
 *
 * Nobody has set the connection up, so either end may start anew while the other goes on: a HELLO
 * says nothing but that its sender lives, and is taken with any number; and when the peer
 * acknowledges another number than ours, ours becomes the one that it expects.
 */
import { VERDICT_UNEXPECTED } from "../../../assembly/layout/verdict.ts";
import type { Entropy, Machine, Millis } from "../../core/machine.ts";
import {
  emitL2tpControl,
  MESSAGE_ACK,
  MESSAGE_HELLO,
  type L2tpControl,
} from "../../wire/l2tp-control.ts";

/** The wait before the first repetition, and the longest one (RFC 3931 §4.2). */
const FIRST_WAIT: Millis = 1_000;
const LONGEST_WAIT: Millis = 8_000;
/** Repetitions without an answer after which the peer counts as dead. */
const RETRIES = { 2: 5, 3: 10 } as const;
/** HELLOs to one peer are spread by this part of the interval (RFC 3931 §4.4). */
const JITTER = 0.1;
const NUMBERS = 0x1_0000;

export interface KeepaliveOptions {
  readonly version: 2 | 3;
  /** The peer's number of the tunnel. */
  readonly peerConnection: number;
  /** Time without a packet of the peer after which it is asked; undefined: it never is. */
  readonly interval: Millis | undefined;
  /** Repetitions before the peer counts as dead; as the RFCs have it if undefined. */
  readonly retries: number | undefined;
  /** Data packets that have come from the peer so far. */
  readonly heard: () => number;
  readonly entropy: Entropy;
}

export type KeepaliveInput =
  | { readonly kind: "start" }
  | { readonly kind: "message"; readonly message: L2tpControl }
  | { readonly kind: "timeout" };

export type KeepaliveOutput =
  | { readonly kind: "send"; readonly octets: Uint8Array }
  | { readonly kind: "alive" }
  | { readonly kind: "dead" }
  | { readonly kind: "dropped"; readonly drop: number };

/** A HELLO that is not acknowledged yet. */
interface Asked {
  readonly repeated: number;
  readonly againAt: Millis;
}

export class Keepalive implements Machine<KeepaliveInput, KeepaliveOutput> {
  readonly #options: KeepaliveOptions;
  readonly #outputs: KeepaliveOutput[] = [];
  #ns = 0;
  #nr = 0;
  #asked: Asked | undefined;
  #askAt: Millis | undefined;
  #heard = 0;
  #dead = false;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
  }

  /** False once the peer has not answered for too long, until it does. */
  get alive(): boolean {
    return !this.#dead;
  }

  handle(input: KeepaliveInput, now: Millis): void {
    switch (input.kind) {
      case "start":
        this.#heard = this.#options.heard();
        return this.#rest(now);
      case "message":
        return this.#take(input.message, now);
      case "timeout":
        return this.#look(now);
    }
  }

  poll(): KeepaliveOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): Millis | undefined {
    return this.#asked?.againAt ?? this.#askAt;
  }

  #take(message: L2tpControl, now: Millis): void {
    const { type, ns, nr } = message;
    const isAck = type === undefined || type === MESSAGE_ACK;
    if (!isAck) {
      this.#nr = (ns + 1) % NUMBERS;
      this.#send(undefined);
      // It is acknowledged, as anything that is delivered; but there is no connection to act upon.
      if (type !== MESSAGE_HELLO) this.#outputs.push({ kind: "dropped", drop: VERDICT_UNEXPECTED });
    }
    const isOurs = nr === (this.#ns + 1) % NUMBERS;
    if (this.#asked && isOurs) {
      this.#ns = nr;
      this.#asked = undefined;
    } else if (this.#asked && isAck && this.#asked.repeated === 0) {
      this.#ns = nr;
      this.#ask(1, now);
    }
    this.#sign(now);
  }

  /** The peer has given a sign of life. */
  #sign(now: Millis): void {
    if (this.#dead) {
      this.#dead = false;
      this.#outputs.push({ kind: "alive" });
    }
    if (!this.#asked) this.#rest(now);
  }

  #look(now: Millis): void {
    const heard = this.#options.heard();
    const isNews = heard !== this.#heard;
    this.#heard = heard;
    if (this.#asked) {
      if (now < this.#asked.againAt) return;
      if (isNews) {
        this.#asked = undefined;
        return this.#sign(now);
      }
      return this.#repeat(this.#asked.repeated + 1, now);
    }
    if (this.#askAt === undefined || now < this.#askAt) return;
    if (isNews) return this.#sign(now);
    this.#ask(0, now);
  }

  #repeat(repeated: number, now: Millis): void {
    const most = this.#options.retries ?? RETRIES[this.#options.version];
    if (repeated > most && !this.#dead) {
      this.#dead = true;
      this.#outputs.push({ kind: "dead" });
    }
    // A dead peer is asked on, at the longest wait.
    this.#ask(repeated, now);
  }

  #ask(repeated: number, now: Millis): void {
    const wait = Math.min(FIRST_WAIT * 2 ** Math.min(repeated, 16), LONGEST_WAIT);
    this.#asked = { repeated, againAt: now + wait };
    this.#askAt = undefined;
    this.#send(MESSAGE_HELLO);
  }

  /** Waits for the interval before the peer is asked again. */
  #rest(now: Millis): void {
    const { interval, entropy } = this.#options;
    if (interval === undefined) return;
    this.#askAt = now + interval * (1 - JITTER * entropy.fraction());
  }

  #send(type: number | undefined): void {
    const { version, peerConnection: connection } = this.#options;
    // Version 3 has a message of its own for it (RFC 3931 §3.1), version 2 an empty one.
    const told = type ?? (version === 3 ? MESSAGE_ACK : undefined);
    const octets = emitL2tpControl({ version, connection, ns: this.#ns, nr: this.#nr, type: told });
    this.#outputs.push({ kind: "send", octets });
  }
}
