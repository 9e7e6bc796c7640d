/** Random, mutated and cut datagrams for every kind of port, all from one seed. */
import {
  FRAME_ETHERNET,
  FRAME_UDP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
} from "../../assembly/layout/arena.ts";
import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_TCLASS,
  IP_PKTINFO,
  IP_TTL,
} from "../../assembly/layout/system.ts";
import { parseAddress, type Address, type Endpoint } from "../../src/core/address.ts";
import type { Arrival } from "../../src/ports/memory.ts";
import { mutate, type SeededEntropy } from "../fuzz/mutate.ts";
import { AMT_VECTORS } from "../vectors/amt.ts";
import {
  amtData,
  cmsg,
  join,
  mendIpv4,
  pattern,
  tosControl,
  udpDatagram,
  vnet,
  withEcn,
} from "./packets.ts";

export const GROUPS: readonly Address[] = ["232.1.2.3", "239.1.1.1", "ff3e::1234", "ff1e::5"];
const NEVER_JOINED: readonly Address[] = ["224.0.0.251", "232.9.9.9", "ff02::fb"];
export const SOURCES: readonly Address[] = ["192.0.2.44", "192.0.2.45", "2001:db8::44"];
const NOBODY: readonly Address[] = ["240.0.0.1", "ff3e::1"];
/** Whom a gateway may have as its relay, and then a stranger. */
export const RELAYS: readonly Endpoint[] = [
  { address: "198.51.100.10", port: 2268 },
  { address: "2001:db8:5::10", port: 2268 },
  { address: "198.51.100.10", port: 9 },
];

/** What `mutate` leaves of an input; longer ones are damaged near their start only. */
const LONG = 2_000;

export class Traffic {
  readonly #random: SeededEntropy;
  readonly #datagrams: readonly Uint8Array[];
  readonly #messages: readonly Uint8Array[];

  constructor(random: SeededEntropy) {
    this.#random = random;
    this.#datagrams = [
      ...Array.from({ length: 150 }, () => this.#sound()),
      ...AMT_VECTORS.map(({ octets }) => octets.slice(12)).filter(({ length }) => length >= 20),
    ];
    this.#messages = AMT_VECTORS.map(({ octets }) => octets);
  }

