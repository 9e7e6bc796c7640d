/**
 * A node:dgram socket: it needs nothing but Node, and costs a copy and an object for each datagram.
 * Node reads the socket whenever it likes, so what has arrived waits here, in a queue with the
 * bound that a kernel's buffer would have.
 */
import type { RemoteInfo, Socket } from "node:dgram";
import type { Endpoint } from "../core/address.ts";
import { EAGAIN, EDESTADDRREQ, EINVAL, errorNumber } from "../os/errno.ts";
import { EventWatch } from "./event-watch.ts";
import { ArenaMessages, type Arrival } from "./messages.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";

/** Octets that wait to be received, at most; each datagram weighs OVERHEAD more than it has. */
const QUEUE_ROOM = 8 * 1024 * 1024;
const OVERHEAD = 512;

/** Datagrams that Node holds for sending; the messages of one call may exceed it by a train. */
const IN_FLIGHT = 256;

/** What becomes of datagrams outside of the port's calls. */
export interface DgramLosses {
  /** One arrived while the queue was full. */
  overflowed(): void;
  /** One that `send` took was refused by the system after all. */
  refused(errno: number): void;
}

export class DgramPort extends EventWatch implements Port {
  readonly #socket: Socket;
  readonly #messages: ArenaMessages;
  readonly #region: number | undefined;
  readonly #losses: DgramLosses;
  readonly #queue: Arrival[] = [];
  /** What the queue weighs. */
  #queued = 0;
  #inFlight = 0;
  /** The errno that the next `receive` tells; 0 for none. */
  #failure = 0;

  /**
   * `socket` is bound already. `region` is the receive region's address in the arena; without one,
   * what arrives is ignored.
   */
  constructor(arena: ArenaView, socket: Socket, region: number | undefined, losses: DgramLosses) {
    super();
    this.#socket = socket;
    this.#messages = new ArenaMessages(arena);
    this.#region = region;
    this.#losses = losses;
    if (region !== undefined) socket.on("message", this.#arrive);
    socket.on("error", this.#fail);
  }

  receive(most: number): number {
    const region = this.#region;
    if (region === undefined) return 0;
    const arrived = this.#queue.splice(0, most);
    for (const [i, arrival] of arrived.entries()) {
      this.#messages.put(region, i, 0, arrival);
      this.#queued -= arrival.octets.length + OVERHEAD;
    }
    if (arrived.length > 0 || this.#failure === 0) return arrived.length;
    const failure = this.#failure;
    this.#failure = 0;
    return -failure;
  }

  send(first: number, count: number): number {
    let taken = 0;
    for (; taken < count && this.#inFlight < IN_FLIGHT; taken++)
      for (const { octets, to } of this.#messages.take(first + taken)) {
        if (to === undefined) return taken > 0 ? taken : -EDESTADDRREQ;
        this.#post(octets, to);
      }
    return taken > 0 ? taken : -EAGAIN;
  }

  override close(): void {
    super.close();
    this.#socket.off("message", this.#arrive);
    this.#socket.off("error", this.#fail);
  }

  protected override readiness(): Readiness {
    return {
      readable: this.#queue.length > 0 || this.#failure !== 0,
      writable: this.#inFlight < IN_FLIGHT,
    };
  }

  readonly #arrive = (octets: Uint8Array, { address, port }: RemoteInfo): void => {
    const weight = octets.length + OVERHEAD;
    if (this.#queued + weight > QUEUE_ROOM) return this.#losses.overflowed();
    this.#queued += weight;
    // Node appends the interface of a link-local address.
    this.#queue.push({ octets, from: { address: address.split("%")[0]!, port } });
    this.stir();
  };

  readonly #fail = (error: Error): void => {
    this.#failure = errorNumber(error);
    this.stir();
  };

  #post(octets: Uint8Array, { address, port }: Endpoint): void {
    // Node throws for this one where the system answers.
    if (port === 0) return this.#losses.refused(EINVAL);
    this.#inFlight++;
    this.#socket.send(octets, port, address, (error) => {
      this.#inFlight--;
      if (error) this.#losses.refused(errorNumber(error));
      this.stir();
    });
  }
}
