/**
 * Two cores back to back, with devices that take super-packets. As a program it sends random trains:
 * `node dist/test/offload/link.js 1000000 [seed]`.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { cut, unfold } from "../../src/engine/reference/offload.ts";
import type { Departure } from "../../src/ports/messages.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { arrive, Desk, planOf, SOCKET } from "../l2tp/desk.ts";
import { Flow, randomTrains, vnetOf } from "./trains.ts";

const A = { address: "192.0.2.1", port: 1701 };
const B = { address: "192.0.2.2", port: 1701 };
const DEVICE = 2;
const HEADER = 8; // of version 3 over UDP, without cookie and sublayer
const PLAIN = new Uint8Array(10);

export class Link {
  readonly #a: Desk;
  readonly #b: Desk;

  constructor(simd = true, offloads = true) {
    this.#a = new Desk(l2tp.PORT_UDP, simd);
    this.#b = new Desk(l2tp.PORT_UDP, simd);
    const bits = l2tp.PORT_VNET | (offloads ? l2tp.PORT_TSO | l2tp.PORT_USO : 0);
    for (const [desk, peer, id, theirs] of [
      [this.#a, B, 1, 2],
      [this.#b, A, 2, 1],
    ] as const) {
      desk.port(DEVICE, l2tp.PORT_FRAMES | bits);
      const plan = planOf(DEVICE, { id: theirs }, { segmentMax: 1_600 });
      desk.session(1, { port: SOCKET, version: 3, peer, id }, plan);
    }
  }

  /** What the tunnel carries of these frames: datagrams, with headers. */
  send(frames: readonly Uint8Array[], vnet: Uint8Array = PLAIN): Departure[] {
    return this.#a.send(DEVICE, frames, vnet).flat();
  }

  /** What is written to the far device. */
  receive(datagrams: readonly Departure[]): Uint8Array[] {
    return this.#b.receive(arrive(A, datagrams)).map(({ octets }) => octets);
  }

  /** The frames that the far host takes from what was written, whose IP headers stand at `ip`. */
  unfold(written: readonly Uint8Array[], ip: number): Uint8Array[] {
    return written.flatMap((octets) => unfold(octets, ip));
  }

  get books(): number[] {
    return [...this.#a.books, ...this.#b.books];
  }
}

/** The frame of a datagram. */
export function frameOf({ octets }: Departure): Uint8Array {
  return octets.subarray(HEADER);
}

/** Where the IP header of an Ethernet frame stands. */
export function ipOf(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let at = 12;
  while (at < 20 && [0x8100, 0x88a8].includes(view.getUint16(at))) at += 4;
  return at + 2;
}

/**
 * Sends `trains` random trains through a link, some as super-packets from the start, and compares
 * what comes out with what went in, octet for octet and in order. Returns how many frames there
 * were, and the messages they were written in.
 */
export function runTrains(trains: number, seed: number): { frames: number; messages: number } {
  const random = new SeededEntropy(seed);
  const link = new Link();
  let frames = 0;
  let messages = 0;
  for (let done = 0; done < trains;) {
    const flows = Array.from({ length: 1 + random.below(4) }, (_, i) => new Flow(random, i));
    for (let batch = 0; batch < 4; batch++) {
      const wanted: Uint8Array[] = [];
      const datagrams: Departure[] = [];
      if (random.below(2)) {
        const some = randomTrains(random, flows, 8);
        wanted.push(...some);
        datagrams.push(...link.send(some));
        done += 8;
      } else {
        const size = 200 + random.below(1_300);
        const length = 1 + random.below(random.below(2) ? 60_000 : 5_000);
        const one = flows[random.below(flows.length)]!.superPacket(
          length,
          size,
          random.below(2) * 8,
        );
        wanted.push(...cut(one));
        datagrams.push(...link.send([one.octets], vnetOf(one)));
        done += 1;
      }
      assert.equal(datagrams.length, wanted.length);
      const written = link.receive(datagrams);
      const got = written.flatMap((octets) => unfold(octets, ipOf(octets.subarray(10))));
      assert.equal(got.length, wanted.length);
      for (const [i, frame] of got.entries())
        assert.equal(Buffer.compare(frame, wanted[i]!), 0, `frame ${i} of seed ${seed}`);
      frames += got.length;
      messages += written.length;
    }
  }
  assert.deepEqual(link.books, [0, 0, 0, 0, 0, 0]);
  return { frames, messages };
}

const [count, seed = "1"] = process.argv.slice(2);
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href && count !== undefined)
  console.log(JSON.stringify(runTrains(Number(count), Number(seed))));
