/** The packets that the in-process suites work on: the same for every subject and every run. */
import * as ip from "../../assembly/layout/ip.ts";

/** Octets of a datagram, and how many of them a batch holds. */
export const LENGTHS = [64, 512, 1316, 1400, 9000] as const;
export const BATCHES = [1, 128] as const;

/** `length` octets that look random and are always the same. */
export function noise(length: number): Uint8Array {
  const octets = new Uint8Array(length);
  let state = 0x2545f491;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    octets[i] = state >>> 24;
  }
  return octets;
}

/** A multicast IPv4 and UDP datagram of `length` octets in all, 28 or more. */
export function datagram(length: number): Uint8Array {
  const octets = noise(length);
  const view = new DataView(octets.buffer);
  octets.fill(0, 0, ip.IPV4_HEADER + ip.UDP_HEADER);
  view.setUint8(ip.IPV4_VERSION_IHL, 0x45);
  view.setUint16(ip.IPV4_TOTAL_LENGTH, length);
  view.setUint16(ip.IPV4_FRAGMENT, ip.IPV4_DF);
  view.setUint8(ip.IPV4_TTL, 8);
  view.setUint8(ip.IPV4_PROTOCOL, ip.PROTOCOL_UDP);
  octets.set([192, 0, 2, 1], ip.IPV4_SOURCE);
  octets.set([232, 1, 1, 1], ip.IPV4_DESTINATION);
  let sum = 0;
  for (let at = 0; at < ip.IPV4_HEADER; at += 2) sum += view.getUint16(at);
  view.setUint16(ip.IPV4_CHECKSUM, ~(sum + (sum >>> 16)) & 0xffff);
  view.setUint16(ip.IPV4_HEADER + ip.UDP_SOURCE_PORT, 5000);
  view.setUint16(ip.IPV4_HEADER + ip.UDP_DESTINATION_PORT, 5000);
  view.setUint16(ip.IPV4_HEADER + ip.UDP_LENGTH, length - ip.IPV4_HEADER);
  return octets;
}
