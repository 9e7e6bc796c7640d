/** Checksums by another road than any engine's: slow, and easy to believe. */

/**
 * The Internet checksum by arithmetic: one's complement addition of 16-bit words is addition modulo
 * 65,535, so the sum is the remainder of the octets read as one long number. Only an input that is
 * all zero sums to zero; any other multiple of 65,535 is 0xffff (RFC 1071 §1).
 */
export function oracleChecksum(octets: Uint8Array, sum = 0): number {
  const hex = Buffer.from(octets).toString("hex") + (octets.length % 2 === 0 ? "" : "00");
  const number = BigInt(`0x0${hex}`) + BigInt(sum);
  const remainder = Number(number % 65535n);
  return ~(remainder === 0 && number > 0n ? 0xffff : remainder) & 0xffff;
}

/**
 * CRC32c as its definition reads: the message's bits, low bit of each octet first, divided by
 * 0x1edc6f41 most significant bit first, with 32 ones before and a complement after; the remainder
 * is sent low bit first (RFC 9260 appendix A).
 */
export function oracleCrc32c(octets: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const octet of octets)
    for (let bit = 0; bit < 8; bit++) {
      const out = (remainder >>> 31) ^ ((octet >> bit) & 1);
      remainder = (remainder << 1) ^ (out ? 0x1edc6f41 : 0);
    }
  let reflected = 0;
  for (let bit = 0; bit < 32; bit++) if ((remainder >>> bit) & 1) reflected |= 1 << (31 - bit);
  return ~reflected >>> 0;
}
