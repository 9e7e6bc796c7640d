/** The Router Alert option in its two forms: IPv4 (RFC 2113) and IPv6 Hop-by-Hop (RFC 2711). */
import { PROTOCOL_ICMPV6 } from "../../assembly/layout/ip.ts";

/** IPv4 option: type 148, length 4, value 0 "examine the packet" (RFC 2113 §2.1). */
export const IPV4_ALERT = 0x94040000;
/** Hop-by-Hop header: ICMPv6 follows, 8 octets in all, Router Alert 0 (MLD), an empty PadN. */
export const HOP_BY_HOP_ALERT = [PROTOCOL_ICMPV6, 0, 5, 2, 0, 0, 1, 0] as const;

const IPV4_END = 0; // the option that ends the list, one octet
const IPV4_NOP = 1; // one octet
const IPV4_ROUTER_ALERT = 148;
const IPV6_PAD1 = 0; // one octet
const IPV6_ROUTER_ALERT = 5;

/**
 * True if Router Alert of value 0 is among the IPv4 options from `at` to `end`. An option of
 * impossible length ends the search (RFC 791 §3.1).
 */
export function ipv4Alerts(octets: Uint8Array, at: number, end: number): boolean {
  let start = at;
  while (start < end) {
    const type = octets[start]!;
    if (type === IPV4_END) return false;
    if (type === IPV4_NOP) {
      start++;
      continue;
    }
    const length = start + 1 < end ? octets[start + 1]! : 0;
    if (length < 2 || start + length > end) return false;
    if (type === IPV4_ROUTER_ALERT && length === 4)
      return octets[start + 2] === 0 && octets[start + 3] === 0;
    start += length;
  }
  return false;
}

/**
 * True if Router Alert of value 0 is among the options of the Hop-by-Hop header from `at` to `end`.
 * An option that runs past the header ends the search (RFC 8200 §4.2).
 */
export function hopByHopAlerts(octets: Uint8Array, at: number, end: number): boolean {
  let start = at + 2;
  while (start < end) {
    const type = octets[start]!;
    if (type === IPV6_PAD1) {
      start++;
      continue;
    }
    if (start + 1 >= end) return false;
    const length = 2 + octets[start + 1]!;
    if (start + length > end) return false;
    if (type === IPV6_ROUTER_ALERT && length === 4)
      return octets[start + 2] === 0 && octets[start + 3] === 0;
    start += length;
  }
  return false;
}
