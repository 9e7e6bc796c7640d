/**
 * Gateways that each join many groups of one source, and tell how many of them data came for:
 *
 *     crowd.js RELAY LOCAL GATEWAYS GROUPS SOURCE FIRST_GROUP
 *
 * GROUPS are each gateway's, numbered on from the first group's last 16 bits. Writes "joined", then
 * "heard N" as data of more groups comes, and after a line on the standard input leaves them and
 * writes "left".
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { AMT_DATA, AMT_DATA_DATAGRAM, AMT_QUERY } from "../../../assembly/layout/amt.ts";
import {
  familyOf,
  formatAddress,
  parseAddress,
  type Address,
  type Family,
} from "../../../src/core/address.ts";
import type { RecordKind } from "../../../src/wire/membership.ts";
import { amtType, emitRequest, emitUpdate, parseQuery } from "../../../src/wire/amt.ts";
import { emitReportDatagrams } from "../../../src/wire/membership-datagram.ts";

const RELAY_PORT = 2268;
/** What an Update may take to be handed to a relay's machine whole. */
const MTU = 1_400;
const PATIENCE = 2_000;

const [relay = "", local = "", gateways, groups, source = "", first = ""] = process.argv.slice(2);
const family: Family = familyOf(first);
const heard = new Set<string>();

/** The group `i` places after the first. */
function groupAt(i: number): Address {
  const octets = parseAddress(first)!.slice();
  const view = new DataView(octets.buffer);
  view.setUint16(octets.length - 2, view.getUint16(octets.length - 2) + i);
  return formatAddress(octets, 0, family);
}

class Gateway {
  readonly #socket: Socket = createSocket("udp4");
  readonly #groups: readonly Address[];
  readonly #nonce: number;
  #query: { mac: Uint8Array; nonce: number } | undefined;

  constructor(number: number, count: number) {
    this.#nonce = number + 1;
    this.#groups = Array.from({ length: count }, (_, i) => groupAt(number * count + i));
  }

  async join(): Promise<void> {
    this.#socket.bind(0, local);
    await once(this.#socket, "listening");
    this.#socket.on("message", (octets) => this.#take(octets));
    while (this.#query === undefined) {
      this.#socket.send(emitRequest(this.#nonce, { family, ecn: false }), RELAY_PORT, relay);
      const signal = AbortSignal.timeout(PATIENCE);
      await once(this.#socket, "message", { signal }).catch(() => undefined);
    }
    await this.report("allow");
  }

  async report(kind: RecordKind): Promise<void> {
    const records = this.#groups.map((group) => ({ kind, group, sources: [source] }));
    const sender = { family, source: family === 4 ? "0.0.0.0" : "fe80::1", mtu: MTU };
    for (const datagram of emitReportDatagrams(records, sender)) {
      const update = emitUpdate({ ...this.#query!, datagram });
      await new Promise((sent) => this.#socket.send(update, RELAY_PORT, relay, sent));
    }
  }

  close(): void {
    this.#socket.close();
  }

  #take(octets: Uint8Array): void {
    const type = amtType(octets);
    const query = type === AMT_QUERY ? parseQuery(octets) : undefined;
    if (typeof query === "object") this.#query ??= { mac: query.mac.slice(), nonce: query.nonce };
    if (type !== AMT_DATA) return;
    const datagram = octets.subarray(AMT_DATA_DATAGRAM);
    const group = family === 4 ? formatAddress(datagram, 16, 4) : formatAddress(datagram, 24, 6);
    if (heard.has(group)) return;
    heard.add(group);
    process.stdout.write(`heard ${heard.size}\n`);
  }
}

const crowd = Array.from({ length: Number(gateways) }, (_, i) => new Gateway(i, Number(groups)));
for (const gateway of crowd) await gateway.join();
process.stdout.write("joined\n");
await once(process.stdin, "data");
for (const gateway of crowd) await gateway.report("block");
process.stdout.write("left\n");
await once(process.stdin, "end");
for (const gateway of crowd) gateway.close();
