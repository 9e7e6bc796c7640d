/**
 * The reference engine: `PacketEngine` in plain TypeScript, written to be read. It says what the
 * WebAssembly engine must answer; tests run the two against each other.
 */
import { AMT_OVERHEAD, type PacketBatch, type PacketEngine } from "../packet-engine.ts";
import { decapsulate, encapsulate } from "./amt.ts";
import { checksum, updateChecksum } from "./checksum.ts";
import { crc32c } from "./crc32c.ts";
import { ReferenceL2tpSession } from "./l2tp.ts";

/** An engine that needs nothing but JavaScript. Only its L2TP sessions keep state. */
export function createReferenceEngine(): PacketEngine {
  return {
    kind: "reference",
    checksum,
    updateChecksum,
    crc32c,
    amtEncapsulate: encapsulate,
    amtDecapsulate: decapsulate,
    amtEncapsulateBatch: (from, to) => each(from, to, encapsulate, AMT_OVERHEAD),
    amtDecapsulateBatch: (from, to) => each(from, to, decapsulate, -AMT_OVERHEAD),
    l2tpSession: (options) => new ReferenceL2tpSession(options),
  };
}

/** Runs `step` on each packet of `from` and appends what it makes, or its verdict, to `to`. */
function each(
  from: PacketBatch,
  to: PacketBatch,
  step: (input: Uint8Array, output: Uint8Array) => number,
  growth: number,
): void {
  for (let i = 0; i < from.count; i++) {
    const input = from.packet(i);
    const start = to.claim(Math.max(0, input.length + growth));
    to.settle(step(input, to.octets.subarray(start)));
  }
}
