/**
 * The internet checksum (RFC 1071) for control messages: a plain loop, written to be read. Packets
 * of the data plane are summed by `assembly/`.
 */
import { readU16 } from "./octets.ts";

/**
 * `sum` plus the 16-bit words of `octets` from `start` to `end`, carries not yet folded. An odd last
 * octet counts as the high half of a word. Exact for up to 65,536 octets in all.
 */
export function sumWords(octets: Uint8Array, start: number, end: number, sum = 0): number {
  let total = sum;
  let at = start;
  for (; at + 1 < end; at += 2) total += readU16(octets, at);
  return at < end ? total + (octets[at]! << 8) : total;
}

/**
 * The checksum of `octets` from `start` to `end`, on top of what `sumWords` gave for a pseudo-header.
 * Over octets that hold their own checksum it is 0 exactly when that checksum is right.
 */
export function internetChecksum(octets: Uint8Array, start: number, end: number, sum = 0): number {
  let folded = sumWords(octets, start, end, sum);
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}

/**
 * The sum of the pseudo-header of an ICMPv6 message (RFC 8200 §8.1), to be handed to
 * `internetChecksum`. `addresses` is where source and destination stand, 32 octets in a row.
 */
export function pseudoHeaderSum(
  octets: Uint8Array,
  addresses: number,
  length: number,
  nextHeader: number,
): number {
  return sumWords(octets, addresses, addresses + 32, length + nextHeader);
}
