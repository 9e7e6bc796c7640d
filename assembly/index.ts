// The whole interface of the core. Every function takes and returns plain 32-bit numbers; addresses
// are octets from the start of the arena (`layout/arena.ts`).
import {
  ARENA_BASE,
  ARENA_CONFIG,
  ARENA_SEED,
  CONFIG_LEAST_MTU,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
} from "./layout/arena";
import { crcInit } from "./crc32c";
import { heapInit } from "./memory/heap";
import { sessionsInit } from "./l2tp/sessions";
import { routesInit } from "./amt/routes";

export { encapsulate, decapsulate } from "./amt/data";
export { rxArm, rxPrepare } from "./batch";
export { checksum, updateChecksum } from "./checksum";
export { applyCommands } from "./commands";
export { deviceControl, relayControl } from "./amt/control";
export { tally } from "./counters";
export { crc32c } from "./crc32c";
export { sent, unsent, unsentTooBig } from "./egress";
export { gatewayFill, gatewayReceive } from "./amt/gateway";
export { framesReady, framesRelease } from "./packet-ring";
export { ingest, ingestFrames } from "./amt/ingest";
export { held as l2tpHeld } from "./l2tp/hold";
export { l2tpExpire, l2tpReceive, l2tpReceiveFill } from "./l2tp/receive";
export { l2tpSend, l2tpSendFill } from "./l2tp/send";
export { decapsulateBatch, encapsulateBatch } from "./amt/packets";
export { lookUp } from "./amt/lookup";
export { relayFill } from "./amt/relay";
export { ringFree, ringOldest, ringPublish, ringRelease, ringWaiting } from "./memory/ring";
export { routeAdd, routeFor, routeHash, routeRemove } from "./amt/routes";

/**
 * Prepares a fresh arena: its absolute address and the tables' seed as two 32-bit halves each, and
 * where its heap starts. Returns 0 when there is no memory.
 */
export function init(baseLow: u32, baseHigh: u32, seedLow: u32, seedHigh: u32, heap: usize): i32 {
  store<u32>(ARENA_BASE, baseLow);
  store<u32>(ARENA_BASE, baseHigh, 4);
  store<u32>(ARENA_SEED, seedLow);
  store<u32>(ARENA_SEED, seedHigh, 4);
  store<u32>(ARENA_CONFIG, 65535, CONFIG_TUNNEL_MTU);
  store<u32>(ARENA_CONFIG, 65535, CONFIG_LEAST_MTU);
  store<u32>(ARENA_CONFIG, 1, CONFIG_SEGMENTS);
  crcInit();
  heapInit(heap);
  return routesInit() && sessionsInit() ? 1 : 0;
}
