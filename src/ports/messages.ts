/**
 * An arena's messages, for ports with no kernel behind them to read and write them: arrivals go into
 * a receive region, departures come out of the transmit region.
 */
import {
  ARENA_TX,
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
import type { ArenaView } from "./port.ts";

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

/** A datagram as it leaves: a copy of the arena's octets. */
export interface Departure {
  readonly octets: Uint8Array;
  readonly to: Endpoint | undefined;
  /** The index of the interface that it goes out by, of a message to a link. */
  readonly link?: number;
  /** The ECN field asked for its outer header. */
  readonly ecn: number;
}

export class ArenaMessages {
  readonly #arena: ArenaView;
  #octets: Uint8Array;
  #view: DataView;

  constructor(arena: ArenaView) {
    this.#arena = arena;
    this.#octets = new Uint8Array(arena.memory.buffer);
    this.#view = new DataView(arena.memory.buffer);
  }

  /**
   * Writes message `i` of a receive region, as the kernel would. `header` is how many octets the
   * port puts before a packet; what a slot has no room for is cut off.
   */
  put(region: number, i: number, header: number, arrival: Arrival): void {
    const { octets, from, segment, control } = arrival;
    const message = region + RX_HEADERS + (i << system.MMSGHDR_SHIFT);
    const start = region + RX_SLOTS + i * RX_SLOT + RX_HEADROOM - header;
    const kept = octets.subarray(0, RX_ROOM + header);
    this.#octets.set(kept, start);
    this.#view.setUint32(message + system.MMSGHDR_LENGTH, kept.length, true);
    const name = region + RX_NAMES + (i << RX_NAME_SHIFT);
    const nameLength = from ? this.#putName(name, from) : 0;
    this.#view.setUint32(message + system.MMSGHDR_NAME_LENGTH, nameLength, true);
    const ancillary = region + RX_CONTROL + (i << RX_CONTROL_SHIFT);
    let length = segment === undefined ? 0 : this.#putSegment(ancillary, segment);
    if (control) {
      this.#octets.set(control, ancillary + length);
      length += control.length;
    }
    this.#view.setUint32(message + system.MMSGHDR_CONTROL_LENGTH, length, true);
  }

  /** All octets of message `i` of the transmit region, copied. */
  gather(i: number): Uint8Array<ArrayBuffer> {
    this.#refresh();
    return this.#gather(transmitHeader(i));
  }

  /** The datagrams of message `i` of the transmit region, cut as the kernel does (UDP_SEGMENT). */
  take(i: number): Departure[] {
    this.#refresh();
    const header = transmitHeader(i);
    const octets = this.#gather(header);
    const to = this.#name(header);
    const link = this.#link(header);
    const size = this.#ancillary(header, system.UDP_SEGMENT) ?? Math.max(1, octets.length);
    const ecn =
      this.#ancillary(header, system.IP_TOS) ?? this.#ancillary(header, system.IPV6_TCLASS) ?? 0;
    const cut: Departure[] = [];
    for (let start = 0; start < Math.max(1, octets.length); start += size)
      cut.push({
        octets: octets.subarray(start, start + size),
        to,
        ecn,
        ...(link === undefined ? {} : { link }),
      });
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

  /** Looks at the arena as it is now: it grows, and views do not. */
  #refresh(): void {
    const { buffer } = this.#arena.memory;
    if (this.#octets.buffer === buffer) return;
    this.#octets = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
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
    const octets = parseAddress(address);
    if (!octets) return 0;
    const isV4 = octets.length === 4;
    this.#view.setUint16(at, isV4 ? system.AF_INET : system.AF_INET6, true);
    this.#view.setUint16(at + system.SOCKADDR_PORT, port);
    const place = isV4 ? system.SOCKADDR_IN_ADDRESS : system.SOCKADDR_IN6_ADDRESS;
    this.#octets.set(octets, at + place);
    return isV4 ? system.SOCKADDR_IN_LENGTH : system.SOCKADDR_IN6_LENGTH;
  }

  #gather(header: number): Uint8Array<ArrayBuffer> {
    const iovecs = this.#at(header + system.MMSGHDR_IOV)!;
    const end =
      iovecs +
      (this.#view.getUint32(header + system.MMSGHDR_IOV_COUNT, true) << system.IOVEC_SHIFT);
    let total = 0;
    for (let iovec = iovecs; iovec < end; iovec += 1 << system.IOVEC_SHIFT)
      total += this.#view.getUint32(iovec + system.IOVEC_LENGTH, true);
    const octets = new Uint8Array(total);
    let filled = 0;
    for (let iovec = iovecs; iovec < end; iovec += 1 << system.IOVEC_SHIFT) {
      const length = this.#view.getUint32(iovec + system.IOVEC_LENGTH, true);
      if (length === 0) continue;
      const start = this.#at(iovec + system.IOVEC_BASE)!;
      octets.set(this.#octets.subarray(start, start + length), filled);
      filled += length;
    }
    return octets;
  }

  #name(header: number): Endpoint | undefined {
    if (this.#view.getUint32(header + system.MMSGHDR_NAME_LENGTH, true) === 0) return undefined;
    const name = this.#at(header + system.MMSGHDR_NAME)!;
    const family = this.#view.getUint16(name, true);
    if (family === system.AF_PACKET) return undefined;
    const isV4 = family === system.AF_INET;
    const address = isV4
      ? formatAddress(this.#octets, name + system.SOCKADDR_IN_ADDRESS, 4)
      : formatAddress(this.#octets, name + system.SOCKADDR_IN6_ADDRESS, 6);
    return { address, port: this.#view.getUint16(name + system.SOCKADDR_PORT) };
  }

  #link(header: number): number | undefined {
    if (this.#view.getUint32(header + system.MMSGHDR_NAME_LENGTH, true) === 0) return undefined;
    const name = this.#at(header + system.MMSGHDR_NAME)!;
    if (this.#view.getUint16(name, true) !== system.AF_PACKET) return undefined;
    return this.#view.getInt32(name + system.SOCKADDR_LL_INDEX, true);
  }

  /** The arena's address behind the absolute one at `pointer`; undefined for a null pointer. */
  #at(pointer: number): number | undefined {
    const low = this.#view.getUint32(pointer, true);
    const high = this.#view.getUint32(pointer + 4, true);
    if (low === 0 && high === 0) return undefined;
    const offset = high * 2 ** 32 + low - this.#arena.base;
    if (offset < 0 || offset >= this.#octets.length)
      throw new RangeError(`the pointer at ${pointer} leaves the arena by ${offset}`);
    return offset;
  }
}

function transmitHeader(i: number): number {
  return ARENA_TX + TX_HEADERS + (i << system.MMSGHDR_SHIFT);
}
