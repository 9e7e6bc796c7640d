/** A packet socket for whole frames, super-packets among them, as the host's own stack has them. */
import {
  AF_PACKET,
  CMSG_DATA,
  CMSG_LENGTH,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_SHIFT,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../../assembly/layout/system.ts";
import type { Namespace } from "../../src/lab/lab.ts";
import { sizeBuffer } from "../../src/os/buffers.ts";
import { EAGAIN, osError } from "../../src/os/errno.ts";
import * as libc from "../../src/os/libc.ts";
import { readLink } from "../../src/os/link.ts";
import { inNetns } from "../../src/os/netns.ts";
import { linkName } from "../../src/os/packet.ts";

const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const ETH_P_ALL = 3;
/** More than a window of frames, whatever the kernel counts for each. */
const BUFFER = 128 << 20;

const BATCH = 32;
const SLOT = 66_560;
const CONTROL = 64;

// tpacket_auxdata (packet(7)), after the head of its control message.
const AUX_STATUS = CMSG_DATA; // u32
const AUX_TCI = CMSG_DATA + 16; // u16
const AUX_TPID = CMSG_DATA + 18; // u16
const STATUS_VLAN = 0x10;
/** Octets of both link addresses, after which a tag stands. */
const ADDRESSES = 12;

export class FrameSocket {
  readonly fd: number;
  /** mmsghdr, iovec, control and slots, one after another. */
  readonly #octets = new Uint8Array(BATCH * (64 + 16 + CONTROL + SLOT));
  readonly #view = new DataView(this.#octets.buffer);
  readonly #headers: number;

  /** A socket on a device of a namespace. One that does not listen only sends. */
  constructor(host: Namespace, device: string, listens: boolean) {
    this.#headers = libc.addressOf(this.#octets);
    this.fd = inNetns(host.name, () => {
      const { index } = readLink(device);
      const fd = libc.socket(AF_PACKET, libc.SOCK_RAW, 0, device);
      for (const option of [PACKET_VNET_HDR, PACKET_AUXDATA])
        libc.setsockopt(fd, SOL_PACKET, option, 1, `option ${option} on ${device}`);
      sizeBuffer(fd, listens ? "receive" : "send", BUFFER);
      libc.bind(fd, linkName(index, listens ? ETH_P_ALL : 0), device);
      return fd;
    });
  }

  /** Sends a frame with its virtio_net_hdr before it. Throws OsError. */
  send(octets: Uint8Array): void {
    const sent = libc.send(this.fd, octets);
    if (sent < 0) throw osError("send", -sent, `a frame of ${octets.length} octets`);
  }

  /**
   * Hands over every frame that waits, with its virtio_net_hdr before it and its VLAN tag where it
   * was before the kernel took it off.
   */
  receive(take: (octets: Uint8Array) => void): void {
    for (let count = BATCH; count === BATCH;) {
      this.#arm();
      count = libc.recvmmsg(this.fd, this.#headers, BATCH);
      if (count === -EAGAIN) return;
      if (count < 0) throw osError("recvmmsg", -count, "frames");
      for (let i = 0; i < count; i++) take(this.#frame(i));
    }
  }

  close(): void {
    libc.close(this.fd);
  }

  #arm(): void {
    const view = this.#view;
    for (let i = 0; i < BATCH; i++) {
      const header = i << MMSGHDR_SHIFT;
      const iovec = IOVECS + (i << IOVEC_SHIFT);
      view.setBigUint64(header + MMSGHDR_IOV, BigInt(this.#headers + iovec), true);
      view.setBigUint64(header + MMSGHDR_IOV_COUNT, 1n, true);
      const control = BigInt(this.#headers + CONTROLS + i * CONTROL);
      view.setBigUint64(header + MMSGHDR_CONTROL, control, true);
      view.setBigUint64(header + MMSGHDR_CONTROL_LENGTH, BigInt(CONTROL), true);
      view.setBigUint64(iovec + IOVEC_BASE, BigInt(this.#headers + SLOTS + i * SLOT), true);
      view.setBigUint64(iovec + IOVEC_LENGTH, BigInt(SLOT), true);
      view.setBigUint64(CONTROLS + i * CONTROL + CMSG_LENGTH, 0n, true);
    }
  }

  #frame(i: number): Uint8Array {
    const length = this.#view.getUint32((i << MMSGHDR_SHIFT) + MMSGHDR_LENGTH, true);
    const octets = this.#octets.slice(SLOTS + i * SLOT, SLOTS + i * SLOT + length);
    const control = CONTROLS + i * CONTROL;
    if (!(this.#view.getUint32(control + AUX_STATUS, true) & STATUS_VLAN)) return octets;
    const tagged = new Uint8Array(length + 4);
    const at = VNET_LENGTH + ADDRESSES;
    tagged.set(octets.subarray(0, at));
    tagged.set(octets.subarray(at), at + 4);
    const view = new DataView(tagged.buffer);
    view.setUint16(at, this.#view.getUint16(control + AUX_TPID, true));
    view.setUint16(at + 2, this.#view.getUint16(control + AUX_TCI, true));
    if (view.getUint8(VNET_FLAGS) & VNET_NEEDS_CHECKSUM)
      view.setUint16(VNET_CHECKSUM_START, view.getUint16(VNET_CHECKSUM_START, true) + 4, true);
    return tagged;
  }
}

// Offsets in a socket's memory.
const IOVECS = BATCH << MMSGHDR_SHIFT;
const CONTROLS = IOVECS + (BATCH << IOVEC_SHIFT);
const SLOTS = CONTROLS + BATCH * CONTROL;
