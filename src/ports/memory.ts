/**
 * A port in memory, for tests and simulations: what is pushed arrives, what is sent can be taken,
 * cut into datagrams as the kernel does with UDP_SEGMENT.
 */
import { EAGAIN } from "../os/errno.ts";
import { ArenaMessages, type Arrival, type Departure } from "./messages.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";

export type { Arrival, Departure };

export class MemoryPort implements Port {
  /** What waits to be received. */
  readonly arrivals: Arrival[] = [];
  /** What was sent, oldest first. */
  readonly departures: Departure[] = [];
  /** Errnos with which the next calls of `send` are refused. */
  readonly refusals: number[] = [];
  /** Messages that `send` takes before it answers -EAGAIN. */
  room = Infinity;
  readonly #messages: ArenaMessages;
  #callback: (ready: Readiness) => void = () => {};

  /** `header` is how many octets the port puts before a packet. */
  constructor(
    readonly arena: ArenaView,
    readonly region: number,
    readonly header: number,
  ) {
    this.#messages = new ArenaMessages(arena);
  }

  receive(most: number): number {
    const count = Math.min(this.arrivals.length, most);
    for (const [i, arrival] of this.arrivals.splice(0, count).entries())
      this.#messages.put(this.region, i, this.header, arrival);
    return count;
  }

  send(first: number, count: number): number {
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return -refusal;
    if (this.room === 0) return -EAGAIN;
    const taken = Math.min(count, this.room);
    for (let i = first; i < first + taken; i++) this.departures.push(...this.#messages.take(i));
    this.room -= taken;
    return taken;
  }

  watch(callback: (ready: Readiness) => void): void {
    this.#callback = callback;
  }

  /** Tells the watcher that there is room again. */
  becomeWritable(): void {
    this.#callback({ readable: false, writable: true });
  }

  want(_readable: boolean, _writable: boolean): void {}
  close(): void {}
}
