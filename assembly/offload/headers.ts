// TCP and UDP in an IP datagram, where super-packets are made and cut: only what both can do without
// loss is accepted, that is, unfragmented datagrams without IP options or extension headers.
import {
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_DATA_OFFSET,
  TCP_HEADER,
  UDP_HEADER,
  UDP_LENGTH,
} from "../layout/ip";
import { be16, ipv4HeaderLength } from "../datagram";

// What `readHeaders` found.
export let isV4: bool = false;
export let isTcp: bool = false;
/** Octets of the datagram, by its own header. */
export let datagramLength: i32 = 0;
/** Octets before TCP or UDP, and before its payload. */
export let transportAt: i32 = 0;
export let payloadAt: i32 = 0;

/**
 * Reads the headers of the datagram at `packet`, which has up to `room` octets. With `options`, IPv4
 * options are accepted. `super` is true for a super-packet, whose UDP length means nothing. False
 * for anything that is not a whole TCP segment or UDP datagram.
 */
export function readHeaders(packet: usize, room: i32, options: bool, isSuper: bool): bool {
  if (room < IPV4_HEADER) return false;
  isV4 = load<u8>(packet) >> 4 == 4;
  let protocol: u32;
  if (isV4) {
    transportAt = <i32>ipv4HeaderLength(packet);
    if (transportAt < IPV4_HEADER || (transportAt > IPV4_HEADER && !options)) return false;
    if (be16(packet + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) return false;
    datagramLength = <i32>be16(packet + IPV4_TOTAL_LENGTH);
    protocol = load<u8>(packet, IPV4_PROTOCOL);
  } else {
    if (room < IPV6_HEADER || load<u8>(packet) >> 4 != 6) return false;
    transportAt = IPV6_HEADER;
    datagramLength = <i32>be16(packet + IPV6_PAYLOAD_LENGTH) + IPV6_HEADER;
    protocol = load<u8>(packet, IPV6_NEXT_HEADER);
  }
  if (datagramLength > room) return false;
  const transport = packet + transportAt;
  if (protocol == PROTOCOL_TCP) {
    isTcp = true;
    if (datagramLength < transportAt + TCP_HEADER) return false;
    const header = (<i32>(load<u8>(transport, TCP_DATA_OFFSET) >> 4)) << 2;
    payloadAt = transportAt + header;
    return header >= TCP_HEADER && payloadAt <= datagramLength;
  }
  if (protocol != PROTOCOL_UDP) return false;
  isTcp = false;
  payloadAt = transportAt + UDP_HEADER;
  if (datagramLength < payloadAt) return false;
  return isSuper || <i32>be16(transport + UDP_LENGTH) == datagramLength - transportAt;
}
