/**
 * ICMP that tells a sender what its packet was too big for: Destination Unreachable, fragmentation
 * needed (RFC 792, RFC 1191 §4) and ICMPv6 Packet Too Big (RFC 4443 §3.2).
 */
import {
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ICMPV6,
  PROTOCOL_UDP,
  UDP_DESTINATION_PORT,
  UDP_HEADER,
  UDP_SOURCE_PORT,
} from "../../assembly/layout/ip.ts";
import { type Address, type Endpoint, type Family, formatAddress } from "../core/address.ts";
import { internetChecksum } from "./checksum.ts";
import { readU16, readU32, writeU16, writeU32 } from "./octets.ts";

const ICMP_UNREACHABLE = 3; // type (RFC 792)
const ICMP_FRAGMENTATION_NEEDED = 4; // its code
const ICMPV6_TOO_BIG = 2; // type (RFC 4443 §3.2)

const ICMP_CODE = 1;
const ICMP_CHECKSUM = 2;
const ICMP_MTU4 = 6; // u16 (RFC 1191 §4)
const ICMP_MTU6 = 4; // u32
const ICMP_HEADER = 8;

/** Octets of the quoted datagram: an IPv4 error has at most 576 (RFC 1812 §4.3.2.3), ... */
const QUOTE_4 = 576 - IPV4_HEADER - ICMP_HEADER;
/** ... an IPv6 one at most 1,280 (RFC 4443 §3.2). */
const QUOTE_6 = 1_280 - IPV6_HEADER - ICMP_HEADER;

const PROTOCOL_ICMP = 1;
/** ICMP types that are no errors: echo, router discovery, timestamp, information, address mask. */
const ICMP_QUERIES: ReadonlySet<number> = new Set([0, 8, 9, 10, 13, 14, 15, 16, 17, 18]);
/** ICMPv6 types below are errors (RFC 4443 §2.1). */
const ICMPV6_INFORMATION = 128;
const ICMPV6_REDIRECT = 137;
/** Extension headers that say their length in 8 octets: Hop-by-Hop, Routing, Destination Options. */
const EXTENSIONS: ReadonlySet<number> = new Set([PROTOCOL_HOP_BY_HOP, 43, 60]);

/** Path MTUs of usual links, for routers that do not say theirs (RFC 1191 §7). */
const PLATEAUS = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/** What of an IP datagram is known from its first octets. */
export interface DatagramHead {
  readonly family: Family;
  readonly source: Address;
  readonly destination: Address;
  /** Octets of the whole datagram. */
  readonly length: number;
  /** True when no ICMP error may answer it, whatever its addresses (RFC 1122 §3.2.2, RFC 4443 §2.4). */
  readonly unanswerable: boolean;
}

/** Reads the first octets of an IP datagram; undefined when its header is not whole. */
export function readHead(octets: Uint8Array): DatagramHead | undefined {
  const version = (octets[0] ?? 0) >> 4;
  if (version === 4 && octets.length >= IPV4_HEADER)
    return {
      family: 4,
      source: formatAddress(octets, IPV4_SOURCE, 4),
      destination: formatAddress(octets, IPV4_DESTINATION, 4),
      length: readU16(octets, IPV4_TOTAL_LENGTH),
      unanswerable: isLaterFragment(octets) || isError4(octets),
    };
  if (version === 6 && octets.length >= IPV6_HEADER)
    return {
      family: 6,
      source: formatAddress(octets, IPV6_SOURCE, 6),
      destination: formatAddress(octets, IPV6_DESTINATION, 6),
      length: readU16(octets, IPV6_PAYLOAD_LENGTH) + IPV6_HEADER,
      unanswerable: isError6(octets),
    };
  return undefined;
}

function isLaterFragment(octets: Uint8Array): boolean {
  return (readU16(octets, IPV4_FRAGMENT) & IPV4_OFFSET_MASK) !== 0;
}

function isError4(octets: Uint8Array): boolean {
  if (octets[IPV4_PROTOCOL] !== PROTOCOL_ICMP) return false;
  const type = octets[(octets[0]! & 0x0f) * 4];
  return type === undefined || !ICMP_QUERIES.has(type);
}

