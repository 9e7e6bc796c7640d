/** The captures of this folder: their packets, taken apart as far as the AMT message. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Endpoint, formatAddress } from "../../src/core/address.ts";
import type { Millis } from "../../src/core/machine.ts";
import { CaptureReader } from "../../src/ports/capture.ts";
import { RELAY, RELAY_6 } from "../../src/lab/tree.ts";
import { pullFrom } from "../../src/ports/pcap.ts";

/** Where captures are kept; tests run from `dist/test/captures`. */
const FOLDER = fileURLToPath(new URL("../../../test/captures/", import.meta.url));
/** The secret that every relay had, as `--secret-file`, so that its MACs can be made again. */
export const SECRET = path.join(FOLDER, "secret");

/** One AMT message on its way. */
export interface Captured {
  /** The packet's number in the file, from 1 as tshark counts. */
  readonly number: number;
  /** Wall-clock milliseconds. */
  readonly at: Millis;
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** The message: the UDP payload. */
  readonly octets: Uint8Array;
  /** It goes to the relay. */
  readonly up: boolean;
}

const RELAYS: ReadonlySet<string> = new Set([RELAY, RELAY_6]);
const ETHERNET = 14;
const UDP = 8;

/** What a replay of a capture must count, by who counts; only what is ours does. */
export interface Expected {
  readonly engines: Readonly<Record<string, number>>;
  readonly relay?: Readonly<Record<string, number>>;
  readonly gateway?: Readonly<Record<string, number>>;
}

export function captureFile(name: string): string {
  return path.join(FOLDER, `${name}.pcap`);
}

export function expectedFile(name: string): string {
  return path.join(FOLDER, `${name}.json`);
}

export function readExpected(name: string): Expected {
  return JSON.parse(readFileSync(expectedFile(name), "utf8")) as Expected;
}

/** All packets of a capture; each is UDP to or from AMT's port, neither tagged nor fragmented. */
export function readCapture(name: string): Captured[] {
  const file = captureFile(name);
  const reader = new CaptureReader(pullFrom(readFileSync(file)), file);
  const packets: Captured[] = [];
  for (let next = reader.next(); next; next = reader.next())
    packets.push(takeApart(next.octets, next.time, packets.length + 1));
  return packets;
}

function takeApart(frame: Uint8Array, time: bigint, number: number): Captured {
  const packet = frame.subarray(ETHERNET);
  const family = packet[0]! >> 4 === 4 ? 4 : 6;
  const [addresses, width, header] = family === 4 ? [12, 4, 20] : [8, 16, 40];
  const view = new DataView(packet.buffer, packet.byteOffset + header);
  const from = {
    address: formatAddress(packet, addresses, family),
    port: view.getUint16(0),
  };
  const to = {
    address: formatAddress(packet, addresses + width, family),
    port: view.getUint16(2),
  };
  const end = header + view.getUint16(4);
  const octets = packet.slice(header + UDP, end);
  return {
    number,
    at: Number(time / 1_000n) / 1_000,
    from,
    to,
    octets,
    up: RELAYS.has(to.address),
  };
}
