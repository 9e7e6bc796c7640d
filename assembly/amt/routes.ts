// Who gets a packet: routes, (S,G) or (*,G), each with a list of tunnels. The control thread keeps
// the lists resolved: when there is a route for exactly this source and group it alone decides,
// even if its list is empty; else the group's (*,G) route does.
import {
  ARENA_KEY,
  ARENA_MEMBERS,
  ARENA_RATES,
  ARENA_ROUTES,
  ARENA_TUNNELS,
  KEY_ANY_SOURCE,
  KEY_KIND,
  KEY_LENGTH,
  KEY_SOURCE,
} from "../layout/arena";
import { rateReach } from "./rate";
import { allocate, blockShift, release } from "../memory/heap";
import { slabAt, slabInit, slabReach } from "../memory/slab";
import { hashKey, tableFind, tableInit, tableInsert, tableRemove } from "../memory/table";

// A route record, after its key.
const ROUTE_LIST: usize = 40; // u32: block of u32 tunnel numbers, 0 for none
const ROUTE_LIST_SHIFT: usize = 44; // u32: size of that block
const ROUTE_COUNT: usize = 48; // u32: tunnels in the list
const ROUTE_FIRST: usize = 52; // u32: first waiting item of this batch, 0 for none
const ROUTE_LAST: usize = 56; // u32: last one
const ROUTE_NEXT: usize = 60; // u32: next route with waiting items
const ROUTE_RELAY: usize = 60; // u32: on a gateway, where no items wait: who sends its packets
const ROUTE_SHIFT = 6;
const ROUTE_WORDS: u32 = KEY_LENGTH >> 3;

// A member record: which place a tunnel has in a route's list.
const MEMBER_ROUTE: usize = 0; // u32: the route's address
const MEMBER_TUNNEL: usize = 4; // u32
const MEMBER_PLACE: usize = 8; // u32: index in the list
const MEMBER_SHIFT = 4;
const MEMBER_WORDS: u32 = 1;

// The tunnels: a slab of sockaddr.
export const TUNNEL_LENGTH: usize = 28; // u32, in a tunnel's record: octets of its sockaddr, TUNNEL_ECN
export const TUNNEL_SHIFT = 5;

/** Makes the empty tables. */
export function routesInit(): bool {
  slabInit(ARENA_TUNNELS);
  slabInit(ARENA_RATES);
  return (
    tableInit(ARENA_ROUTES, ROUTE_WORDS, ROUTE_SHIFT) &&
    tableInit(ARENA_MEMBERS, MEMBER_WORDS, MEMBER_SHIFT)
  );
}

/** The route with exactly this key, or 0. */
export function routeAt(key: usize): usize {
  return tableFind(ARENA_ROUTES, hashKey(key, ROUTE_WORDS), key);
}

/**
 * The route for a packet whose (S,G) key, with hash `hash`, stands at `key`, or 0. Turns the key
 * into that of (*,G) on the way.
 */
export function routeFor(key: usize, hash: u32): usize {
  const exact = tableFind(ARENA_ROUTES, hash, key);
  if (exact) return exact;
  store<u64>(key, load<u64>(key, KEY_KIND) | KEY_ANY_SOURCE, KEY_KIND);
  store<u64>(key, 0, KEY_SOURCE);
  store<u64>(key, 0, KEY_SOURCE + 8);
  return routeAt(key);
}

/** The hash that `routeFor` wants. */
export function routeHash(key: usize): u32 {
  return hashKey(key, ROUTE_WORDS);
}

/** Makes a route with an empty list, if it is not there. Returns it, or 0 without memory. */
export function routeAdd(key: usize): usize {
  const hash = hashKey(key, ROUTE_WORDS);
  const route = tableFind(ARENA_ROUTES, hash, key);
  return route ? route : tableInsert(ARENA_ROUTES, hash, key);
}

/** Takes a route away with all its members, if it is there. */
export function routeRemove(key: usize): void {
  const hash = hashKey(key, ROUTE_WORDS);
  const route = tableFind(ARENA_ROUTES, hash, key);
  if (!route) return;
  const list = routeList(route);
  for (let i: u32 = routeCount(route); i > 0; i--)
    memberRemove(route, load<u32>(list + ((<usize>i - 1) << 2)));
  if (list) release(list, load<u32>(route, ROUTE_LIST_SHIFT));
  tableRemove(ARENA_ROUTES, hash, route);
}

