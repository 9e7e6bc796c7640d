/**
 * The WebAssembly core: loading it, and the typed list of what it exports. The exports are those of
 * `assembly/index.ts`; addresses are octets from the start of the arena.
 */
import { readFileSync } from "node:fs";
import { ARENA_HEAP, ARENA_PAGES, ARENA_PAGES_MAX } from "../../assembly/layout/arena.ts";
import { BugError, OsError } from "../core/errors.ts";
import type { Entropy } from "../core/machine.ts";

/** What `assembly/index.ts` exports. */
export interface Core {
  init(baseLow: number, baseHigh: number, seedLow: number, seedHigh: number, heap: number): number;
  encapsulate(packet: number, room: number, message: number): number;
  decapsulate(message: number, room: number): number;
  encapsulateBatch(
    count: number,
    offsets: number,
    lengths: number,
    from: number,
    to: number,
  ): number;
  decapsulateBatch(
    count: number,
    offsets: number,
    lengths: number,
    from: number,
    to: number,
  ): number;
  checksum(start: number, length: number, sum: number): number;
  updateChecksum(checksum: number, oldWord: number, newWord: number): number;
  crc32c(start: number, length: number, crc: number): number;
  rxPrepare(region: number, frame: number): void;
  rxArm(region: number, count: number): number;
  applyCommands(most: number): number;
  relayControl(region: number, messages: number): void;
  deviceControl(region: number, messages: number, frame: number): void;
  ingest(region: number, messages: number, frame: number, ingress: number, now: number): void;
  ingestFrames(
    region: number,
    ring: number,
    frames: number,
    shift: number,
    first: number,
    messages: number,
    frame: number,
    ingress: number,
    now: number,
  ): void;
  framesReady(ring: number, frames: number, shift: number, next: number, most: number): number;
  framesRelease(ring: number, frames: number, shift: number, first: number, count: number): void;
  lookUp(items: number, end: number): void;
  relayFill(): number;
  gatewayReceive(region: number, messages: number): void;
  gatewayFill(): number;
  l2tpReceive(region: number, messages: number, port: number, now: number): void;
  l2tpReceiveFill(): number;
  l2tpSend(region: number, messages: number, port: number, now: number): void;
  l2tpSendFill(): number;
  l2tpExpire(now: number): void;
  l2tpHeld(): number;
  tally(which: number, amount: number): void;
  sent(first: number, messages: number): void;
  unsent(first: number, messages: number, verdict: number): void;
  unsentTooBig(first: number): void;
  ringFree(ring: number, slots: number, shift: number): number;
  ringOldest(ring: number, slots: number, shift: number): number;
  ringPublish(ring: number): void;
  ringRelease(ring: number): void;
  ringWaiting(ring: number): number;
  routeAdd(key: number): number;
  routeFor(key: number, hash: number): number;
  routeHash(key: number): number;
  routeRemove(key: number): void;
}

export interface CoreModule {
  readonly simd: boolean;
  readonly module: WebAssembly.Module;
}

/** Compiles the SIMD core where the host validates it, else (or when told so) the scalar one. */
export function compileCore(options: { readonly simd?: boolean } = {}): CoreModule {
  const simd = readCore("simd");
  const useSimd = options.simd ?? WebAssembly.validate(simd);
  return { simd: useSimd, module: new WebAssembly.Module(useSimd ? simd : readCore("scalar")) };
}

function readCore(kind: "simd" | "scalar"): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`../../wasm/core.${kind}.wasm`, import.meta.url)));
}

/** What V8 reserves for any memory, together with what guards it. */
const ADDRESS_SPACE = "10 GiB";

/** A new arena: memory of its own, for one core. Throws OsError if it cannot be had. */
export function createArena(): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: ARENA_PAGES, maximum: ARENA_PAGES_MAX, shared: true });
  } catch (error) {
    // V8 tells no more than that it is one.
    if (!(error instanceof RangeError)) throw error;
    throw new OsError(
      "mmap",
      "ENOMEM",
      "an arena",
      `each lane wants ${ARENA_HEAP / 2 ** 20} MiB of memory and ${ADDRESS_SPACE} of address` +
        " space: have fewer lanes (--lanes), or raise the limit (ulimit -v, LimitAS= of a unit)",
    );
  }
}

/**
 * A core over an arena, which it prepares. `base` is the arena's absolute address, or 0 where no
 * system call will see it.
 */
export function startCore(
  module: WebAssembly.Module,
  arena: WebAssembly.Memory,
  base: number,
  entropy: Entropy,
): Core {
  const instance = new WebAssembly.Instance(module, { env: { memory: arena } });
  const core = instance.exports as unknown as Core;
  const low = base % 2 ** 32;
  const high = Math.floor(base / 2 ** 32);
  if (core.init(low, high, entropy.u32(), entropy.u32(), ARENA_HEAP) !== 1)
    throw new BugError("a fresh arena has no memory for the core's tables");
  return core;
}
