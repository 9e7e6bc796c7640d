/**
 * A lane's loop: when a port is readable, take a batch, run the core over it, send what the core
 * made, apply commands, and come back. It runs in a Worker over real ports (`worker.ts`) and on a
 * desk over memory ports, alike.
 *
 * Reading stops while the outlet takes no more: what has been read is sent first, in order.
 */
import {
  ARENA_COMMANDS,
  ARENA_CONFIG,
  ARENA_PUNTS,
  CONFIG_SEGMENTS,
  RING_DOORBELL,
  RING_HEAD,
  RING_TAIL,
  RX_CAPACITY,
  TALLY_BACK_PRESSURE,
  TALLY_RECEIVED_MESSAGES,
  TALLY_RECEIVE_CALLS,
} from "../../assembly/layout/arena.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { BugError } from "../core/errors.ts";
import type { Core } from "../engine/core.ts";
import * as errno from "../os/errno.ts";
import { osError } from "../os/errno.ts";
import type { Port, Readiness } from "../ports/port.ts";

/** Batches taken from one port before the others get their turn. */
const ROUNDS = 4;

/** Commands applied between two batches, so that a long list of them does not hold packets up. */
const COMMANDS_AT_ONCE = 256;

/** What a lane does with the packets of one port. */
export interface Stage {
  readonly port: Port;
  /** The port's receive region. */
  readonly region: number;
  /** Runs the core over the first `messages` messages of the region. */
  begin(messages: number): void;
  /** Writes what is to be sent to the transmit region; 0 when done. Absent: nothing is sent. */
  readonly fill?: () => number;
}

export class Lane {
  readonly #core: Core;
  readonly #words: Int32Array;
  readonly #stages: readonly Stage[];
  readonly #outlet: Port | undefined;
  readonly #doorbell: () => void;
  readonly #failed: (error: Error) => void;
  /** Messages of each region's last batch, whose headers must be set up again. */
  readonly #used: Map<number, number>;
  /** The stage whose batch is not all sent yet. */
  #filling: Stage | undefined;
  /** The transmit region's messages that wait: from `#first`, `#pending` of them. */
  #first = 0;
  #pending = 0;

  /**
   * `outlet` is where all stages send. `doorbell` is called when the control thread must look at
   * the punt ring; `failed` when the lane can't go on.
   */
  constructor(
    core: Core,
    arena: WebAssembly.Memory,
    stages: readonly Stage[],
    outlet: Port | undefined,
    doorbell: () => void,
    failed: (error: Error) => void,
  ) {
    this.#core = core;
    this.#words = new Int32Array(arena.buffer);
    this.#stages = stages;
    this.#outlet = outlet;
    this.#doorbell = doorbell;
    this.#failed = failed;
    this.#used = new Map(stages.map(({ region }) => [region, 0]));
  }

  /** False while a batch waits for the outlet. */
  get idle(): boolean {
    return !this.#filling;
  }

