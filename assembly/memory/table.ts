// A hash table from keys to records that grows a little at each change and never all at once.
//
// Records have a fixed size, begin with their key and never move. The index is open addressing with
// linear probing over slots of 8 octets: the key's hash, the record's address. To grow, the table
// takes an index of twice the size, puts new entries there, and moves some old ones at each change;
// until that is done a look-up asks both.
import { ARENA_SEED } from "../layout/arena";
import { allocate, release } from "./heap";

const TABLE_INDEX: usize = 0; // u32: slots
const TABLE_SHIFT: usize = 4; // u32: the index has 2^shift slots
const TABLE_COUNT: usize = 8; // u32: records
const TABLE_OLD: usize = 12; // u32: the index being left, 0 for none
const TABLE_OLD_SHIFT: usize = 16; // u32
const TABLE_MOVED: usize = 20; // u32: old slots done
const TABLE_WORDS: usize = 24; // u32: the key's length in u64
const TABLE_RECORD: usize = 28; // u32: a record's length, as a power of two
const TABLE_FREE: usize = 32; // u32: first record given back, linked through its first word
const TABLE_NEXT: usize = 36; // u32: next record never used
const TABLE_END: usize = 40; // u32: end of the chunk that TABLE_NEXT lies in

const SLOT_HASH: usize = 0; // u32
const SLOT_RECORD: usize = 4; // u32: address; 0 empty, GONE moved or removed (old index only)
const SLOT_SHIFT: u32 = 3;
const GONE: u32 = 1;

const FIRST_SHIFT: u32 = 8;
const CHUNK_SHIFT: u32 = 16; // records come in chunks of 64 KiB
const STEP: u32 = 64; // old slots moved at each change

/** An empty table for keys of `words` u64 in records of 2^`recordShift` octets. */
export function tableInit(table: usize, words: u32, recordShift: u32): bool {
  const index = allocate(FIRST_SHIFT + SLOT_SHIFT);
  store<u32>(table, <u32>index, TABLE_INDEX);
  store<u32>(table, FIRST_SHIFT, TABLE_SHIFT);
  store<u32>(table, 0, TABLE_COUNT);
  store<u32>(table, 0, TABLE_OLD);
  store<u32>(table, words, TABLE_WORDS);
  store<u32>(table, recordShift, TABLE_RECORD);
  store<u32>(table, 0, TABLE_FREE);
  store<u32>(table, 0, TABLE_NEXT);
  store<u32>(table, 0, TABLE_END);
  return index != 0;
}

/** How many records there are. */
export function tableCount(table: usize): u32 {
  return load<u32>(table, TABLE_COUNT);
}

