/**
 * TUN and TAP devices: one packet a call, since the kernel offers no more. What stands before a
 * packet (virtio_net_hdr, Ethernet header) is the core's affair.
 */
import {
  ARENA_TX,
  RX_CAPACITY,
  RX_HEADERS,
  RX_HEADROOM,
  RX_ROOM,
  RX_SLOT,
  RX_SLOTS,
  TX_HEADERS,
  TX_IOVECS,
  TX_IOVECS_CAPACITY,
} from "../../assembly/layout/arena.ts";
import {
  IOVEC_SHIFT,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_SHIFT,
} from "../../assembly/layout/system.ts";
import { EAGAIN } from "../os/errno.ts";
import { read, writev } from "../os/libc.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import { addressList, type ArenaView, type Port } from "./port.ts";

export class DevicePort extends DescriptorWatch implements Port {
  readonly #words: Uint32Array;
  readonly #region: number;
  readonly #room: number;
  readonly #slots: readonly number[];
  readonly #iovecs: readonly number[];
  /** Low half of the first iovec's absolute address. */
  readonly #first: number;

  /** `header` is how many octets the device puts before an IP datagram. */
  constructor(arena: ArenaView, fd: number, region: number, header: number) {
    super(fd);
    this.#words = arena.words;
    this.#region = region;
    this.#room = RX_ROOM + header;
    const slots = region + RX_SLOTS + RX_HEADROOM - header;
    this.#slots = addressList(arena, slots, RX_CAPACITY, RX_SLOT);
    const iovecs = ARENA_TX + TX_IOVECS;
    this.#iovecs = addressList(arena, iovecs, TX_IOVECS_CAPACITY, 1 << IOVEC_SHIFT);
    this.#first = (arena.base + iovecs) % 2 ** 32;
  }

  receive(most: number): number {
    for (let i = 0; i < most; i++) {
      const length = read(this.fd, this.#slots[i]!, this.#room);
      if (length < 0) return i > 0 || length === -EAGAIN ? i : length;
      const header = this.#region + RX_HEADERS + (i << MMSGHDR_SHIFT);
      this.#words[(header + MMSGHDR_LENGTH) >> 2] = length;
    }
    return most;
  }

  send(first: number, count: number): number {
    for (let i = 0; i < count; i++) {
      const message = (ARENA_TX + TX_HEADERS + ((first + i) << MMSGHDR_SHIFT)) >> 2;
      const iovec = (this.#words[message + (MMSGHDR_IOV >> 2)]! - this.#first) >>> IOVEC_SHIFT;
      const parts = this.#words[message + (MMSGHDR_IOV_COUNT >> 2)]!;
      const result = writev(this.fd, this.#iovecs[iovec]!, parts);
      if (result < 0) return i > 0 ? i : result;
    }
    return count;
  }
}
