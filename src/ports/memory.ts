/**
 * A port in memory, for tests and simulations: what is pushed arrives, what is sent can be taken,
 * cut into datagrams as the kernel does with UDP_SEGMENT.
 */
import {
  ARENA_TX,
  RX_CAPACITY,
  RX_CONTROL,
  RX_CONTROL_SHIFT,
  RX_HEADERS,
  RX_HEADROOM,
  RX_NAMES,
  RX_NAME_SHIFT,
  RX_ROOM,
  RX_SLOT,
  RX_SLOTS,
  TX_HEADERS,
} from "../../assembly/layout/arena.ts";
import * as system from "../../assembly/layout/system.ts";
import { formatAddress, parseAddress, type Endpoint } from "../core/address.ts";
import { EAGAIN } from "../os/errno.ts";
import type { ArenaView, Port, Readiness } from "./port.ts";

/** A message as it arrives. */
export interface Arrival {
  /** Everything the port delivers, with what stands before the packet. */
  readonly octets: Uint8Array;
  readonly from?: Endpoint;
  /** Octets of each datagram, when the kernel joined several (UDP_GRO). */
  readonly segment?: number;
  /** Ancillary data as the kernel lays it out (cmsg(3)); `segment` goes before it. */
  readonly control?: Uint8Array;
}

/** A datagram as it leaves. */
export interface Departure {
  readonly octets: Uint8Array;
  readonly to: Endpoint | undefined;
  /** The ECN field asked for its outer header. */
  readonly ecn: number;
}

export class MemoryPort implements Port {
  /** What waits to be received. */
  readonly arrivals: Arrival[] = [];
  /** What was sent, oldest first. */
  readonly departures: Departure[] = [];
  /** Errnos with which the next calls of `send` are refused. */
  readonly refusals: number[] = [];
  /** Messages that `send` takes before it answers -EAGAIN. */
  room = Infinity;
  #callback: (ready: Readiness) => void = () => {};

  /** `header` is how many octets the port puts before a packet. */
  constructor(
    readonly arena: ArenaView,
    readonly region: number,
    readonly header: number,
  ) {}

