// Checksums of UDP and TCP, pseudo-header included (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1).
import { IPV4_SOURCE, IPV6_SOURCE, PROTOCOL_UDP, UDP_CHECKSUM, UDP_HEADER } from "./layout/ip";
import { fold, sumWords, swap16 } from "./checksum";
import { isIpv4, storeBe16 } from "./datagram";

/** Computes and stores the UDP checksum. */
export function putUdpChecksum(packet: usize, udp: usize, length: i32): void {
  store<u16>(udp, 0, UDP_CHECKSUM);
  putSum(udp + UDP_CHECKSUM, udpSum(packet, udp, length));
}

/**
 * Stores the checksum of UDP, whose header stands at `udp` with a checksum of zero, and whose payload
 * stands elsewhere and has the sum `payload` (`sumWords`). Both have `length` octets.
 */
export function putSplitChecksum(packet: usize, udp: usize, length: i32, payload: u32): void {
  const own = sumWords(udp, UDP_HEADER) + payload;
  putSum(udp + UDP_CHECKSUM, pseudoSum(packet, PROTOCOL_UDP, length, own));
}

/** Zero would mean "none" (RFC 768). */
function putSum(at: usize, sum: u32): void {
  const checksum = ~sum & 0xffff;
  storeBe16(at, checksum ? checksum : 0xffff);
}

/** The sum over the pseudo-header and `length` octets of UDP; 0xffff when its checksum is right. */
export function udpSum(packet: usize, udp: usize, length: i32): u32 {
  return pseudoSum(packet, PROTOCOL_UDP, length, sumWords(udp, length));
}

/**
 * Likewise of TCP or UDP whose `length` octets come right behind the datagram's addresses: all from
 * `addresses` to `end` is summed at once.
 */
export function sumBehindAddresses(addresses: usize, end: usize, length: i32, protocol: u32): u32 {
  return fold(<u64>sumWords(addresses, end - addresses) + swap16(protocol) + swap16(length));
}

/** The sum over the pseudo-header alone plus `own`, a sum in the host's order. */
export function pseudoSum(packet: usize, protocol: u32, length: i32, own: u32): u32 {
  const addresses = isIpv4(packet)
    ? sumWords(packet + IPV4_SOURCE, 8)
    : sumWords(packet + IPV6_SOURCE, 32);
  return swap16(fold(<u64>addresses + own + swap16(protocol) + swap16(length)));
}
