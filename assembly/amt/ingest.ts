// First half of a relay's packet path: what came from a port becomes items, linked to their routes.
//
//   ingest -> [locate -> examine] for each message -> [resolve -> fit.ts] for each item -> relay.ts
//
// Items of one batch are first all examined, then all looked up: meanwhile the table's memory is on
// its way (`lookup.ts`).
import {
  ARENA_CURSOR,
  ARENA_KEY,
  CURSOR_ITEM,
  CURSOR_NOW,
  CURSOR_MEMBER,
  CURSOR_MTU,
  CURSOR_PIECE,
  CURSOR_REGION,
  CURSOR_ROUTE,
  CURSOR_STAGED,
  CURSOR_TRAIN,
  FRAME_UDP,
  ITEM_FRAGMENTS,
  ITEM_HASH,
  ITEM_KEY,
  ITEM_KIND,
  ITEM_LENGTH,
  ITEM_NEXT,
  ITEM_PACKET,
  ITEM_PARTIAL,
  ITEM_PIECE,
  ITEM_PIECES,
  ITEM_ROUTE,
  ITEM_SEGMENTS,
  ITEM_SHIFT,
  ITEM_WHOLE,
  PUNT_FROM_DEVICE,
  RX_ITEMS,
  STAGE_INGEST,
  STAGE_RECEIVED,
  TALLY_FRAGMENTED,
  TALLY_SEGMENTED,
} from "../layout/arena";
import { IPV6_HEADER } from "../layout/ip";
import {
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_NONE,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
  VNET_NEEDS_CHECKSUM,
} from "../layout/system";
import {
  VERDICT_FORWARDED,
  VERDICT_NO_MEMBER,
  VERDICT_NO_ROUTE,
  VERDICT_OTHER_INGRESS,
  VERDICT_SEGMENT_KIND,
  VERDICT_TRUNCATED,
} from "../layout/verdict";
import { checkRelayed } from "./data";
import { frameHeader, hasVnet, linkHeader, rxLength, rxPacket } from "../batch";
import { isMembership } from "./control";
import { count, tally } from "../counters";
import { ipv4HeaderLength, isIpv4, keyOf, udpHeaders } from "../datagram";
import { complete, datagramsOf, fitLane, fragmentedOf, leastMtu } from "./fit";
import { framePacket, frameRoom } from "../packet-ring";
import { elect } from "./ingress";
import { punt } from "../punt";
import { rebuild } from "./rebuild";
import { lookUp } from "./lookup";
import { routeCount, routeEnqueue, routeSetNext } from "./routes";

/**
 * Turns `messages` received messages into items linked to their routes; `relayFill` goes on.
 * `ingress` is the number of the interface that they came by, from 1, and `now` the time in
 * milliseconds; 0 where there is one interface alone and no limit for tunnels.
 */
export function ingest(region: usize, messages: u32, frame: u32, ingress: u32, now: u32): void {
  const items = region + RX_ITEMS;
  let end = items;
  for (let i: u32 = 0; i < messages; i++) {
    let packet = rxPacket(region, i);
    let room = rxLength(region, i) - frameHeader(frame);
    let verdict = VERDICT_FORWARDED;
    if (frame == FRAME_UDP) {
      const length = rebuild(region, i, packet, room);
      if (length < 0) verdict = -length;
      packet -= length - room;
      room = length;
    }
    if (verdict == VERDICT_FORWARDED) verdict = examine(packet, room, frame, end);
    end = note(end, verdict);
  }
  lookUp(items, end);
  resolve(items, end, ingress, now);
}

/**
 * The same for `messages` frames of a packet ring from frame `first` on (`packet-ring.ts`). They must not go
 * back to the kernel before `relayFill` has come to the end and all has been sent.
 */
export function ingestFrames(
  region: usize,
  ring: usize,
  frames: u32,
  shift: u32,
  first: u32,
  messages: u32,
  frame: u32,
  ingress: u32,
  now: u32,
): void {
  const items = region + RX_ITEMS;
  let end = items;
  for (let i: u32 = first; i != first + messages; i++) {
    const packet = framePacket(ring, frames, shift, i, frame);
    const room = frameRoom(ring, frames, shift, i, frame);
    end = note(end, examine(packet, room, frame, end));
  }
  lookUp(items, end);
  resolve(items, end, ingress, now);
}

/** Counts a packet that ends here. Returns where the next item goes. */
function note(item: usize, verdict: i32): usize {
  if (verdict == VERDICT_FORWARDED) return item + (1 << ITEM_SHIFT);
  count(STAGE_INGEST, STAGE_RECEIVED, 1);
  count(STAGE_INGEST, verdict, 1);
  return item;
}

