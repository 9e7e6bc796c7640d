/**
 * An Ethernet host made of a UDP socket, each datagram of which is a frame: asks who has an address
 * (RFC 826), pings it with payloads of these sizes, and says how many octets came back of each. Words:
 * its own address, the one that is asked for, its port, the frames' destination port, sizes.
 */
import { createSocket } from "node:dgram";

const [own = "", asked = "", port = "", to = "", ...sizes] = process.argv.slice(2);
const MAC = "02000000c001";
const BROADCAST = "ffffffffffff";
const AGAIN_MS = 500;

const address = (text: string): string => Buffer.from(text.split(".").map(Number)).toString("hex");
const socket = createSocket("udp4");
await new Promise<void>((resolve) => socket.bind(Number(port), "127.0.0.1", resolve));

/** The next frame that `found` answers to; `frame` is sent until then, again and again. */
function ask<T>(frame: Buffer, found: (frame: Buffer) => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const send = () => socket.send(frame, Number(to), "127.0.0.1");
    const timer = setInterval(send, AGAIN_MS);
    const listen = (came: Buffer) => {
      const answer = found(came);
      if (answer === undefined) return;
      clearInterval(timer);
      socket.off("message", listen);
      resolve(answer);
    };
    socket.on("message", listen);
    send();
  });
}

/** The Internet checksum of an even number of octets. */
function checksum(octets: Buffer): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += octets.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function arp(): Buffer {
  const question = `0001080006040001${MAC}${address(own)}${"00".repeat(6)}${address(asked)}`;
  return Buffer.from(`${BROADCAST}${MAC}0806${question}`, "hex");
}

/** An ICMP Echo Request with so many octets of payload. */
function ping(mac: string, size: number): Buffer {
  const icmp = Buffer.alloc(8 + size, "abcdefgh");
  icmp.writeUInt32BE(0x0800_0000);
  icmp.writeUInt32BE(size, 4);
  icmp.writeUInt16BE(checksum(icmp), 2);
  const ip = Buffer.from(`4500000000000000400100${"00"}${address(own)}${address(asked)}`, "hex");
  ip.writeUInt16BE(20 + icmp.length, 2);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([Buffer.from(`${mac}${MAC}0800`, "hex"), ip, icmp]);
}

const mac = await ask(arp(), (frame) => {
  const isReply = frame.toString("hex", 12, 22) === "08060001080006040002";
  return isReply && frame.toString("hex", 28, 32) === address(asked)
    ? frame.toString("hex", 22, 28)
    : undefined;
});
const came: number[] = [];
for (const size of sizes.map(Number)) {
  const request = ping(mac, size);
  const payload = request.subarray(42);
  came.push(
    await ask(request, (frame) => {
      const isReply = frame.readUInt16BE(12) === 0x0800 && frame[23] === 1 && frame[34] === 0;
      const back = frame.subarray(42, 42 + size);
      return isReply && back.equals(payload) ? back.length : undefined;
    }),
  );
}
process.stdout.write(`${JSON.stringify({ mac, came })}\n`);
socket.close();
