/** Random multicast datagrams, as sources send them and as a relay and a gateway hand them on. */
import * as ip from "../../assembly/layout/ip.ts";
import * as system from "../../assembly/layout/system.ts";
import { parseAddress, type Address } from "../../src/core/address.ts";
import { checksum } from "../../src/engine/reference/checksum.ts";
import { cut, sign } from "../../src/engine/reference/offload.ts";
import { SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import type { SeededEntropy } from "../fuzz/mutate.ts";
import { finished, unfinished, type Sending } from "./sending.ts";

type Random = Pick<SeededEntropy, "below">;

const LINK = system.ETHERNET_LENGTH;
/** Octets of UDP payload that fit a tunnel over 1,500 octets in any packet of these. */
const LONGEST = 1_400;
const FRAGMENT_HEADER = 8;
const PROTOCOL_FRAGMENT = 44;
const MORE_FRAGMENTS = 0x2000;

/** One source and group. */
export class Stream {
  readonly source: Address;
  readonly group: Address;
  readonly #random: Random;
  readonly #isV4: boolean;
  readonly #addresses: Uint8Array;
  #id = 0;

  /** Number 0 or 1 of a family. */
  constructor(random: Random, isV4: boolean, number: number) {
    this.#random = random;
    this.#isV4 = isV4;
    this.source = (isV4 ? SOURCES : SOURCES_6)[number]!;
    this.group = isV4 ? `232.1.1.${number + 1}` : `ff3e::1:${number + 1}`;
    this.#addresses = Buffer.concat([parseAddress(this.source)!, parseAddress(this.group)!]);
  }

  /** True for an IP packet of this source and group. */
  owns(packet: Uint8Array): boolean {
    const at = this.#isV4 ? ip.IPV4_SOURCE : ip.IPV6_SOURCE;
    return Buffer.compare(packet.subarray(at, at + this.#addresses.length), this.#addresses) === 0;
  }

  /** A datagram in one frame, sometimes with octets after it, spoilt, or without a checksum. */
  datagram(): Sending {
    const frame = this.#frame(this.#random.below(LONGEST + 1));
    const fate = this.#random.below(20);
    if (fate === 0 && this.#isV4)
      this.#view(frame).setUint16(this.#udp(frame) + ip.UDP_CHECKSUM, 0);
    if (fate === 1) frame[frame.length - 1]! ^= 1 << this.#random.below(8);
    const padding = fate === 2 ? new Uint8Array(1 + this.#random.below(18)).fill(0xa5) : [];
    const sent = Uint8Array.from([...frame, ...padding]);
    return { trains: 1, sent: [finished(sent)], wanted: [relayed(frame)] };
  }

  /** A datagram whose checksum is left to the device. */
  partial(): Sending {
    const frame = this.#frame(1 + this.#random.below(LONGEST));
    const wanted = [relayed(frame)];
    return { trains: 1, sent: [unfinished({ octets: frame, ip: LINK, size: LONGEST })], wanted };
  }

  /** A train that is left to the device to cut (UDP_SEGMENT). */
  train(): Sending {
    const size = 500 + this.#random.below(LONGEST - 499);
    const length = 1 + this.#random.below(this.#random.below(2) ? 60_000 : 5_000);
    const octets = this.#frame(length);
    const one = { octets, ip: LINK, size };
    const wanted = cut(one);
    this.#id += wanted.length - 1;
    return {
      trains: 1,
      // Cut before: the checksum is opened in place.
      sent: [unfinished(one)],
      wanted: wanted.map(relayed),
    };
  }

  /** A datagram that its source had to fragment. */
  fragments(): Sending {
    const whole = this.#frame(LONGEST + 1 + this.#random.below(5_000));
    const head = this.#udp(whole);
    const body = whole.subarray(head);
    const step = 8 * (20 + this.#random.below(150));
    const frames: Uint8Array[] = [];
    for (let at = 0; at < body.length; at += step) {
      const more = at + step < body.length;
      const part = body.subarray(at, at + step);
      frames.push(
        this.#isV4
          ? fragment4(whole.subarray(0, head), part, at, more)
          : fragment6(whole.subarray(0, head), part, at, more, this.#id),
      );
    }
    return { trains: 1, sent: frames.map(finished), wanted: frames.map(relayed) };
  }

  /** An Ethernet frame with a datagram of `length` octets of payload, right in every field. */
  #frame(length: number): Uint8Array {
    const random = this.#random;
    const options = this.#isV4 && random.below(8) === 0 ? 4 : 0;
    const header = this.#isV4 ? ip.IPV4_HEADER + options : ip.IPV6_HEADER;
    const frame = new Uint8Array(LINK + header + ip.UDP_HEADER + length);
    const view = this.#view(frame);
    const last = this.#addresses.at(-1)!;
    frame.set(this.#isV4 ? [1, 0, 0x5e, 1, 1, last] : [0x33, 0x33, 0, 1, 0, last]);
    frame.set([2, 0, 0, 0, 1, last], 6);
    const hops = 2 + random.below(254);
    const traffic = random.below(256);
    const [udp, total] = [LINK + header, frame.length - LINK];
    this.#id = (this.#id + 1) & 0xffff;
    if (this.#isV4) {
      view.setUint16(12, system.ETHERTYPE_IPV4);
      frame.set([0x45 + options / 4, traffic], LINK);
      view.setUint16(LINK + ip.IPV4_TOTAL_LENGTH, total);
      view.setUint16(LINK + ip.IPV4_ID, this.#id);
      frame.set([hops, ip.PROTOCOL_UDP], LINK + ip.IPV4_TTL);
      frame.set(this.#addresses, LINK + ip.IPV4_SOURCE);
      if (options) frame.set([1, 1, 1, 0], LINK + ip.IPV4_HEADER);
      signHeader(frame.subarray(LINK, udp));
    } else {
      view.setUint16(12, system.ETHERTYPE_IPV6);
      view.setUint32(LINK, 0x6000_0000 + (traffic << 20) + random.below(1 << 20));
      view.setUint16(LINK + ip.IPV6_PAYLOAD_LENGTH, total - ip.IPV6_HEADER);
      frame.set([ip.PROTOCOL_UDP, hops], LINK + ip.IPV6_NEXT_HEADER);
      frame.set(this.#addresses, LINK + ip.IPV6_SOURCE);
    }
    view.setUint16(udp, 5_000 + random.below(4));
    view.setUint16(udp + 2, 5_000);
    view.setUint16(udp + ip.UDP_LENGTH, ip.UDP_HEADER + length);
    for (let i = udp + ip.UDP_HEADER; i + 4 <= frame.length; i += 4)
      view.setUint32(i, random.below(2 ** 32));
    sign(frame, LINK);
    return frame;
  }

  /** Where the UDP header of a frame stands. */
  #udp(frame: Uint8Array): number {
    return LINK + (this.#isV4 ? (frame[LINK]! & 15) * 4 : ip.IPV6_HEADER);
  }

  #view(frame: Uint8Array): DataView {
    return new DataView(frame.buffer, frame.byteOffset, frame.length);
  }
}

/** What a batch of sources sends in between. */
export function randomPackets(random: Random, streams: readonly Stream[]): Sending {
  const sendings = Array.from({ length: 8 }, () => {
    const stream = streams[random.below(streams.length)]!;
    switch (random.below(8)) {
      case 0:
      case 1:
        return stream.train();
      case 2:
        return stream.fragments();
      case 3:
      case 4:
        return stream.partial();
      default:
        return stream.datagram();
    }
  });
  return {
    trains: sendings.length,
    sent: sendings.flatMap(({ sent }) => sent),
    wanted: sendings.flatMap(({ wanted }) => wanted),
  };
}

/** The datagram of a frame, one hop on. */
function relayed(frame: Uint8Array): Uint8Array {
  const packet = frame.slice(LINK);
  if (packet[0]! >> 4 === 6) {
    packet[ip.IPV6_HOP_LIMIT]!--;
    return packet;
  }
  packet[ip.IPV4_TTL]!--;
  signHeader(packet.subarray(0, (packet[0]! & 15) * 4));
  return packet;
}

function signHeader(header: Uint8Array): void {
  const view = new DataView(header.buffer, header.byteOffset);
  view.setUint16(ip.IPV4_CHECKSUM, 0);
  view.setUint16(ip.IPV4_CHECKSUM, checksum(header));
}

function fragment4(head: Uint8Array, part: Uint8Array, at: number, more: boolean): Uint8Array {
  const frame = Buffer.concat([head, part]);
  frame.writeUInt16BE(frame.length - LINK, LINK + ip.IPV4_TOTAL_LENGTH);
  frame.writeUInt16BE((more ? MORE_FRAGMENTS : 0) + at / 8, LINK + ip.IPV4_FRAGMENT);
  signHeader(frame.subarray(LINK, head.length));
  return frame;
}

/** With a Fragment header (RFC 8200 §4.5). */
function fragment6(
  head: Uint8Array,
  part: Uint8Array,
  at: number,
  more: boolean,
  id: number,
): Uint8Array {
  const header = Buffer.alloc(FRAGMENT_HEADER);
  header[0] = ip.PROTOCOL_UDP;
  header.writeUInt16BE(at + Number(more), 2);
  header.writeUInt32BE(id, 4);
  const frame = Buffer.concat([head, header, part]);
  frame.writeUInt16BE(frame.length - LINK - ip.IPV6_HEADER, LINK + ip.IPV6_PAYLOAD_LENGTH);
  frame[LINK + ip.IPV6_NEXT_HEADER] = PROTOCOL_FRAGMENT;
  return frame;
}
