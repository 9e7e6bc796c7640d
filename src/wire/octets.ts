/** Big-endian numbers in octets. The caller has checked that they lie inside. */
import { type Address, type Family, copyAddress, parseAddress } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

/** The u16 at `offset`. */
export function readU16(octets: Uint8Array, offset: number): number {
  return (octets[offset]! << 8) | octets[offset + 1]!;
}

/** The u32 at `offset`, in [0, 2^32). */
export function readU32(octets: Uint8Array, offset: number): number {
  return (readU16(octets, offset) * 0x10000 + readU16(octets, offset + 2)) >>> 0;
}

/** Writes the low 16 bits of `value`. */
export function writeU16(octets: Uint8Array, offset: number, value: number): void {
  octets[offset] = value >>> 8;
  octets[offset + 1] = value;
}

/** Writes the low 32 bits of `value`. */
export function writeU32(octets: Uint8Array, offset: number, value: number): void {
  writeU16(octets, offset, value >>> 16);
  writeU16(octets, offset + 2, value);
}

/** The 4 or 16 octets of an address of ours. Throws BugError for a text that is none. */
export function addressOctets(address: Address): Uint8Array {
  const octets = parseAddress(address);
  if (!octets) throw new BugError(`not an address: ${address}`);
  return octets;
}

/** Writes an address of `family` and returns where it ends. Throws BugError for any other text. */
export function writeAddress(
  octets: Uint8Array,
  offset: number,
  address: Address,
  family: Family,
): number {
  if (!copyAddress(address, family, octets, offset))
    throw new BugError(`not an IPv${family} address: ${address}`);
  return offset + addressLength(family);
}

/** Octets of an address: 4 or 16. */
export function addressLength(family: Family): number {
  return family === 4 ? 4 : 16;
}