  /** What a port that puts `frame` before its packets may deliver. */
  packet(frame: number): Arrival {
    const octets = this.#damaged(this.#random.pick(this.#datagrams));
    if (frame === FRAME_UDP) return this.#payload(octets.subarray(28));
    const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET;
    const framed = link ? join([this.#ethernet(octets), octets]) : octets;
    const whole =
      frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? this.#vnet(framed) : framed;
    const cut = this.#random.below(50) === 0;
    return { octets: cut ? whole.subarray(0, this.#random.below(30)) : whole };
  }

  /** What may arrive on an AMT socket, one datagram or a train of them. */
  message(): Arrival {
    const random = this.#random;
    const from = random.below(8) === 0 ? random.pick(RELAYS) : RELAYS[0]!;
    const control = this.#tos();
    if (random.below(4) > 0) return { octets: this.#message(), from, control };
    const first = this.#message();
    if (first.length < 50 || first.length > LONG)
      return { octets: first, from, segment: 1_472, control };
    // Datagrams of one length, but for the last.
    const train = Array.from({ length: random.below(8) }, () => this.#altered(first));
    train.push(first, this.#message().subarray(0, first.length));
    // Now and then the kernel would have joined nothing like this.
    const segment = random.below(50) === 0 ? random.below(3_000) : first.length;
    return { octets: join(train), from, segment, control };
  }

  /** What the kernel may say of the outer TOS or traffic class. */
  #tos(): Uint8Array {
    const tos = this.#random.pick([0, 0, 1, 2, 3, 0xff]);
    const six = cmsg(IPPROTO_IPV6, IPV6_TCLASS, [tos, 0, 0, 0]);
    return this.#random.pick([new Uint8Array(0), tosControl(tos), six]);
  }

  /** The same length, perhaps with a bit turned over. */
  #altered(octets: Uint8Array): Uint8Array {
    const copy = octets.slice();
    if (this.#random.below(3) === 0)
      copy[this.#random.below(copy.length)]! ^= 1 << this.#random.below(8);
    return copy;
  }

  #message(): Uint8Array {
    const random = this.#random;
    if (random.below(4) === 0) return this.#damaged(random.pick(this.#messages));
    const data = amtData(this.#damaged(random.pick(this.#datagrams)));
    return random.below(8) === 0 ? this.#damaged(data) : data;
  }

  /** A UDP datagram with nothing wrong. */
  #sound(): Uint8Array {
    const random = this.#random;
    const group = random.pick([...GROUPS, ...GROUPS, ...NEVER_JOINED]);
    const isV4 = !group.includes(":");
    const sources = SOURCES.filter((source) => source.includes(":") !== isV4);
    const short = random.pick([0, 1, 20, 64, 100, 200, 500, 1_000, 1_316, 1_500]);
    const length = random.below(20) === 0 ? random.pick([3_000, 9_000, 60_000]) : short;
    const datagram = udpDatagram({
      source: random.below(20) === 0 ? NOBODY[isV4 ? 0 : 1]! : random.pick(sources),
      group,
      payload: pattern(length, random.below(1_000)),
      port: random.pick([5_000, 5_004]),
      ttl: random.pick([0, 1, 2, 16, 255]),
      df: random.below(2) === 0,
      id: random.below(65_536),
      options: new Uint8Array(4 * random.below(4)).fill(random.below(256)),
    });
    return withEcn(datagram, random.below(4));
  }

  #damaged(octets: Uint8Array): Uint8Array {
    const random = this.#random;
    const how = random.below(10);
    if (how < 4) return octets;
    if (how === 4) return octets.subarray(0, random.below(Math.min(octets.length, 200) + 1));
    if (how === 5) return Uint8Array.from({ length: random.below(120) }, () => random.u32());
    const changed =
      octets.length > LONG
        ? this.#scratched(octets)
        : mutate(octets, random.pick(this.#datagrams).subarray(0, LONG), random);
    return random.below(2) === 0 ? mended(changed) : changed;
  }

  #scratched(octets: Uint8Array): Uint8Array {
    const copy = octets.slice();
    for (let i = this.#random.below(4); i >= 0; i--)
      copy[this.#random.below(60)]! ^= 1 << this.#random.below(8);
    return copy;
  }

  #ethernet(packet: Uint8Array): Uint8Array {
    const header = new Uint8Array(14);
    const type = this.#random.below(10) === 0 ? this.#random.below(65_536) : 0x0800;
    new DataView(header.buffer).setUint16(12, packet[0]! >> 4 === 6 ? 0x86dd : type);
    return header;
  }

  #vnet(frame: Uint8Array): Uint8Array {
    const random = this.#random;
    // Small segments of a large packet only cost time.
    const sizes = frame.length > LONG ? [1_000, 1_316, 65_507] : [0, 1, 100, 500, 65_535];
    return vnet(frame, {
      flags: random.pick([0, 0, 1, random.below(256)]),
      type: random.pick([0, 0, 0, 5, 5, 1, 4, random.below(256)]),
      size: random.pick(sizes),
      start: random.pick([0, 14, 20, 34, 40, 54, random.below(200), random.below(65_536)]),
      offset: random.pick([6, 6, 16, random.below(200), random.below(65_536)]),
    });
  }

  /** A payload without its headers, with ancillary data that may be wrong. */
  #payload(octets: Uint8Array): Arrival {
    const random = this.#random;
    const group = random.pick([...GROUPS, ...NEVER_JOINED]);
    const address = random.pick(SOURCES);
    const at = [...parseAddress(group)!];
    const info =
      at.length === 4
        ? cmsg(IPPROTO_IP, IP_PKTINFO, [0, 0, 0, 0, 0, 0, 0, 0, ...at])
        : cmsg(IPPROTO_IPV6, IPV6_PKTINFO, [...at, 0, 0, 0, 0]);
    const ttl = [random.below(256), 0, 0, 0];
    const hops =
      at.length === 4 ? cmsg(IPPROTO_IP, IP_TTL, ttl) : cmsg(IPPROTO_IPV6, IPV6_HOPLIMIT, ttl);
    const all = join(random.pick([[info, hops], [hops, info], [info], [hops], []]));
    const control = random.below(6) === 0 ? mutate(all, info, random).subarray(0, 128) : all;
    return { octets, from: { address, port: random.below(65_536) }, control };
  }
}

/** The same with a right IPv4 header checksum, if it has a header. */
function mended(packet: Uint8Array): Uint8Array {
  const header = (packet[0]! & 0x0f) * 4;
  const isV4 = packet.length >= 20 && packet[0]! >> 4 === 4;
  return isV4 && header >= 20 && header <= packet.length ? mendIpv4(packet) : packet;
}
