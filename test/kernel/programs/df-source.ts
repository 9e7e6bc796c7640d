/**
 * A source whose datagrams must not be fragmented, as those of an ordinary connected socket. It
 * sends until the kernel says that they are too big, then writes "EMSGSIZE" and ends when its input
 * does. Arguments: SOURCE GROUP PORT SIZE DEVICE.
 */
import dgram from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";

const [source, group, port, size, device] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const isV4 = !group.includes(":");
const socket = dgram.createSocket(isV4 ? "udp4" : "udp6");
await new Promise<void>((resolve) => socket.bind({ address: source, port: 0 }, resolve));
socket.setMulticastTTL(8);
socket.setMulticastInterface(isV4 ? source : `::%${device}`);
await new Promise<void>((resolve) => socket.connect(Number(port), group, resolve));
let answer: string | undefined;
socket.on("error", (error) => (answer = (error as NodeJS.ErrnoException).code));
process.stdin.on("end", () => process.exit()).resume();
process.stdout.write("sends\n");
while (answer === undefined) {
  socket.send(Buffer.alloc(Number(size)), (error) => {
    if (error) answer = (error as NodeJS.ErrnoException).code;
  });
  await sleep(100);
}
process.stdout.write(`${answer}\n`);
