// The Internet checksum and CRC32c, against the examples of their documents and slow oracles.
import { checksum, copyWords, sumWords, swap16, updateChecksum } from "../checksum";
import { crc32c, crcInit } from "../crc32c";
import { octets, random, SCRATCH, seed } from "./desk";

/** The sum of 16-bit words in network order, folded after each (RFC 1071 §4.1). */
function slowSum(start: usize, length: i32): u32 {
  let sum: u32 = 0;
  for (let i = 0; i < length; i++) {
    sum += i & 1 ? <u32>load<u8>(start + i) : (<u32>load<u8>(start + i)) << 8;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

/** CRC32c a bit at a time (RFC 9260 appendix A). */
function slowCrc(start: usize, length: i32): u32 {
  let crc: u32 = 0xffffffff;
  for (let i = 0; i < length; i++) {
    crc ^= load<u8>(start + i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

function fill(start: usize, length: i32): void {
  for (let i = 0; i < length; i++) store<u8>(start + i, <u8>random());
}

describe("the Internet checksum", () => {
  test("is that of the worked example (RFC 1071 §3)", () => {
    const length = octets(SCRATCH, "0001 f203 f4f5 f6f7");
    expect(swap16(sumWords(SCRATCH, length))).toBe(0xddf2);
    expect(checksum(SCRATCH, length, 0)).toBe(0x220d);
  });

  test("pads an odd last octet with zero (RFC 1071 §1)", () => {
    octets(SCRATCH, "00 01 f2 ff");
    expect(checksum(SCRATCH, 3, 0)).toBe(~(<u32>0x0001 + 0xf200) & 0xffff);
    expect(checksum(SCRATCH, 1, 0)).toBe(0xffff);
    expect(checksum(SCRATCH, 0, 0)).toBe(0xffff);
  });

  test("of octets that are copied is the same, and nothing beside the copy is written", () => {
    seed(12);
    fill(SCRATCH, 512);
    const to = SCRATCH + 1024;
    let wrong = 0;
    for (let start: usize = 0; start < 5; start++)
      for (let length = 0; length <= 200; length++) {
        memory.fill(to, 0xa5, 256);
        if (copyWords(to + 8 + start, SCRATCH + start, length) != sumWords(SCRATCH + start, length))
          wrong++;
        if (memory.compare(to + 8 + start, SCRATCH + start, length) != 0) wrong++;
        if (load<u8>(to + 7 + start) != 0xa5 || load<u8>(to + 8 + start + length) != 0xa5) wrong++;
      }
    expect(wrong).toBe(0);
  });

  test("continues a partial sum", () => {
    seed(11);
    fill(SCRATCH, 100);
    let wrong = 0;
    for (let cut = 0; cut <= 100; cut += 2) {
      const first = ~checksum(SCRATCH, cut, 0) & 0xffff;
      if (checksum(SCRATCH + cut, 100 - cut, first) != checksum(SCRATCH, 100, 0)) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test("equals the slow sum at every alignment and length", () => {
    seed(1);
    fill(SCRATCH, 512);
    let wrong = 0;
    for (let start: usize = 0; start < 17; start++)
      for (let length = 0; length <= 300; length++)
        if (checksum(SCRATCH + start, length, 0) != (~slowSum(SCRATCH + start, length) & 0xffff))
          wrong++;
    expect(wrong).toBe(0);
  });

  test("overflows no lane where all words are largest", () => {
    const length = 3 << 20; // more than one turn of the accumulators
    memory.fill(SCRATCH, 0xff, length);
    expect(sumWords(SCRATCH, length)).toBe(0xffff);
    store<u8>(SCRATCH, 0xfe, length - 2);
    expect(checksum(SCRATCH, length, 0)).toBe(0x0100);
    memory.fill(SCRATCH, 0, length);
    expect(sumWords(SCRATCH, length)).toBe(0);
  });

  test("is mended as the example says, where the older equation fails (RFC 1624 §4)", () => {
    expect(updateChecksum(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  test("is mended to what it would be anew (RFC 1624 §3)", () => {
    seed(2);
    let wrong = 0;
    for (let turn = 0; turn < 5_000; turn++) {
      fill(SCRATCH, 20);
      store<u8>(SCRATCH, 0x45); // never all zero: a header is not
      const before = checksum(SCRATCH, 20, 0);
      const at = SCRATCH + 2 + 2 * (random() % 9);
      const old = <u32>bswap<u16>(load<u16>(at));
      const now = random() & 0xffff;
      store<u16>(at, bswap<u16>(<u16>now));
      if (updateChecksum(before, old, now) != checksum(SCRATCH, 20, 0)) wrong++;
    }
    expect(wrong).toBe(0);
  });
});

describe("CRC32c", () => {
  test("is that of the examples (RFC 3720 appendix B.4)", () => {
    crcInit();
    memory.fill(SCRATCH, 0, 32);
    expect(crc32c(SCRATCH, 32, 0)).toBe(0x8a9136aa, "zeroes");
    memory.fill(SCRATCH, 0xff, 32);
    expect(crc32c(SCRATCH, 32, 0)).toBe(0x62a8ab43, "ones");
    for (let i = 0; i < 32; i++) store<u8>(SCRATCH + i, <u8>i);
    expect(crc32c(SCRATCH, 32, 0)).toBe(0x46dd794e, "rising");
    for (let i = 0; i < 32; i++) store<u8>(SCRATCH + i, <u8>(31 - i));
    expect(crc32c(SCRATCH, 32, 0)).toBe(0x113fdb5c, "falling");
    const length = octets(
      SCRATCH,
      "01c0 0000 0000 0000 0000 0000 0000 0000 1400 0000 0000 0400" +
        "0000 0014 0000 0018 2800 0000 0000 0000 0200 0000 0000 0000",
    );
    expect(length).toBe(48);
    expect(crc32c(SCRATCH, length, 0)).toBe(0xd9963a56, "an iSCSI read command");
  });

  test("of nothing is nothing, of the nine digits the published check value", () => {
    expect(crc32c(SCRATCH, 0, 0)).toBe(0);
    octets(SCRATCH, "313233343536373839");
    expect(crc32c(SCRATCH, 9, 0)).toBe(0xe3069283);
  });

  test("equals the bitwise one at every alignment and length (RFC 9260 appendix A)", () => {
    seed(3);
    fill(SCRATCH, 128);
    let wrong = 0;
    for (let start: usize = 0; start < 17; start++)
      for (let length = 0; length <= 80; length++)
        if (crc32c(SCRATCH + start, length, 0) != slowCrc(SCRATCH + start, length)) wrong++;
    expect(wrong).toBe(0);
  });

  test("continues wherever the octets are cut", () => {
    seed(4);
    fill(SCRATCH, 90);
    let wrong = 0;
    for (let cut = 0; cut <= 90; cut++) {
      const first = crc32c(SCRATCH, cut, 0);
      if (crc32c(SCRATCH + cut, 90 - cut, first) != slowCrc(SCRATCH, 90)) wrong++;
    }
    expect(wrong).toBe(0);
  });
});
