/**
 * A lane's loop: when a port is readable, take a batch, run the core over it, send what the core
 * made, apply commands, and come back. It runs in a Worker over real ports (`worker.ts`) and on a
 * desk over memory ports, alike.
 *
 * Ports have numbers, and come and go while the lane runs. What the core makes of a batch is for one
 * port at a time, which it names at CURSOR_PORT. Reading stops while that port takes no more: what
 * has been read is sent first, in order.
 */
import {
  ARENA_COMMANDS,
  ARENA_CONFIG,
  ARENA_CURSOR,
  ARENA_PUNTS,
  CONFIG_SEGMENTS,
  CURSOR_PORT,
  RING_DOORBELL,
  RING_HEAD,
  RING_TAIL,
  RX_CAPACITY,
  TALLY_BACK_PRESSURE,
  TALLY_RECEIVED_MESSAGES,
  TALLY_RECEIVE_CALLS,
  TALLY_RING_FRAMES,
} from "../../assembly/layout/arena.ts";
import * as verdict from "../../assembly/layout/verdict.ts";
import { BugError } from "../core/errors.ts";
import type { Core } from "../engine/core.ts";
import * as errno from "../os/errno.ts";
import { osError } from "../os/errno.ts";
import { EVENT_LOOP, type Waiting } from "../os/poll.ts";
import type { Port, Readiness } from "../ports/port.ts";

/** Batches taken from one port before the others get their turn. */
const ROUNDS = 4;

/** Commands applied between two batches, so that a long list of them does not hold packets up. */
const COMMANDS_AT_ONCE = 256;

/** How often what is held is looked at, in milliseconds. */
const HELD_CHECK = 1;

/** What a lane does with the packets of a port. Ports of one kind may share it. */
export interface Stage {
  /** The receive region of its ports, which other stages may share. */
  readonly region: number;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** Runs the core over the first `messages` messages of the region, from port number `port`. */
  begin(messages: number, port: number): void;
  /** Writes what is to be sent to the transmit region; 0 when done. Absent: nothing is sent. */
  readonly fill?: () => number;
  /** Hears that the system found message `first` of the transmit region too big. */
  readonly tooBig?: (first: number) => void;
}

/** Packets that the core keeps for some time, without one that arrives. */
export interface Holding {
  /** How many it keeps. */
  held(): number;
  /** Begins a batch of those that it has kept for long enough. */
  begin(): void;
  readonly fill: () => number;
}

/** What a lane tells. */
export interface LaneCalls {
  /** The control thread must look at the punt ring. */
  punts(): void;
  /** The lane can't go on. */
  failed(error: Error): void;
  /** A port can't be used any more, and is closed. Absent: then the lane can't go on. */
  lost?(port: number, reason: Error): void;
}

interface Entry {
  readonly number: number;
  readonly port: Port;
  /** Absent: the port is only sent to. */
  readonly inlet: Inlet | undefined;
}

/** What a port is read for, and by way of which region. */
interface Inlet {
  readonly stage: Stage;
  readonly region: Region;
}

/** A receive region, which ports share. */
interface Region {
  /** FRAME_*: what its headers are laid out for. */
  frame: number | undefined;
  /** Messages that came last, whose headers must be set up again. */
  used: number;
}

export class Lane {
  readonly #core: Core;
  readonly #words: Int32Array;
  readonly #calls: LaneCalls;
  readonly #holding: Holding | undefined;
  readonly #waiting: Waiting;
  readonly #ports = new Map<number, Entry>();
  /** By address. */
  readonly #regions = new Map<number, Region>();
  /** What makes the batch that is not all sent yet. */
  #filling: Pick<Stage, "fill" | "tooBig"> | undefined;
  /** The port that it came from. */
  #from: Port | undefined;
  /** The transmit region's messages that wait: from `#first`, `#pending` of them. */
  #first = 0;
  #pending = 0;
  /** The port whose room is waited for. */
  #full: Entry | undefined;
  /** Ports that have something to be read, but are not waited for until the batch is sent. */
  readonly #parked = new Set<Entry>();
  /** Cancels the next look at what is held. */
  #letLie: (() => void) | undefined;
  #closed = false;

  constructor(
    core: Core,
    arena: WebAssembly.Memory,
    calls: LaneCalls,
    holding?: Holding,
    waiting = EVENT_LOOP,
  ) {
    this.#core = core;
    this.#words = new Int32Array(arena.buffer);
    this.#calls = calls;
    this.#holding = holding;
    this.#waiting = waiting;
  }

  /** False while a batch waits for its outlet. */
  get idle(): boolean {
    return !this.#filling;
  }

