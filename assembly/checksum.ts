// The Internet checksum (RFC 1071). The one's complement sum does not care about octet order, so
// words are summed as they lie in memory and the result is swapped once, at the end.

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
    while (start + 64 <= end) {
      // Lanes hold 32 bits: 32,768 additions of two words each cannot overflow one.
      const stop = start + 64 * min<usize>((end - start) / 64, 8192);
      let a = i32x4.splat(0);
      let b = i32x4.splat(0);
      let c = i32x4.splat(0);
      let d = i32x4.splat(0);
      for (; start < stop; start += 64) {
        a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(start)));
        b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(start, 16)));
        c = i32x4.add(c, i32x4.extadd_pairwise_i16x8_u(v128.load(start, 32)));
        d = i32x4.add(d, i32x4.extadd_pairwise_i16x8_u(v128.load(start, 48)));
      }
      sum += sumLanes(a) + sumLanes(b) + sumLanes(c) + sumLanes(d);
    }
  }
  for (; start + 16 <= end; start += 16)
    sum +=
      <u64>load<u32>(start) +
      <u64>load<u32>(start, 4) +
      <u64>load<u32>(start, 8) +
      <u64>load<u32>(start, 12);
  for (; start + 2 <= end; start += 2) sum += load<u16>(start);
  if (start < end) sum += load<u8>(start);
  return fold(sum);
}

/** The sum of four 32-bit lanes. */
function sumLanes(lanes: v128): u64 {
  const pairs = i64x2.add(i64x2.extend_low_i32x4_u(lanes), i64x2.extend_high_i32x4_u(lanes));
  return i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1);
}

/**
 * Copies `length` octets, an IP datagram's at most, to where none of them stand. Returns their sum as
 * `sumWords` does.
 */
export function copyWords(to: usize, from: usize, length: usize): u32 {
  const end = from + length;
  let sum: u64 = 0;
  if (ASC_FEATURE_SIMD) {
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    for (; from + 32 <= end; from += 32, to += 32) {
      const one = v128.load(from);
      const two = v128.load(from, 16);
      v128.store(to, one);
      v128.store(to, two, 16);
      a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(one));
      b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(two));
    }
    sum = sumLanes(a) + sumLanes(b);
  }
  memory.copy(to, from, end - from);
  return fold(sum + sumWords(from, end - from));
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
