// CRC32c (RFC 9260 appendix A), sixteen octets a turn: table k holds the effect of an octet that is
// followed by k others.
import { ARENA_CRC } from "./layout/arena";

const POLYNOMIAL: u32 = 0x82f63b78; // Castagnoli, reflected
const TABLE = 1024; // octets of one table

/** Makes the sixteen tables. */
export function crcInit(): void {
  for (let octet: u32 = 0; octet < 256; octet++) {
    let crc = octet;
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    store<u32>(ARENA_CRC + ((<usize>octet) << 2), crc);
  }
  for (let octet: usize = 0; octet < 256; octet++) {
    let crc = load<u32>(ARENA_CRC + (octet << 2));
    for (let table: usize = 1; table < 16; table++) {
      crc = (crc >> 8) ^ load<u32>(ARENA_CRC + (((<usize>crc) & 0xff) << 2));
      store<u32>(ARENA_CRC + table * TABLE + (octet << 2), crc);
    }
  }
}

/** Continues `crc` (0 to start) over `length` octets at `start`. */
export function crc32c(start: usize, length: usize, crc: u32): u32 {
  crc = ~crc;
  const end = start + length;
  for (; start + 16 <= end; start += 16) {
    const a = load<u32>(start) ^ crc;
    const b = load<u32>(start, 4);
    const c = load<u32>(start, 8);
    const d = load<u32>(start, 12);
    crc = entry(15, a) ^ entry(14, a >> 8) ^ entry(13, a >> 16) ^ entry(12, a >> 24);
    crc ^= entry(11, b) ^ entry(10, b >> 8) ^ entry(9, b >> 16) ^ entry(8, b >> 24);
    crc ^= entry(7, c) ^ entry(6, c >> 8) ^ entry(5, c >> 16) ^ entry(4, c >> 24);
    crc ^= entry(3, d) ^ entry(2, d >> 8) ^ entry(1, d >> 16) ^ entry(0, d >> 24);
  }
  for (; start < end; start++) crc = (crc >> 8) ^ entry(0, crc ^ load<u8>(start));
  return ~crc;
}

/** The word of `table` for the low octet of `value`. */
function entry(table: usize, value: u32): u32 {
  return load<u32>(ARENA_CRC + table * TABLE + (((<usize>value) & 0xff) << 2));
}
