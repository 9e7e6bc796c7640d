/**
 * What a router asks of a multicast datagram before it lets it through. Read RFC 1812 §5.2.2 and
 * RFC 8200 §3 first. The checks come in the order in which the engines share them.
 */
import * as ip from "../../../assembly/layout/ip.ts";
import * as verdict from "../../../assembly/layout/verdict.ts";
import { isLinkScope, isMulticast } from "../../core/address.ts";
import { checksum, updateChecksum } from "./checksum.ts";

/**
 * The own length, in octets, of the multicast IPv4 or IPv6 datagram at the start of `octets`, or
 * the negated verdict that refuses it. `overrun` is the verdict for a datagram whose header claims
 * more octets than there are.
 */
export function checkDatagram(octets: Uint8Array, overrun: number): number {
  if (octets.length === 0) return -verdict.VERDICT_TRUNCATED;
  switch (octets[ip.IPV4_VERSION_IHL]! >> 4) {
    case 4:
      return checkIpv4(octets, overrun);
    case 6:
      return checkIpv6(octets, overrun);
    default:
      return -verdict.VERDICT_INNER_VERSION;
  }
}

function checkIpv4(octets: Uint8Array, overrun: number): number {
  if (octets.length < ip.IPV4_HEADER) return -verdict.VERDICT_TRUNCATED;
  const headerLength = (octets[ip.IPV4_VERSION_IHL]! & 0x0f) * 4;
  const totalLength = word(octets, ip.IPV4_TOTAL_LENGTH);
  if (headerLength < ip.IPV4_HEADER || totalLength < headerLength)
    return -verdict.VERDICT_INNER_LENGTH;
  if (totalLength > octets.length) return -overrun;

  // A header whose checksum is right sums to minus zero, of which the complement is zero.
  if (checksum(octets.subarray(0, headerLength)) !== 0) return -verdict.VERDICT_INNER_CHECKSUM;

  const destination = octets.subarray(ip.IPV4_DESTINATION, ip.IPV4_DESTINATION + 4);
  if (!isMulticast(destination)) return -verdict.VERDICT_NOT_MULTICAST;
  if (isLinkScope(destination)) return -verdict.VERDICT_LINK_SCOPE;
  // Not a host's: "this network" (RFC 1122 §3.2.1.3), multicast, reserved and broadcast.
  const first = octets[ip.IPV4_SOURCE]!;
  if (first === 0 || first >= 224) return -verdict.VERDICT_BAD_SOURCE;
  return totalLength;
}

function checkIpv6(octets: Uint8Array, overrun: number): number {
  if (octets.length < ip.IPV6_HEADER) return -verdict.VERDICT_TRUNCATED;
  const length = ip.IPV6_HEADER + word(octets, ip.IPV6_PAYLOAD_LENGTH);
  if (length > octets.length) return -overrun;

  const destination = octets.subarray(ip.IPV6_DESTINATION, ip.IPV6_DESTINATION + 16);
  if (!isMulticast(destination)) return -verdict.VERDICT_NOT_MULTICAST;
  if (isLinkScope(destination)) return -verdict.VERDICT_LINK_SCOPE;
  const source = octets.subarray(ip.IPV6_SOURCE, ip.IPV6_SOURCE + 16);
  if (isMulticast(source) || source.every((octet) => octet === 0))
    return -verdict.VERDICT_BAD_SOURCE;
  return length;
}

/** True if the datagram, already checked, may make another hop. */
export function mayHop(datagram: Uint8Array): boolean {
  return datagram[hopField(datagram)]! > 1;
}

/**
 * Takes one hop from the TTL or hop limit of a checked datagram, in place, and mends the IPv4
 * header checksum by RFC 1624.
 */
export function takeHop(datagram: Uint8Array): void {
  const field = hopField(datagram);
  if (field === ip.IPV6_HOP_LIMIT) {
    datagram[field]!--;
    return;
  }
  const before = word(datagram, ip.IPV4_TTL); // TTL and protocol
  datagram[field]!--;
  const sum = updateChecksum(word(datagram, ip.IPV4_CHECKSUM), before, word(datagram, ip.IPV4_TTL));
  datagram[ip.IPV4_CHECKSUM] = sum >> 8;
  datagram[ip.IPV4_CHECKSUM + 1] = sum & 0xff;
}

function hopField(datagram: Uint8Array): number {
  return datagram[ip.IPV4_VERSION_IHL]! >> 4 === 4 ? ip.IPV4_TTL : ip.IPV6_HOP_LIMIT;
}

/** The 16-bit number in network order at `offset`. */
function word(octets: Uint8Array, offset: number): number {
  return (octets[offset]! << 8) | octets[offset + 1]!;
}
