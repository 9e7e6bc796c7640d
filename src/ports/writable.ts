/** Node's writable streams: each message of the transmit region is written as one chunk. */
import type { Writable } from "node:stream";
import { EAGAIN, EPIPE, errorNumber } from "../os/errno.ts";
import { EventWatch } from "./event-watch.ts";
import { ArenaMessages } from "./messages.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";

export class WritablePort extends EventWatch implements Port {
  protected readonly messages: ArenaMessages;
  /** Why the stream can no longer be used, as an errno; 0 while it can. */
  protected failure = 0;
  readonly #stream: Writable;
  #full = false;

  constructor(arena: ArenaView, stream: Writable) {
    super();
    this.messages = new ArenaMessages(arena);
    this.#stream = stream;
    stream.on("drain", this.#drained);
    stream.on("error", this.#failed);
    stream.on("close", this.#closed);
  }

  /** A stream here is only written to. */
  receive(_most: number): number {
    return 0;
  }

  send(first: number, count: number): number {
    if (this.failure !== 0) return -this.failure;
    if (this.#full) return -EAGAIN;
    this.#stream.cork();
    let taken = 0;
    while (taken < count && !this.#full) {
      const { buffer } = this.messages.gather(first + taken++);
      this.#full = !this.#stream.write(Buffer.from(buffer));
    }
    this.#stream.uncork();
    return taken;
  }

  /** The stream itself goes on, and belongs to whoever opened it; so do its errors from now on. */
  override close(): void {
    super.close();
    this.#stream.off("drain", this.#drained);
    this.#stream.off("error", this.#failed);
    this.#stream.off("close", this.#closed);
  }

  protected override readiness(): Readiness {
    return { readable: false, writable: !this.#full || this.failure !== 0 };
  }

  readonly #drained = (): void => {
    this.#full = false;
    this.stir();
  };

  readonly #failed = (error: Error): void => {
    this.failure = errorNumber(error);
    this.stir();
  };

  readonly #closed = (): void => {
    this.failure ||= EPIPE;
    this.stir();
  };
}
