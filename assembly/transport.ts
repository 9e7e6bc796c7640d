// Checksums of UDP and TCP, pseudo-header included (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1).
import {
  IPV4_SOURCE,
  IPV6_SOURCE,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_CHECKSUM,
  UDP_CHECKSUM,
} from "./layout/ip";
import { fold, sumWords, swap16 } from "./checksum";
import { isIpv4, storeBe16 } from "./datagram";

/** Computes and stores the UDP checksum. */
export function putUdpChecksum(packet: usize, udp: usize, length: i32): void {
  store<u16>(udp, 0, UDP_CHECKSUM);
  const sum = ~udpSum(packet, udp, length) & 0xffff;
  storeBe16(udp + UDP_CHECKSUM, sum == 0 ? 0xffff : sum);
}

/** Computes and stores the TCP checksum. */
export function putTcpChecksum(packet: usize, tcp: usize, length: i32): void {
  store<u16>(tcp, 0, TCP_CHECKSUM);
  storeBe16(tcp + TCP_CHECKSUM, ~tcpSum(packet, tcp, length) & 0xffff);
}

/** The sum over the pseudo-header and `length` octets of UDP; 0xffff when its checksum is right. */
export function udpSum(packet: usize, udp: usize, length: i32): u32 {
  return pseudoSum(packet, PROTOCOL_UDP, length, sumWords(udp, length));
}

/** Likewise of TCP. */
export function tcpSum(packet: usize, tcp: usize, length: i32): u32 {
  return pseudoSum(packet, PROTOCOL_TCP, length, sumWords(tcp, length));
}

/** The sum over the pseudo-header alone plus `own`, a sum in the host's order. */
export function pseudoSum(packet: usize, protocol: u32, length: i32, own: u32): u32 {
  const addresses = isIpv4(packet)
    ? sumWords(packet + IPV4_SOURCE, 8)
    : sumWords(packet + IPV6_SOURCE, 32);
  return swap16(fold(<u64>addresses + own + swap16(protocol) + swap16(length)));
}