/** Fills in the item for the packet of `room` octets at `packet`. Returns its verdict so far. */
function examine(packet: usize, room: i32, frame: u32, item: usize): i32 {
  // Where multicast routing forwards into a device, its queriers ask there, too.
  if (isMembership(packet, room)) return punt(PUNT_FROM_DEVICE, packet, room, 0, 0);
  const length = checkRelayed(packet, room);
  if (length < 0) return -length;
  store<u32>(item, 0, ITEM_NEXT);
  store<u32>(item, <u32>packet, ITEM_PACKET);
  store<u32>(item, length, ITEM_LENGTH);
  store<u32>(item, ITEM_WHOLE, ITEM_KIND);
  store<u32>(item, 1, ITEM_PIECES);
  store<u32>(item, 0, ITEM_PARTIAL);
  keyOf(packet, item + ITEM_KEY);
  return hasVnet(frame) ? readVnetHeader(item, packet, length, frame) : VERDICT_FORWARDED;
}

/** Takes in what the virtio_net_hdr says: a partial checksum, a super-packet. */
function readVnetHeader(item: usize, packet: usize, length: i32, frame: u32): i32 {
  const vnet = packet - frameHeader(frame);
  const type = load<u8>(vnet, VNET_GSO_TYPE);
  if (type == VNET_GSO_UDP_L4) {
    const header = udpHeaders(packet, length);
    const size = <i32>load<u16>(vnet, VNET_GSO_SIZE);
    if (header == 0 || size == 0 || length <= header) return VERDICT_SEGMENT_KIND;
    store<u32>(item, ITEM_SEGMENTS, ITEM_KIND);
    store<u32>(item, (length - header + size - 1) / size, ITEM_PIECES);
    store<u32>(item, size, ITEM_PIECE);
    return VERDICT_FORWARDED;
  }
  if (type != VNET_GSO_NONE) return VERDICT_SEGMENT_KIND;
  if (!(load<u8>(vnet, VNET_FLAGS) & VNET_NEEDS_CHECKSUM)) return VERDICT_FORWARDED;
  const start = <i32>load<u16>(vnet, VNET_CHECKSUM_START) - linkHeader(frame);
  const offset = <i32>load<u16>(vnet, VNET_CHECKSUM_OFFSET);
  // The IP header has been checked: nothing is written there any more.
  const header = isIpv4(packet) ? <i32>ipv4HeaderLength(packet) : IPV6_HEADER;
  if (start < header || start + offset + 2 > length) return VERDICT_TRUNCATED;
  store<u32>(item, ((<u32>start) << 16) | offset, ITEM_PARTIAL);
  return VERDICT_FORWARDED;
}

/** Links each item to its route, and sets the cursor on the first route. */
function resolve(items: usize, end: usize, ingress: u32, now: u32): void {
  let first: u32 = 0;
  let last: usize = 0;
  const fitting = leastMtu();
  store<u32>(ARENA_CURSOR, now, CURSOR_NOW);
  for (let item = items; item < end; item += 1 << ITEM_SHIFT) {
    const datagrams = datagramsOf(item);
    const route = <usize>load<u32>(item, ITEM_ROUTE);
    let verdict = VERDICT_FORWARDED;
    if (!route) verdict = VERDICT_NO_ROUTE;
    else if (!routeCount(route)) verdict = VERDICT_NO_MEMBER;
    else if (ingress && !isElected(item, ingress, now)) verdict = VERDICT_OTHER_INGRESS;
    else if (load<u32>(item, ITEM_LENGTH) > fitting) verdict = fitLane(item, fitting);
    count(STAGE_INGEST, STAGE_RECEIVED, datagrams);
    count(STAGE_INGEST, verdict, datagrams);
    if (verdict != VERDICT_FORWARDED) continue;
    const kind = load<u32>(item, ITEM_KIND);
    if (kind != ITEM_WHOLE) {
      if (kind != ITEM_FRAGMENTS) tally(TALLY_SEGMENTED, 1);
      tally(TALLY_FRAGMENTED, fragmentedOf(item));
    }
    if (load<u32>(item, ITEM_PARTIAL)) complete(item);
    if (!routeEnqueue(route, <u32>item, ITEM_NEXT)) continue;
    routeSetNext(route, 0);
    if (last) routeSetNext(last, <u32>route);
    else first = <u32>route;
    last = route;
  }
  store<u32>(ARENA_CURSOR, first, CURSOR_ROUTE);
  store<u32>(ARENA_CURSOR, 0, CURSOR_ITEM);
  store<u32>(ARENA_CURSOR, 0, CURSOR_PIECE);
  store<u32>(ARENA_CURSOR, 0, CURSOR_TRAIN);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MEMBER);
  store<u32>(ARENA_CURSOR, 0, CURSOR_STAGED);
  store<u32>(ARENA_CURSOR, 0, CURSOR_MTU);
  store<u32>(ARENA_CURSOR, 0, CURSOR_REGION);
}

/** Whether an item's source and group are taken from this interface. */
function isElected(item: usize, ingress: u32, now: u32): bool {
  // The item's own key may have become that of (*,G).
  keyOf(<usize>load<u32>(item, ITEM_PACKET), ARENA_KEY);
  return elect(ARENA_KEY, load<u32>(item, ITEM_HASH), ingress, now);
}
