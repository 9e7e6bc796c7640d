/**
 * Connected sockets that keep messages apart (SOCK_SEQPACKET): a frame a message, both ways. The end
 * of the connection looks like an empty message, so an empty message ends it.
 */
import { RX_HEADERS } from "../../assembly/layout/arena.ts";
import { MMSGHDR_LENGTH, MMSGHDR_SHIFT } from "../../assembly/layout/system.ts";
import { EAGAIN, ENOBUFS, EPIPE } from "../os/errno.ts";
import type { ArenaView, Port } from "./port.ts";
import { SocketPort } from "./socket.ts";

export class FramesPort extends SocketPort implements Port {
  readonly #words: Uint32Array;
  readonly #region: number;

  /** `region` is the receive region's address in the arena. */
  constructor(arena: ArenaView, fd: number, region: number) {
    super(arena, fd, region);
    this.#words = arena.words;
    this.#region = region;
  }

  /** As `Port` says; -EPIPE once the other side has left. */
  override receive(most: number): number {
    const count = super.receive(most);
    for (let i = 0; i < count; i++) {
      const header = this.#region + RX_HEADERS + (i << MMSGHDR_SHIFT);
      if (this.#words[(header + MMSGHDR_LENGTH) >> 2] === 0) return i > 0 ? i : -EPIPE;
    }
    return count;
  }

  /**
   * As `Port` says, but a program that does not keep up loses frames, as with any device: it must not
   * hold up a lane that others use.
   */
  override send(first: number, count: number): number {
    const taken = super.send(first, count);
    return taken === -EAGAIN ? -ENOBUFS : taken;
  }
}
