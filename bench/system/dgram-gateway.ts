/**
 * The other end of `dgram-relay.ts`, as a user would write it without Culvert: one `node:dgram`
 * socket, one TUN device, a write for each packet. It speaks no AMT control.
 *
 *     dgram-gateway.js DEVICE LOCAL PORT
 *
 * Prints "ready" once it serves.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { openTun } from "../../src/os/tun.ts";

const [device, local, port] = process.argv.slice(2);
if (!device || !local || !port)
  throw new Error("arguments: see the head of bench/system/dgram-gateway.ts");

/** Octets of an AMT Multicast Data message before the packet in it. */
const HEADER = 2;
const { fd } = openTun({ name: device, kind: "tun", vnetHeader: false });
const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
socket.on("message", (message) => {
  // Writes of the thread pool would overtake each other.
  writeSync(fd, message, HEADER);
});
const bound = once(socket, "listening");
socket.bind(Number(port), local);
await bound;
console.error("ready");