  /** The arena as it is now: it grows, and a view does not. */
  get #view(): DataView {
    return new DataView(this.arena.memory.buffer);
  }

  get #octets(): Uint8Array {
    return new Uint8Array(this.arena.memory.buffer);
  }

  receive(): number {
    const count = Math.min(this.arrivals.length, RX_CAPACITY);
    for (const [i, arrival] of this.arrivals.splice(0, count).entries()) this.#put(i, arrival);
    return count;
  }

  send(first: number, count: number): number {
    const refusal = this.refusals.shift();
    if (refusal !== undefined) return -refusal;
    if (this.room === 0) return -EAGAIN;
    const taken = Math.min(count, this.room);
    for (let i = first; i < first + taken; i++) this.departures.push(...this.#take(i));
    this.room -= taken;
    return taken;
  }

  watch(callback: (ready: Readiness) => void): void {
    this.#callback = callback;
  }

  /** Tells the watcher that there is room again. */
  becomeWritable(): void {
    this.#callback({ readable: false, writable: true });
  }

  want(_readable: boolean, _writable: boolean): void {}
  close(): void {}

  #put(i: number, { octets, from, segment, control }: Arrival): void {
    const header = this.region + RX_HEADERS + (i << system.MMSGHDR_SHIFT);
    const start = this.region + RX_SLOTS + i * RX_SLOT + RX_HEADROOM - this.header;
    const kept = octets.subarray(0, RX_ROOM + this.header);
    this.#octets.set(kept, start);
    this.#view.setUint32(header + system.MMSGHDR_LENGTH, kept.length, true);
    const name = this.region + RX_NAMES + (i << RX_NAME_SHIFT);
    this.#view.setUint32(
      header + system.MMSGHDR_NAME_LENGTH,
      from ? this.#putName(name, from) : 0,
      true,
    );
    const ancillary = this.region + RX_CONTROL + (i << RX_CONTROL_SHIFT);
    let length = segment === undefined ? 0 : this.#putSegment(ancillary, segment);
    if (control) {
      this.#octets.set(control, ancillary + length);
      length += control.length;
    }
    this.#view.setUint32(header + system.MMSGHDR_CONTROL_LENGTH, length, true);
  }

  /** Writes the ancillary message of UDP_GRO; returns the octets it takes. */
  #putSegment(at: number, segment: number): number {
    this.#view.setUint32(at + system.CMSG_LENGTH, system.CMSG_DATA + 4, true);
    this.#view.setInt32(at + system.CMSG_LEVEL, system.IPPROTO_UDP, true);
    this.#view.setInt32(at + system.CMSG_TYPE, system.UDP_GRO, true);
    this.#view.setInt32(at + system.CMSG_DATA, segment, true);
    return system.CMSG_DATA + system.CMSG_ALIGN;
  }

  #putName(at: number, { address, port }: Endpoint): number {
    const octets = parseAddress(address)!;
    const isV4 = octets.length === 4;
    this.#view.setUint16(at, isV4 ? system.AF_INET : system.AF_INET6, true);
    this.#view.setUint16(at + system.SOCKADDR_PORT, port);
    this.#octets.set(
      octets,
      at + (isV4 ? system.SOCKADDR_IN_ADDRESS : system.SOCKADDR_IN6_ADDRESS),
    );
    return isV4 ? system.SOCKADDR_IN_LENGTH : system.SOCKADDR_IN6_LENGTH;
  }

  /** The datagrams of message `i` of the transmit region. */
  #take(i: number): Departure[] {
    const header = ARENA_TX + TX_HEADERS + (i << system.MMSGHDR_SHIFT);
    const octets = this.#gather(header);
    const to = this.#name(header);
    const size = this.#ancillary(header, system.UDP_SEGMENT) ?? Math.max(1, octets.length);
    const ecn =
      this.#ancillary(header, system.IP_TOS) ?? this.#ancillary(header, system.IPV6_TCLASS) ?? 0;
    const cut: Departure[] = [];
    for (let start = 0; start < Math.max(1, octets.length); start += size)
      cut.push({ octets: octets.slice(start, start + size), to, ecn });
    return cut;
  }

  /** The number in the ancillary message of this type, as a message of the core has it. */
  #ancillary(header: number, type: number): number | undefined {
    const control = this.#at(header + system.MMSGHDR_CONTROL);
    if (control === undefined) return undefined;
    const end = control + this.#view.getUint32(header + system.MMSGHDR_CONTROL_LENGTH, true);
    for (let at = control; at < end; at += system.CMSG_DATA + system.CMSG_ALIGN)
      if (this.#view.getInt32(at + system.CMSG_TYPE, true) === type)
        return this.#view.getUint16(at + system.CMSG_DATA, true);
    return undefined;
  }

  #gather(header: number): Uint8Array {
    const iovecs = this.#at(header + system.MMSGHDR_IOV)!;
    const count = this.#view.getUint32(header + system.MMSGHDR_IOV_COUNT, true);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      const iovec = iovecs + (i << system.IOVEC_SHIFT);
      const length = this.#view.getUint32(iovec + system.IOVEC_LENGTH, true);
      const start = this.#at(iovec + system.IOVEC_BASE)!;
      parts.push(this.#octets.slice(start, start + length));
    }
    return Uint8Array.from(Buffer.concat(parts));
  }

  #name(header: number): Endpoint | undefined {
    const length = this.#view.getUint32(header + system.MMSGHDR_NAME_LENGTH, true);
    if (length === 0) return undefined;
    const name = this.#at(header + system.MMSGHDR_NAME)!;
    const isV4 = this.#view.getUint16(name, true) === system.AF_INET;
    const address = isV4
      ? formatAddress(this.#octets, name + system.SOCKADDR_IN_ADDRESS, 4)
      : formatAddress(this.#octets, name + system.SOCKADDR_IN6_ADDRESS, 6);
    return { address, port: this.#view.getUint16(name + system.SOCKADDR_PORT) };
  }

  /** The arena's address behind an absolute one; undefined for a null pointer. */
  #at(pointer: number): number | undefined {
    const absolute = Number(this.#view.getBigUint64(pointer, true));
    if (absolute === 0) return undefined;
    const offset = absolute - this.arena.base;
    if (offset < 0 || offset >= this.#octets.length)
      throw new RangeError(`the pointer at ${pointer} leaves the arena: ${absolute}`);
    return offset;
  }
}
