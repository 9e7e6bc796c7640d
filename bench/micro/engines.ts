/**
 * The drop-in engines side by side through `PacketEngine`: what another daemon gets for its own
 * buffers, the copy into the core's memory and back included.
 */
import { AMT_OVERHEAD, PacketBatch, type PacketEngine } from "../../src/engine/packet-engine.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import type { Case, Suite } from "../harness.ts";
import { sideBySide } from "../result.ts";
import { BATCHES, LENGTHS, datagram, noise } from "./packets.ts";

const ENGINES: Readonly<Record<string, () => PacketEngine>> = {
  "wasm-simd": () => createWasmEngine({ simd: true }),
  "wasm-scalar": () => createWasmEngine({ simd: false }),
  reference: createReferenceEngine,
};

export const suite: Suite = {
  subjects: Object.keys(ENGINES),
  cases: (subject) => {
    const engine = ENGINES[subject]!();
    return [
      ...LENGTHS.flatMap((length) => sums(engine, length)),
      ...LENGTHS.flatMap((length) => BATCHES.flatMap((count) => tunnel(engine, length, count))),
    ];
  },
  ratios: (figures) => [
    ...sideBySide(figures, "wasm-simd", "reference"),
    ...sideBySide(figures, "wasm-scalar", "reference"),
    ...sideBySide(figures, "wasm-simd", "wasm-scalar"),
  ],
  goals: [],
};

function sums(engine: PacketEngine, length: number): Case[] {
  const octets = noise(length);
  const operations = Math.ceil(16_384 / length);
  const common = { unit: "ns/packet", operations, octets: length } as const;
  return [
    {
      ...common,
      name: `checksum ${length}`,
      run() {
        let sum = 0;
        for (let i = 0; i < operations; i++) sum = engine.checksum(octets, sum);
        return sum;
      },
    },
    {
      ...common,
      name: `crc32c ${length}`,
      run() {
        let crc = 0;
        for (let i = 0; i < operations; i++) crc = engine.crc32c(octets, crc);
        return crc;
      },
    },
  ];
}

/** Encapsulation and decapsulation of a batch of `count`; singly, through the call for one packet. */
function tunnel(engine: PacketEngine, length: number, count: number): Case[] {
  const packet = datagram(length);
  const message = new Uint8Array(length + AMT_OVERHEAD);
  if (engine.amtEncapsulate(packet, message) !== message.length)
    throw new Error(`${engine.kind} does not encapsulate the packet of ${length} octets`);
  return [
    through(`encapsulate ${length} x${count}`, packet, count, {
      one: (from, to) => engine.amtEncapsulate(from, to),
      all: (from, to) => engine.amtEncapsulateBatch(from, to),
    }),
    through(`decapsulate ${length} x${count}`, message, count, {
      one: (from, to) => engine.amtDecapsulate(from, to),
      all: (from, to) => engine.amtDecapsulateBatch(from, to),
    }),
  ];
}

function through(
  name: string,
  packet: Uint8Array,
  count: number,
  step: {
    one: (from: Uint8Array, to: Uint8Array) => number;
    all: (from: PacketBatch, to: PacketBatch) => void;
  },
): Case {
  const room = packet.length + AMT_OVERHEAD;
  const common = { name, unit: "ns/packet", octets: packet.length } as const;
  if (count === 1) {
    const operations = 16;
    const made = new Uint8Array(room);
    const run = () => {
      let total = 0;
      for (let i = 0; i < operations; i++) total += step.one(packet, made);
      return total;
    };
    return { ...common, operations, run, output: () => made };
  }
  const from = new PacketBatch(count, count * room);
  const to = new PacketBatch(count, count * room);
  for (let i = 0; i < count; i++) from.push(packet);
  const run = () => {
    to.clear();
    step.all(from, to);
    return to.used + to.count;
  };
  return { ...common, operations: count, run, output: () => to.octets.subarray(0, to.used) };
}
