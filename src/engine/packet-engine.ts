/**
 * The drop-in engine: tunnel headers on and off, and checksums, on plain octets. Two
 * implementations, `createReferenceEngine` and `createWasmEngine`, answer alike to the octet.
 *
 * A method that makes a packet returns its length in octets, or the negated verdict of
 * `assembly/layout/verdict.ts` when the packet must be dropped; `verdictName(-result)` says why.
 * Nothing in a packet makes a method throw. A `RangeError` means that the caller's own buffer is
 * too small for what it asked.
 */

import type { L2tpSession, L2tpSessionOptions } from "./l2tp-session.ts";

/** Octets that AMT puts before a datagram (RFC 7450 §5.1.6). */
export const AMT_OVERHEAD = 2;

export interface PacketEngine {
  readonly kind: "reference" | "wasm-scalar" | "wasm-simd";

  /**
   * The Internet checksum (RFC 1071) as it stands in a header: the complement of the one's
   * complement sum of the 16-bit words of `octets`, an odd last octet padded with zero. `sum` is a
   * partial sum to start from (0 to 0xffff), such as that of a pseudo-header.
   */
  checksum(octets: Uint8Array, sum?: number): number;

  /** The checksum after one 16-bit word of what it covers changed (RFC 1624 §3, equation 3). */
  updateChecksum(checksum: number, oldWord: number, newWord: number): number;

  /** CRC32c (RFC 9260 appendix A), unsigned; `crc` continues an earlier result. */
  crc32c(octets: Uint8Array, crc?: number): number;

  /**
   * Relays one datagram: checks the multicast IPv4 or IPv6 datagram at the start of `datagram` as a
   * router does, takes one from its TTL or hop limit, and writes it as an AMT Multicast Data
   * message to `message`, which holds at least `datagram.length + AMT_OVERHEAD` octets. Octets
   * after the datagram's own length are left out. Returns the message's length or a negated
   * verdict.
   */
  amtEncapsulate(datagram: Uint8Array, message: Uint8Array): number;

  /**
   * Takes the datagram out of an AMT Multicast Data message after the checks of RFC 7450 §5.2.3.6
   * and writes it to `datagram`, which holds at least `message.length - AMT_OVERHEAD` octets.
   * Returns the datagram's length or a negated verdict.
   */
  amtDecapsulate(message: Uint8Array, datagram: Uint8Array): number;

  /** `amtEncapsulate` for each packet of `from`; results and octets go to `to`, in order. */
  amtEncapsulateBatch(from: PacketBatch, to: PacketBatch): void;

  /** `amtDecapsulate` for each packet of `from`; results and octets go to `to`, in order. */
  amtDecapsulateBatch(from: PacketBatch, to: PacketBatch): void;

  /**
   * An L2TP session of version 2 or 3, with state of its own: sequence numbers, either way. Throws
   * ConfigError for options that cannot be.
   */
  l2tpSession(options: L2tpSessionOptions): L2tpSession;
}

/** Packets one after another in one buffer, made once and used again. */
export class PacketBatch {
  /** The packets' octets. */
  readonly octets: Uint8Array;
  /** Where each packet starts in `octets`. */
  readonly offsets: Uint32Array;
  /** Each packet's length in octets, or the negated verdict that dropped it. */
  readonly results: Int32Array;
  /** How many packets there are. */
  count = 0;
  #used = 0;

  /** Room for `packets` packets of together `octets` octets. */
  constructor(packets: number, octets: number) {
    this.octets = new Uint8Array(octets);
    this.offsets = new Uint32Array(packets);
    this.results = new Int32Array(packets);
  }

  /** Octets in use. */
  get used(): number {
    return this.#used;
  }

  /** Empties the batch. */
  clear(): void {
    this.count = 0;
    this.#used = 0;
  }

  /** Copies a packet to the end. Throws a RangeError when the batch has no room for it. */
  push(packet: Uint8Array): void {
    this.octets.set(packet, this.claim(packet.length));
    this.settle(packet.length);
  }

  /** Where a next packet of up to `length` octets goes. Throws a RangeError without room. */
  claim(length: number): number {
    if (this.count === this.offsets.length || this.#used + length > this.octets.length)
      throw new RangeError(
        `a batch of ${this.offsets.length} packets and ${this.octets.length} octets has no room for ` +
          `packet ${this.count + 1} of ${length} octets after ${this.#used}`,
      );
    return this.#used;
  }

  /** Ends the packet begun by `claim`: its length, or the negated verdict that dropped it. */
  settle(result: number): void {
    this.offsets[this.count] = this.#used;
    this.results[this.count] = result;
    this.count++;
    if (result > 0) this.#used += result;
  }

  /** The octets of packet `index`, not copied; empty for a dropped one. */
  packet(index: number): Uint8Array {
    const start = this.offsets[index] ?? 0;
    return this.octets.subarray(start, start + Math.max(0, this.results[index] ?? 0));
  }
}
