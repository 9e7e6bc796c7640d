/**
 * MLDv1 and MLDv2 messages: ICMPv6 of four types. Read RFC 3810 §5 first, RFC 2710 §3 for MLDv1.
 */
import {
  VERDICT_MEMBERSHIP_CHECKSUM,
  VERDICT_MEMBERSHIP_LENGTH,
  VERDICT_MEMBERSHIP_TYPE,
} from "../../assembly/layout/verdict.ts";
import { type Address, formatAddress } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import { BugError } from "../core/errors.ts";
import { internetChecksum } from "./checksum.ts";
import { decode16, encode16 } from "./codes.ts";
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

// ICMPv6 types (RFC 2710 §3.1, RFC 3810 §5).
const QUERY = 130;
const REPORT_V1 = 131;
const DONE_V1 = 132;
const REPORT_V2 = 143;

const CODE = 1; // u8, sent as 0 and ignored
const CHECKSUM = 2; // u16
const MAX_RESPONSE = 4; // u16, in milliseconds; followed by 2 reserved octets
const GROUP = 8;
const QUERY_V2_TAIL = 24; // S, QRV, QQIC, Number of Sources
const REPORT_RECORD_COUNT = 6; // u16, after 2 reserved octets
const REPORT_RECORDS = 8;
/** Octets of every MLDv1 message (RFC 2710 §3). */
const V1 = 24;
const QUERY_V2 = QUERY_V2_TAIL + QUERY_TAIL; // without sources

/** True for the four ICMPv6 types that are MLD. */
export function isMldType(type: number): boolean {
  return type === QUERY || type === REPORT_V1 || type === DONE_V1 || type === REPORT_V2;
}

/**
 * What a message says, or why it is dropped: cut short, a wrong checksum, or a type that is not
 * MLD's. `sum` is that of its pseudo-header.
 */
export function parseMld(octets: Uint8Array, sum: number): MembershipMessage | Drop {
  if (octets.length < REPORT_RECORDS) return VERDICT_MEMBERSHIP_LENGTH;
  if (internetChecksum(octets, 0, octets.length, sum) !== 0) return VERDICT_MEMBERSHIP_CHECKSUM;
  const type = octets[0]!;
  if (type === REPORT_V2) {
    const count = readU16(octets, REPORT_RECORD_COUNT);
    const records = parseRecords(octets, REPORT_RECORDS, count, 6);
    return records ? { kind: "report", generation: 3, records } : VERDICT_MEMBERSHIP_LENGTH;
  }
  if (!isMldType(type)) return VERDICT_MEMBERSHIP_TYPE;
  if (octets.length < V1) return VERDICT_MEMBERSHIP_LENGTH;
  if (type === QUERY) return parseQuery(octets);
  const group = formatAddress(octets, GROUP, 6);
  return { kind: type === DONE_V1 ? "leave" : "join", generation: 2, group };
}

/** The version is told by the length; 25 to 27 octets are no version's (RFC 3810 §8.1). */
function parseQuery(octets: Uint8Array): MembershipQuery | Drop {
  const code = readU16(octets, MAX_RESPONSE);
  const group = parseGroup(octets);
  if (octets.length === V1) {
    const old = { kind: "query", generation: 2, group, maxResponse: code } as const;
    return { ...old, sources: [], suppress: false, robustness: 0, queryInterval: 0 };
  }
  if (octets.length < QUERY_V2) return VERDICT_MEMBERSHIP_LENGTH;
  const tail = parseQueryTail(octets, QUERY_V2_TAIL, 6);
  if (!tail) return VERDICT_MEMBERSHIP_LENGTH;
  return { kind: "query", generation: 3, group, maxResponse: decode16(code), ...tail };
}

function parseGroup(octets: Uint8Array): Address | undefined {
  const group = formatAddress(octets, GROUP, 6);
  return group === "::" ? undefined : group;
}

/** Octets that `writeMld` writes. */
export function mldLength(message: MembershipMessage): number {
  switch (message.kind) {
    case "query":
      return message.generation === 3 ? QUERY_V2_TAIL + queryTailLength(message, 6) : V1;
    case "report":
      return message.records.reduce(
        (sum, record) => sum + recordLength(record.sources.length, 6),
        REPORT_RECORDS,
      );
    case "join":
    case "leave":
      return V1;
  }
}

/**
 * Writes a message with its checksum at `at` and returns where it ends. `sum` is that of its
 * pseudo-header. Throws BugError for generation 1, which MLD does not have.
 */
export function writeMld(
  message: MembershipMessage,
  octets: Uint8Array,
  at: number,
  sum: number,
): number {
  if (message.generation === 1) throw new BugError("MLD has nothing like IGMPv1");
  const end = at + mldLength(message);
  octets[at] = typeOf(message);
  octets[at + CODE] = 0;
  writeU16(octets, at + CHECKSUM, 0);
  writeU16(octets, at + MAX_RESPONSE, message.kind === "query" ? maxResponseCode(message) : 0);
  if (message.kind === "report") {
    writeU16(octets, at + REPORT_RECORD_COUNT, message.records.length);
    writeRecords(message.records, octets, at + REPORT_RECORDS, 6);
  } else {
    writeU16(octets, at + MAX_RESPONSE + 2, 0);
    writeAddress(octets, at + GROUP, message.group ?? "::", 6);
    if (message.kind === "query" && message.generation === 3) {
      writeQueryTail(message, octets, at + QUERY_V2_TAIL, 6);
    }
  }
  writeU16(octets, at + CHECKSUM, internetChecksum(octets, at, end, sum));
  return end;
}

function typeOf(message: MembershipMessage): number {
  switch (message.kind) {
    case "query":
      return QUERY;
    case "report":
      return REPORT_V2;
    case "join":
      return REPORT_V1;
    case "leave":
      return DONE_V1;
  }
}

/** Rounded down; MLDv1's is a plain number (RFC 2710 §3.4). */
function maxResponseCode(query: MembershipQuery): number {
  if (query.generation === 3) return encode16(query.maxResponse);
  return Math.min(Math.floor(query.maxResponse), 0xffff);
}
