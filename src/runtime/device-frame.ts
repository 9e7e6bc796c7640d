/** Control packets on their way into a device: what must stand before the IP datagram. */
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
const STATION = [0x02, 0x00, 0x00, 0x00, 0x08, 0xdc];

/** A multicast datagram as a device of this frame kind (FRAME_*) takes it. */
export function deviceFrame(frame: number, datagram: Uint8Array): Uint8Array {
  const vnet = frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? VNET_LENGTH : 0;
  const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET ? ETHERNET_LENGTH : 0;
  const octets = new Uint8Array(vnet + link + datagram.length);
  octets.set(datagram, vnet + link);
  if (link === 0) return octets;
  const isV4 = datagram[0]! >> 4 === 4;
  const group = isV4
    ? [0x01, 0x00, 0x5e, datagram[IPV4_DESTINATION + 1]! & 0x7f]
    : [0x33, 0x33, datagram[IPV6_DESTINATION + 12]!, datagram[IPV6_DESTINATION + 13]!];
  const end = isV4 ? IPV4_DESTINATION + 2 : IPV6_DESTINATION + 14;
  octets.set([...group, datagram[end]!, datagram[end + 1]!, ...STATION], vnet);
  const type = isV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  new DataView(octets.buffer).setUint16(vnet + ETHERNET_TYPE, type);
  return octets;
}