/** Follows the extension headers; where they lead beyond what is there, nothing is answered. */
function isError6(octets: Uint8Array): boolean {
  let next = octets[IPV6_NEXT_HEADER]!;
  let at = IPV6_HEADER;
  for (; EXTENSIONS.has(next) || next === PROTOCOL_FRAGMENT;) {
    if (at + 8 > octets.length) return true;
    if (next === PROTOCOL_FRAGMENT && readU16(octets, at + 2) >> 3 !== 0) return true;
    const length = next === PROTOCOL_FRAGMENT ? 8 : (octets[at + 1]! + 1) * 8;
    next = octets[at]!;
    at += length;
  }
  if (next !== PROTOCOL_ICMPV6) return false;
  const type = octets[at];
  return type === undefined || type < ICMPV6_INFORMATION || type === ICMPV6_REDIRECT;
}

/**
 * The ICMP message that says that the datagram which begins with `head` is larger than `mtu`: as the
 * payload of an IP datagram of the same family. Over IPv6 the checksum is left to the system.
 */
export function emitTooBig(head: Uint8Array, family: Family, mtu: number): Uint8Array {
  const quote = head.subarray(0, family === 4 ? QUOTE_4 : QUOTE_6);
  const message = new Uint8Array(ICMP_HEADER + quote.length);
  message.set(quote, ICMP_HEADER);
  if (family === 6) {
    message[0] = ICMPV6_TOO_BIG;
    writeU32(message, ICMP_MTU6, mtu);
    return message;
  }
  message[0] = ICMP_UNREACHABLE;
  message[ICMP_CODE] = ICMP_FRAGMENTATION_NEEDED;
  writeU16(message, ICMP_MTU4, mtu);
  writeU16(message, ICMP_CHECKSUM, internetChecksum(message, 0, message.length));
  return message;
}

/** A message of ours that a router found too big. */
export interface TooBig {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** The largest packet that the router's next link takes. */
  readonly mtu: number;
  /** As much of the UDP payload as the router quoted; perhaps nothing. */
  readonly payload: Uint8Array;
}

/** Reads an ICMP message, the payload of an IP datagram; undefined if it says nothing of the kind. */
export function parseTooBig(message: Uint8Array, family: Family): TooBig | undefined {
  if (message.length < ICMP_HEADER) return undefined;
  return family === 4 ? parseTooBig4(message) : parseTooBig6(message);
}

function parseTooBig4(message: Uint8Array): TooBig | undefined {
  if (message[0] !== ICMP_UNREACHABLE || message[ICMP_CODE] !== ICMP_FRAGMENTATION_NEEDED)
    return undefined;
  if (internetChecksum(message, 0, message.length) !== 0) return undefined;
  const quote = message.subarray(ICMP_HEADER);
  const header = ((quote[0] ?? 0) & 0x0f) * 4;
  if (quote[0]! >> 4 !== 4 || header < IPV4_HEADER || quote.length < header + UDP_HEADER)
    return undefined;
  if (quote[IPV4_PROTOCOL] !== PROTOCOL_UDP || isLaterFragment(quote)) return undefined;
  const length = readU16(quote, IPV4_TOTAL_LENGTH);
  return {
    ...endpoints(quote, 4, header),
    mtu: readU16(message, ICMP_MTU4) || PLATEAUS.find((mtu) => mtu < length) || length,
    payload: quote.subarray(header + UDP_HEADER),
  };
}

function parseTooBig6(message: Uint8Array): TooBig | undefined {
  if (message[0] !== ICMPV6_TOO_BIG) return undefined;
  const quote = message.subarray(ICMP_HEADER);
  if (quote.length < IPV6_HEADER + UDP_HEADER || quote[0]! >> 4 !== 6) return undefined;
  if (quote[IPV6_NEXT_HEADER] !== PROTOCOL_UDP) return undefined;
  return {
    ...endpoints(quote, 6, IPV6_HEADER),
    mtu: readU32(message, ICMP_MTU6),
    payload: quote.subarray(IPV6_HEADER + UDP_HEADER),
  };
}

/** Both ends of a UDP datagram whose UDP header begins at `udp`. */
function endpoints(
  octets: Uint8Array,
  family: Family,
  udp: number,
): { from: Endpoint; to: Endpoint } {
  const [source, destination] =
    family === 4 ? [IPV4_SOURCE, IPV4_DESTINATION] : [IPV6_SOURCE, IPV6_DESTINATION];
  return {
    from: {
      address: formatAddress(octets, source, family),
      port: readU16(octets, udp + UDP_SOURCE_PORT),
    },
    to: {
      address: formatAddress(octets, destination, family),
      port: readU16(octets, udp + UDP_DESTINATION_PORT),
    },
  };
}
