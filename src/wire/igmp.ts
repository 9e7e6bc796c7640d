/**
 * IGMPv1, v2 and v3 messages: the payload of an IPv4 datagram of protocol 2. Read RFC 3376 §4 first,
 * RFC 2236 §2 and RFC 1112 Appendix I for the older ones.
 */
import {
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_MEMBERSHIP_TYPE,
} from "../../assembly/layout/verdict.ts";
import { type Address, formatAddress } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import { internetChecksum } from "./checksum.ts";
import { decode8, encode8 } from "./codes.ts";
import type { MembershipMessage, MembershipQuery } from "./membership.ts";
import { readU16, writeAddress, writeU16 } from "./octets.ts";
import {
  QUERY_TAIL,
  parseQueryTail,
  parseRecords,
  queryTailLength,
  recordLength,
  writeQueryTail,
  writeRecords,
} from "./records.ts";

// Types (RFC 3376 §4, RFC 2236 §2.1). IGMPv1 wrote its version in the high nibble: 0x11 and 0x12.
const QUERY = 0x11;
const REPORT_V1 = 0x12;
const REPORT_V2 = 0x16;
const LEAVE_V2 = 0x17;
const REPORT_V3 = 0x22;

const MAX_RESPONSE = 1; // u8, in tenths of a second
const CHECKSUM = 2; // u16
const GROUP = 4;
const QUERY_V3_TAIL = 8; // S, QRV, QQIC, Number of Sources
const REPORT_RECORD_COUNT = 6; // u16
const REPORT_RECORDS = 8;
/** Octets of every older message, and the least of any (RFC 2236 §2). */
const SHORT = 8;
const QUERY_V3 = QUERY_V3_TAIL + QUERY_TAIL; // without sources

const TENTH = 100; // ms
/** What an IGMPv1 query stands for (RFC 3376 §7.2.1, RFC 2236 §4). */
const MAX_RESPONSE_V1 = 10_000; // ms

/**
 * What a message says, or why it is dropped: cut short, a wrong checksum (over all octets, RFC 3376
 * §4.1.2), or a type that is not among the five.
 */
export function parseIgmp(octets: Uint8Array): MembershipMessage | Drop {
  if (octets.length < SHORT) return VERDICT_MEMBERSHIP_LENGTH;
  if (internetChecksum(octets, 0, octets.length) !== 0) return VERDICT_MEMBERSHIP_CHECKSUM;
  switch (octets[0]!) {
    case QUERY:
      return parseQuery(octets);
    case REPORT_V1:
      return { kind: "join", generation: 1, group: formatAddress(octets, GROUP, 4) };
    case REPORT_V2:
      return { kind: "join", generation: 2, group: formatAddress(octets, GROUP, 4) };
    case LEAVE_V2:
      return { kind: "leave", generation: 2, group: formatAddress(octets, GROUP, 4) };
    case REPORT_V3: {
      const count = readU16(octets, REPORT_RECORD_COUNT);
      const records = parseRecords(octets, REPORT_RECORDS, count, 4);
      return records ? { kind: "report", generation: 3, records } : VERDICT_MEMBERSHIP_LENGTH;
    }
    default:
      return VERDICT_MEMBERSHIP_TYPE;
  }
}

/** The version is told by length and code; 9 to 11 octets are no version's (RFC 3376 §7.1). */
function parseQuery(octets: Uint8Array): MembershipQuery | Drop {
  const code = octets[MAX_RESPONSE]!;
  const group = parseGroup(octets);
  if (octets.length === SHORT) {
    const old = { kind: "query", group, sources: [], suppress: false } as const;
    return code === 0
      ? { ...old, generation: 1, maxResponse: MAX_RESPONSE_V1, robustness: 0, queryInterval: 0 }
      : { ...old, generation: 2, maxResponse: code * TENTH, robustness: 0, queryInterval: 0 };
  }
  if (octets.length < QUERY_V3) return VERDICT_MEMBERSHIP_LENGTH;
  const tail = parseQueryTail(octets, QUERY_V3_TAIL, 4);
  if (!tail) return VERDICT_MEMBERSHIP_LENGTH;
  return { kind: "query", generation: 3, group, maxResponse: decode8(code) * TENTH, ...tail };
}

function parseGroup(octets: Uint8Array): Address | undefined {
  const group = formatAddress(octets, GROUP, 4);
  return group === "0.0.0.0" ? undefined : group;
}

/** Octets that `writeIgmp` writes. */
export function igmpLength(message: MembershipMessage): number {
  switch (message.kind) {
    case "query":
      return message.generation === 3 ? QUERY_V3_TAIL + queryTailLength(message, 4) : SHORT;
    case "report":
      return message.records.reduce(
        (sum, record) => sum + recordLength(record.sources.length, 4),
        REPORT_RECORDS,
      );
    case "join":
    case "leave":
      return SHORT;
  }
}

/** Writes a message with its checksum at `at` and returns where it ends. */
export function writeIgmp(message: MembershipMessage, octets: Uint8Array, at: number): number {
  const end = at + igmpLength(message);
  octets[at] = typeOf(message);
  octets[at + MAX_RESPONSE] = message.kind === "query" ? maxResponseCode(message) : 0;
  writeU16(octets, at + CHECKSUM, 0);
  if (message.kind === "report") {
    writeU16(octets, at + GROUP, 0);
    writeU16(octets, at + REPORT_RECORD_COUNT, message.records.length);
    writeRecords(message.records, octets, at + REPORT_RECORDS, 4);
  } else {
    writeAddress(octets, at + GROUP, message.group ?? "0.0.0.0", 4);
    if (message.kind === "query" && message.generation === 3) {
      writeQueryTail(message, octets, at + QUERY_V3_TAIL, 4);
    }
  }
  writeU16(octets, at + CHECKSUM, internetChecksum(octets, at, end));
  return end;
}

function typeOf(message: MembershipMessage): number {
  switch (message.kind) {
    case "query":
      return QUERY;
    case "report":
      return REPORT_V3;
    case "join":
      return message.generation === 1 ? REPORT_V1 : REPORT_V2;
    case "leave":
      return LEAVE_V2;
  }
}

/** Rounded down; but IGMPv2's is never 0, which would make it an IGMPv1 query (RFC 2236 §4). */
function maxResponseCode(query: MembershipQuery): number {
  const tenths = Math.floor(query.maxResponse / TENTH);
  switch (query.generation) {
    case 1:
      return 0;
    case 2:
      return Math.min(Math.max(1, tenths), 0xff);
    case 3:
      return encode8(tenths);
  }
}