  /** Takes a port, and waits for what comes from it if there is a stage for that. */
  open(number: number, port: Port, stage?: Stage): void {
    if (this.#ports.has(number)) throw new BugError(`port ${number} of a lane is open already`);
    const inlet = stage && { stage, region: this.#region(stage.region) };
    const entry: Entry = { number, port, inlet };
    port.watch((ready) => {
      try {
        this.#ready(entry, ready);
      } catch (error) {
        this.#calls.failed(error as Error);
      }
    }, this.#waiting);
    port.want(stage !== undefined, false);
    this.#ports.set(number, entry);
  }

  /** Ends the waiting on a port, if it is open; what is queued for it is counted as dropped. */
  shut(number: number): void {
    const entry = this.#ports.get(number);
    if (!entry) return;
    this.#drop(entry);
    if (this.#full !== entry) return;
    try {
      this.#resume();
    } catch (error) {
      this.#calls.failed(error as Error);
    }
  }

  /** Ends all waiting. */
  close(): void {
    for (const { port } of this.#forget()) port.close();
  }

  /** Ends all waiting; what is still queued is counted as dropped. */
  stop(): void {
    const entries = this.#forget();
    // All that is still made of a batch is dropped, while what it lies in is there.
    this.#drain();
    for (const { port } of entries) port.close();
  }

  /** Waits for nothing any more. Returns the ports that were open. */
  #forget(): Entry[] {
    this.#closed = true;
    this.#letLie?.();
    const entries = [...this.#ports.values()];
    this.#ports.clear();
    this.#parked.clear();
    return entries;
  }

  /** Applies waiting commands, unless a batch is under way: then they follow it. */
  commands(): void {
    if (this.#filling) return;
    Atomics.store(this.#words, (ARENA_COMMANDS + RING_DOORBELL) >> 2, 0);
    try {
      this.#applySome();
    } catch (error) {
      this.#calls.failed(error as Error);
    }
  }

  /**
   * Takes batches from the port of this number until it has no more or has had its turn. False while
   * an outlet is full, and nothing is taken.
   */
  pump(number: number): boolean {
    const entry = this.#ports.get(number);
    if (!entry?.inlet) throw new BugError(`port ${number} of a lane is not one to read`);
    return this.#pump(entry, entry.inlet);
  }

  #pump(entry: Entry, { stage, region }: Inlet): boolean {
    const { number, port } = entry;
    for (let round = 0; round < ROUNDS && !this.#filling; round++) {
      if (round > 0 && this.#ports.get(number) !== entry) break; // lost by the last batch
      const most = this.#arm(stage, region);
      const count = port.receive(most);
      if (count <= 0) {
        if (count < 0) this.#receiveFailed(entry, -count);
        return true;
      }
      const inRegion = port.held === undefined;
      region.used = inRegion ? count : 0;
      if (inRegion) this.#core.tally(TALLY_RECEIVE_CALLS, 1);
      else this.#core.tally(TALLY_RING_FRAMES, count);
      this.#core.tally(TALLY_RECEIVED_MESSAGES, count);
      stage.begin(count, number);
      if (stage.fill) this.#send(stage, port);
      else this.#settle();
      if (count < most && (this.#filling || !port.gather?.(count))) break;
    }
    return !this.#filling;
  }

  #region(address: number): Region {
    let region = this.#regions.get(address);
    if (!region) this.#regions.set(address, (region = { frame: undefined, used: 0 }));
    return region;
  }

  /** Lays the headers of a stage's region out for its ports. Returns how many may be received. */
  #arm(stage: Stage, region: Region): number {
    if (region.frame === stage.frame) return this.#core.rxArm(stage.region, region.used);
    this.#core.rxPrepare(stage.region, stage.frame);
    region.frame = stage.frame;
    return RX_CAPACITY;
  }

  #ready(entry: Entry, ready: Readiness): void {
    if (this.#filling) {
      // While an outlet is full, nothing else is waited for that way.
      if (ready.writable) this.#resume();
      if (this.#filling) {
        if (ready.readable) this.#park(entry);
        return;
      }
    }
    // The port may have been lost meanwhile.
    if (ready.readable && entry.inlet && this.#ports.get(entry.number) === entry)
      this.#pump(entry, entry.inlet);
  }

  /** Sends a batch that the core has begun, of what came from a port. */
  #send(batch: Pick<Stage, "fill" | "tooBig">, from?: Port): void {
    this.#filling = batch;
    this.#from = from;
    this.#drain();
    this.#settle();
  }

  /** Goes on with the batch under way. */
  #resume(): void {
    this.#drain();
    this.#ring();
    if (this.#filling) return;
    this.commands(); // also those that were told of in the meantime
    this.#lookAgain();
  }

  /** What follows a batch, all sent or not. */
  #settle(): void {
    this.#ring();
    if (this.#filling) return;
    this.#applySome();
    this.#lookAgain();
  }

  /** Stops waiting for a port that can't be read yet. */
  #park(entry: Entry): void {
    if (entry === this.#full || this.#parked.has(entry)) return;
    this.#parked.add(entry);
    entry.port.want(false, false);
  }

  /** Waits for room on a port, and for nothing else that comes from it. */
  #await(entry: Entry): void {
    if (this.#full === entry) return;
    this.#unfill();
    this.#parked.delete(entry);
    this.#full = entry;
    entry.port.want(false, true);
  }

  #unfill(): void {
    const entry = this.#full;
    this.#full = undefined;
    if (entry && this.#ports.get(entry.number) === entry)
      entry.port.want(entry.inlet !== undefined, false);
  }

  /** Waits for packets on all ports again. */
  #unpark(): void {
    if (!this.#full) return; // nothing is parked then
    this.#unfill();
    for (const { port } of this.#parked) port.want(true, false);
    this.#parked.clear();
  }

  #drop(entry: Entry): void {
    this.#ports.delete(entry.number);
    this.#parked.delete(entry);
    entry.port.close();
  }

  /** Sends what the core makes of the batch under way, until all is sent or its outlet is full. */
  #drain(): void {
    while (this.#filling) {
      while (this.#pending > 0) {
        const outlet = this.#ports.get(this.#words[(ARENA_CURSOR + CURSOR_PORT) >> 2]!);
        if (!outlet) {
          this.#core.unsent(this.#first, this.#pending, verdict.VERDICT_STOPPED);
          break;
        }
        const taken = outlet.port.send(this.#first, this.#pending);
        if (taken > 0) {
          this.#core.sent(this.#first, taken);
          this.#first += taken;
          this.#pending -= taken;
          continue;
        }
        if (taken === -errno.EAGAIN || taken === 0) {
          this.#core.tally(TALLY_BACK_PRESSURE, 1);
          this.#await(outlet);
          return;
        }
        if (taken === -errno.EINTR) continue;
        if (GONE.has(-taken)) {
          this.#lose(outlet, osError("write", -taken, "to a reader that is gone"));
          continue;
        }
        if (taken === -errno.EIO) this.#singly();
        this.#refused(-taken);
        this.#first++;
        this.#pending--;
      }
      this.#refill();
    }
    this.#unpark();
  }

  /** The system does not take the first message that waits. */
  #refused(number: number): void {
    this.#core.unsent(this.#first, 1, sendVerdict(number));
    // Some kernels call a train of datagrams that are too big invalid.
    if (number === errno.EMSGSIZE || number === errno.EINVAL) this.#filling?.tooBig?.(this.#first);
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
    if (this.#pending > 0) return;
    this.#filling = undefined;
    this.#from?.done?.();
  }

  #applySome(): void {
    if (this.#isEmpty(ARENA_COMMANDS)) return;
    const applied = this.#core.applyCommands(COMMANDS_AT_ONCE);
    if (applied < 0) throw new BugError("the arena has no memory left for the lane's tables");
    if (applied === COMMANDS_AT_ONCE && !this.#isEmpty(ARENA_COMMANDS))
      this.#waiting.soon(() => this.commands());
  }

  /** Whether nothing waits in the ring at this address. */
  #isEmpty(ring: number): boolean {
    return this.#words[(ring + RING_TAIL) >> 2] === this.#words[(ring + RING_HEAD) >> 2];
  }

  /** Tells the control thread about new punts, once until it has looked. */
  #ring(): void {
    if (this.#isEmpty(ARENA_PUNTS)) return;
    if (Atomics.exchange(this.#words, (ARENA_PUNTS + RING_DOORBELL) >> 2, 1) === 0)
      this.#calls.punts();
  }

  /** Sees to it that what the core keeps is looked at soon, while it keeps anything. */
  #lookAgain(): void {
    if (!this.#holding || this.#letLie || this.#closed || this.#holding.held() === 0) return;
    this.#letLie = this.#waiting.after(HELD_CHECK, this.#letGo);
  }

  readonly #letGo = (): void => {
    this.#letLie = undefined;
    if (this.#filling) return; // it is looked at again after that batch
    try {
      this.#holding!.begin();
      this.#send(this.#holding!);
    } catch (error) {
      this.#calls.failed(error as Error);
    }
  };

  /** An error of a socket, such as a forwarded ICMP, is news about a peer; others end the port. */
  #receiveFailed(entry: Entry, number: number): void {
    if (PASSING.has(number)) return;
    this.#lose(entry, osError("receive", number, "on a lane's port"));
  }

  #lose(entry: Entry, reason: Error): void {
    if (!this.#calls.lost) throw reason;
    this.#drop(entry);
    this.#calls.lost(entry.number, reason);
  }
}

/** Errors of a sending call after which there is nobody to send to any more. */
const GONE: ReadonlySet<number> = new Set([
  errno.EPIPE,
  errno.EBADFD,
  errno.ECONNRESET,
  errno.ENOTCONN,
]);

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
  [errno.ENXIO]: verdict.VERDICT_SEND_UNREACHABLE,
  [errno.ENOBUFS]: verdict.VERDICT_SEND_NO_BUFFER,
  [errno.ENOMEM]: verdict.VERDICT_SEND_NO_BUFFER,
};

/** The verdict on a message that the kernel refused with this errno. */
export function sendVerdict(number: number): number {
  return SEND_VERDICTS[number] ?? verdict.VERDICT_SEND_FAILED;
}
