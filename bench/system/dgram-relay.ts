/**
 * What a user would write without Culvert: one process, one `node:dgram` socket in, one out, a send
 * for each packet and gateway. It speaks no AMT control; its gateways are arguments:
 *
 *     dgram-relay.js INGRESS_ADDRESS SOURCE GROUP PORT LOCAL LOCAL_PORT ADDRESS:FIRST_PORT:COUNT...
 *
 * Prints "ready" once it serves.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";

const [ingress, source, group, port, local, localPort, ...places] = process.argv.slice(2);
if (!ingress || !source || !group || !port || !local || !localPort)
  throw new Error("arguments: see the head of bench/system/dgram-relay.ts");

const gateways = places.flatMap((place) => {
  const [address = "", first, count] = place.split(":");
  return Array.from({ length: Number(count) }, (_, i) => ({ address, port: Number(first) + i }));
});

/** Octets queued in the socket above which packets are dropped: the network is behind. */
const QUEUE_LIMIT = 8 << 20;
const AMT = 2;
const HEADERS = AMT + 20 + 8;

/** AMT Multicast Data, IPv4 and UDP headers, complete but for lengths, checksum and source port. */
const template = new Uint8Array(HEADERS);
template.set([6, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 7, 17, 0, 0]);
template.set(octetsOf(source), AMT + 12);
template.set(octetsOf(group), AMT + 16);

function octetsOf(address: string): number[] {
  return address.split(".").map(Number);
}

/** The addresses are numbers already: nothing to look up, and no turn of the event loop for it. */
const out = createSocket({
  type: "udp4",
  sendBufferSize: 4 << 20,
  lookup: (address, _options, done) => done(null, address, 4),
});
const bound = once(out, "listening");
out.bind(Number(localPort), local);
await bound;

const input = createSocket({ type: "udp4", reuseAddr: true, recvBufferSize: 4 << 20 });
input.on("message", (payload, from) => {
  const message = Buffer.allocUnsafe(HEADERS + payload.length);
  message.set(template);
  message.writeUInt16BE(28 + payload.length, AMT + 2);
  message.writeUInt16BE(from.port, AMT + 20);
  message.writeUInt16BE(Number(port), AMT + 22);
  message.writeUInt16BE(8 + payload.length, AMT + 24);
  let sum = 0;
  for (let at = AMT; at < AMT + 20; at += 2) sum += message.readUInt16BE(at);
  message.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, AMT + 10);
  message.set(payload, HEADERS);
  for (const gateway of gateways)
    if (out.getSendQueueSize() < QUEUE_LIMIT) out.send(message, gateway.port, gateway.address);
});
input.bind(Number(port), group);
await once(input, "listening");
input.addSourceSpecificMembership(source, group, ingress);
console.error("ready");
