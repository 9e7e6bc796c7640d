/**
 * The one table of what can become of a packet. Metrics, `culvert status` and `docs/drops.md` take
 * their words from here; the numbers are those of `assembly/layout/verdict.ts`.
 */
import * as verdict from "../../assembly/layout/verdict.ts";

/** A row: how a reason is spelled everywhere, and what it means to an operator. */
export interface DropRow {
  readonly verdict: number;
  readonly name: string;
  readonly meaning: string;
}

export const DROPS = [
  row(verdict.VERDICT_TRUNCATED, "truncated", "the frame ends before its headers do"),
  row(verdict.VERDICT_AMT_VERSION, "amt-version", "AMT version is not 0 (RFC 7450 §5.1)"),
  row(verdict.VERDICT_AMT_TYPE_UNKNOWN, "amt-type-unknown", "AMT message type is not 1 to 7"),
  row(verdict.VERDICT_AMT_TYPE_ROLE, "amt-type-role", "an AMT message that this role ignores"),
  row(verdict.VERDICT_AMT_LENGTH, "amt-length", "an AMT control message of impossible length"),
  row(verdict.VERDICT_NOT_RELAY, "not-relay", "data from another endpoint than the relay in use"),
  row(
    verdict.VERDICT_INNER_VERSION,
    "inner-version",
    "the inner datagram is neither IPv4 nor IPv6",
  ),
  row(verdict.VERDICT_INNER_LENGTH, "inner-length", "the inner datagram's length does not fit"),
  row(verdict.VERDICT_INNER_CHECKSUM, "inner-checksum", "the inner IPv4 header checksum is wrong"),
  row(verdict.VERDICT_NOT_MULTICAST, "not-multicast", "the inner destination is not multicast"),
  row(verdict.VERDICT_LINK_SCOPE, "link-scope", "a group that never leaves its link"),
  row(
    verdict.VERDICT_TTL_EXPIRED,
    "ttl-expired",
    "the TTL or hop limit does not allow another hop",
  ),
  row(verdict.VERDICT_NO_ROUTE, "no-route", "nobody asked for this source and group"),
  row(
    verdict.VERDICT_NO_MEMBER,
    "no-member",
    "nobody whom this lane serves wants this source of the group",
  ),
  row(
    verdict.VERDICT_TOO_BIG,
    "too-big",
    "larger than the tunnel's MTU and must not be fragmented",
  ),
  row(verdict.VERDICT_PUNT_FULL, "punt-full", "the control thread is behind; its ring is full"),
  row(verdict.VERDICT_UDP_CHECKSUM, "udp-checksum", "the inner UDP checksum is wrong"),
  row(verdict.VERDICT_UDP_PORT, "udp-port", "the inner datagram is for another UDP port"),
  row(verdict.VERDICT_NOT_UDP, "not-udp", "the inner datagram is not UDP"),
  row(verdict.VERDICT_FRAGMENT, "fragment", "a fragment where only whole datagrams can be used"),
  row(verdict.VERDICT_SEGMENT_KIND, "segment-kind", "a super-packet of a kind that is not UDP"),
  row(verdict.VERDICT_NOT_MEMBERSHIP, "not-membership", "not IGMP or MLD on a pseudo-interface"),
  row(verdict.VERDICT_FAMILY, "family", "an address family that this port does not carry"),
  row(verdict.VERDICT_BAD_SOURCE, "bad-source", "a source address that cannot be one"),
  row(verdict.VERDICT_SEND_REFUSED, "send-refused", "the peer's port is closed (ECONNREFUSED)"),
  row(verdict.VERDICT_SEND_DENIED, "send-denied", "a local filter forbids it (EPERM, EACCES)"),
  row(verdict.VERDICT_SEND_TOO_BIG, "send-too-big", "larger than the path's MTU (EMSGSIZE)"),
  row(verdict.VERDICT_SEND_UNREACHABLE, "send-unreachable", "no way to the peer (E*UNREACH)"),
  row(verdict.VERDICT_SEND_NO_BUFFER, "send-no-buffer", "the device's queue is full (ENOBUFS)"),
  row(verdict.VERDICT_SEND_FAILED, "send-failed", "the system refused it for another reason"),
  row(
    verdict.VERDICT_STOPPED,
    "stopped",
    "still queued when the lane, or the port it was for, stopped",
  ),
  row(verdict.VERDICT_STALE_NONCE, "stale-nonce", "the nonce is not the one that was sent"),
  row(verdict.VERDICT_BAD_MAC, "bad-mac", "the Response MAC does not verify (RFC 7450 §5.3.5)"),
  row(verdict.VERDICT_UNEXPECTED, "unexpected", "not awaited in this state"),
  row(verdict.VERDICT_WRONG_PEER, "wrong-peer", "not from the endpoint that was asked"),
  row(verdict.VERDICT_NOT_GENERAL_QUERY, "not-general-query", "not a General Query"),
  row(
    verdict.VERDICT_MEMBERSHIP_CHECKSUM,
    "membership-checksum",
    "an IGMP or MLD checksum is wrong",
  ),
  row(verdict.VERDICT_MEMBERSHIP_TYPE, "membership-type", "an IGMP or MLD type not accepted here"),
  row(verdict.VERDICT_MEMBERSHIP_LENGTH, "membership-length", "an IGMP or MLD message cut short"),
  row(verdict.VERDICT_ROUTER_ALERT, "router-alert", "IGMP or MLD without Router Alert"),
  row(verdict.VERDICT_HOP_LIMIT, "hop-limit", "IGMP or MLD with a TTL or hop limit other than 1"),
  row(
    verdict.VERDICT_TUNNEL_LIMIT,
    "tunnel-limit",
    "the relay, or the gateway, holds all the tunnels it may",
  ),
  row(verdict.VERDICT_GROUP_LIMIT, "group-limit", "the tunnel holds all the groups it may"),
  row(verdict.VERDICT_SOURCE_LIMIT, "source-limit", "the group holds all the sources it may"),
  row(verdict.VERDICT_ADDRESS_LIMIT, "address-limit", "the address holds all the tunnels it may"),
  row(verdict.VERDICT_UNROUTABLE_GROUP, "unroutable-group", "a membership in a link-local group"),
  row(
    verdict.VERDICT_UNKNOWN_TUNNEL,
    "unknown-tunnel",
    "a Teardown, or ICMP, about a tunnel that is not there",
  ),
  row(verdict.VERDICT_DRAINING, "draining", "the relay is shutting down"),
  row(verdict.VERDICT_BAD_ADDRESS, "bad-address", "an advertised address that cannot be a relay's"),
  row(
    verdict.VERDICT_PROTOCOL_MISMATCH,
    "protocol-mismatch",
    "IGMP where MLD was asked, or inverse",
  ),
  row(verdict.VERDICT_RATE_LIMIT, "rate-limit", "more of these than the limit allows"),
  row(verdict.VERDICT_ZERO_NONCE, "zero-nonce", "a Relay Discovery whose nonce is zero"),
  row(
    verdict.VERDICT_HELD_DOWN,
    "held-down",
    "a relay advertised that took no gateway just before",
  ),
  row(
    verdict.VERDICT_ANY_SOURCE,
    "any-source",
    "a source-specific group asked for without its source (RFC 4604)",
  ),
  row(verdict.VERDICT_ECN, "ecn", "met congestion outside, and is not ECN-capable (RFC 6040 §4.2)"),
  row(verdict.VERDICT_DENIED, "denied", "a gateway, group or source that a list does not admit"),
  row(
    verdict.VERDICT_SOURCE_NEEDED,
    "source-needed",
    "a group asked for without a source, where relays are found by source alone",
  ),
  row(verdict.VERDICT_QUEUE_FULL, "queue-full", "more arrived at once than a portable port holds"),
  row(verdict.VERDICT_L2TP_VERSION, "l2tp-version", "L2TP version is neither 2 nor 3"),
  row(verdict.VERDICT_L2TP_HEADER, "l2tp-header", "an L2TP header that cannot be one"),
  row(verdict.VERDICT_L2TP_SESSION, "l2tp-session", "no session of this identifier and peer"),
  row(verdict.VERDICT_L2TP_COOKIE, "l2tp-cookie", "the cookie is not the session's"),
  row(verdict.VERDICT_L2TP_VCCV, "l2tp-vccv", "a VCCV message, which was not agreed (RFC 5085)"),
  row(
    verdict.VERDICT_L2TP_FRAGMENT,
    "l2tp-fragment",
    "a fragment, which was not agreed (RFC 4623)",
  ),
  row(verdict.VERDICT_L2TP_PAYLOAD, "l2tp-payload", "no frame that the pseudowire can carry"),
  row(verdict.VERDICT_L2TP_OLD, "l2tp-old", "a sequence number that has been passed"),
  row(verdict.VERDICT_L2TP_UNNUMBERED, "l2tp-unnumbered", "no sequence number, but one is wanted"),
  row(verdict.VERDICT_L2TP_DEVICE, "l2tp-device", "the device has no session, or it no device"),
  row(verdict.VERDICT_L2TP_VLAN, "l2tp-vlan", "no session has the frame's VLAN tag"),
  row(
    verdict.VERDICT_ICMP_FORBIDDEN,
    "icmp-forbidden",
    "too big, and no ICMP error may answer it (RFC 1122 §3.2.2, RFC 4443 §2.4)",
  ),
  row(
    verdict.VERDICT_OTHER_INGRESS,
    "other-ingress",
    "its source and group are being taken from another ingress interface",
  ),
  row(verdict.VERDICT_LINK_MTU, "link-mtu", "larger than the MTU of a downstream interface"),
  row(verdict.VERDICT_TUNNEL_RATE, "tunnel-rate", "beyond the rate that a gateway is sent at most"),
] as const satisfies readonly DropRow[];

/** A drop reason's number in the counters. */
export type Drop = (typeof DROPS)[number]["verdict"];

/** A drop reason's name, as in `culvert_..._dropped_total{reason="stale-nonce"}`. */
export type DropName = (typeof DROPS)[number]["name"];

const names = new Map<number, DropName>(DROPS.map((drop) => [drop.verdict, drop.name]));

/** The name of a verdict: "forwarded", "punted", or a drop reason's. */
export function verdictName(number: number): string {
  if (number === verdict.VERDICT_FORWARDED) return "forwarded";
  if (number === verdict.VERDICT_PUNTED) return "punted";
  return names.get(number) ?? `verdict-${number}`;
}

function row<const V extends number, const N extends string>(number: V, name: N, meaning: string) {
  return { verdict: number, name, meaning } as const;
}
