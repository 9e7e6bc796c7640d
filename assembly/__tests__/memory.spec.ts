// Heap, rings and the hash table, each against what a plain list or queue would do.
import {
  ARENA_HEAP_END,
  ARENA_PUNTS,
  PUNT_SLOTS,
  PUNT_SLOT_SHIFT,
  RING_HEAD,
  RING_SLOTS,
  RING_TAIL,
} from "../layout/arena";
import { allocate, blockShift, heapInit, release } from "../memory/heap";
import { ringFree, ringOldest, ringPublish, ringRelease, ringWaiting } from "../memory/ring";
import {
  hashKey,
  tableCount,
  tableFind,
  tableInit,
  tableInsert,
  tableRemove,
} from "../memory/table";
import { below, freshArena, HEAP, random, SCRATCH, seed } from "./desk";

const PAGE: usize = 65536;
const GROWTH: usize = 2 << 20; // what the memory grows by, at least

/** True when `length` octets at `start` are all zero. */
function isZero(start: usize, length: usize): bool {
  for (let at = start; at < start + length; at++) if (load<u8>(at)) return false;
  return true;
}

describe("the heap", () => {
  test("knows the block that holds a length", () => {
    expect(blockShift(1)).toBe(6);
    expect(blockShift(64)).toBe(6);
    expect(blockShift(65)).toBe(7);
    expect(blockShift(4096)).toBe(12);
    expect(blockShift(4097)).toBe(13);
    expect(blockShift(0x80000000)).toBe(31);
  });

  test("gives zeroed blocks on cache lines that do not overlap", () => {
    freshArena();
    const starts: usize[] = [];
    const ends: usize[] = [];
    let wrong = 0;
    seed(5);
    for (let i = 0; i < 200; i++) {
      const shift = 6 + below(7);
      const length = (<usize>1) << shift;
      const block = allocate(shift);
      if (!block || block & 63 || !isZero(block, length)) wrong++;
      for (let j = 0; j < starts.length; j++)
        if (block < ends[j] && block + length > starts[j]) wrong++;
      starts.push(block);
      ends.push(block + length);
      memory.fill(block, 0xa5, length);
    }
    expect(wrong).toBe(0);
  });

  test("gives a block again that came back, zeroed, to a request of its size only", () => {
    freshArena();
    const one = allocate(8);
    const two = allocate(8);
    memory.fill(one, 0xa5, 256);
    memory.fill(two, 0xa5, 256);
    release(one, 8);
    release(two, 8);
    const other = allocate(9);
    expect(other == one || other == two).toBe(false);
    expect(allocate(8)).toBe(two);
    expect(allocate(8)).toBe(one);
    expect(isZero(one, 256) && isZero(two, 256)).toBe(true);
    expect(allocate(8) != one).toBe(true);
  });

  test("grows the memory by 2 MiB, and goes on where its region ended", () => {
    freshArena();
    const start = <usize>memory.size() * PAGE;
    heapInit(start);
    expect(allocate(20)).toBe(start);
    expect(<usize>memory.size() * PAGE).toBe(start + GROWTH);
    // Half of it stays free behind this block, and the next one begins there.
    expect(allocate(21)).toBe(start + GROWTH / 2);
    expect(<usize>memory.size() * PAGE).toBe(start + 2 * GROWTH);
    expect(allocate(20)).toBe(start + GROWTH + GROWTH / 2);
    expect(<usize>memory.size() * PAGE).toBe(start + 2 * GROWTH);
  });

  test("takes a new region when another part of the program has grown the memory", () => {
    const start = <usize>memory.size() * PAGE;
    heapInit(start);
    expect(allocate(20)).toBe(start);
    memory.grow(2);
    const block = allocate(21);
    expect(block).toBe(start + GROWTH + 2 * PAGE);
    expect(isZero(block, GROWTH)).toBe(true);
    expect(<usize>load<u32>(ARENA_HEAP_END)).toBe(<usize>memory.size() * PAGE);
    expect(allocate(6)).toBe(start + 2 * GROWTH + 2 * PAGE);
  });

  test("answers 0 when there is no more memory, and still serves what came back", () => {
    freshArena();
    const block = allocate(10);
    expect(allocate(31)).toBe(0);
    expect(allocate(30)).toBe(0);
    release(block, 10);
    expect(allocate(10)).toBe(block);
  });
});

const SLOTS: u32 = 8;
const SHIFT: u32 = 6;

function ringAt(index: u32): void {
  freshArena();
  store<u32>(SCRATCH, index, RING_TAIL);
  store<u32>(SCRATCH, index, RING_HEAD);
}

