/** mmsghdr arrays in a shared memory, as the core lays them out, for the tests of the calls. */
import {
  CMSG_ALIGN,
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SHIFT,
} from "../../assembly/layout/system.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { baseAddress } from "../../src/os/libc.ts";
import { decodeSockaddr, encodeSockaddr } from "../../src/os/sockaddr.ts";

const CAPACITY = 64;
const HEADERS = 0x1000;
const IOVECS = 0x3000;
const NAMES = 0x4000;
const CONTROL = 0x8000;
const CONTROL_ROOM = 256;
const SLOTS = 0x10000;
const SLOT = 0x10100;

export interface Ancillary {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** Up to 64 messages of up to 65,792 octets. */
export class Messages {
  readonly memory = new WebAssembly.Memory({ initial: 128, maximum: 128, shared: true });
  readonly base = baseAddress(this.memory);
  readonly headers = this.base + HEADERS;
  readonly iovecs = this.base + IOVECS;
  readonly octets = new Uint8Array(this.memory.buffer);
  readonly #view = new DataView(this.memory.buffer);

  /** Makes every message ready to receive. */
  expect(): this {
    for (let i = 0; i < CAPACITY; i++) {
      this.#head(i, SLOT, 128, CONTROL_ROOM);
      this.octets.fill(0, CONTROL + i * CONTROL_ROOM, CONTROL + (i + 1) * CONTROL_ROOM);
    }
    return this;
  }

  /** Makes message `i` one to send. */
  put(i: number, payload: Uint8Array, to?: Endpoint, ancillary?: Ancillary): this {
    this.octets.set(payload, this.slot(i));
    const name = to ? encodeSockaddr(to.address, to.port) : new Uint8Array();
    this.octets.set(name, NAMES + i * 128);
    let control = 0;
    if (ancillary) {
      const at = CONTROL + i * CONTROL_ROOM;
      control = (CMSG_DATA + ancillary.data.length + CMSG_ALIGN - 1) & -CMSG_ALIGN;
      this.#view.setBigUint64(at + CMSG_LENGTH, BigInt(CMSG_DATA + ancillary.data.length), true);
      this.#view.setInt32(at + CMSG_LEVEL, ancillary.level, true);
      this.#view.setInt32(at + CMSG_TYPE, ancillary.type, true);
      this.octets.set(ancillary.data, at + CMSG_DATA);
    }
    this.#head(i, payload.length, name.length, control);
    return this;
  }

  /** Offset of the octets of message `i`. */
  slot(i: number): number {
    return SLOTS + i * SLOT;
  }

  /** The octets of received message `i`, copied. */
  payload(i: number): Buffer {
    const length = this.#view.getUint32(HEADERS + (i << MMSGHDR_SHIFT) + MMSGHDR_LENGTH, true);
    return Buffer.from(this.octets.slice(this.slot(i), this.slot(i) + length));
  }

  /** The sender of received message `i`. */
  sender(i: number): Endpoint | undefined {
    return decodeSockaddr(this.octets.slice(NAMES + i * 128, NAMES + (i + 1) * 128));
  }

  /** The ancillary data of received message `i`. */
  ancillary(i: number): Ancillary[] {
    const header = HEADERS + (i << MMSGHDR_SHIFT);
    const start = CONTROL + i * CONTROL_ROOM;
    const end = start + Number(this.#view.getBigUint64(header + MMSGHDR_CONTROL_LENGTH, true));
    const found: Ancillary[] = [];
    for (let at = start; at + CMSG_DATA <= end;) {
      const length = Number(this.#view.getBigUint64(at + CMSG_LENGTH, true));
      found.push({
        level: this.#view.getInt32(at + CMSG_LEVEL, true),
        type: this.#view.getInt32(at + CMSG_TYPE, true),
        data: this.octets.slice(at + CMSG_DATA, at + length),
      });
      at += (length + CMSG_ALIGN - 1) & -CMSG_ALIGN;
    }
    return found;
  }

  #head(i: number, room: number, name: number, control: number): void {
    const header = HEADERS + (i << MMSGHDR_SHIFT);
    const iovec = IOVECS + (i << IOVEC_SHIFT);
    const address = (at: number, offset: number): void =>
      this.#view.setBigUint64(at, BigInt(this.base + offset), true);
    address(header + MMSGHDR_NAME, NAMES + i * 128);
    this.#view.setUint32(header + MMSGHDR_NAME_LENGTH, name, true);
    address(header + MMSGHDR_IOV, iovec);
    this.#view.setBigUint64(header + MMSGHDR_IOV_COUNT, 1n, true);
    address(header + MMSGHDR_CONTROL, CONTROL + i * CONTROL_ROOM);
    this.#view.setBigUint64(header + MMSGHDR_CONTROL_LENGTH, BigInt(control), true);
    address(iovec + IOVEC_BASE, this.slot(i));
    this.#view.setBigUint64(iovec + IOVEC_LENGTH, BigInt(room), true);
  }
}
