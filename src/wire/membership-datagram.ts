/**
 * The whole IP datagrams that carry IGMP (RFC 3376 §4) and MLD (RFC 3810 §5) in AMT's Membership
 * Query and Membership Update (RFC 7450 §5.1.4, §5.1.5), and on a link.
 */
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_DF,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
  IPV4_VERSION_IHL,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IGMP,
} from "../../assembly/layout/ip.ts";
import {
  VERDICT_BAD_SOURCE,
  VERDICT_FRAGMENT,
  VERDICT_HOP_LIMIT,
  VERDICT_INNER_CHECKSUM,
  VERDICT_INNER_LENGTH,
  VERDICT_INNER_VERSION,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_NOT_GENERAL_QUERY,
  VERDICT_NOT_MEMBERSHIP,
  VERDICT_ROUTER_ALERT,
} from "../../assembly/layout/verdict.ts";
import { type Address, type Family, isLinkLocal, isMulticast } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import { BugError } from "../core/errors.ts";
import type { Millis } from "../core/machine.ts";
import { internetChecksum, pseudoHeaderSum } from "./checksum.ts";
import { igmpLength, parseIgmp, writeIgmp } from "./igmp.ts";
import type { GroupRecord, MembershipMessage, MembershipQuery } from "./membership.ts";
import { isMldType, mldLength, parseMld, writeMld } from "./mld.ts";
import {
  addressLength,
  addressOctets,
  readU16,
  writeAddress,
  writeU16,
  writeU32,
} from "./octets.ts";
import { addressTexts, recordLength } from "./records.ts";
import { HOP_BY_HOP_ALERT, IPV4_ALERT, hopByHopAlerts, ipv4Alerts } from "./router-alert.ts";

/** IGMPv3's precedence, "internetwork control" (RFC 3376 §4). */
const TOS = 0xc0;
const LONGEST = 0xffff;
/** Octets before the IGMP or MLD message, as we send it. */
const HEADERS = { 4: IPV4_HEADER + 4, 6: IPV6_HEADER + 8 } as const;
/** Octets of a report before its first record, in either protocol. */
const REPORT_FIXED = 8;

// Where messages go (RFC 3376 §4.1.12, §4.2.14, RFC 2236 §9; RFC 3810 §5.1.15, §5.2.14, RFC 2710 §8).
const ALL_NODES = { 4: "224.0.0.1", 6: "ff02::1" } as const;
const ALL_ROUTERS = { 4: "224.0.0.2", 6: "ff02::2" } as const;
const REPORT_GROUP = { 4: "224.0.0.22", 6: "ff02::16" } as const;

export interface MembershipDatagram {
  readonly family: Family;
  /** Any: AMT lets 0.0.0.0 and "::" pass (RFC 7450 §5.2.3.5.4). */
  readonly source: Address;
  readonly destination: Address;
  /** What the peer wrote; its groups need not be multicast, its sources not be unicast. */
  readonly message: MembershipMessage;
  /** Octets of the datagram; what follows in the room given is not part of it. */
  readonly length: number;
}

export interface MembershipChecks {
  /** Refuse a message without Router Alert, but for IGMPv1, which had none; default true. */
  readonly requireRouterAlert?: boolean;
  /** Refuse a TTL or hop limit other than 1; default true. */
  readonly requireHopLimit?: boolean;
  /**
   * Refuse what must not come over a link, though AMT lets it pass: MLD from another than a
   * link-local address (RFC 3810 §5.1.14, §5.2.13), and a General Query to another multicast address
   * than that of all nodes (RFC 3376 §9.1); default false.
   */
  readonly onLink?: boolean;
}

/** Tell the two apart by `"drop" in result`. */
export type MembershipParse = MembershipDatagram | { readonly drop: Drop };

