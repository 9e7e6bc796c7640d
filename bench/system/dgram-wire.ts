/**
 * What a user would write without Culvert: one process, one TAP device, one `node:dgram` socket; a
 * read, a send and a write for each frame.
 *
 *     dgram-wire.js DEVICE LOCAL REMOTE PORT
 *
 * Prints "ready" once it serves.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { read, write } from "node:fs";
import { openTun } from "../../src/os/tun.ts";

const [device, local, remote, port] = process.argv.slice(2);
if (!device || !local || !remote || !port)
  throw new Error("arguments: see the head of bench/system/dgram-wire.ts");

/** L2TPv3 over UDP, session 1, no cookie. */
const HEADER = Buffer.from("0003000000000001", "hex");
const { fd } = openTun({ name: device, kind: "tap", vnetHeader: false });
const socket = createSocket({
  type: "udp4",
  recvBufferSize: 8 << 20,
  sendBufferSize: 8 << 20,
  lookup: (address, _options, done) => done(null, address, 4),
});
socket.on("message", (message) => {
  write(fd, message, HEADER.length, message.length - HEADER.length, null, () => undefined);
});
const bound = once(socket, "listening");
socket.bind(Number(port), local);
await bound;

/** Reads frames until none waits, then looks again soon. */
function pump(): void {
  const frame = Buffer.allocUnsafe(2_048);
  HEADER.copy(frame);
  read(fd, frame, HEADER.length, frame.length - HEADER.length, null, (error, length) => {
    if (error) return void setTimeout(pump, 0);
    socket.send(frame, 0, HEADER.length + length, Number(port), remote);
    pump();
  });
}
pump();
console.error("ready");
