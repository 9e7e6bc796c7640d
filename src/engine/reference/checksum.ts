/** The Internet checksum. Read RFC 1071 §1 and RFC 1624 §3 first. */

/**
 * The checksum of `octets` as it stands in a header: the complement of the one's complement sum of
 * their 16-bit words in network order, an odd last octet padded with zero. `sum` is a partial sum
 * to start from, 0 to 0xffff.
 */
export function checksum(octets: Uint8Array, sum = 0): number {
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  return ~fold(sum) & 0xffff;
}

/**
 * The checksum after one 16-bit word of what it covers went from `oldWord` to `newWord`: equation 3
 * of RFC 1624 §3, HC' = ~(~HC + ~m + m').
 */
export function updateChecksum(old: number, oldWord: number, newWord: number): number {
  return ~fold((~old & 0xffff) + (~oldWord & 0xffff) + newWord) & 0xffff;
}

/** Adds what has been carried out of the low 16 bits back in, until nothing is carried. */
function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}