describe("a ring", () => {
  test("is empty at first, takes as many as it has slots, and then no more", () => {
    ringAt(0);
    expect(ringWaiting(SCRATCH)).toBe(0);
    for (let i: u32 = 0; i < SLOTS; i++) {
      expect(ringFree(SCRATCH, SLOTS, SHIFT)).toBe(SCRATCH + RING_SLOTS + (i << SHIFT));
      ringPublish(SCRATCH);
      expect(ringWaiting(SCRATCH)).toBe(i + 1);
    }
    expect(ringFree(SCRATCH, SLOTS, SHIFT)).toBe(0);
    ringRelease(SCRATCH);
    expect(ringFree(SCRATCH, SLOTS, SHIFT)).toBe(SCRATCH + RING_SLOTS);
  });

  test("hides a slot until it is published", () => {
    ringAt(0);
    store<u32>(ringFree(SCRATCH, SLOTS, SHIFT), 7);
    expect(ringWaiting(SCRATCH)).toBe(0);
  });

  test("keeps order while its indices pass 2^32", () => {
    ringAt(0xffffffe0);
    seed(6);
    let put: u32 = 0;
    let taken: u32 = 0;
    let wrong = 0;
    while (taken < 1_000) {
      for (let n = below(SLOTS + 2); n > 0; n--) {
        const slot = ringFree(SCRATCH, SLOTS, SHIFT);
        if ((slot == 0) != (put - taken == SLOTS)) wrong++;
        if (!slot) break;
        store<u32>(slot, put++);
        ringPublish(SCRATCH);
      }
      if (ringWaiting(SCRATCH) != put - taken) wrong++;
      for (let n = below(SLOTS + 2); n > 0 && ringWaiting(SCRATCH); n--) {
        if (load<u32>(ringOldest(SCRATCH, SLOTS, SHIFT)) != taken++) wrong++;
        ringRelease(SCRATCH);
      }
    }
    expect(wrong).toBe(0);
    expect(load<u32>(SCRATCH, RING_TAIL) < 0xffffffe0).toBe(true, "the index has wrapped");
  });

  test("of punts ends before the next region", () => {
    const last = ARENA_PUNTS + RING_SLOTS + ((<usize>PUNT_SLOTS - 1) << PUNT_SLOT_SHIFT);
    expect(last + (1 << PUNT_SLOT_SHIFT) <= 0x300000).toBe(true);
  });
});

/** A table of records of 16 octets whose key is one u64: the key's number. */
const TABLE: usize = SCRATCH;
const KEY: usize = SCRATCH + 0x100;
const VALUE: usize = 8;

function freshTable(): void {
  freshArena();
  memory.fill(TABLE, 0, 64);
  tableInit(TABLE, 1, 4);
}

function find(key: u64, hash: u32): usize {
  store<u64>(KEY, key);
  return tableFind(TABLE, hash, KEY);
}

function insert(key: u64, hash: u32): usize {
  store<u64>(KEY, key);
  return tableInsert(TABLE, hash, KEY);
}

const KEYS: u32 = 3_000;

/** What the table should hold: a value for each key, 0 for none. */
const list = new StaticArray<u32>(KEYS);

/** How a run of operations spreads its keys. */
let spread: i32 = 0;

function hashOf(key: u32): u32 {
  store<u64>(KEY, key);
  if (spread == 0) return hashKey(KEY, 1);
  // Long runs of equal hashes, the last of which wrap around the end of any index.
  return ~(hashKey(KEY, 1) % <u32>spread);
}

/** Inserts and removes at random; returns how often the table and the list disagreed. */
function disagreements(operations: i32, keys: u32): i32 {
  freshTable();
  memory.fill(changetype<usize>(list), 0, KEYS * 4);
  let count: u32 = 0;
  let wrong = 0;
  for (let turn = 0; turn < operations; turn++) {
    // Swell and shrink in turn, so that the table grows, empties, and fills again.
    const swelling = (turn / 4_000) & 1 ? below(4) == 0 : below(4) != 0;
    const key = below(keys);
    const hash = hashOf(key);
    const record = find(key, hash);
    if ((record != 0) != (list[key] != 0)) wrong++;
    if (record && load<u32>(record, VALUE) != list[key]) wrong++;
    if (swelling && !record) {
      const made = insert(key, hash);
      if (load<u64>(made) != key || load<u64>(made, VALUE) != 0) wrong++;
      list[key] = random();
      store<u32>(made, list[key], VALUE);
      count++;
    } else if (!swelling && record) {
      tableRemove(TABLE, hash, record);
      list[key] = 0;
      count--;
    }
    if (tableCount(TABLE) != count) wrong++;
    if (turn % 500 == 0) wrong += misses(keys);
  }
  return wrong + misses(keys);
}

