// The library engine's batches: packets one after another in scratch memory, none of a lane's rings.
import { decapsulate, encapsulate } from "./data";
import { AMT_DATA_DATAGRAM } from "../layout/amt";

/**
 * Encapsulates `packets` packets that stand at `from` plus the u32 of `offsets`, with the i32 of
 * `lengths`, one after another to `to`. Each one's result replaces its length. Returns the octets
 * written.
 */
export function encapsulateBatch(
  packets: u32,
  offsets: usize,
  lengths: usize,
  from: usize,
  to: usize,
): u32 {
  let out = to;
  const end = lengths + ((<usize>packets) << 2);
  for (; lengths < end; lengths += 4, offsets += 4) {
    const result = encapsulate(from + load<u32>(offsets), load<i32>(lengths), out);
    store<i32>(lengths, result);
    if (result > 0) out += result;
  }
  return <u32>(out - to);
}

/** Decapsulates likewise. */
export function decapsulateBatch(
  packets: u32,
  offsets: usize,
  lengths: usize,
  from: usize,
  to: usize,
): u32 {
  let out = to;
  const end = lengths + ((<usize>packets) << 2);
  for (; lengths < end; lengths += 4, offsets += 4) {
    const message = from + load<u32>(offsets);
    const result = decapsulate(message, load<i32>(lengths));
    store<i32>(lengths, result);
    if (result <= 0) continue;
    memory.copy(out, message + AMT_DATA_DATAGRAM, result);
    out += result;
  }
  return <u32>(out - to);
}