  /** Begins to wait on all ports. */
  start(): void {
    const ports = new Set(this.#stages.map((stage) => stage.port));
    if (this.#outlet) ports.add(this.#outlet);
    for (const port of ports)
      port.watch((ready) => {
        try {
          this.#ready(port, ready);
        } catch (error) {
          this.#failed(error as Error);
        }
      });
    this.#want(true);
  }

  /** Ends all waiting. */
  close(): void {
    for (const stage of this.#stages) stage.port.close();
    this.#outlet?.close();
  }

  /** Ends all waiting; what is still queued is counted as dropped. */
  stop(): void {
    this.close();
    while (this.#filling) {
      this.#core.unsent(this.#first, this.#pending, verdict.VERDICT_STOPPED);
      this.#pending = 0;
      this.#refill();
    }
  }

  /** Applies waiting commands, unless a batch is under way: then they follow it. */
  commands(): void {
    if (this.#filling) return;
    Atomics.store(this.#words, (ARENA_COMMANDS + RING_DOORBELL) >> 2, 0);
    try {
      this.#applySome();
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  /**
   * Takes batches from a stage's port until it has no more or has had its turn. False while the
   * outlet is full, and nothing is taken.
   */
  pump(stage: Stage): boolean {
    for (let round = 0; round < ROUNDS && !this.#filling; round++) {
      this.#core.rxArm(stage.region, this.#used.get(stage.region)!);
      const count = stage.port.receive();
      this.#used.set(stage.region, Math.max(count, 0));
      if (count <= 0) {
        if (count < 0) this.#receiveFailed(-count);
        return true;
      }
      this.#core.tally(TALLY_RECEIVE_CALLS, 1);
      this.#core.tally(TALLY_RECEIVED_MESSAGES, count);
      stage.begin(count);
      if (stage.fill) {
        this.#filling = stage;
        this.#drain();
      }
      this.#ring();
      if (!this.#filling) this.#applySome();
      if (count < RX_CAPACITY) break;
    }
    return !this.#filling;
  }

  #ready(port: Port, ready: Readiness): void {
    if (ready.writable && port === this.#outlet && this.#filling) {
      this.#drain();
      this.#ring();
      if (this.#filling) return;
      this.#want(true);
      this.commands(); // also those that were told of in the meantime
    }
    if (!ready.readable || this.#filling) return;
    for (const stage of this.#stages) if (stage.port === port) this.pump(stage);
    if (this.#filling) this.#want(false);
  }

  /** Waits for packets, or, while the outlet is full, for its room alone. */
  #want(reading: boolean): void {
    for (const stage of this.#stages)
      stage.port.want(reading, !reading && stage.port === this.#outlet);
    if (this.#outlet && !this.#stages.some((stage) => stage.port === this.#outlet))
      this.#outlet.want(false, !reading);
  }

  /** Sends what the core makes of the batch under way, until all is sent or the outlet is full. */
  #drain(): void {
    while (this.#filling) {
      while (this.#pending > 0) {
        const taken = this.#outlet!.send(this.#first, this.#pending);
        if (taken === -errno.EAGAIN || taken === 0) {
          this.#core.tally(TALLY_BACK_PRESSURE, 1);
          return;
        }
        if (taken === -errno.EINTR) continue;
        if (taken === -errno.EPIPE) throw osError("write", errno.EPIPE, "to a reader that is gone");
        if (taken === -errno.EIO) this.#singly();
        const done = taken > 0 ? taken : 1;
        if (taken > 0) this.#core.sent(this.#first, taken);
        else this.#core.unsent(this.#first, 1, sendVerdict(-taken));
        this.#first += done;
        this.#pending -= done;
      }
      this.#refill();
    }
  }

  /**
   * A device that computes no checksums makes the kernel refuse trains with EIO, whatever the
   * socket promised: from now on every datagram is a message of its own.
   */
  #singly(): void {
    this.#words[(ARENA_CONFIG + CONFIG_SEGMENTS) >> 2] = 1;
  }

  #refill(): void {
    this.#first = 0;
    this.#pending = this.#filling?.fill?.() ?? 0;
    if (this.#pending === 0) this.#filling = undefined;
  }

  #applySome(): void {
    const applied = this.#core.applyCommands(COMMANDS_AT_ONCE);
    if (applied < 0) throw new BugError("the arena has no memory left for the lane's tables");
    const waiting =
      this.#words[(ARENA_COMMANDS + RING_TAIL) >> 2] !==
      this.#words[(ARENA_COMMANDS + RING_HEAD) >> 2];
    if (waiting && applied === COMMANDS_AT_ONCE) setImmediate(() => this.commands());
  }

  /** Tells the control thread about new punts, once until it has looked. */
  #ring(): void {
    if (this.#words[(ARENA_PUNTS + RING_TAIL) >> 2] === this.#words[(ARENA_PUNTS + RING_HEAD) >> 2])
      return;
    if (Atomics.exchange(this.#words, (ARENA_PUNTS + RING_DOORBELL) >> 2, 1) === 0)
      this.#doorbell();
  }

  /** An error of a socket, such as a forwarded ICMP, is news about a peer; others are fatal. */
  #receiveFailed(number: number): void {
    if (PASSING.has(number)) return;
    throw osError("receive", number, "on a lane's port");
  }
}

/** Errors of a receiving call after which the next call may do well. */
const PASSING: ReadonlySet<number> = new Set([
  errno.EINTR,
  errno.ECONNREFUSED,
  errno.EHOSTUNREACH,
  errno.ENETUNREACH,
  errno.ENETDOWN,
  errno.ENOBUFS,
]);

const SEND_VERDICTS: Readonly<Record<number, number>> = {
  [errno.ECONNREFUSED]: verdict.VERDICT_SEND_REFUSED,
  [errno.EPERM]: verdict.VERDICT_SEND_DENIED,
  [errno.EACCES]: verdict.VERDICT_SEND_DENIED,
  [errno.EMSGSIZE]: verdict.VERDICT_SEND_TOO_BIG,
  [errno.ENETUNREACH]: verdict.VERDICT_SEND_UNREACHABLE,
  [errno.EHOSTUNREACH]: verdict.VERDICT_SEND_UNREACHABLE,
  [errno.ENETDOWN]: verdict.VERDICT_SEND_UNREACHABLE,
  [errno.ENOBUFS]: verdict.VERDICT_SEND_NO_BUFFER,
  [errno.ENOMEM]: verdict.VERDICT_SEND_NO_BUFFER,
};

/** The verdict on a message that the kernel refused with this errno. */
export function sendVerdict(number: number): number {
  return SEND_VERDICTS[number] ?? verdict.VERDICT_SEND_FAILED;
}
