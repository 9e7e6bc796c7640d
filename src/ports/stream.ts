/** Files, pipes and terminals: the octets of the transmit region's messages, one after another. */
import { ARENA_TX, TX_IOVECS } from "../../assembly/layout/arena.ts";
import { IOVEC_BASE, IOVEC_LENGTH, IOVEC_SHIFT } from "../../assembly/layout/system.ts";
import { EAGAIN } from "../os/errno.ts";
import { BATCH_MAX, writev } from "../os/libc.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import type { ArenaView, Port, Readiness, Waiting } from "./port.ts";

/** Messages that one call takes: each has two iovecs. */
const CALL_MAX = BATCH_MAX / 2;

export class StreamPort extends DescriptorWatch implements Port {
  readonly #arena: ArenaView;
  readonly #view: DataView;
  /** Begins to wait. */
  #begin = (): void => {};
  #watching = false;

  constructor(arena: ArenaView, fd: number) {
    super(fd);
    this.#arena = arena;
    this.#view = new DataView(arena.memory.buffer);
  }

  /** Only pipes and the like can be waited for, and only they are ever full. */
  override watch(callback: (ready: Readiness) => void, waiting: Waiting): void {
    this.#begin = () => super.watch(callback, waiting);
  }

  override want(_readable: boolean, writable: boolean): void {
    if (writable && !this.#watching) {
      this.#begin();
      this.#watching = true;
    }
    if (this.#watching) super.want(false, writable);
  }

  /** A stream here is only written to. */
  receive(): number {
    return 0;
  }

  send(first: number, count: number): number {
    const most = Math.min(count, CALL_MAX);
    const iovecs = ARENA_TX + TX_IOVECS + (first << (IOVEC_SHIFT + 1));
    const written = writev(this.fd, this.#arena.base + iovecs, 2 * most);
    if (written < 0) return written;
    let left = written;
    for (let i = 0; i < most; i++) {
      const payload = iovecs + (i << (IOVEC_SHIFT + 1)) + (1 << IOVEC_SHIFT);
      const length = this.#view.getUint32(payload + IOVEC_LENGTH, true);
      if (left < length) {
        this.#shorten(payload, left);
        return i > 0 ? i : -EAGAIN;
      }
      left -= length;
    }
    return most;
  }

  /** Takes the octets that are already written off a message. */
  #shorten(payload: number, octets: number): void {
    const base = this.#view.getBigUint64(payload + IOVEC_BASE, true);
    const length = this.#view.getUint32(payload + IOVEC_LENGTH, true);
    this.#view.setBigUint64(payload + IOVEC_BASE, base + BigInt(octets), true);
    this.#view.setUint32(payload + IOVEC_LENGTH, length - octets, true);
  }
}
