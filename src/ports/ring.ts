/**
 * Packet sockets whose frames lie in the arena, filled by the kernel: taking a batch needs no system
 * call. What exceeds a frame, as a super-packet does, waits whole in the socket's queue and is taken
 * by recvmmsg.
 */
import { RX_HEADERS } from "../../assembly/layout/arena.ts";
import { monotonic } from "../os/clock.ts";
import { EAGAIN } from "../os/errno.ts";
import { recvmmsg, rest } from "../os/libc.ts";
import { closeRing, type RingShape } from "../os/packet-ring.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import { Gathering } from "./gathering.ts";
import { addressList, type ArenaView, type HeldFrames, type Port } from "./port.ts";

/** How long frames gather, in microseconds; the kernel adds the timer slack of the thread. */
const GATHER = 50;
/** The same with the timer slack that threads have unless it is set. */
export const GATHER_MOST = 100;

/** What the core offers for the frames of a ring; see `assembly/packet-ring.ts`. */
export interface Frames {
  framesReady(ring: number, frames: number, shift: number, next: number, most: number): number;
  framesRelease(ring: number, frames: number, shift: number, first: number, count: number): void;
}

export class RingPort extends DescriptorWatch implements Port, HeldFrames {
  readonly ring: number;
  readonly frames: number;
  readonly shift: number;
  first = 0;
  held: HeldFrames | undefined;
  readonly #core: Frames;
  readonly #headers: readonly number[];
  readonly #address: number;
  /** Bits of a frame's number. */
  readonly #mask: number;
  readonly #gathering: Gathering | undefined;
  /** Frames of the batch. */
  #count = 0;
  #open = true;

  /**
   * Over a ring that `openRing` mapped at `ring` in the arena; closes it. Where `gathers`, the thread
   * sleeps for a moment after small batches that come fast.
   */
  constructor(
    core: Frames,
    arena: ArenaView,
    fd: number,
    region: number,
    shape: RingShape,
    ring: number,
    gathers: boolean,
  ) {
    super(fd);
    this.ring = ring;
    this.frames = shape.frames;
    this.shift = shape.shift;
    this.#mask = 2 ** shape.frames - 1;
    this.#core = core;
    this.#address = arena.base + ring;
    this.#headers = addressList(arena, region + RX_HEADERS, 1, 0);
    this.#gathering = gathers ? new Gathering() : undefined;
  }

  receive(most: number): number {
    const { ring, frames, shift, first } = this;
    const ready = this.#core.framesReady(ring, frames, shift, first, most);
    if (ready > 0) return this.#hold(ready);
    // Without a frame it is an error that woke us, or something queued before the ring was there.
    const count = recvmmsg(this.fd, this.#headers[0]!, ready < 0 ? -ready : most);
    if (ready < 0) {
      if (count <= 0) return this.#hold(-ready); // what is lost of them is found out and counted
      this.#giveBack(count);
    }
    return count === -EAGAIN ? 0 : count;
  }

  done(): void {
    if (!this.held) return;
    this.held = undefined;
    this.#giveBack(this.#count);
  }

  gather(count: number): boolean {
    if (!this.#gathering?.after(count, monotonic())) return false;
    rest(GATHER);
    return true;
  }

  send(): number {
    return -EAGAIN;
  }

  override close(): void {
    super.close();
    if (!this.#open) return;
    this.#open = false;
    closeRing(this.fd, this, this.#address);
  }

  #hold(count: number): number {
    this.held = this;
    this.#count = count;
    return count;
  }

  #giveBack(count: number): void {
    const { ring, frames, shift, first } = this;
    this.#core.framesRelease(ring, frames, shift, first, count);
    this.first = (first + count) & this.#mask;
  }
}
