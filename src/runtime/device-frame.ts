/** Control packets on their way to a link: what must stand before the IP datagram. */
import { FRAME_ETHERNET, FRAME_VNET, FRAME_VNET_ETHERNET } from "../../assembly/layout/arena.ts";
import {
  ETHERNET_LENGTH,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  VNET_LENGTH,
} from "../../assembly/layout/system.ts";
import { IPV4_DESTINATION, IPV6_DESTINATION } from "../../assembly/layout/ip.ts";

/** Our own link-layer address on a TAP device, the one that the core gives to data. */
const STATION = Uint8Array.of(0x02, 0x00, 0x00, 0x00, 0x08, 0xdc);

/** A multicast datagram as a device of this frame kind (FRAME_*) takes it. */
export function deviceFrame(frame: number, datagram: Uint8Array): Uint8Array {
  const vnet = frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? VNET_LENGTH : 0;
  const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET;
  const packet = link ? ethernetFrame(datagram, STATION) : datagram;
  const octets = new Uint8Array(vnet + packet.length);
  octets.set(packet, vnet);
  return octets;
}

/** The Ethernet frame of a multicast datagram that `station` sends (RFC 1112 §6.4, RFC 2464 §7). */
export function ethernetFrame(datagram: Uint8Array, station: Uint8Array): Uint8Array {
  const octets = new Uint8Array(ETHERNET_LENGTH + datagram.length);
  const isV4 = datagram[0]! >> 4 === 4;
  const group = isV4
    ? [0x01, 0x00, 0x5e, datagram[IPV4_DESTINATION + 1]! & 0x7f]
    : [0x33, 0x33, datagram[IPV6_DESTINATION + 12]!, datagram[IPV6_DESTINATION + 13]!];
  const end = isV4 ? IPV4_DESTINATION + 2 : IPV6_DESTINATION + 14;
  octets.set([...group, datagram[end]!, datagram[end + 1]!, ...station]);
  const type = isV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  new DataView(octets.buffer).setUint16(ETHERNET_TYPE, type);
  octets.set(datagram, ETHERNET_LENGTH);
  return octets;
}
