/**
 * The floating point codes of IGMP and MLD: Max Resp Code and QQIC (RFC 3376 §4.1.1, §4.1.7), MLD's
 * 16-bit Maximum Response Code (RFC 3810 §5.1.3). Numbers below the flag bit stand for themselves;
 * above it `(mantissa | hidden bit) << (exponent + 3)`, with 3 bits of exponent.
 */

/** The number an 8-bit code stands for: 0 to 31,744. */
export function decode8(code: number): number {
  return code < 0x80 ? code : ((code & 0x0f) | 0x10) << (((code >> 4) & 7) + 3);
}

/** The number a 16-bit code stands for: 0 to 8,387,584. */
export function decode16(code: number): number {
  return code < 0x8000 ? code : ((code & 0x0fff) | 0x1000) << (((code >> 12) & 7) + 3);
}

/** The 8-bit code of the largest number that has one and does not exceed `value`. */
export function encode8(value: number): number {
  return encode(value, 4);
}

/** The 16-bit code of the largest number that has one and does not exceed `value`. */
export function encode16(value: number): number {
  return encode(value, 12);
}

/** `bits` is the length of the mantissa without its hidden bit. */
function encode(value: number, bits: number): number {
  const flag = 0x8 << bits;
  const largest = ((2 << bits) - 1) << 10;
  const whole = Math.min(Math.max(0, Math.floor(value)), largest);
  if (whole < flag) return whole;
  const exponent = 31 - Math.clz32(whole) - bits - 3;
  const mantissa = (whole >> (exponent + 3)) & ((1 << bits) - 1);
  return flag | (exponent << bits) | mantissa;
}
