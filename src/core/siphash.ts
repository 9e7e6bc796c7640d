/**
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): a keyed hash of 64 bits
 * for short messages. Each 64-bit word is two 32-bit halves, so that no BigInt is made.
 */

/**
 * Hashes `octets` under `key` into `hash`. `key` is the 128-bit key as four little-endian words;
 * `hash` receives the low and the high word of the result.
 */
export function sipHash24(key: Uint32Array, octets: Uint8Array, hash: Uint32Array): void {
  const k0l = key[0]!;
  const k0h = key[1]!;
  const k1l = key[2]!;
  const k1h = key[3]!;
  let v0l = k0l ^ 0x70736575;
  let v0h = k0h ^ 0x736f6d65;
  let v1l = k1l ^ 0x6e646f6d;
  let v1h = k1h ^ 0x646f7261;
  let v2l = k0l ^ 0x6e657261;
  let v2h = k0h ^ 0x6c796765;
  let v3l = k1l ^ 0x79746573;
  let v3h = k1h ^ 0x74656462;
  const length = octets.length;
  const whole = length & ~7;
  // The words of 8 octets, then one of what is left and the length, then the finalization.
  for (let at = 0; at <= whole + 8; at += 8) {
    const final = at === whole + 8;
    let ml = 0;
    let mh = 0;
    if (at < whole) {
      ml = wordAt(octets, at);
      mh = wordAt(octets, at + 4);
    } else if (!final) {
      for (let i = 0; i < length - whole; i++) {
        if (i < 4) ml |= octets[whole + i]! << (8 * i);
        else mh |= octets[whole + i]! << (8 * (i - 4));
      }
      mh |= length << 24;
    }
    if (final) v2l ^= 0xff;
    v3l ^= ml;
    v3h ^= mh;
    for (let round = final ? 4 : 2; round > 0; round--) {
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      let low = (v0l >>> 0) + (v1l >>> 0);
      let high = (v0h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
      low |= 0;
      let tl = (v1l << 13) | (v1h >>> 19);
      let th = (v1h << 13) | (v1l >>> 19);
      v1l = tl ^ low;
      v1h = th ^ high;
      v0l = high;
      v0h = low;
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      low = (v2l >>> 0) + (v3l >>> 0);
      high = (v2h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
      v2l = low | 0;
      v2h = high;
      tl = (v3l << 16) | (v3h >>> 16);
      th = (v3h << 16) | (v3l >>> 16);
      v3l = tl ^ v2l;
      v3h = th ^ v2h;
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      low = (v0l >>> 0) + (v3l >>> 0);
      high = (v0h + v3h + (low > 0xffffffff ? 1 : 0)) | 0;
      v0l = low | 0;
      v0h = high;
      tl = (v3l << 21) | (v3h >>> 11);
      th = (v3h << 21) | (v3l >>> 11);
      v3l = tl ^ v0l;
      v3h = th ^ v0h;
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      low = (v2l >>> 0) + (v1l >>> 0);
      high = (v2h + v1h + (low > 0xffffffff ? 1 : 0)) | 0;
      low |= 0;
      tl = (v1l << 17) | (v1h >>> 15);
      th = (v1h << 17) | (v1l >>> 15);
      v1l = tl ^ low;
      v1h = th ^ high;
      v2l = high;
      v2h = low;
    }
    v0l ^= ml;
    v0h ^= mh;
  }
  hash[0] = v0l ^ v1l ^ v2l ^ v3l;
  hash[1] = v0h ^ v1h ^ v2h ^ v3h;
}

function wordAt(octets: Uint8Array, at: number): number {
  return octets[at]! | (octets[at + 1]! << 8) | (octets[at + 2]! << 16) | (octets[at + 3]! << 24);
}
