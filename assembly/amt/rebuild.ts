// Datagrams that an ordinary UDP socket received: their IP and UDP headers are gone, and are made
// anew from the sender's address and the ancillary data, before the payload, in the headroom.
import {
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_PORT,
} from "../layout/system";
import {
  AF_INET,
  IN6_PKTINFO_ADDRESS,
  IN_PKTINFO_ADDRESS,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IP_PKTINFO,
  IP_TTL,
} from "../layout/system";
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_UDP,
  UDP_DESTINATION_PORT,
  UDP_HEADER,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
} from "../layout/ip";
import { VERDICT_FAMILY, VERDICT_TOO_BIG } from "../layout/verdict";
import { RX_UDP_PORT } from "../layout/arena";
import { rxAncillary, rxName } from "../batch";
import { checksum } from "../checksum";
import { storeBe16 } from "../datagram";
import { putUdpChecksum } from "../transport";

/**
 * Makes the headers of the datagram whose payload of `length` octets stands at `payload`, just
 * before it. Returns the datagram's length, or a negated verdict. The kernel does not hand over the
 * identification and the don't-fragment bit: the datagram leaves whole, with neither.
 */
export function rebuild(region: usize, i: u32, payload: usize, length: i32): i32 {
  const name = rxName(region, i);
  const isV4 = load<u16>(name, SOCKADDR_FAMILY) == AF_INET;
  const info = rxAncillary(
    region,
    i,
    isV4 ? IPPROTO_IP : IPPROTO_IPV6,
    isV4 ? IP_PKTINFO : IPV6_PKTINFO,
  );
  if (!info) return -VERDICT_FAMILY;
  const hops = rxAncillary(
    region,
    i,
    isV4 ? IPPROTO_IP : IPPROTO_IPV6,
    isV4 ? IP_TTL : IPV6_HOPLIMIT,
  );
  const ttl = hops ? load<u8>(hops) : 64;
  const udpLength = length + UDP_HEADER;
  const header = isV4 ? IPV4_HEADER : IPV6_HEADER;
  if (header + udpLength > 0xffff) return -VERDICT_TOO_BIG;
  const udp = payload - UDP_HEADER;
  const packet = udp - header;
  memory.fill(packet, 0, header + UDP_HEADER);
  if (isV4) {
    store<u8>(packet, 0x45);
    storeBe16(packet + IPV4_TOTAL_LENGTH, header + udpLength);
    store<u8>(packet, ttl, IPV4_TTL);
    store<u8>(packet, PROTOCOL_UDP, IPV4_PROTOCOL);
    store<u32>(packet, load<u32>(name, SOCKADDR_IN_ADDRESS), IPV4_SOURCE);
    store<u32>(packet, load<u32>(info, IN_PKTINFO_ADDRESS), IPV4_DESTINATION);
    storeBe16(packet + IPV4_CHECKSUM, checksum(packet, IPV4_HEADER, 0));
  } else {
    store<u8>(packet, 0x60);
    storeBe16(packet + IPV6_PAYLOAD_LENGTH, udpLength);
    store<u8>(packet, PROTOCOL_UDP, IPV6_NEXT_HEADER);
    store<u8>(packet, ttl, IPV6_HOP_LIMIT);
    memory.copy(packet + IPV6_SOURCE, name + SOCKADDR_IN6_ADDRESS, 16);
    memory.copy(packet + IPV6_DESTINATION, info + IN6_PKTINFO_ADDRESS, 16);
  }
  store<u16>(udp, load<u16>(name, SOCKADDR_PORT), UDP_SOURCE_PORT);
  store<u16>(udp, load<u16>(region, RX_UDP_PORT), UDP_DESTINATION_PORT);
  storeBe16(udp + UDP_LENGTH, udpLength);
  putUdpChecksum(packet, udp, udpLength);
  return header + udpLength;
}
