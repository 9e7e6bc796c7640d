/** CRC32c, an octet a turn. Read RFC 9260 appendix A first. */

const POLYNOMIAL = 0x82f63b78; // Castagnoli's 0x1edc6f41, least significant bit first

/** What the remainder becomes after eight shifts, for each value of its low octet. */
const TABLE = Uint32Array.from({ length: 256 }, (_, octet) => {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  return crc;
});

/** The CRC32c of `octets`, unsigned; `crc` is the result for the octets before them, if any. */
export function crc32c(octets: Uint8Array, crc = 0): number {
  let remainder = ~crc;
  for (const octet of octets) remainder = (remainder >>> 8) ^ TABLE[(remainder ^ octet) & 0xff]!;
  return ~remainder >>> 0;
}