/** The hash of a key of `words` u64, under the arena's own seed. */
export function hashKey(key: usize, words: u32): u32 {
  let hash = load<u64>(ARENA_SEED);
  const end = key + ((<usize>words) << 3);
  for (; key < end; key += 8) {
    hash = (hash ^ load<u64>(key)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return <u32>((hash * 0xd6e8feb86659fd93) >> 32);
}

/**
 * Begins to load the index slot that `tableFind` will look at first. The result means nothing, but
 * must be used, or the load is left out.
 */
export function tableTouch(table: usize, hash: u32): u32 {
  return load<u32>(homeSlot(table, hash), SLOT_RECORD);
}

/** Begins to load the record that `tableFind` will likely compare; otherwise as `tableTouch`. */
export function tableTouchRecord(table: usize, hash: u32): u32 {
  return load<u32>(load<u32>(homeSlot(table, hash), SLOT_RECORD));
}

/** Where the search for a hash begins. */
function homeSlot(table: usize, hash: u32): usize {
  const mask: u32 = (1 << load<u32>(table, TABLE_SHIFT)) - 1;
  return <usize>load<u32>(table, TABLE_INDEX) + ((<usize>(hash & mask)) << SLOT_SHIFT);
}

/** The record with this key, or 0. */
export function tableFind(table: usize, hash: u32, key: usize): usize {
  const slot = findSlot(table, TABLE_INDEX, hash, key);
  if (slot) return load<u32>(slot, SLOT_RECORD);
  if (load<u32>(table, TABLE_OLD)) {
    const old = findSlot(table, TABLE_OLD, hash, key);
    if (old) return load<u32>(old, SLOT_RECORD);
  }
  return 0;
}

/**
 * A new record, zero but for its key, for a key that the table does not hold; 0 when there is no
 * more memory.
 */
export function tableInsert(table: usize, hash: u32, key: usize): usize {
  const count = load<u32>(table, TABLE_COUNT);
  const shift = load<u32>(table, TABLE_SHIFT);
  if (!load<u32>(table, TABLE_OLD) && count >> (shift - 1) > 0 && !grow(table)) return 0;
  step(table);
  const record = takeRecord(table);
  if (!record) return 0;
  memory.copy(record, key, (<usize>load<u32>(table, TABLE_WORDS)) << 3);
  put(table, hash, <u32>record);
  store<u32>(table, count + 1, TABLE_COUNT);
  return record;
}

/** Takes out a record that the table holds. Its memory may be used again at once. */
export function tableRemove(table: usize, hash: u32, record: usize): void {
  step(table);
  const slot = findSlot(table, TABLE_INDEX, hash, record);
  if (slot) {
    closeGap(table, slot);
  } else {
    const old = findSlot(table, TABLE_OLD, hash, record);
    store<u32>(old, GONE, SLOT_RECORD);
  }
  store<u32>(record, load<u32>(table, TABLE_FREE));
  store<u32>(table, <u32>record, TABLE_FREE);
  store<u32>(table, load<u32>(table, TABLE_COUNT) - 1, TABLE_COUNT);
}

/** The slot of a key in one of the two indices (TABLE_INDEX or TABLE_OLD), or 0. */
function findSlot(table: usize, which: usize, hash: u32, key: usize): usize {
  const index = <usize>load<u32>(table + which);
  const mask: u32 = (1 << load<u32>(table + which, 4)) - 1; // the shift follows the index
  const words = <usize>load<u32>(table, TABLE_WORDS);
  let at = hash & mask;
  let slot = index + ((<usize>at) << SLOT_SHIFT);
  let record = load<u32>(slot, SLOT_RECORD);
  while (record != 0) {
    if (load<u32>(slot, SLOT_HASH) == hash && record != GONE && sameKey(record, key, words))
      return slot;
    at = (at + 1) & mask;
    slot = index + ((<usize>at) << SLOT_SHIFT);
    record = load<u32>(slot, SLOT_RECORD);
  }
  return 0;
}

function sameKey(a: usize, b: usize, words: usize): bool {
  const end = a + (words << 3);
  for (; a < end; a += 8, b += 8) if (load<u64>(a) != load<u64>(b)) return false;
  return true;
}

/** Puts an entry into the index; there is always an empty slot. */
function put(table: usize, hash: u32, record: u32): void {
  const index = <usize>load<u32>(table, TABLE_INDEX);
  const mask: u32 = (1 << load<u32>(table, TABLE_SHIFT)) - 1;
  let at = hash & mask;
  while (load<u32>(index + ((<usize>at) << SLOT_SHIFT), SLOT_RECORD)) at = (at + 1) & mask;
  const slot = index + ((<usize>at) << SLOT_SHIFT);
  store<u32>(slot, hash, SLOT_HASH);
  store<u32>(slot, record, SLOT_RECORD);
}

/** Empties a slot of the index, moving later entries of its run back so that none is cut off. */
function closeGap(table: usize, slot: usize): void {
  const index = <usize>load<u32>(table, TABLE_INDEX);
  const mask: u32 = (1 << load<u32>(table, TABLE_SHIFT)) - 1;
  let gap = <u32>((slot - index) >> SLOT_SHIFT);
  for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
    const entry = index + ((<usize>at) << SLOT_SHIFT);
    if (load<u32>(entry, SLOT_RECORD) == 0) break;
    // An entry may move back to the gap unless its home lies behind the gap.
    const home = load<u32>(entry, SLOT_HASH) & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    store<u64>(index + ((<usize>gap) << SLOT_SHIFT), load<u64>(entry));
    gap = at;
  }
  store<u64>(index + ((<usize>gap) << SLOT_SHIFT), 0);
}

/** Begins to leave the index for one of twice the size. */
function grow(table: usize): bool {
  const shift = load<u32>(table, TABLE_SHIFT);
  const index = allocate(shift + 1 + SLOT_SHIFT);
  if (!index) return false;
  store<u32>(table, load<u32>(table, TABLE_INDEX), TABLE_OLD);
  store<u32>(table, shift, TABLE_OLD_SHIFT);
  store<u32>(table, 0, TABLE_MOVED);
  store<u32>(table, <u32>index, TABLE_INDEX);
  store<u32>(table, shift + 1, TABLE_SHIFT);
  return true;
}

/** Moves some entries from the old index, and gives it back after the last. */
function step(table: usize): void {
  const old = <usize>load<u32>(table, TABLE_OLD);
  if (!old) return;
  const shift = load<u32>(table, TABLE_OLD_SHIFT);
  const slots: u32 = 1 << shift;
  let moved = load<u32>(table, TABLE_MOVED);
  const stop = min<u32>(moved + STEP, slots);
  for (; moved < stop; moved++) {
    const slot = old + ((<usize>moved) << SLOT_SHIFT);
    const record = load<u32>(slot, SLOT_RECORD);
    if (record <= GONE) continue;
    put(table, load<u32>(slot, SLOT_HASH), record);
    store<u32>(slot, GONE, SLOT_RECORD);
  }
  store<u32>(table, moved, TABLE_MOVED);
  if (moved == slots) {
    store<u32>(table, 0, TABLE_OLD);
    release(old, shift + SLOT_SHIFT);
  }
}

/** A zeroed record; 0 when there is no more memory. */
function takeRecord(table: usize): usize {
  const size = (<usize>1) << load<u32>(table, TABLE_RECORD);
  let record = <usize>load<u32>(table, TABLE_FREE);
  if (record) {
    store<u32>(table, load<u32>(record), TABLE_FREE);
    memory.fill(record, 0, size);
    return record;
  }
  record = load<u32>(table, TABLE_NEXT);
  if (record == <usize>load<u32>(table, TABLE_END)) {
    record = allocate(CHUNK_SHIFT);
    if (!record) return 0;
    store<u32>(table, <u32>(record + ((<usize>1) << CHUNK_SHIFT)), TABLE_END);
  }
  store<u32>(table, <u32>(record + size), TABLE_NEXT);
  return record;
}
