/**
 * Very many gateways that join through a real network: datagrams of as many addresses, written to a
 * TUN device behind which the relay believes them to be. Each asks for a Query and answers it with
 * ten groups. Ends when all have been served; prints how many a second, and how many asked twice.
 *
 *     join-crowd.js DEVICE RELAY SOURCE GATEWAYS
 */
import { setImmediate } from "node:timers/promises";
import { AMT_PORT, AMT_QUERY } from "../../assembly/layout/amt.ts";
import * as ip from "../../assembly/layout/ip.ts";
import { parseAddress } from "../../src/core/address.ts";
import { addressOf, put, read } from "../../src/os/libc.ts";
import { openTun } from "../../src/os/tun.ts";
import { amtType, emitRequest, emitUpdate, parseQuery } from "../../src/wire/amt.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { emitMembershipDatagram } from "../../src/wire/membership-datagram.ts";
import { readU32, writeU16, writeU32 } from "../../src/wire/octets.ts";

/** The first address of the crowd, 10.96.0.0; the route to it has 15 bits. */
const FIRST = 0x0a600000;
const PORT = 40_000;
const GROUPS = 10;
/** Sets of groups, so that the crowd asks for 100 groups in all. */
const SETS = 10;
/** Gateways that wait for an answer at a time, and for how long each does. */
const AT_ONCE = 128;
const PATIENCE = 500;
const HEADERS = ip.IPV4_HEADER + ip.UDP_HEADER;

const [device = "", relay = "", source = "", gateways = "0"] = process.argv.slice(2);
const count = Number(gateways);
const { fd } = openTun({ name: device, kind: "tun", vnetHeader: false });
const relayOctets = parseAddress(relay)!;
const reports = Array.from({ length: SETS }, (_, set) =>
  emitMembershipDatagram(
    {
      kind: "report",
      generation: 3,
      records: Array.from({ length: GROUPS }, (_, k) => ({
        kind: "is-in" as const,
        group: `232.9.${set}.${k}`,
        sources: [source],
      })),
    },
    { family: 4, source: "0.0.0.0" },
  ),
);

/** Sends a message of gateway `i`. The checksum of UDP over IPv4 may be left out. */
function send(i: number, message: Uint8Array): void {
  const packet = new Uint8Array(HEADERS + message.length);
  packet[ip.IPV4_VERSION_IHL] = 0x45;
  writeU16(packet, ip.IPV4_TOTAL_LENGTH, packet.length);
  packet[ip.IPV4_TTL] = 64;
  packet[ip.IPV4_PROTOCOL] = ip.PROTOCOL_UDP;
  writeU32(packet, ip.IPV4_SOURCE, FIRST + i);
  packet.set(relayOctets, ip.IPV4_DESTINATION);
  writeU16(packet, ip.IPV4_CHECKSUM, internetChecksum(packet, 0, ip.IPV4_HEADER));
  writeU16(packet, ip.IPV4_HEADER + ip.UDP_SOURCE_PORT, PORT);
  writeU16(packet, ip.IPV4_HEADER + ip.UDP_DESTINATION_PORT, AMT_PORT);
  writeU16(packet, ip.IPV4_HEADER + ip.UDP_LENGTH, ip.UDP_HEADER + message.length);
  packet.set(message, HEADERS);
  // What the device does not take is asked for again.
  put(fd, packet);
}

const waiting = new Map<number, number>();
let next = 0;
let again = 0;

function ask(i: number): void {
  waiting.set(i, performance.now());
  send(i, emitRequest(i + 1, { family: 4, ecn: false }));
}

/** A Query for one of the crowd: answered, and the next one's turn. */
function take(packet: Uint8Array): void {
  const i = readU32(packet, ip.IPV4_DESTINATION) - FIRST;
  const message = packet.slice(HEADERS);
  if (amtType(message) !== AMT_QUERY || !waiting.delete(i)) return;
  const query = parseQuery(message);
  if (typeof query === "number") return;
  const { mac, nonce } = query;
  send(i, emitUpdate({ mac, nonce, datagram: reports[i % SETS]! }));
}

const buffer = new Uint8Array(2_048);
const at = addressOf(buffer);
const start = performance.now();
process.stdout.write("joining\n");
while (next < count || waiting.size > 0) {
  while (next < count && waiting.size < AT_ONCE) ask(next++);
  for (let length = read(fd, at, buffer.length); length > 0; length = read(fd, at, buffer.length))
    take(buffer.subarray(0, length));
  const now = performance.now();
  for (const [i, since] of waiting) {
    if (now - since < PATIENCE) break;
    again++;
    waiting.delete(i);
    ask(i);
  }
  await setImmediate();
}
const rate = (count / (performance.now() - start)) * 1_000;
process.stdout.write(`${JSON.stringify({ rate, again })}\n`);
process.exit(0);
