// A route whose tunnels differ in MTU is served in rounds, each for the tunnels of one MTU, the
// largest first: its items are cut anew for each round. Where they fit every tunnel of the lane, as
// they mostly do, there is one round for all.
import {
  ARENA_CONFIG,
  ARENA_CURSOR,
  CONFIG_LEAST_MTU,
  CURSOR_FIRST,
  CURSOR_MTU,
  ITEM_NEXT,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  TALLY_REDUCED,
  TUNNEL_MTU_SHIFT,
} from "../layout/arena";
import { VERDICT_FORWARDED } from "../layout/verdict";
import { count, tally } from "../counters";
import { datagramLength, datagramsOf, fit, fragmentedOf, laneMtu } from "./fit";
import { routeCount, routeList, TUNNEL_LENGTH, tunnelAt } from "./routes";

/** The largest inner datagram of a tunnel. */
export function tunnelMtu(tunnel: u32): u32 {
  const own = load<u32>(tunnelAt(tunnel), TUNNEL_LENGTH) >> TUNNEL_MTU_SHIFT;
  return own ? min(own, laneMtu()) : laneMtu();
}

/** Begins to serve a route with the items from `first` on. Returns the first to send, or 0. */
export function firstRound(route: usize, first: usize): usize {
  const least = load<u32>(ARENA_CONFIG, CONFIG_LEAST_MTU);
  if (least >= laneMtu()) return first;
  for (let item = first; item; item = load<u32>(item, ITEM_NEXT))
    if (datagramLength(item) > least) return startRound(route, first, u32.MAX_VALUE);
  return first;
}

/** Goes on to the route's tunnels of the next smaller MTU. Returns the first item to send, or 0. */
export function nextRound(route: usize): usize {
  const mtu = load<u32>(ARENA_CURSOR, CURSOR_MTU);
  return mtu ? startRound(route, load<u32>(ARENA_CURSOR, CURSOR_FIRST), mtu) : 0;
}

/** Serves the tunnels of the largest MTU below `bound` for which any item is left. */
function startRound(route: usize, first: usize, bound: u32): usize {
  let mtu = bound;
  while (first) {
    mtu = largestMtu(route, mtu);
    if (!mtu) break;
    first = keepFitting(route, first, mtu);
    store<u32>(ARENA_CURSOR, mtu, CURSOR_MTU);
    store<u32>(ARENA_CURSOR, <u32>first, CURSOR_FIRST);
    if (first) return first;
  }
  store<u32>(ARENA_CURSOR, 0, CURSOR_MTU);
  return 0;
}

/** The largest MTU below `bound` among the route's tunnels, or 0. */
function largestMtu(route: usize, bound: u32): u32 {
  let largest: u32 = 0;
  let place = routeList(route);
  const end = place + ((<usize>routeCount(route)) << 2);
  for (; place < end; place += 4) {
    const mtu = tunnelMtu(load<u32>(place));
    if (mtu < bound) largest = max(largest, mtu);
  }
  return largest;
}

/**
 * Cuts the items from `first` on for `mtu`. What cannot be is dropped, for the smaller ones too.
 * Returns the first that is left, or 0.
 */
function keepFitting(route: usize, first: usize, mtu: u32): usize {
  const isReduced = mtu < laneMtu();
  let kept: usize = 0;
  let last: usize = 0;
  for (let item = first; item; item = load<u32>(item, ITEM_NEXT)) {
    const verdict = fit(item, mtu);
    if (verdict != VERDICT_FORWARDED) {
      const copies = datagramsOf(item) * tunnelsUpTo(route, mtu);
      count(STAGE_EGRESS, STAGE_RECEIVED, copies);
      count(STAGE_EGRESS, verdict, copies);
      continue;
    }
    if (isReduced) tally(TALLY_REDUCED, fragmentedOf(item));
    if (last) store<u32>(last, <u32>item, ITEM_NEXT);
    else kept = item;
    last = item;
  }
  if (last) store<u32>(last, 0, ITEM_NEXT);
  return kept;
}

/** How many of the route's tunnels have this MTU or a smaller one. */
function tunnelsUpTo(route: usize, mtu: u32): u32 {
  let tunnels: u32 = 0;
  let place = routeList(route);
  const end = place + ((<usize>routeCount(route)) << 2);
  for (; place < end; place += 4) if (tunnelMtu(load<u32>(place)) <= mtu) tunnels++;
  return tunnels;
}