/** How many keys the table does not answer as the list does. */
function misses(keys: u32): i32 {
  let wrong = 0;
  for (let key: u32 = 0; key < keys; key++) {
    const record = find(key, hashOf(key));
    if (record ? load<u32>(record, VALUE) != list[key] : list[key] != 0) wrong++;
  }
  return wrong;
}

describe("the table", () => {
  test("answers as a list does, through 20,000 changes", () => {
    seed(7);
    spread = 0;
    expect(disagreements(20_000, KEYS)).toBe(0);
  });

  test("answers as a list does where hashes collide and runs wrap around the index", () => {
    seed(8);
    spread = 3;
    expect(disagreements(20_000, 300)).toBe(0);
    spread = 40;
    expect(disagreements(20_000, 1_000)).toBe(0);
  });

  test("closes the gap of a removed entry: what follows it in the run is still found", () => {
    // Homes 10, 10, 11, 10, 12 lie in slots 10 to 14.
    const homes: u32[] = [10, 10, 11, 10, 12];
    for (let removed = 0; removed < homes.length; removed++) {
      freshTable();
      for (let key = 0; key < homes.length; key++) insert(key, homes[key]);
      tableRemove(TABLE, homes[removed], find(removed, homes[removed]));
      for (let key = 0; key < homes.length; key++)
        expect(find(key, homes[key]) != 0).toBe(key != removed);
    }
  });

  test("closes a gap across the end of the index", () => {
    freshTable();
    for (let key = 0; key < 6; key++) insert(key, 254);
    tableRemove(TABLE, 254, find(0, 254));
    for (let key = 1; key < 6; key++) expect(find(key, 254) != 0).toBe(true);
    expect(find(0, 254)).toBe(0);
  });

  test("asks both indices while it grows, and skips what has left the old one", () => {
    freshTable();
    const index = load<u32>(TABLE);
    // Half of 256 slots: the next one makes the table grow. All homes lie at the end.
    for (let key = 0; key < 128; key++) insert(key, 192 + (key & 31));
    insert(128, 5);
    expect(load<u32>(TABLE)).not.toBe(index, "there is a new index");
    for (let key = 0; key < 128; key++)
      expect(find(key, 192 + (key & 31)) != 0).toBe(true, "found in the old index");
    expect(find(128, 5) != 0).toBe(true, "found in the new index");
    // Removed from the old index: the run that went through its slot still holds.
    tableRemove(TABLE, 192, find(0, 192));
    expect(find(0, 192)).toBe(0);
    for (let key = 1; key < 128; key++) expect(find(key, 192 + (key & 31)) != 0).toBe(true);
    // The same key again, now in the new index, and out again.
    const again = insert(0, 192);
    expect(find(0, 192)).toBe(again);
    tableRemove(TABLE, 192, again);
    expect(find(0, 192)).toBe(0);
    expect(tableCount(TABLE)).toBe(128);
  });

  test("gives the old index back when all has moved, and loses nothing", () => {
    freshTable();
    const index = load<u32>(TABLE);
    for (let key = 0; key < 129; key++) insert(key, key * 2);
    expect(allocate(11) == index).toBe(false, "still in use");
    for (let key = 129; key < 132; key++) insert(key, key * 2);
    expect(allocate(11)).toBe(index);
    for (let key = 0; key < 132; key++) expect(find(key, key * 2) != 0).toBe(true);
  });

  test("never moves a record, and uses a removed one's memory again", () => {
    freshTable();
    const first = insert(1_000_000, 77);
    for (let key = 0; key < 5_000; key++) insert(key, hashOf(key));
    expect(find(1_000_000, 77)).toBe(first);
    tableRemove(TABLE, 77, first);
    const next = insert(1_000_001, 78);
    expect(next).toBe(first);
    expect(load<u64>(next, VALUE)).toBe(0);
  });

  test("hashes under the arena's seed", () => {
    freshTable();
    store<u64>(KEY, 42);
    const one = hashKey(KEY, 1);
    store<u64>(0x408, 0x0fedcba987654321);
    expect(hashKey(KEY, 1)).not.toBe(one);
  });

  test("refuses a record when there is no more memory, and stays as it was", () => {
    freshTable();
    for (let key = 0; key < 100; key++) insert(key, hashOf(key));
    for (let shift = 28; shift >= 6; shift--) while (allocate(shift)) continue;
    // The chunk in use still has records, up to the next growth of the index.
    let key = 100;
    while (insert(key, hashOf(key))) key++;
    expect(tableCount(TABLE)).toBe(key);
    expect(find(key, hashOf(key))).toBe(0);
    for (let old = 0; old < key; old++) expect(find(old, hashOf(old)) != 0).toBe(true);
  });
});
