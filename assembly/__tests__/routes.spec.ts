// Routes, their members and the tunnels: lists that the packet path walks.
import {
  ARENA_MEMBERS,
  ARENA_ROUTES,
  KEY_ANY_SOURCE,
  KEY_GROUP,
  KEY_KIND,
  KEY_LENGTH,
  KEY_SOURCE,
} from "../layout/arena";
import { allocate } from "../memory/heap";
import { tableCount } from "../memory/table";
import {
  memberAdd,
  memberRemove,
  routeAdd,
  routeAt,
  routeCount,
  routeDequeueAll,
  routeEnqueue,
  routeFor,
  routeHash,
  routeList,
  routeRemove,
  TUNNEL_LENGTH,
  tunnelAt,
  tunnelSet,
} from "../amt/routes";
import { below, freshArena, SCRATCH, seed } from "./desk";

const KEY: usize = SCRATCH;
const NAME: usize = SCRATCH + 0x100;

/** Writes an IPv4 key; without a source that of (*,G). */
function key(group: u32, source: u32): usize {
  memory.fill(KEY, 0, KEY_LENGTH);
  store<u64>(KEY, source ? 4 : 4 | KEY_ANY_SOURCE, KEY_KIND);
  store<u32>(KEY, group, KEY_GROUP);
  store<u32>(KEY, source, KEY_SOURCE);
  return KEY;
}

/** The route's tunnels, in the order in which they are served. */
function tunnels(route: usize): u32[] {
  const all: u32[] = [];
  for (let i: u32 = 0; i < routeCount(route); i++)
    all.push(load<u32>(routeList(route) + ((<usize>i) << 2)));
  return all;
}

/** What `routeFor` finds for a packet of this source and group. */
function routeOf(group: u32, source: u32): usize {
  return routeFor(key(group, source), routeHash(key(group, source)));
}

