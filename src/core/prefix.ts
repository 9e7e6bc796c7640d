/** Prefixes of addresses, as operators list them. */
import { type Address, formatAddress, parseAddress } from "./address.ts";

/** A prefix with its host bits zero. */
interface Prefix {
  readonly octets: Uint8Array;
  /** Bits that count. */
  readonly length: number;
}

/**
 * The canonical text of a prefix such as "232.0.0.0/8", or of an address alone, which stands for
 * itself; undefined if it is neither, or has bits set behind its length.
 */
export function canonicalPrefix(text: string): string | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return undefined;
  const { octets, length } = prefix;
  return `${formatAddress(octets, 0, octets.length === 4 ? 4 : 6)}/${length}`;
}

/** A list of prefixes of either family. */
export class PrefixList {
  readonly #prefixes: readonly Prefix[];

  /** Texts that `canonicalPrefix` refuses match nothing. */
  constructor(texts: readonly string[]) {
    this.#prefixes = texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
  }

  get size(): number {
    return this.#prefixes.length;
  }

  /** True if a prefix covers `address`. */
  has(address: Address): boolean {
    if (this.#prefixes.length === 0) return false;
    const octets = parseAddress(address);
    return octets !== undefined && this.#prefixes.some((prefix) => covers(prefix, octets));
  }
}

function parsePrefix(text: string): Prefix | undefined {
  const parts = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text);
  const octets = parts === null ? undefined : parseAddress(parts[1]!);
  if (octets === undefined) return undefined;
  const bits = 8 * octets.length;
  const length = parts![2] === undefined ? bits : Number(parts![2]);
  if (length > bits) return undefined;
  for (let bit = length; bit < bits; bit++)
    if ((octets[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) return undefined;
  return { octets, length };
}

function covers({ octets, length }: Prefix, address: Uint8Array): boolean {
  if (octets.length !== address.length) return false;
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (octets[i] !== address[i]) return false;
  const rest = 0xff00 >> (length & 7);
  return (length & 7) === 0 || ((octets[whole]! ^ address[whole]!) & rest & 0xff) === 0;
}
