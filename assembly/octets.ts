// Few octets, as headers have: `memory.copy` is a call out of the core, which takes longer than they do.

/** Copies `length` octets to where none of them stand. */
export function copyOctets(to: usize, from: usize, length: usize): void {
  const end = from + length;
  for (; from + 8 <= end; from += 8, to += 8) store<u64>(to, load<u64>(from));
  if (length & 4) {
    store<u32>(to, load<u32>(from));
    from += 4;
    to += 4;
  }
  if (length & 2) {
    store<u16>(to, load<u16>(from));
    from += 2;
    to += 2;
  }
  if (length & 1) store<u8>(to, load<u8>(from));
}

/** True when `length` octets are alike. */
export function sameOctets(a: usize, b: usize, length: usize): bool {
  const end = a + length;
  for (; a + 8 <= end; a += 8, b += 8) if (load<u64>(a) != load<u64>(b)) return false;
  if (length & 4) {
    if (load<u32>(a) != load<u32>(b)) return false;
    a += 4;
    b += 4;
  }
  if (length & 2) {
    if (load<u16>(a) != load<u16>(b)) return false;
    a += 2;
    b += 2;
  }
  return !(length & 1) || load<u8>(a) == load<u8>(b);
}