describe("a route", () => {
  test("serves its members in the order in which they came, each once", () => {
    freshArena();
    const route = routeAdd(key(1, 2));
    const order: u32[] = [30, 10, 20, 10, 30];
    for (let i = 0; i < order.length; i++) expect(memberAdd(route, order[i])).toBe(true);
    expect(tunnels(route)).toStrictEqual([30, 10, 20] as u32[]);
    expect(routeAdd(key(1, 2))).toBe(route);
    expect(tableCount(ARENA_ROUTES)).toBe(1);
  });

  test("puts its last member where one is removed", () => {
    freshArena();
    const route = routeAdd(key(1, 2));
    for (let tunnel: u32 = 0; tunnel < 5; tunnel++) memberAdd(route, tunnel);
    memberRemove(route, 1);
    expect(tunnels(route)).toStrictEqual([0, 4, 2, 3] as u32[]);
    memberRemove(route, 4); // the one that has moved is found at its new place
    expect(tunnels(route)).toStrictEqual([0, 3, 2] as u32[]);
    memberRemove(route, 2); // the last one
    memberRemove(route, 2); // not there
    expect(tunnels(route)).toStrictEqual([0, 3] as u32[]);
    memberRemove(route, 0);
    memberRemove(route, 3);
    expect(routeCount(route)).toBe(0);
    expect(tableCount(ARENA_MEMBERS)).toBe(0);
    expect(routeAt(key(1, 2))).toBe(route, "an empty route stays a route");
  });

  test("keeps list and members in step through 20,000 changes", () => {
    freshArena();
    seed(9);
    const route = routeAdd(key(1, 2));
    const other = routeAdd(key(1, 3));
    const model: u32[] = [];
    let wrong = 0;
    for (let turn = 0; turn < 20_000; turn++) {
      const tunnel = below(400);
      const place = model.indexOf(tunnel);
      if (below(2)) {
        memberAdd(route, tunnel);
        memberAdd(other, tunnel); // the same tunnels on another route change nothing
        if (place < 0) model.push(tunnel);
      } else {
        memberRemove(route, tunnel);
        if (place >= 0) {
          const last = model.pop();
          if (place < model.length) model[place] = last;
        }
      }
      if (routeCount(route) != model.length) wrong++;
      if (turn % 100 == 0)
        for (let i = 0; i < model.length; i++)
          if (load<u32>(routeList(route) + ((<usize>i) << 2)) != model[i]) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test("leaves with all its members, and its list's memory is used again", () => {
    freshArena();
    const route = routeAdd(key(1, 2));
    const stays = routeAdd(key(1, 3));
    for (let tunnel: u32 = 0; tunnel < 1_000; tunnel++) memberAdd(route, tunnel);
    memberAdd(stays, 5);
    const list = routeList(route);
    routeRemove(key(1, 2));
    routeRemove(key(1, 2));
    expect(routeAt(key(1, 2))).toBe(0);
    expect(tableCount(ARENA_MEMBERS)).toBe(1);
    expect(tunnels(stays)).toStrictEqual([5] as u32[]);
    expect(allocate(12)).toBe(list, "1,000 tunnels take 4,096 octets");
    const again = routeAdd(key(1, 2));
    expect(routeCount(again)).toBe(0);
    expect(memberAdd(again, 7)).toBe(true);
    expect(tunnels(again)).toStrictEqual([7] as u32[]);
  });

  test("for exactly the source comes before the group's own, even when it is empty", () => {
    freshArena();
    const any = routeAdd(key(1, 0));
    memberAdd(any, 1);
    expect(routeOf(1, 2)).toBe(any);
    const exact = routeAdd(key(1, 2));
    expect(routeOf(1, 2)).toBe(exact);
    expect(routeCount(exact)).toBe(0);
    expect(routeOf(1, 3)).toBe(any);
    expect(routeOf(2, 2)).toBe(0);
    routeRemove(key(1, 2));
    expect(routeOf(1, 2)).toBe(any);
  });

  test("of IPv6 is never that of IPv4 with the same octets", () => {
    freshArena();
    routeAdd(key(1, 2));
    key(1, 2);
    store<u64>(KEY, 6, KEY_KIND);
    expect(routeAt(KEY)).toBe(0);
  });

  test("hands out the items of a batch once, in their order", () => {
    freshArena();
    const route = routeAdd(key(1, 2));
    const items: u32[] = [SCRATCH + 0x1000, SCRATCH + 0x2000, SCRATCH + 0x3000];
    for (let i = 0; i < 3; i++) {
      store<u32>(items[i], 0);
      expect(routeEnqueue(route, items[i], 0)).toBe(i == 0, "true for the first one alone");
    }
    let item = routeDequeueAll(route);
    for (let i = 0; i < 3; i++) {
      expect(item).toBe(items[i]);
      item = load<u32>(item);
    }
    expect(item).toBe(0);
    expect(routeDequeueAll(route)).toBe(0);
    expect(routeEnqueue(route, items[1], 0)).toBe(true);
  });
});

describe("the tunnels", () => {
  test("keep their endpoints while their block grows, in whatever order they come", () => {
    freshArena();
    const numbers: u32[] = [3, 0, 1, 2, 70, 64, 5_000, 4_999, 65_535];
    for (let i = 0; i < numbers.length; i++) {
      for (let word: usize = 0; word < 7; word++)
        store<u32>(NAME + (word << 2), numbers[i] * 31 + <u32>word);
      expect(tunnelSet(numbers[i], NAME, 16 + (i & 1) * 12)).toBe(true);
    }
    let wrong = 0;
    for (let i = 0; i < numbers.length; i++) {
      const record = tunnelAt(numbers[i]);
      for (let word: usize = 0; word < 7; word++)
        if (load<u32>(record + (word << 2)) != numbers[i] * 31 + <u32>word) wrong++;
      if (load<u32>(record, TUNNEL_LENGTH) != <u32>(16 + (i & 1) * 12)) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test("have no endpoint before they are given one", () => {
    freshArena();
    memory.fill(NAME, 0xff, 28);
    tunnelSet(100, NAME, 28);
    expect(load<u32>(tunnelAt(99), TUNNEL_LENGTH)).toBe(0);
    expect(load<u64>(tunnelAt(99))).toBe(0);
  });

  test("take a new endpoint in place of the old one", () => {
    freshArena();
    memory.fill(NAME, 0x11, 28);
    tunnelSet(4, NAME, 28);
    const record = tunnelAt(4);
    memory.fill(NAME, 0x22, 28);
    tunnelSet(4, NAME, 16);
    expect(tunnelAt(4)).toBe(record);
    expect(load<u32>(record)).toBe(0x22222222);
    expect(load<u32>(record, TUNNEL_LENGTH)).toBe(16);
  });
});
