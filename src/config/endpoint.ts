/**
 * The texts in which operators write addresses, and their values. A text that is not one gives
 * undefined; the caller says what was expected.
 */
import {
  canonicalAddress,
  familyOf,
  isLinkLocal,
  isLinkScope,
  isMappedIpv4,
  isMulticast,
  isSourceSpecific,
  parseAddress,
  type Address,
  type Endpoint,
} from "../core/address.ts";

/** A stream that AMT can carry: the UDP datagrams to `group` and `port`, of one source or of any. */
export interface AmtUrl {
  readonly source?: Address;
  readonly group: Address;
  readonly port: number;
}

/** Where received payloads go. */
export type Output =
  | { readonly kind: "stdout" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "udp"; readonly to: Endpoint };

/** "192.0.2.1", "192.0.2.1:2268", "2001:db8::1" or "[2001:db8::1]:2268". */
export function parseEndpoint(text: string, defaultPort: number | undefined): Endpoint | undefined {
  const parts = /^\[([^[\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text);
  const bracketed = text.startsWith("[");
  const address = canonicalAddress(parts?.[1] ?? text);
  const port = parts?.[2] === undefined ? defaultPort : parsePort(parts[2]);
  if (address === undefined || port === undefined) return undefined;
  if (bracketed && familyOf(address) === 4) return undefined;
  return { address, port };
}

/** "192.0.2.9/24" in canonical spelling; the address must be one that an interface can have. */
export function parsePrefix(text: string): string | undefined {
  const parts = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const octets = parts && parseAddress(parts[1]!);
  if (!octets || Number(parts[2]) > octets.length * 8 || !isUnicast(octets)) return undefined;
  return `${canonicalAddress(parts[1]!)}/${parts[2]}`;
}

/** "amt://[SOURCE@]GROUP:PORT", IPv6 addresses in brackets. */
export function parseAmtUrl(text: string): AmtUrl | undefined {
  const parts = /^amt:\/\/(?:([^@/]+)@)?([^@/]+)\/?$/.exec(text);
  const to = parts && parseEndpoint(parts[2]!, undefined);
  if (!to || to.port === 0) return undefined;
  const group = parseAddress(to.address)!;
  if (!isMulticast(group) || isLinkScope(group)) return undefined;
  if (parts[1] === undefined) {
    // A source-specific group has no any-source service (RFC 4607 §1).
    return isSourceSpecific(group) ? undefined : { group: to.address, port: to.port };
  }
  const bare = familyOf(to.address) === 6 ? /^\[(.+)\]$/.exec(parts[1])?.[1] : parts[1];
  const source = bare === undefined ? undefined : canonicalAddress(bare);
  if (source === undefined || familyOf(source) !== familyOf(to.address)) return undefined;
  return isUnicast(parseAddress(source)!)
    ? { source, group: to.address, port: to.port }
    : undefined;
}

/** "-", "udp://ADDR:PORT" or a path. */
export function parseOutput(text: string): Output | undefined {
  if (text === "-") return { kind: "stdout" };
  if (!text.startsWith("udp://")) return text === "" ? undefined : { kind: "file", path: text };
  const to = parseEndpoint(text.slice("udp://".length), undefined);
  return to === undefined || to.port === 0 ? undefined : { kind: "udp", to };
}

/** True for an address that is neither multicast nor unspecified nor the limited broadcast. */
function isUnicast(octets: Uint8Array): boolean {
  return (
    !isMulticast(octets) &&
    octets.some((octet) => octet !== 0) &&
    octets.some((octet) => octet !== 0xff)
  );
}

/**
 * True for an address that a tunnel can end at: unicast, and IPv6 only if it names its host without
 * an interface beside it (not fe80::/10) and is not an IPv4 one in disguise (not ::ffff:0:0/96).
 */
export function isTunnelEnd(octets: Uint8Array): boolean {
  return isUnicast(octets) && !isLinkLocal(octets) && !isMappedIpv4(octets);
}

function parsePort(text: string): number | undefined {
  const port = Number(text);
  return /^(0|[1-9]\d{0,4})$/.test(text) && port <= 65_535 ? port : undefined;
}
