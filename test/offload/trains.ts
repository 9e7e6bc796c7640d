/** Random trains of segments, as hosts and routers make them, whole and spoilt. */
import * as ip from "../../assembly/layout/ip.ts";
import * as system from "../../assembly/layout/system.ts";
import { checksum } from "../../src/engine/reference/checksum.ts";
import {
  headersOf,
  pseudoSum,
  sign,
  type SuperPacket,
} from "../../src/engine/reference/offload.ts";
import type { SeededEntropy } from "../fuzz/mutate.ts";

type Random = Pick<SeededEntropy, "below">;

/** Octets before the IP header for each number of VLAN tags. */
const LINK = [14, 18, 22];

/** One flow: what all its segments have in common, and where it has got to. */
export class Flow {
  readonly #random: Random;
  readonly ip: number;
  readonly isV4: boolean;
  readonly isTcp: boolean;
  /** True with IPv4 options, which keep segments apart. */
  readonly hasOptions: boolean;
  readonly #headers: Uint8Array;
  #sequence: number;
  #id: number;

  constructor(random: Random, number: number) {
    this.#random = random;
    const tags = random.below(3);
    this.ip = LINK[tags]!;
    this.isV4 = random.below(2) === 0;
    this.isTcp = random.below(2) === 0;
    this.#sequence = random.below(4) === 0 ? 0xffff_f000 : random.below(2 ** 31);
    this.#id = random.below(4) === 0 ? 0xfff8 : random.below(65_536);
    const options = this.isV4 && random.below(8) === 0 ? 4 : 0;
    this.hasOptions = options > 0;
    const tcpOptions = random.below(2) * 12;
    const transport = this.ip + (this.isV4 ? ip.IPV4_HEADER + options : ip.IPV6_HEADER);
    const payload = transport + (this.isTcp ? ip.TCP_HEADER + tcpOptions : ip.UDP_HEADER);
    const headers = new Uint8Array(payload);
    const view = new DataView(headers.buffer);
    headers.set([2, 0, 0, 0, 0, number, 2, 0, 0, 0, 1, number]);
    for (let tag = 0; tag < tags; tag++)
      view.setUint32(12 + 4 * tag, 0x8100_0000 + 100 * tag + number);
    view.setUint16(this.ip - 2, this.isV4 ? system.ETHERTYPE_IPV4 : system.ETHERTYPE_IPV6);
    const ecn = random.below(4);
    const protocol = this.isTcp ? ip.PROTOCOL_TCP : ip.PROTOCOL_UDP;
    if (this.isV4) {
      headers.set(
        [0x45 + options / 4, ecn, 0, 0, 0, 0, random.below(2) * 0x40, 0, 64, protocol],
        this.ip,
      );
      headers.set([192, 0, 2, number, 198, 51, 100, 7], this.ip + ip.IPV4_SOURCE);
      if (options) headers.set([1, 1, 1, 0], this.ip + ip.IPV4_HEADER);
    } else {
      headers.set([0x60, ecn << 4, 0, number, 0, 0, protocol, 64, 0x20, 1], this.ip);
      headers[this.ip + 23] = number;
      headers.set([0x20, 1, 0x0d, 0xb8], this.ip + ip.IPV6_DESTINATION);
    }
    view.setUint16(transport, 5_000 + number);
    view.setUint16(transport + 2, 80);
    if (this.isTcp) {
      view.setUint32(transport + 8, random.below(2 ** 31));
      headers[transport + ip.TCP_DATA_OFFSET] = ((ip.TCP_HEADER + tcpOptions) / 4) << 4;
      headers[transport + ip.TCP_FLAGS] = 0x10;
      view.setUint16(transport + 14, 500 + number);
      if (tcpOptions) headers.set([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], transport + ip.TCP_HEADER);
    }
    this.#headers = headers;
  }

  /** The next segment with `length` octets of payload, right in every field. */
  segment(length: number, flags = 0): Uint8Array {
    const frame = this.#frame(length, flags);
    this.#sequence = (this.#sequence + length) >>> 0;
    this.#id = (this.#id + 1) & 0xffff;
    return frame;
  }

  /** The next segments as a host leaves them to its device. */
  superPacket(length: number, size: number, flags = 0): SuperPacket {
    const octets = this.#frame(length, flags);
    this.#sequence = (this.#sequence + length) >>> 0;
    this.#id = (this.#id + Math.ceil(length / size)) & 0xffff;
    return { octets, ip: this.ip, size };
  }

