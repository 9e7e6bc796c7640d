// Packets that the core does not decide about: they go to the control thread, whole.
import {
  ARENA_PUNTS,
  PUNT_KIND,
  PUNT_LENGTH,
  PUNT_NAME,
  PUNT_NAME_LENGTH,
  PUNT_PACKET,
  PUNT_PORT,
  PUNT_SLOTS,
  PUNT_SLOT_SHIFT,
} from "./layout/arena";
import { SOCKADDR_IN6_LENGTH } from "./layout/system";
import { VERDICT_PUNTED, VERDICT_PUNT_FULL, VERDICT_TOO_BIG } from "./layout/verdict";
import { ringFree, ringPublish } from "./memory/ring";

/** Hands on `length` octets at `packet`; `name` is the sender's sockaddr. Returns the verdict. */
export function punt(kind: u32, packet: usize, length: i32, name: usize, nameLength: u32): i32 {
  return puntFrom(0, kind, packet, length, name, nameLength);
}

/** Likewise, from the port of this number. */
export function puntFrom(
  port: u32,
  kind: u32,
  packet: usize,
  length: i32,
  name: usize,
  nameLength: u32,
): i32 {
  if (length > (1 << PUNT_SLOT_SHIFT) - PUNT_PACKET) return VERDICT_TOO_BIG;
  const slot = ringFree(ARENA_PUNTS, PUNT_SLOTS, PUNT_SLOT_SHIFT);
  if (!slot) return VERDICT_PUNT_FULL;
  const named = min<u32>(nameLength, SOCKADDR_IN6_LENGTH);
  store<u32>(slot, length, PUNT_LENGTH);
  store<u32>(slot, kind, PUNT_KIND);
  store<u32>(slot, named, PUNT_NAME_LENGTH);
  store<u32>(slot, port, PUNT_PORT);
  store<u16>(slot, 0, PUNT_NAME); // no family, unless a name follows
  memory.copy(slot + PUNT_NAME, name, named);
  memory.copy(slot + PUNT_PACKET, packet, length);
  ringPublish(ARENA_PUNTS);
  return VERDICT_PUNTED;
}
