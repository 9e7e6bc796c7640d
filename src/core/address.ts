/**
 * IP addresses in the control plane are their canonical text: dotted decimal, or RFC 5952 §4 for
 * IPv6. Text compares, prints, keys a Map and travels as JSON; the data plane sees octets only.
 */

/** An IPv4 or IPv6 address in canonical text. */
export type Address = string;

/** A UDP endpoint. */
export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

export type Family = 4 | 6;

/** The family of a canonical address. */
export function familyOf(address: Address): Family {
  return address.includes(":") ? 6 : 4;
}

/** "192.0.2.1:2268" or "[2001:db8::1]:2268"; a Map key and what operators read. */
export function endpointText(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return familyOf(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** True when both name the same address and port. */
export function sameEndpoint(one: Endpoint, other: Endpoint): boolean {
  return one.address === other.address && one.port === other.port;
}

/** The canonical text of 4 or 16 octets in network order, read at `offset`. */
export function formatAddress(octets: Uint8Array, offset: number, family: Family): Address {
  if (family === 4)
    return `${octets[offset]}.${octets[offset + 1]}.${octets[offset + 2]}.${octets[offset + 3]}`;
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((octets[offset + i]! << 8) | octets[offset + i + 1]!);
  // RFC 5952 §4.2: "::" stands for the longest run of two or more zero words, the first if equal.
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && words[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** The octets of an address, 4 or 16 of them; undefined if the text is not an address. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (text.includes(":")) return parseIpv6(text);
  const octets = new Uint8Array(4);
  return copyIpv4(text, octets, 0) ? octets : undefined;
}

/** Writes the octets of an address at `offset`; false if the text is not an address of `family`. */
export function copyAddress(
  text: string,
  family: Family,
  octets: Uint8Array,
  offset: number,
): boolean {
  if (family === 4) return copyIpv4(text, octets, offset);
  const parsed = text.includes(":") ? parseIpv6(text) : undefined;
  if (parsed === undefined) return false;
  octets.set(parsed, offset);
  return true;
}

/** The canonical spelling of an address as typed; undefined if it is not one. */
export function canonicalAddress(text: string): Address | undefined {
  const octets = parseAddress(text);
  return octets && formatAddress(octets, 0, octets.length === 4 ? 4 : 6);
}

// Characters of an IPv4 address.
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** Four decimal numbers without leading zeros. Written for speed: every Update brings addresses. */
function copyIpv4(text: string, octets: Uint8Array, offset: number): boolean {
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) {
      if (digits === 0 || part === 3) return false;
      octets[offset + part++] = value;
      digits = 0;
      value = 0;
    } else {
      if (code < ZERO || code > NINE || (digits > 0 && value === 0)) return false;
      digits++;
      value = 10 * value + code - ZERO;
      if (value > 255) return false;
    }
  }
  if (part !== 3 || digits === 0) return false;
  octets[offset + 3] = value;
  return true;
}

function parseIpv6(text: string): Uint8Array | undefined {
  let body = text;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const tail = new Uint8Array(4);
    if (!copyIpv4(dotted[2]!, tail, 0)) return undefined;
    const words = [(tail[0]! << 8) | tail[1]!, (tail[2]! << 8) | tail[3]!];
    body = dotted[1]! + words.map((word) => word.toString(16)).join(":");
  }
  const halves = body.split("::");
  if (halves.length > 2) return undefined;
  const head = halves[0] === "" ? [] : halves[0]!.split(":");
  const rear = halves[1] === undefined || halves[1] === "" ? [] : halves[1].split(":");
  const zeros = 8 - head.length - rear.length;
  if (halves.length === 1 ? zeros !== 0 : zeros < 1) return undefined;
  const words = [...head, ...Array<string>(halves.length === 1 ? 0 : zeros).fill("0"), ...rear];
  const octets = new Uint8Array(16);
  for (const [i, word] of words.entries()) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(word)) return undefined;
    octets[2 * i] = Number.parseInt(word, 16) >> 8;
    octets[2 * i + 1] = Number.parseInt(word, 16) & 0xff;
  }
  return octets;
}

/** True for 0.0.0.0 and ::, which stand for any address of a host. */
export function isUnspecified(address: Address): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** True for 127.0.0.0/8 and ::1. */
export function isLoopback(address: Address): boolean {
  return address === "::1" || address.startsWith("127.");
}

/** The unspecified address of a family. */
export function unspecified(family: Family): Address {
  return family === 4 ? "0.0.0.0" : "::";
}

/** True for fe80::/10 (RFC 4291 §2.5.6), which means something on one interface only. */
export function isLinkLocal(octets: Uint8Array): boolean {
  return octets.length === 16 && octets[0] === 0xfe && (octets[1]! & 0xc0) === 0x80;
}

/** True for ::ffff:0:0/96 (RFC 4291 §2.5.5.2), an IPv4 address in IPv6 notation. */
export function isMappedIpv4(octets: Uint8Array): boolean {
  if (octets.length !== 16 || octets[10] !== 0xff || octets[11] !== 0xff) return false;
  return octets.subarray(0, 10).every((octet) => octet === 0);
}

/**
 * True for an address that a Relay Advertisement can name: one host's (RFC 6890 §2.2.2 has what is
 * not, of IPv4), without an interface beside it, and not an IPv4 one in disguise.
 */
export function canBeAdvertised(octets: Uint8Array): boolean {
  if (isMulticast(octets) || octets.every((octet) => octet === 0)) return false;
  if (octets.length === 4 && (octets[0] === 0 || octets[0]! >= 240)) return false;
  return !isLinkLocal(octets) && !isMappedIpv4(octets);
}

/** True for 224.0.0.0/4 and ff00::/8. */
export function isMulticast(octets: Uint8Array): boolean {
  return octets.length === 4 ? (octets[0]! & 0xf0) === 0xe0 : octets[0] === 0xff;
}

/**
 * True for a group that no router forwards: 224.0.0.0/24 (RFC 5771 §4) and IPv6 multicast of
 * scope 0, 1 or 2 (RFC 4291 §2.7).
 */
export function isLinkScope(octets: Uint8Array): boolean {
  if (octets.length === 4) return octets[0] === 224 && octets[1] === 0 && octets[2] === 0;
  return octets[0] === 0xff && (octets[1]! & 0x0f) <= 2;
}

/** True for the source-specific ranges 232.0.0.0/8 (RFC 4607 §1) and ff3x::/32 (RFC 4607 §1). */
export function isSourceSpecific(octets: Uint8Array): boolean {
  if (octets.length === 4) return octets[0] === 232;
  return octets[0] === 0xff && octets[1]! >> 4 === 3 && octets[2] === 0 && octets[3] === 0;
}
