// Sessions: by the key of their datagrams, and by the control thread's number.
import { ARENA_KEY, ARENA_PORTS, ARENA_SESSIONS, ARENA_SESSION_TABLE } from "../layout/arena";
import {
  SESSION_DEVICE,
  SESSION_FLAGS,
  SESSION_HOLD,
  SESSION_HOLDING,
  SESSION_KEY_LENGTH,
  SESSION_NUMBER,
  SESSION_SHIFT,
  SESSION_TX_ERRORS,
  SESSION_TX_PACKETS,
  SESSION_VLAN,
} from "../layout/l2tp";
import { slabAt, slabHas, slabInit, slabReach } from "../memory/slab";
import { hashKey, tableFind, tableInit, tableInsert, tableRemove } from "../memory/table";
import { holdForget, holdInit } from "./hold";
import { portSession, portTie } from "./ports";

const KEY_WORDS: u32 = SESSION_KEY_LENGTH >> 3;
const ADDRESS_SHIFT: u32 = 2;

/** Makes the empty tables. */
export function sessionsInit(): bool {
  slabInit(ARENA_SESSIONS);
  slabInit(ARENA_PORTS);
  return tableInit(ARENA_SESSION_TABLE, KEY_WORDS, SESSION_SHIFT);
}

/** Makes a session, zero but for its key. False without memory; true if the number is in use. */
export function sessionAdd(number: u32, key: usize): bool {
  if (!slabReach(ARENA_SESSIONS, number, ADDRESS_SHIFT)) return false;
  if (sessionAt(number)) return true;
  const hash = hashKey(key, KEY_WORDS);
  if (tableFind(ARENA_SESSION_TABLE, hash, key)) return true;
  const session = tableInsert(ARENA_SESSION_TABLE, hash, key);
  if (!session) return false;
  store<u32>(session, number, SESSION_NUMBER);
  store<u32>(slabAt(ARENA_SESSIONS, number, ADDRESS_SHIFT), <u32>session);
  return true;
}

/**
 * Stores octets into a session's record; its key, its number and the core's own flag stay. False
 * without memory.
 */
export function sessionPut(number: u32, offset: u32, from: usize, length: u32): bool {
  const session = sessionAt(number);
  if (!session || offset < <u32>SESSION_FLAGS || offset + length > <u32>(1 << SESSION_SHIFT))
    return true;
  const own = load<u32>(session, SESSION_FLAGS) & SESSION_HOLDING;
  memory.copy(session + offset, from, length);
  store<u32>(session, load<u32>(session, SESSION_FLAGS) | own, SESSION_FLAGS);
  return load<u32>(session, SESSION_HOLD) == 0 || holdInit();
}

/** Lets frames of its device through to a session. */
export function sessionReady(number: u32): void {
  const session = sessionAt(number);
  if (session)
    portTie(load<u32>(session, SESSION_DEVICE), load<u16>(session, SESSION_VLAN), session);
}

/** Takes a session away; what it holds is dropped. */
export function sessionRemove(number: u32): void {
  const session = sessionAt(number);
  if (!session) return;
  const device = load<u32>(session, SESSION_DEVICE);
  const vlan = load<u16>(session, SESSION_VLAN);
  if (portSession(device, vlan) == session) portTie(device, vlan, 0);
  holdForget(session);
  store<u32>(slabAt(ARENA_SESSIONS, number, ADDRESS_SHIFT), 0);
  tableRemove(ARENA_SESSION_TABLE, hashKey(session, KEY_WORDS), session);
}

/** The session with this number, or 0. */
function sessionAt(number: u32): usize {
  if (!slabHas(ARENA_SESSIONS, number, ADDRESS_SHIFT)) return 0;
  return <usize>load<u32>(slabAt(ARENA_SESSIONS, number, ADDRESS_SHIFT));
}

/** The session whose key stands at ARENA_KEY, or 0. */
export function sessionFor(): usize {
  return tableFind(ARENA_SESSION_TABLE, hashKey(ARENA_KEY, KEY_WORDS), ARENA_KEY);
}

/** Adds to one of a session's counters. */
export function note(session: usize, counter: usize, amount: u64): void {
  store<u64>(session + counter, load<u64>(session + counter) + amount);
}

/** Takes note that the system refused packets which had been counted as sent. */
export function sessionUnsent(session: usize, packets: u32): void {
  store<u64>(session, load<u64>(session, SESSION_TX_PACKETS) - packets, SESSION_TX_PACKETS);
  note(session, SESSION_TX_ERRORS, packets);
}
