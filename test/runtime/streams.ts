/** A stream for receivers, and where they put it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { parseAmtUrl } from "../../src/config/endpoint.ts";
import type { Output } from "../../src/config/endpoint.ts";
import type { ReceiveConfig } from "../../src/config/receive.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { udpDatagram } from "../lanes/packets.ts";

export const SOURCE = "192.0.2.44";
export const GROUP = "232.1.2.3";
const PORT = 5000;
export const URL = `amt://${SOURCE}@${GROUP}:${PORT}`;

/** Payload `i` of the stream: `length` octets that no other one has. */
export function payload(i: number, length = 1316): Buffer {
  const octets = Buffer.alloc(length, i);
  octets.writeUInt32BE(i);
  return octets;
}

export function datagram(i: number, port = PORT): Uint8Array {
  return udpDatagram({ source: SOURCE, group: GROUP, port, payload: payload(i), id: i & 0xffff });
}

/** What the command would make of its flags. */
export function receiveConfig(
  relay: Endpoint,
  output: Output,
  more: Partial<ReceiveConfig> = {},
): ReceiveConfig {
  return {
    url: parseAmtUrl(URL)!,
    relay: [relay],
    local: [{ address: "127.0.0.1", port: 0 }],
    quirks: true,
    portable: false,
    output,
    ...more,
  } as ReceiveConfig;
}

/** A folder that goes with the test. */
export function testFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "culvert-receive-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
