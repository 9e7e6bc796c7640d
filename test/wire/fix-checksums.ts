/** Makes the checksums of a membership datagram right, so that a test can ask what comes after. */
import { internetChecksum, pseudoHeaderSum } from "../../src/wire/checksum.ts";
import { writeU16 } from "../../src/wire/octets.ts";

/**
 * Corrects, in place, the IPv4 header checksum and that of IGMP or ICMPv6, wherever the lengths that
 * the octets claim leave room for them.
 */
export function fixChecksums(octets: Uint8Array): void {
  if (octets.length >= 20 && octets[0]! >> 4 === 4) {
    const header = (octets[0]! & 15) * 4;
    const end = (octets[2]! << 8) | octets[3]!;
    if (header < 20 || header > octets.length) return;
    fix(octets, 10, 0, header, 0);
    if (end <= octets.length) fixIgmp(octets, header, end);
  } else if (octets.length >= 48 && octets[0]! >> 4 === 6) {
    const end = 40 + ((octets[4]! << 8) | octets[5]!);
    const at = octets[6] === 0 ? 48 + 8 * octets[41]! : 40;
    if (end > octets.length || at + 4 > end) return;
    fix(octets, at + 2, at, end, pseudoHeaderSum(octets, 8, end - at, 58));
  }
}

/** Corrects the checksum of the IGMP message from `start` to `end`. */
export function fixIgmp(octets: Uint8Array, start: number, end: number): void {
  if (start + 4 <= end) fix(octets, start + 2, start, end, 0);
}

/** Corrects the checksum of an MLD message on its own, under a pseudo-header of this sum. */
export function fixMld(octets: Uint8Array, sum: number): void {
  if (octets.length >= 4) fix(octets, 2, 0, octets.length, sum);
}

function fix(octets: Uint8Array, field: number, start: number, end: number, sum: number): void {
  writeU16(octets, field, 0);
  writeU16(octets, field, internetChecksum(octets, start, end, sum));
}