  #frame(length: number, flags: number): Uint8Array {
    const frame = new Uint8Array(this.#headers.length + length);
    frame.set(this.#headers);
    const view = new DataView(frame.buffer);
    for (let i = this.#headers.length; i + 4 <= frame.length; i += 4)
      view.setUint32(i, this.#random.below(2 ** 32));
    const { isV4, isTcp, transport } = headersOf(frame, this.ip)!;
    if (isV4) {
      view.setUint16(this.ip + ip.IPV4_TOTAL_LENGTH, frame.length - this.ip);
      view.setUint16(this.ip + ip.IPV4_ID, this.#id);
      view.setUint16(this.ip + ip.IPV4_CHECKSUM, checksum(frame.subarray(this.ip, transport)));
    } else {
      view.setUint16(this.ip + ip.IPV6_PAYLOAD_LENGTH, frame.length - this.ip - ip.IPV6_HEADER);
    }
    if (isTcp) {
      view.setUint32(transport + ip.TCP_SEQUENCE, this.#sequence);
      frame[transport + ip.TCP_FLAGS]! |= flags;
    } else {
      view.setUint16(transport + ip.UDP_LENGTH, frame.length - transport);
    }
    sign(frame, this.ip);
    return frame;
  }
}

/** The virtio_net_hdr of a super-packet whose checksum the host left open, which it also opens. */
export function vnetOf({ octets, ip: at, size }: SuperPacket): Uint8Array {
  const headers = headersOf(octets, at)!;
  const { isTcp, isV4, transport, payload } = headers;
  const vnet = new Uint8Array(system.VNET_LENGTH);
  const view = new DataView(vnet.buffer);
  const type = isTcp
    ? isV4
      ? system.VNET_GSO_TCPV4
      : system.VNET_GSO_TCPV6
    : system.VNET_GSO_UDP_L4;
  const place = isTcp ? ip.TCP_CHECKSUM : ip.UDP_CHECKSUM;
  view.setUint8(system.VNET_FLAGS, system.VNET_NEEDS_CHECKSUM);
  view.setUint8(system.VNET_GSO_TYPE, type);
  view.setUint16(system.VNET_HEADER_LENGTH, payload, true);
  view.setUint16(system.VNET_GSO_SIZE, size, true);
  view.setUint16(system.VNET_CHECKSUM_START, transport, true);
  view.setUint16(system.VNET_CHECKSUM_OFFSET, place, true);
  new DataView(octets.buffer).setUint16(transport + place, pseudoSum(octets, at, headers));
  return vnet;
}

/** Ways to make a segment one that must not be joined, or not be lost on the way to it. */
const SPOIL: ((frame: Uint8Array, at: number, random: Random) => void)[] = [
  // any octet, with whatever that does to checksums
  (frame, at, random) =>
    void (frame[at + random.below(frame.length - at)]! ^= 1 << random.below(8)),
  // an ECN mark on the way, with the header checksum mended
  (frame, at) => {
    if (frame[at]! >> 4 !== 4) return void (frame[at + 1]! |= 0x30);
    frame[at + 1]! |= 3;
    const view = new DataView(frame.buffer);
    view.setUint16(at + ip.IPV4_CHECKSUM, 0);
    view.setUint16(at + ip.IPV4_CHECKSUM, checksum(frame.subarray(at, at + (frame[at]! & 15) * 4)));
  },
  // no UDP checksum
  (frame, at) => {
    const { isTcp, transport } = headersOf(frame, at)!;
    if (!isTcp) new DataView(frame.buffer).setUint16(transport + ip.UDP_CHECKSUM, 0);
  },
  // an odd flag of TCP
  (frame, at, random) => {
    const { isTcp, transport } = headersOf(frame, at)!;
    if (!isTcp) return;
    frame[transport + ip.TCP_FLAGS]! |= [ip.TCP_SYN, ip.TCP_URG, ip.TCP_CWR, 0x40][
      random.below(4)
    ]!;
    sign(frame, at);
  },
];

/** A batch of frames as it may arrive: trains of several flows, short ends, spoilt ones. */
export function randomTrains(random: Random, flows: readonly Flow[], trains: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let train = 0; train < trains; train++) {
    const flow = flows[random.below(flows.length)]!;
    const size = [1, 100, 1_000, 1_448][random.below(4)]!;
    const segments = 1 + random.below(random.below(4) === 0 ? 50 : 5);
    for (let i = 0; i < segments; i++) {
      const isLast = i === segments - 1;
      const length = isLast && random.below(2) ? 1 + random.below(size) : size;
      const flags = isLast && random.below(2) ? [ip.TCP_PSH, ip.TCP_FIN, 9][random.below(3)]! : 0;
      let frame = flow.segment(length, flags);
      const fate = random.below(40);
      if (fate < 2) SPOIL[random.below(SPOIL.length)]!(frame, flow.ip, random);
      if (fate === 2) frame = Uint8Array.from([...frame, 0, 0, 0]); // padding
      if (fate === 3) continue; // lost
      frames.push(frame);
      if (random.below(60) === 0) frames.push(flows[random.below(flows.length)]!.segment(size));
    }
  }
  return frames;
}
