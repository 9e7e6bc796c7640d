/**
 * An object of the host program that carries whole IP packets both ways, a packet a chunk: a device
 * of a TUN package, or any Duplex. What stands before a packet is nothing (FRAME_IP).
 */
import type { Duplex } from "node:stream";
import { RX_CAPACITY } from "../../assembly/layout/arena.ts";
import { ENODEV } from "../os/errno.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";
import { WritablePort } from "./writable.ts";

/** Packets that wait here before the object is told to pause. */
const QUEUE = 4 * RX_CAPACITY;

export class DuplexPort extends WritablePort implements Port {
  readonly #duplex: Duplex;
  readonly #region: number;
  readonly #queue: Uint8Array[] = [];
  #paused = false;
  #ended = false;

  /** `region` is the receive region's address in the arena. */
  constructor(arena: ArenaView, duplex: Duplex, region: number) {
    super(arena, duplex);
    this.#duplex = duplex;
    this.#region = region;
    // A byte stream keeps its chunks apart only while it flows.
    duplex.on("data", this.#arrive);
    duplex.on("end", this.#finish);
  }

  override receive(most: number): number {
    const arrived = this.#queue.splice(0, most);
    for (const [i, octets] of arrived.entries()) this.messages.put(this.#region, i, 0, { octets });
    if (this.#paused) this.#duplex.resume();
    this.#paused = false;
    if (arrived.length > 0) return arrived.length;
    if (this.failure !== 0) return -this.failure;
    return this.#ended ? -ENODEV : 0;
  }

  override close(): void {
    super.close();
    this.#duplex.off("data", this.#arrive);
    this.#duplex.off("end", this.#finish);
  }

  protected override readiness(): Readiness {
    const ended = this.#ended || this.failure !== 0;
    return { ...super.readiness(), readable: this.#queue.length > 0 || ended };
  }

  readonly #arrive = (packet: Uint8Array): void => {
    this.#queue.push(packet);
    if (this.#queue.length >= QUEUE && !this.#paused) {
      this.#paused = true;
      this.#duplex.pause();
    }
    this.stir();
  };

  readonly #finish = (): void => {
    this.#ended = true;
    this.stir();
  };
}
