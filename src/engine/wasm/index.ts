/**
 * The WASM engine as a library: packets are copied into scratch memory of the core's arena, worked
 * on, and copied out. Lanes do not come this way; they work where the kernel puts the packets.
 */
import {
  SCRATCH_IN,
  SCRATCH_LENGTHS,
  SCRATCH_OFFSETS,
  SCRATCH_OUT,
  SCRATCH_PACKETS,
  SCRATCH_ROOM,
} from "../../../assembly/layout/arena.ts";
import { VERDICT_TRUNCATED } from "../../../assembly/layout/verdict.ts";
import { compileCore, createArena, startCore, type Core } from "../core.ts";
import { AMT_OVERHEAD, type PacketBatch, type PacketEngine } from "../packet-engine.ts";
import type { L2tpSession, L2tpSessionOptions } from "../l2tp-session.ts";
import { webEntropy } from "./entropy.ts";
import { WasmL2tp } from "./l2tp.ts";

/** What one scratch area takes in a single call; even, so that checksums continue across it. */
const CHUNK = SCRATCH_ROOM;

/**
 * Makes a WASM engine with an arena of its own. `simd` false takes the scalar core; by default the
 * SIMD core runs wherever the host can.
 */
export function createWasmEngine(options: { readonly simd?: boolean } = {}): PacketEngine {
  const { simd, module } = compileCore(options);
  const arena = createArena();
  return new WasmEngine(simd, startCore(module, arena, 0, webEntropy), arena);
}

type BatchCall = (
  count: number,
  offsets: number,
  lengths: number,
  from: number,
  to: number,
) => number;

class WasmEngine implements PacketEngine {
  readonly kind: "wasm-simd" | "wasm-scalar";
  readonly #core: Core;
  readonly #octets: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #lengths: Int32Array;
  readonly #l2tp: WasmL2tp;

  constructor(simd: boolean, core: Core, arena: WebAssembly.Memory) {
    this.kind = simd ? "wasm-simd" : "wasm-scalar";
    this.#core = core;
    this.#octets = new Uint8Array(arena.buffer);
    this.#offsets = new Uint32Array(arena.buffer, SCRATCH_OFFSETS, SCRATCH_PACKETS);
    this.#lengths = new Int32Array(arena.buffer, SCRATCH_LENGTHS, SCRATCH_PACKETS);
    this.#l2tp = new WasmL2tp(core, arena);
  }

  checksum(octets: Uint8Array, sum = 0): number {
    let partial = sum;
    for (let at = 0; ; at += CHUNK) {
      const chunk = octets.length <= CHUNK ? octets : octets.subarray(at, at + CHUNK);
      this.#octets.set(chunk, SCRATCH_IN);
      const result = this.#core.checksum(SCRATCH_IN, chunk.length, partial);
      if (at + CHUNK >= octets.length) return result;
      partial = ~result & 0xffff;
    }
  }

  updateChecksum(checksum: number, oldWord: number, newWord: number): number {
    return this.#core.updateChecksum(checksum, oldWord, newWord);
  }

  crc32c(octets: Uint8Array, crc = 0): number {
    let partial = crc;
    for (let at = 0; ; at += CHUNK) {
      const chunk = octets.length <= CHUNK ? octets : octets.subarray(at, at + CHUNK);
      this.#octets.set(chunk, SCRATCH_IN);
      partial = this.#core.crc32c(SCRATCH_IN, chunk.length, partial) >>> 0;
      if (at + CHUNK >= octets.length) return partial;
    }
  }

  amtEncapsulate(datagram: Uint8Array, message: Uint8Array): number {
    if (message.length < datagram.length + AMT_OVERHEAD)
      throw new RangeError(
        `a message of ${datagram.length + AMT_OVERHEAD} octets does not fit ${message.length}`,
      );
    const room = this.#copyIn(datagram);
    const result = this.#core.encapsulate(SCRATCH_IN, room, SCRATCH_OUT);
    if (result > 0) message.set(this.#octets.subarray(SCRATCH_OUT, SCRATCH_OUT + result));
    return result;
  }

  amtDecapsulate(message: Uint8Array, datagram: Uint8Array): number {
    if (datagram.length < message.length - AMT_OVERHEAD)
      throw new RangeError(
        `a datagram of ${message.length - AMT_OVERHEAD} octets does not fit ${datagram.length}`,
      );
    const room = this.#copyIn(message);
    const result = this.#core.decapsulate(SCRATCH_IN, room);
    const start = SCRATCH_IN + AMT_OVERHEAD;
    if (result > 0) datagram.set(this.#octets.subarray(start, start + result));
    return result;
  }

  amtEncapsulateBatch(from: PacketBatch, to: PacketBatch): void {
    this.#batch((...call) => this.#core.encapsulateBatch(...call), AMT_OVERHEAD, from, to);
  }

  amtDecapsulateBatch(from: PacketBatch, to: PacketBatch): void {
    this.#batch((...call) => this.#core.decapsulateBatch(...call), 0, from, to);
  }

  l2tpSession(options: L2tpSessionOptions): L2tpSession {
    return this.#l2tp.session(options);
  }

  /** A packet is at most 64 KiB and a bit long; what is longer has no meaning behind that. */
  #copyIn(octets: Uint8Array): number {
    const room = Math.min(octets.length, CHUNK);
    this.#octets.set(room < octets.length ? octets.subarray(0, room) : octets, SCRATCH_IN);
    return room;
  }

  /** Runs one core call over as many packets as the scratch holds, again until all are done. */
  #batch(call: BatchCall, growth: number, from: PacketBatch, to: PacketBatch): void {
    for (let first = 0; first < from.count;) {
      const start = from.offsets[first] ?? 0;
      let count = 0;
      let used = 0;
      for (; first + count < from.count && count < SCRATCH_PACKETS; count++) {
        const length = Math.max(0, from.results[first + count] ?? 0);
        const offset = (from.offsets[first + count] ?? 0) - start;
        if (offset + length + growth * (count + 1) > SCRATCH_ROOM) break;
        this.#offsets[count] = offset;
        this.#lengths[count] = length;
        used = offset + length;
      }
      if (count === 0) {
        // One packet larger than the scratch: no IP datagram is.
        to.settle(-VERDICT_TRUNCATED);
        first++;
        continue;
      }
      this.#octets.set(from.octets.subarray(start, start + used), SCRATCH_IN);
      const total = call(count, SCRATCH_OFFSETS, SCRATCH_LENGTHS, SCRATCH_IN, SCRATCH_OUT);
      if (to.count + count > to.results.length)
        throw new RangeError(
          `a batch of ${to.results.length} packets has no room for ${count} after ${to.count}`,
        );
      to.octets.set(this.#octets.subarray(SCRATCH_OUT, SCRATCH_OUT + total), to.claim(total));
      for (let i = 0; i < count; i++) to.settle(this.#lengths[i] ?? 0);
      first += count;
    }
  }
}