/** Reads the datagram at the start of `octets`. Lengths and checksums are checked always. */
export function parseMembershipDatagram(
  octets: Uint8Array,
  checks: MembershipChecks = {},
): MembershipParse {
  const first = octets[0];
  if (first === undefined) return { drop: VERDICT_INNER_LENGTH };
  switch (first >> 4) {
    case 4:
      return parseIpv4(octets, checks);
    case 6:
      return parseIpv6(octets, checks);
    default:
      return { drop: VERDICT_INNER_VERSION };
  }
}

function parseIpv4(octets: Uint8Array, checks: MembershipChecks): MembershipParse {
  if (octets.length < IPV4_HEADER) return { drop: VERDICT_INNER_LENGTH };
  const header = (octets[IPV4_VERSION_IHL]! & 0x0f) * 4;
  const length = readU16(octets, IPV4_TOTAL_LENGTH);
  if (header < IPV4_HEADER || length < header || length > octets.length)
    return { drop: VERDICT_INNER_LENGTH };
  if (internetChecksum(octets, 0, header) !== 0) return { drop: VERDICT_INNER_CHECKSUM };
  if (octets[IPV4_PROTOCOL] !== PROTOCOL_IGMP) return { drop: VERDICT_NOT_MEMBERSHIP };
  if ((readU16(octets, IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0)
    return { drop: VERDICT_FRAGMENT };
  if (checks.requireHopLimit !== false && octets[IPV4_TTL] !== 1)
    return { drop: VERDICT_HOP_LIMIT };
  const message = parseIgmp(octets.subarray(header, length));
  if (typeof message === "number") return { drop: message };
  if (
    checks.requireRouterAlert !== false &&
    message.generation !== 1 &&
    !ipv4Alerts(octets, IPV4_HEADER, header)
  )
    return { drop: VERDICT_ROUTER_ALERT };
  const source = addressTexts.format(octets, IPV4_SOURCE, 4);
  const destination = addressTexts.format(octets, IPV4_DESTINATION, 4);
  if (checks.onLink === true && isAstray(message, destination, 4))
    return { drop: VERDICT_NOT_GENERAL_QUERY };
  return { family: 4, source, destination, message, length };
}

function parseIpv6(octets: Uint8Array, checks: MembershipChecks): MembershipParse {
  if (octets.length < IPV6_HEADER) return { drop: VERDICT_INNER_LENGTH };
  const length = IPV6_HEADER + readU16(octets, IPV6_PAYLOAD_LENGTH);
  if (length > octets.length) return { drop: VERDICT_INNER_LENGTH };
  let next = octets[IPV6_NEXT_HEADER]!;
  let at = IPV6_HEADER;
  let alerts = false;
  if (next === PROTOCOL_HOP_BY_HOP) {
    if (at + 8 > length) return { drop: VERDICT_INNER_LENGTH };
    const end = at + 8 * (octets[at + 1]! + 1);
    if (end > length) return { drop: VERDICT_INNER_LENGTH };
    alerts = hopByHopAlerts(octets, at, end);
    next = octets[at]!;
    at = end;
  }
  if (next === PROTOCOL_FRAGMENT) return { drop: VERDICT_FRAGMENT };
  if (next !== PROTOCOL_ICMPV6) return { drop: VERDICT_NOT_MEMBERSHIP };
  if (at === length) return { drop: VERDICT_MEMBERSHIP_LENGTH };
  if (!isMldType(octets[at]!)) return { drop: VERDICT_NOT_MEMBERSHIP };
  if (checks.requireHopLimit !== false && octets[IPV6_HOP_LIMIT] !== 1)
    return { drop: VERDICT_HOP_LIMIT };
  if (checks.requireRouterAlert !== false && !alerts) return { drop: VERDICT_ROUTER_ALERT };
  const sum = pseudoHeaderSum(octets, IPV6_SOURCE, length - at, PROTOCOL_ICMPV6);
  const message = parseMld(octets.subarray(at, length), sum);
  if (typeof message === "number") return { drop: message };
  const source = addressTexts.format(octets, IPV6_SOURCE, 6);
  const destination = addressTexts.format(octets, IPV6_DESTINATION, 6);
  if (checks.onLink === true) {
    if (!isLinkLocal(octets.subarray(IPV6_SOURCE, IPV6_SOURCE + 16)))
      return { drop: VERDICT_BAD_SOURCE };
    if (isAstray(message, destination, 6)) return { drop: VERDICT_NOT_GENERAL_QUERY };
  }
  return { family: 6, source, destination, message, length };
}

/** True for a General Query to a multicast address that not all nodes listen to. */
function isAstray(message: MembershipMessage, to: Address, family: Family): boolean {
  if (message.kind !== "query" || message.group !== undefined) return false;
  return to !== ALL_NODES[family] && isMulticast(addressOctets(to));
}

export interface MembershipSender {
  readonly family: Family;
  /** The datagram's source: 0.0.0.0 for IGMP, a link-local address for MLD will do. */
  readonly source: Address;
}

/**
 * The datagram that carries `message`: the destination its kind asks for, TTL 1, Router Alert,
 * checksums. Throws BugError for what cannot be said: an address of the other family, IGMPv1 in MLD,
 * more than 65,535 octets.
 */
export function emitMembershipDatagram(
  message: MembershipMessage,
  sender: MembershipSender,
): Uint8Array {
  const { family } = sender;
  const length = HEADERS[family] + (family === 4 ? igmpLength(message) : mldLength(message));
  if (length > LONGEST) throw new BugError(`a membership datagram of ${length} octets`);
  const octets = new Uint8Array(length);
  writeMembershipDatagram(message, sender, octets);
  return octets;
}

/** Fills `octets`, which are as long as the datagram, whatever they held. */
export function writeMembershipDatagram(
  message: MembershipMessage,
  sender: MembershipSender,
  octets: Uint8Array,
): void {
  const destination = destinationOf(message, sender.family);
  if (sender.family === 4) {
    writeIpv4(octets, sender.source, destination);
    writeIgmp(message, octets, HEADERS[4]);
  } else {
    writeIpv6(octets, sender.source, destination);
    const length = octets.length - HEADERS[6];
    const sum = pseudoHeaderSum(octets, IPV6_SOURCE, length, PROTOCOL_ICMPV6);
    writeMld(message, octets, HEADERS[6], sum);
  }
}

function destinationOf(message: MembershipMessage, family: Family): Address {
  switch (message.kind) {
    case "query":
      return message.group ?? ALL_NODES[family];
    case "report":
      return REPORT_GROUP[family];
    case "join":
      return message.group;
    case "leave":
      return ALL_ROUTERS[family];
  }
}

/** RFC 3376 §4; identification 0 is free to use with DF set (RFC 6864 §4.1). */
function writeIpv4(octets: Uint8Array, source: Address, destination: Address): void {
  octets[IPV4_VERSION_IHL] = 0x40 | (HEADERS[4] / 4);
  octets[IPV4_TOS] = TOS;
  writeU16(octets, IPV4_TOTAL_LENGTH, octets.length);
  writeU16(octets, IPV4_ID, 0);
  writeU16(octets, IPV4_FRAGMENT, IPV4_DF);
  octets[IPV4_TTL] = 1;
  octets[IPV4_PROTOCOL] = PROTOCOL_IGMP;
  writeU16(octets, IPV4_CHECKSUM, 0);
  writeAddress(octets, IPV4_SOURCE, source, 4);
  writeAddress(octets, IPV4_DESTINATION, destination, 4);
  writeU32(octets, IPV4_HEADER, IPV4_ALERT);
  writeU16(octets, IPV4_CHECKSUM, internetChecksum(octets, 0, HEADERS[4]));
}

/** RFC 3810 §5. */
function writeIpv6(octets: Uint8Array, source: Address, destination: Address): void {
  writeU32(octets, 0, 0x60000000);
  writeU16(octets, IPV6_PAYLOAD_LENGTH, octets.length - IPV6_HEADER);
  octets[IPV6_NEXT_HEADER] = PROTOCOL_HOP_BY_HOP;
  octets[IPV6_HOP_LIMIT] = 1;
  writeAddress(octets, IPV6_SOURCE, source, 6);
  writeAddress(octets, IPV6_DESTINATION, destination, 6);
  octets.set(HOP_BY_HOP_ALERT, IPV6_HEADER);
}

/**
 * The datagrams that say `message`, each at most `mtu` octets: a report as `emitReportDatagrams` has
 * it, a query of many sources as several queries (RFC 3376 §4.1.8, RFC 3810 §5.1.10). Throws BugError
 * if `mtu` has no room for one source.
 */
export function emitMembershipDatagrams(
  message: MembershipMessage,
  options: MembershipSender & { readonly mtu: number },
): Uint8Array[] {
  if (message.kind === "report") return emitReportDatagrams(message.records, options);
  if (message.kind !== "query" || message.sources.length === 0)
    return [emitMembershipDatagram(message, options)];
  const { family, mtu } = options;
  const fixed = family === 4 ? igmpLength : mldLength;
  const room = Math.min(mtu, LONGEST) - HEADERS[family] - fixed({ ...message, sources: [] });
  const most = Math.floor(room / addressLength(family));
  if (most < 1) throw new BugError(`no source to query for fits in an MTU of ${mtu}`);
  return pieces(message.sources, most).map((sources) =>
    emitMembershipDatagram({ ...message, sources }, options),
  );
}

/**
 * The reports that carry `records`, in their order, each datagram at most `mtu` octets. A record
 * that fits in no datagram is split over several, but IS_EX and TO_EX are sent once and lose the
 * sources that find no room (RFC 3376 §4.2.16, RFC 3810 §5.2.15). Throws BugError if `mtu` has no
 * room for a record of one source.
 */
export function emitReportDatagrams(
  records: readonly GroupRecord[],
  options: MembershipSender & { readonly mtu: number },
): Uint8Array[] {
  const { family } = options;
  const room = Math.min(options.mtu, LONGEST) - HEADERS[family] - REPORT_FIXED;
  const most = Math.floor((room - recordLength(0, family)) / addressLength(family));
  if (most < 1) throw new BugError(`no group record fits in an MTU of ${options.mtu}`);
  const batches: GroupRecord[][] = [];
  let left = 0;
  for (const piece of records.flatMap((record) => fit(record, most))) {
    const length = recordLength(piece.sources.length, family);
    if (length <= left) {
      batches.at(-1)!.push(piece);
      left -= length;
    } else {
      batches.push([piece]);
      left = room - length;
    }
  }
  return batches.map((batch) =>
    emitMembershipDatagram({ kind: "report", generation: 3, records: batch }, options),
  );
}

/** A record as one or more of at most `most` sources. */
function fit(record: GroupRecord, most: number): GroupRecord[] {
  const { kind, sources } = record;
  if (sources.length <= most) return [record];
  if (kind === "is-ex" || kind === "to-ex") return [{ ...record, sources: sources.slice(0, most) }];
  return pieces(sources, most).map((some) => ({ ...record, sources: some }));
}

/** A list in parts of at most `most`. */
function pieces(sources: readonly Address[], most: number): Address[][] {
  const parts: Address[][] = [];
  for (let i = 0; i < sources.length; i += most) parts.push(sources.slice(i, i + most));
  return parts;
}

/**
 * A General Query as a relay sends it (RFC 7450 §5.1.4): Max Resp Code 1, which is 100 ms in IGMP
 * and 1 ms in MLD; the gateway's next Request is due after `queryInterval`.
 */
export function generalQuery(
  family: Family,
  options: { readonly robustness: number; readonly queryInterval: Millis },
): MembershipQuery {
  return {
    kind: "query",
    generation: 3,
    group: undefined,
    sources: [],
    maxResponse: family === 4 ? 100 : 1,
    suppress: false,
    robustness: options.robustness,
    queryInterval: options.queryInterval,
  };
}