/** Puts a tunnel on a route's list, if it is not there. False without memory. */
export function memberAdd(route: usize, tunnel: u32): bool {
  const hash = memberKey(route, tunnel);
  if (tableFind(ARENA_MEMBERS, hash, ARENA_KEY)) return true;
  const count = routeCount(route);
  if (!roomFor(route, count + 1)) return false;
  const member = tableInsert(ARENA_MEMBERS, hash, ARENA_KEY);
  if (!member) return false;
  store<u32>(member, count, MEMBER_PLACE);
  store<u32>(routeList(route) + ((<usize>count) << 2), tunnel);
  store<u32>(route, count + 1, ROUTE_COUNT);
  return true;
}

/** Takes a tunnel off a route's list, if it is there; the list's last one takes its place. */
export function memberRemove(route: usize, tunnel: u32): void {
  const hash = memberKey(route, tunnel);
  const member = tableFind(ARENA_MEMBERS, hash, ARENA_KEY);
  if (!member) return;
  const place = load<u32>(member, MEMBER_PLACE);
  tableRemove(ARENA_MEMBERS, hash, member);
  const count = routeCount(route) - 1;
  store<u32>(route, count, ROUTE_COUNT);
  if (place == count) return;
  const list = routeList(route);
  const last = load<u32>(list + ((<usize>count) << 2));
  store<u32>(list + ((<usize>place) << 2), last);
  const moved = tableFind(ARENA_MEMBERS, memberKey(route, last), ARENA_KEY);
  store<u32>(moved, place, MEMBER_PLACE);
}

export function routeList(route: usize): usize {
  return load<u32>(route, ROUTE_LIST);
}

export function routeCount(route: usize): u32 {
  return load<u32>(route, ROUTE_COUNT);
}

/** Links an item of this batch to its route. True when it is the route's first one. */
export function routeEnqueue(route: usize, item: u32, itemNext: usize): bool {
  const last = <usize>load<u32>(route, ROUTE_LAST);
  store<u32>(route, item, ROUTE_LAST);
  if (load<u32>(route, ROUTE_FIRST)) {
    store<u32>(last + itemNext, item);
    return false;
  }
  store<u32>(route, item, ROUTE_FIRST);
  return true;
}

/** The first waiting item of a route; the route has none any more after that. */
export function routeDequeueAll(route: usize): u32 {
  const first = load<u32>(route, ROUTE_FIRST);
  store<u32>(route, 0, ROUTE_FIRST);
  return first;
}

export function routeNext(route: usize): u32 {
  return load<u32>(route, ROUTE_NEXT);
}

export function routeSetNext(route: usize, next: u32): void {
  store<u32>(route, next, ROUTE_NEXT);
}

/** The number of the relay that sends the packets of a gateway's route. */
export function routeRelay(route: usize): u32 {
  return load<u32>(route, ROUTE_RELAY);
}

export function routeSetRelay(route: usize, relay: u32): void {
  store<u32>(route, relay, ROUTE_RELAY);
}

/** A tunnel's record: its sockaddr, and that one's length at TUNNEL_LENGTH. */
export function tunnelAt(tunnel: u32): usize {
  return slabAt(ARENA_TUNNELS, tunnel, TUNNEL_SHIFT);
}

/** Gives a tunnel its endpoint. False without memory. */
export function tunnelSet(tunnel: u32, name: usize, length: u32): bool {
  if (!slabReach(ARENA_TUNNELS, tunnel, TUNNEL_SHIFT) || !rateReach(tunnel)) return false;
  const record = tunnelAt(tunnel);
  memory.copy(record, name, TUNNEL_LENGTH);
  store<u32>(record, length, TUNNEL_LENGTH);
  return true;
}

/** Puts a member's key at ARENA_KEY and returns its hash. */
function memberKey(route: usize, tunnel: u32): u32 {
  store<u32>(ARENA_KEY, <u32>route, MEMBER_ROUTE);
  store<u32>(ARENA_KEY, tunnel, MEMBER_TUNNEL);
  return hashKey(ARENA_KEY, MEMBER_WORDS);
}

/** Makes a route's list long enough for `count` tunnels. False without memory. */
function roomFor(route: usize, count: u32): bool {
  const list = routeList(route);
  const shift = load<u32>(route, ROUTE_LIST_SHIFT);
  const room: u32 = list ? 1 << (shift - 2) : 0;
  if (count <= room) return true;
  const wanted = blockShift(count << 2);
  const larger = allocate(wanted);
  if (!larger) return false;
  if (list) {
    memory.copy(larger, list, (<usize>1) << shift);
    release(list, shift);
  }
  store<u32>(route, <u32>larger, ROUTE_LIST);
  store<u32>(route, wanted, ROUTE_LIST_SHIFT);
  return true;
}
