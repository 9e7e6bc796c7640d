// The Internet checksum (RFC 1071). The one's complement sum does not care about octet order, so
// words are summed as they lie in memory and the result is swapped once, at the end.
import { copyOctets } from "./octets";

/** Folds a sum of 16-bit words to 16 bits. */
export function fold(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  let half = <u32>(sum & 0xffff) + <u32>(sum >> 16);
  half = (half & 0xffff) + (half >> 16);
  return (half & 0xffff) + (half >> 16);
}

/** Swaps the octets of a 16-bit value. */
export function swap16(value: u32): u32 {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}

/**
 * The one's complement sum of `length` octets at `start`, folded, with words as they lie in memory
 * (little-endian); an odd last octet is padded with zero.
 */
export function sumWords(start: usize, length: usize): u32 {
  const end = start + length;
  let sum: u64 = 0;
  if (ASC_FEATURE_SIMD) {
    // Two sums each of whole lanes, and of their upper halves: see `sumLanes`.
    let a = i64x2.splat(0);
    let aUpper = a;
    let b = a;
    let bUpper = a;
    for (; start + 64 <= end; start += 64) {
      const one = v128.load(start);
      const two = v128.load(start, 16);
      const three = v128.load(start, 32);
      const four = v128.load(start, 48);
      a = i64x2.add(i64x2.add(a, one), three);
      b = i64x2.add(i64x2.add(b, two), four);
      aUpper = i64x2.add(i64x2.add(aUpper, i64x2.shr_u(one, 32)), i64x2.shr_u(three, 32));
      bUpper = i64x2.add(i64x2.add(bUpper, i64x2.shr_u(two, 32)), i64x2.shr_u(four, 32));
    }
    for (; start + 16 <= end; start += 16) {
      const one = v128.load(start);
      a = i64x2.add(a, one);
      aUpper = i64x2.add(aUpper, i64x2.shr_u(one, 32));
    }
    sum = sumLanes(i64x2.add(a, b), i64x2.add(aUpper, bUpper));
  } else {
    for (; start + 16 <= end; start += 16)
      sum +=
        <u64>load<u32>(start) +
        <u64>load<u32>(start, 4) +
        <u64>load<u32>(start, 8) +
        <u64>load<u32>(start, 12);
  }
  if (length & 8) {
    sum += <u64>load<u32>(start) + <u64>load<u32>(start, 4);
    start += 8;
  }
  if (length & 4) {
    sum += load<u32>(start);
    start += 4;
  }
  if (length & 2) {
    sum += load<u16>(start);
    start += 2;
  }
  if (length & 1) sum += load<u8>(start);
  return fold(sum);
}

/**
 * The sum of the 32-bit words of which `whole` holds the sums of pairs, modulo 2^64, and `upper` those
 * of the second word of each pair: what the first words come to follows from both.
 */
function sumLanes(whole: v128, upper: v128): u64 {
  const all = i64x2.add(i64x2.sub(whole, i64x2.shl(upper, 32)), upper);
  return i64x2.extract_lane(all, 0) + i64x2.extract_lane(all, 1);
}

/**
 * Copies `length` octets, an IP datagram's at most, to where none of them stand. Returns their sum as
 * `sumWords` does.
 */
export function copyWords(to: usize, from: usize, length: usize): u32 {
  if (ASC_FEATURE_SIMD) {
    const end = from + length;
    let a = i64x2.splat(0);
    let aUpper = a;
    let b = a;
    let bUpper = a;
    for (; from + 64 <= end; from += 64, to += 64) {
      const one = v128.load(from);
      const two = v128.load(from, 16);
      const three = v128.load(from, 32);
      const four = v128.load(from, 48);
      v128.store(to, one);
      v128.store(to, two, 16);
      v128.store(to, three, 32);
      v128.store(to, four, 48);
      a = i64x2.add(i64x2.add(a, one), three);
      b = i64x2.add(i64x2.add(b, two), four);
      aUpper = i64x2.add(i64x2.add(aUpper, i64x2.shr_u(one, 32)), i64x2.shr_u(three, 32));
      bUpper = i64x2.add(i64x2.add(bUpper, i64x2.shr_u(two, 32)), i64x2.shr_u(four, 32));
    }
    for (; from + 16 <= end; from += 16, to += 16) {
      const one = v128.load(from);
      v128.store(to, one);
      a = i64x2.add(a, one);
      aUpper = i64x2.add(aUpper, i64x2.shr_u(one, 32));
    }
    const sum = sumLanes(i64x2.add(a, b), i64x2.add(aUpper, bUpper));
    const rest = end - from;
    copyOctets(to, from, rest);
    return fold(sum + sumWords(from, rest));
  }
  memory.copy(to, from, length);
  return sumWords(from, length);
}

/**
 * The checksum of `length` octets at `start` as it stands in a header; `sum` is a partial sum in
 * network order to start from.
 */
export function checksum(start: usize, length: usize, sum: u32): u32 {
  return ~swap16(fold(<u64>sumWords(start, length) + swap16(sum))) & 0xffff;
}

/** The checksum after one 16-bit word changed (RFC 1624 §3, equation 3). */
export function updateChecksum(old: u32, oldWord: u32, newWord: u32): u32 {
  return ~fold(<u64>(~old & 0xffff) + (~oldWord & 0xffff) + newWord) & 0xffff;
}
