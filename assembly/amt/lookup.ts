// The routes of many packets at once. A look-up in a large table waits for memory twice: for the
// index, then for the record. So each step is taken for all packets before the next step for any:
// the processor then waits for many of them at the same time.
import { ARENA_ROUTES, ITEM_HASH, ITEM_KEY, ITEM_ROUTE, ITEM_SHIFT } from "../layout/arena";
import { routeFor, routeHash } from "./routes";
import { tableTouch, tableTouchRecord } from "../memory/table";

/** Packets that go through the steps together: what is loaded for them must stay in the cache. */
const TOGETHER: usize = 64;

/** Finds the route of each item from `items` to `end`, by its key; 0 where there is none. */
export function lookUp(items: usize, end: usize): void {
  while (items < end) {
    const stop = min(items + (TOGETHER << ITEM_SHIFT), end);
    lookUpTogether(items, stop);
    items = stop;
  }
}

function lookUpTogether(items: usize, end: usize): void {
  for (let item = items; item < end; item += 1 << ITEM_SHIFT)
    store<u32>(item, routeHash(item + ITEM_KEY), ITEM_HASH);
  // Short loops that do nothing but load: the more of them the processor sees ahead, the better.
  let touched: u32 = 0;
  for (let item = items; item < end; item += 1 << ITEM_SHIFT)
    touched ^= tableTouch(ARENA_ROUTES, load<u32>(item, ITEM_HASH));
  for (let item = items; item < end; item += 1 << ITEM_SHIFT)
    touched ^= tableTouchRecord(ARENA_ROUTES, load<u32>(item, ITEM_HASH));
  store<u32>(items, touched, ITEM_ROUTE); // or the loads would be left out
  for (let item = items; item < end; item += 1 << ITEM_SHIFT)
    store<u32>(item, <u32>routeFor(item + ITEM_KEY, load<u32>(item, ITEM_HASH)), ITEM_ROUTE);
}
