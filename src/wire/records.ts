/**
 * What IGMPv3 and MLDv2 share but for the length of an address: source lists, the S, QRV and QQIC
 * fields of queries, and group records. Read RFC 3376 §4.1 and §4.2 (or RFC 3810 §5.1 and §5.2)
 * first.
 */
import type { Address, Family } from "../core/address.ts";
import { RecurringTexts } from "../core/recurring.ts";
import { decode8, encode8 } from "./codes.ts";
import type { GroupRecord, MembershipQuery, RecordKind } from "./membership.ts";
import { addressLength, readU16, writeAddress, writeU16 } from "./octets.ts";

// Record types (RFC 3376 §4.2.12); the array's index is the type.
const KINDS: readonly (RecordKind | undefined)[] = [
  undefined,
  "is-in",
  "is-ex",
  "to-in",
  "to-ex",
  "allow",
  "block",
];

// The last 4 octets of a query's fixed part (RFC 3376 §4.1, from octet 8).
const SUPPRESS = 0x08;
const QRV_MASK = 0x07;
const QUERY_QQIC = 1;
const QUERY_COUNT = 2;
/** Octets of the S, QRV, QQIC and Number of Sources fields; the sources follow. */
export const QUERY_TAIL = 4;

// A group record (RFC 3376 §4.2.4).
const RECORD_AUX_LENGTH = 1; // u8, in units of 4 octets
const RECORD_COUNT = 2; // u16
const RECORD_GROUP = 4;

/** Groups and sources, and where messages come from and go to. */
export const addressTexts = new RecurringTexts();

/** The fields of a query from its S flag on. */
export type QueryTail = Pick<
  MembershipQuery,
  "suppress" | "robustness" | "queryInterval" | "sources"
>;

/** Octets of a query from its S flag on. */
export function queryTailLength(query: QueryTail, family: Family): number {
  return QUERY_TAIL + query.sources.length * addressLength(family);
}

/**
 * The fields from the S flag at `at` on; undefined if the sources run past the end. The caller has
 * checked that QUERY_TAIL octets are there.
 */
export function parseQueryTail(
  octets: Uint8Array,
  at: number,
  family: Family,
): QueryTail | undefined {
  const sources = parseSources(octets, at + QUERY_TAIL, readU16(octets, at + QUERY_COUNT), family);
  if (!sources) return undefined;
  return {
    suppress: (octets[at]! & SUPPRESS) !== 0,
    robustness: octets[at]! & QRV_MASK,
    queryInterval: decode8(octets[at + QUERY_QQIC]!) * 1000,
    sources,
  };
}

/** Writes the fields from the S flag on; a robustness that does not fit is sent as 0 (§4.1.6). */
export function writeQueryTail(
  query: QueryTail,
  octets: Uint8Array,
  at: number,
  family: Family,
): void {
  const robustness = query.robustness > QRV_MASK ? 0 : query.robustness;
  octets[at] = (query.suppress ? SUPPRESS : 0) | robustness;
  octets[at + QUERY_QQIC] = encode8(query.queryInterval / 1000);
  writeU16(octets, at + QUERY_COUNT, query.sources.length);
  writeSources(query.sources, octets, at + QUERY_TAIL, family);
}

/** Octets of a record with `count` sources; we send no auxiliary data (§4.2.10). */
export function recordLength(count: number, family: Family): number {
  return RECORD_GROUP + (1 + count) * addressLength(family);
}

/**
 * `count` records from `at` on. Records of unknown type and auxiliary data are skipped (§4.2.12,
 * §4.2.10), octets after the last record ignored (§4.2.11). Undefined if a record runs past the end.
 */
export function parseRecords(
  octets: Uint8Array,
  at: number,
  count: number,
  family: Family,
): GroupRecord[] | undefined {
  const records: GroupRecord[] = [];
  let start = at;
  for (let i = 0; i < count; i++) {
    const fixed = start + recordLength(0, family);
    if (fixed > octets.length) return undefined;
    const sources = parseSources(octets, fixed, readU16(octets, start + RECORD_COUNT), family);
    if (!sources) return undefined;
    const kind = KINDS[octets[start]!];
    if (kind !== undefined) {
      records.push({
        kind,
        group: addressTexts.format(octets, start + RECORD_GROUP, family),
        sources,
      });
    }
    const end = fixed + sources.length * addressLength(family);
    start = end + 4 * octets[start + RECORD_AUX_LENGTH]!;
    if (start > octets.length) return undefined;
  }
  return records;
}

/** Writes records one after the other and returns where they end. */
export function writeRecords(
  records: readonly GroupRecord[],
  octets: Uint8Array,
  at: number,
  family: Family,
): number {
  let start = at;
  for (const { kind, group, sources } of records) {
    octets[start] = KINDS.indexOf(kind);
    octets[start + RECORD_AUX_LENGTH] = 0;
    writeU16(octets, start + RECORD_COUNT, sources.length);
    const fixed = writeAddress(octets, start + RECORD_GROUP, group, family);
    start = writeSources(sources, octets, fixed, family);
  }
  return start;
}

function parseSources(
  octets: Uint8Array,
  at: number,
  count: number,
  family: Family,
): Address[] | undefined {
  const width = addressLength(family);
  if (at + count * width > octets.length) return undefined;
  // Not grown as they come: a list that grows has room for many, and most have one.
  const sources = new Array<Address>(count);
  for (let i = 0; i < count; i++) sources[i] = addressTexts.format(octets, at + i * width, family);
  return sources;
}

function writeSources(
  sources: readonly Address[],
  octets: Uint8Array,
  at: number,
  family: Family,
): number {
  let end = at;
  for (const source of sources) end = writeAddress(octets, end, source, family);
  return end;
}
