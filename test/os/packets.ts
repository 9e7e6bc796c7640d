/** Whole datagrams, written out plainly. */
import { parseAddress } from "../../src/core/address.ts";

/** The Internet checksum (RFC 1071), not complemented. */
function sum(octets: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < octets.length; i += 2) total += (octets[i]! << 8) | (octets[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

const complement = (value: number): number => ~value & 0xffff;

/** An IPv4 header with `payload` after it. */
export function ipv4(
  source: string,
  destination: string,
  protocol: number,
  payload: Uint8Array,
): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 16;
  header[9] = protocol;
  header.set(parseAddress(source)!, 12);
  header.set(parseAddress(destination)!, 16);
  header.writeUInt16BE(complement(sum(header)), 10);
  return Buffer.concat([header, payload]);
}

/** An IPv6 header with `payload` after it. */
export function ipv6(
  source: string,
  destination: string,
  next: number,
  payload: Uint8Array,
): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header[6] = next;
  header[7] = 16;
  header.set(parseAddress(source)!, 8);
  header.set(parseAddress(destination)!, 24);
  return Buffer.concat([header, payload]);
}

/** A UDP datagram over IPv4; with `partial` its checksum covers the pseudo-header only. */
export function ipv4Udp(
  source: string,
  destination: string,
  from: number,
  to: number,
  payload: Uint8Array,
  partial = false,
): Buffer {
  const udp = Buffer.concat([Buffer.alloc(8), payload]);
  udp.writeUInt16BE(from, 0);
  udp.writeUInt16BE(to, 2);
  udp.writeUInt16BE(udp.length, 4);
  const pseudo = Buffer.concat([
    parseAddress(source)!,
    parseAddress(destination)!,
    Buffer.from([0, 17, udp.length >> 8, udp.length & 0xff]),
  ]);
  const value = partial ? sum(pseudo) : complement(sum(Buffer.concat([pseudo, udp])));
  udp.writeUInt16BE(value || 0xffff, 6);
  return ipv4(source, destination, 17, udp);
}

/** An Ethernet frame. */
export function ethernet(destination: string, type: number, payload: Uint8Array): Buffer {
  const header = Buffer.from(`${destination.replaceAll(":", "")}0200000000010000`, "hex");
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}
