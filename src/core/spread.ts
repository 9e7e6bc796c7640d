/** How what arrives is spread over lanes: the kernel computes it as we do. */
import { parseAddress, type Address } from "./address.ts";
import { BugError } from "./errors.ts";

/** What is spread over lanes: tunnels by their peer, or sessions by their identifier. */
export type Spread = "tunnels" | "sessions";

/** 2^32 by the golden ratio: neighbouring numbers come to lie far apart (Knuth, volume 3, 6.4). */
export const SPREAD_FACTOR = 0x9e3779b1;
/** The low bits of a product know little of the high bits of what was multiplied. */
export const SPREAD_SHIFT = 16;

/** The lane, from 0, of a key of 32 bits. */
export function spread(key: number, lanes: number): number {
  return (Math.imul(key, SPREAD_FACTOR) >>> SPREAD_SHIFT) % lanes;
}

/** The key of a peer: the exclusive or of its address's words, and over IPv4 of its port. */
export function peerKey(address: Address, port: number): number {
  const octets = parseAddress(address);
  if (!octets) throw new BugError(`${address} is no address`);
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  let key = octets.length === 4 ? port : 0;
  for (let at = 0; at < octets.length; at += 4) key ^= view.getUint32(at);
  return key >>> 0;
}
