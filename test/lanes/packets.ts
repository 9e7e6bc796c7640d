/** Packets for the tests of lanes. */
import { IPPROTO_IP, IP_TOS } from "../../assembly/layout/system.ts";
import { parseAddress, type Address } from "../../src/core/address.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";

const engine = createReferenceEngine();

export interface UdpSpec {
  readonly source: Address;
  readonly group: Address;
  readonly port?: number;
  readonly payload: Uint8Array;
  readonly ttl?: number;
  /** IPv4: the don't-fragment bit; set unless false. */
  readonly df?: boolean;
  readonly id?: number;
  /** Octets of IPv4 options, a multiple of four. */
  readonly options?: Uint8Array;
}

/** An IPv4 or IPv6 multicast UDP datagram with right checksums. */
export function udpDatagram(spec: UdpSpec): Uint8Array {
  const source = parseAddress(spec.source)!;
  const group = parseAddress(spec.group)!;
  const udpLength = spec.payload.length + 8;
  const udp = new Uint8Array(udpLength);
  const view = new DataView(udp.buffer);
  view.setUint16(0, spec.port ?? 5000);
  view.setUint16(2, spec.port ?? 5000);
  view.setUint16(4, udpLength);
  udp.set(spec.payload, 8);
  view.setUint16(6, udpChecksum(source, group, udp));
  const header =
    source.length === 4
      ? ipv4(spec, source, group, udpLength)
      : ipv6(spec, source, group, udpLength);
  return Uint8Array.from([...header, ...udp]);
}

/** The UDP checksum over pseudo-header and datagram, 0xffff for zero. */
export function udpChecksum(source: Uint8Array, group: Uint8Array, udp: Uint8Array): number {
  const pseudo = new Uint8Array(source.length === 4 ? 12 : 40);
  pseudo.set(source, 0);
  pseudo.set(group, source.length);
  const view = new DataView(pseudo.buffer);
  if (source.length === 4) {
    pseudo[9] = 17;
    view.setUint16(10, udp.length);
  } else {
    view.setUint32(32, udp.length);
    pseudo[39] = 17;
  }
  const sum = ~engine.checksum(pseudo) & 0xffff;
  return engine.checksum(udp, sum) || 0xffff;
}

function ipv4(spec: UdpSpec, source: Uint8Array, group: Uint8Array, udpLength: number): Uint8Array {
  const options = spec.options ?? new Uint8Array(0);
  const header = new Uint8Array(20 + options.length);
  const view = new DataView(header.buffer);
  header[0] = 0x40 | (header.length >> 2);
  view.setUint16(2, header.length + udpLength);
  view.setUint16(4, spec.id ?? 0);
  view.setUint16(6, spec.df === false ? 0 : 0x4000);
  header[8] = spec.ttl ?? 16;
  header[9] = 17;
  header.set(source, 12);
  header.set(group, 16);
  header.set(options, 20);
  view.setUint16(10, engine.checksum(header));
  return header;
}

function ipv6(spec: UdpSpec, source: Uint8Array, group: Uint8Array, udpLength: number): Uint8Array {
  const header = new Uint8Array(40);
  header[0] = 0x60;
  new DataView(header.buffer).setUint16(4, udpLength);
  header[6] = 17;
  header[7] = spec.ttl ?? 16;
  header.set(source, 8);
  header.set(group, 24);
  return header;
}

/** What a device or packet socket puts before a packet without offloads. */
export function vnet(
  packet: Uint8Array,
  fields: { flags?: number; type?: number; size?: number; start?: number; offset?: number } = {},
): Uint8Array {
  const octets = new Uint8Array(10 + packet.length);
  const view = new DataView(octets.buffer);
  octets[0] = fields.flags ?? 0;
  octets[1] = fields.type ?? 0;
  view.setUint16(4, fields.size ?? 0, true);
  view.setUint16(6, fields.start ?? 0, true);
  view.setUint16(8, fields.offset ?? 0, true);
  octets.set(packet, 10);
  return octets;
}

/** An AMT Multicast Data message with this datagram. */
export function amtData(datagram: Uint8Array): Uint8Array {
  const message = new Uint8Array(2 + datagram.length);
  message[0] = 6;
  message.set(datagram, 2);
  return message;
}

/** Octets one after another, as UDP_GRO joins datagrams. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** Makes the checksum of an IPv4 header right again, in place. */
export function mendIpv4(packet: Uint8Array): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset);
  const header = (packet[0]! & 0x0f) * 4;
  view.setUint16(10, 0);
  view.setUint16(10, engine.checksum(packet.subarray(0, header)));
  return packet;
}

export function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

/** Octets that tell one packet of a test from another. */
export function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31 + (seed >> 8)) & 0xff);
}

/** One ancillary message, padded to where the next one starts (cmsg(3)). */
export function cmsg(level: number, type: number, data: readonly number[]): Uint8Array {
  const octets = new Uint8Array(16 + Math.ceil(data.length / 8) * 8);
  const view = new DataView(octets.buffer);
  view.setUint32(0, 16 + data.length, true);
  view.setInt32(8, level, true);
  view.setInt32(12, type, true);
  octets.set(data, 16);
  return octets;
}

/** The datagram with this ECN field and, for IPv4, the header checksum that belongs to it. */
export function withEcn(datagram: Uint8Array, ecn: number): Uint8Array {
  const octets = datagram.slice();
  if (octets[0]! >> 4 === 4) {
    octets[1] = (octets[1]! & ~3) | ecn;
    return mendIpv4(octets);
  }
  octets[1] = (octets[1]! & 0xcf) | (ecn << 4);
  return octets;
}

/** The ancillary message with which the kernel tells a received datagram's TOS (ip(7)). */
export function tosControl(tos: number): Uint8Array {
  return cmsg(IPPROTO_IP, IP_TOS, [tos]);
}
