/**
 * A port moves whole batches between the kernel, or what stands in for it, and an arena's regions
 * (`assembly/layout/arena.ts`). It never waits and knows nothing of what the packets mean.
 */
import type { Readiness, Waiting } from "../os/poll.ts";

export type { Readiness, Waiting };

/** A batch in frames of a packet ring (`assembly/packet-ring.ts`), in place of a receive region. */
export interface HeldFrames {
  /** The ring's place in the arena. */
  readonly ring: number;
  /** The binary logarithm of the number of its frames. */
  readonly frames: number;
  /** The binary logarithm of a frame's octets. */
  readonly shift: number;
  /** The number of the batch's first frame. */
  readonly first: number;
}

export interface Port {
  /**
   * Fills the first messages of the port's receive region, or shows them in `held`, at most `most`.
   * Returns how many, 0 when nothing waits, or a negated errno.
   */
  receive(most: number): number;
  /** Where the batch lies that was received last; undefined for the receive region. */
  readonly held?: HeldFrames | undefined;
  /** Gives back what `held` shows. To be called when all that was made of it has been sent. */
  done?(): void;
  /**
   * Lets more packets come, where they come so fast that it is worth it, after a batch of `count` that is
   * all sent. Returns whether it did.
   */
  gather?(count: number): boolean;
  /**
   * Sends `count` messages of the transmit region from number `first` on. Returns how many were
   * taken, perhaps fewer, or a negated errno that concerns message `first`; -EAGAIN when none can be
   * taken for now.
   */
  send(first: number, count: number): number;
  /**
   * Calls back while what is wanted (`want`; readable at first) holds. A descriptor is waited for by
   * `waiting`. To be called once.
   */
  watch(callback: (ready: Readiness) => void, waiting: Waiting): void;
  want(readable: boolean, writable: boolean): void;
  /** Ends the watch. Descriptors belong to whoever opened them. */
  close(): void;
}

/** An arena as a port sees it. */
export interface ArenaView {
  readonly memory: WebAssembly.Memory;
  /** Absolute address of its first octet. */
  readonly base: number;
  readonly octets: Uint8Array;
  readonly words: Uint32Array;
}

export function viewArena(memory: WebAssembly.Memory, base: number): ArenaView {
  return {
    memory,
    base,
    octets: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer),
  };
}

const lists = new WeakMap<ArenaView, Map<string, readonly number[]>>();

/**
 * Absolute addresses as they are passed to a system call: `count` of them, `stride` octets apart,
 * from `start` in the arena. Ports that want the same ones share a list.
 *
 * An absolute address is too large for a small integer, so each is an object on the heap; a list of
 * mixed elements keeps those objects, where an array of numbers would make a new one at every read.
 */
export function addressList(
  arena: ArenaView,
  start: number,
  count: number,
  stride: number,
): readonly number[] {
  let known = lists.get(arena);
  if (!known) lists.set(arena, (known = new Map()));
  const key = `${start} ${count} ${stride}`;
  const found = known.get(key);
  if (found) return found;
  const list: unknown[] = [undefined];
  for (let i = 0; i < count; i++) list[i] = arena.base + start + i * stride;
  known.set(key, list as number[]);
  return list as number[];
}
