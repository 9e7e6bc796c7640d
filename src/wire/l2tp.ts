/**
 * L2TP messages. Read RFC 3931 §3.2 and §4.1 first, and RFC 2661 §3.1 for version 2.
 *
 * A `parse` function returns values whose octets are parts of the caller's, or the number of the
 * drop reason; an `emit` function returns fresh octets. Reserved bits are ignored on receipt and
 * sent as zero, but for those of an AVP, which mean something (RFC 2661 §4.1).
 */
import * as l2tp from "../../assembly/layout/l2tp.ts";
import {
  VERDICT_L2TP_HEADER,
  VERDICT_L2TP_VERSION,
  VERDICT_TRUNCATED,
} from "../../assembly/layout/verdict.ts";
import { BugError } from "../core/errors.ts";
import type { Drop } from "../core/drops.ts";
import { readU16, readU32, writeU16, writeU32 } from "./octets.ts";

/** What carries the messages: "udp", or "ip" for protocol 115, which has version 3 alone. */
export type Encapsulation = "udp" | "ip";

/** Octets of zero that say "control message" over IP (RFC 3931 §4.1.1.2). */
const ZERO_SESSION = 4;
const V3_UDP = 4; // octets before a Session ID over UDP
const SESSION_ID_LENGTH = 4;
const NUMBER = 0xff_ffff; // of a sublayer
const PRIORITY = 0x0100; // P, version 2 (RFC 2661 §3.1)

/** A data message of version 2. */
export interface DataV2 {
  readonly kind: "data";
  readonly version: 2;
  readonly tunnelId: number;
  readonly sessionId: number;
  /** P: to be favoured in queues. */
  readonly priority: boolean;
  /** L: the Length stands in the header. */
  readonly hasLength: boolean;
  /** S: Ns, and Nr, which means nothing in data. */
  readonly sequence: { readonly ns: number; readonly nr: number } | undefined;
  /** O: octets of padding after the header. */
  readonly offset: number | undefined;
  /** Without what follows the stated Length. */
  readonly payload: Uint8Array;
}

/** A data message of version 3; how long cookie and sublayer are, the session knows. */
export interface DataV3 {
  readonly kind: "data";
  readonly version: 3;
  readonly sessionId: number;
  /** Cookie, sublayer and payload. */
  readonly rest: Uint8Array;
}

/** A control message of either version. */
export interface ControlMessage {
  readonly kind: "control";
  readonly version: 2 | 3;
  /** Control Connection ID of the receiver; version 2: Tunnel ID << 16 | Session ID. */
  readonly connection: number;
  readonly ns: number;
  readonly nr: number;
  /** The AVPs, without what follows the stated Length; none: a ZLB. */
  readonly avps: Uint8Array;
}

/** Reads a UDP payload, or what follows the IP header. */
export function parseMessage(
  octets: Uint8Array,
  encapsulation: Encapsulation,
): DataV2 | DataV3 | ControlMessage | Drop {
  if (encapsulation === "ip") {
    if (octets.length < SESSION_ID_LENGTH) return VERDICT_TRUNCATED;
    if (readU32(octets, 0) === 0) return parseControl(octets.subarray(ZERO_SESSION));
    return parseSession(octets);
  }
  if (octets.length < 2) return VERDICT_TRUNCATED;
  const bits = readU16(octets, 0);
  const version = versionOf(bits);
  if (version === undefined) return VERDICT_L2TP_VERSION;
  if (bits & l2tp.L2TP_CONTROL) return parseControl(octets);
  if (version === 2) return parseV2(octets, bits);
  if (octets.length < V3_UDP + SESSION_ID_LENGTH) return VERDICT_TRUNCATED;
  if (readU32(octets, V3_UDP) === 0) return VERDICT_L2TP_HEADER;
  return parseSession(octets.subarray(V3_UDP));
}

function versionOf(bits: number): 2 | 3 | undefined {
  const version = bits & l2tp.L2TP_VERSION_MASK;
  return version === 2 || version === 3 ? version : undefined;
}

function parseSession(octets: Uint8Array): DataV3 {
  const sessionId = readU32(octets, 0);
  return { kind: "data", version: 3, sessionId, rest: octets.subarray(SESSION_ID_LENGTH) };
}

function parseV2(octets: Uint8Array, bits: number): DataV2 | Drop {
  const hasLength = (bits & l2tp.L2TP_LENGTH) !== 0;
  const hasSequence = (bits & l2tp.L2TP_SEQUENCE) !== 0;
  const hasOffset = (bits & l2tp.L2TP_OFFSET) !== 0;
  const header = 6 + (hasLength ? 2 : 0) + (hasSequence ? 4 : 0) + (hasOffset ? 2 : 0);
  if (octets.length < header) return VERDICT_TRUNCATED;
  let at = 2;
  let end = octets.length;
  if (hasLength) {
    end = readU16(octets, at);
    if (end > octets.length) return VERDICT_TRUNCATED;
    if (end < header) return VERDICT_L2TP_HEADER;
    at += 2;
  }
  const tunnelId = readU16(octets, at);
  const sessionId = readU16(octets, at + 2);
  at += 4;
  const sequence = hasSequence
    ? { ns: readU16(octets, at), nr: readU16(octets, at + 2) }
    : undefined;
  if (hasSequence) at += 4;
  const offset = hasOffset ? readU16(octets, at) : undefined;
  const start = header + (offset ?? 0);
  if (start > end) return VERDICT_L2TP_HEADER;
  return {
    kind: "data",
    version: 2,
    tunnelId,
    sessionId,
    priority: (bits & PRIORITY) !== 0,
    hasLength,
    sequence,
    offset,
    payload: octets.subarray(start, end),
  };
}

/** A data message of version 2 (RFC 2661 §3.1). */
export function emitDataV2(message: Omit<DataV2, "kind" | "version">): Uint8Array {
  const { tunnelId, sessionId, priority, hasLength, sequence, offset, payload } = message;
  const header = 6 + (hasLength ? 2 : 0) + (sequence ? 4 : 0) + (offset === undefined ? 0 : 2);
  const start = header + (offset ?? 0);
  const octets = new Uint8Array(start + payload.length);
  const bits =
    (hasLength ? l2tp.L2TP_LENGTH : 0) |
    (sequence ? l2tp.L2TP_SEQUENCE : 0) |
    (offset === undefined ? 0 : l2tp.L2TP_OFFSET) |
    (priority ? PRIORITY : 0);
  writeU16(octets, 0, bits | l2tp.L2TP_V2);
  let at = 2;
  if (hasLength) {
    writeU16(octets, at, octets.length);
    at += 2;
  }
  writeU16(octets, at, tunnelId);
  writeU16(octets, at + 2, sessionId);
  at += 4;
  if (sequence) {
    writeU16(octets, at, sequence.ns);
    writeU16(octets, at + 2, sequence.nr);
    at += 4;
  }
  if (offset !== undefined) writeU16(octets, at, offset);
  octets.set(payload, start);
  return octets;
}

/** A data message of version 3 (RFC 3931 §4.1); `parts` are cookie, sublayer and payload. */
export function emitDataV3(
  encapsulation: Encapsulation,
  sessionId: number,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  const start = encapsulation === "udp" ? V3_UDP : 0;
  const length = parts.reduce((sum, part) => sum + part.length, start + SESSION_ID_LENGTH);
  const octets = new Uint8Array(length);
  if (encapsulation === "udp") writeU16(octets, 0, l2tp.L2TP_V3);
  writeU32(octets, start, sessionId);
  let at = start + SESSION_ID_LENGTH;
  for (const part of parts) {
    octets.set(part, at);
    at += part.length;
  }
  return octets;
}

/** An L2-Specific Sublayer (RFC 3931 §4.6, RFC 4454 §3). */
export interface Sublayer {
  /** V: a VCCV message follows (RFC 5085). */
  readonly vccv: boolean;
  /** B and E: 0 for a whole frame (RFC 4623). */
  readonly fragment: number;
  /** T, G, C, U of an ATM sublayer; reserved in the default one. */
  readonly mark: number;
  /** S: the sequence number. */
  readonly number: number | undefined;
}

/** Reads the four octets of a sublayer. */
export function parseSublayer(octets: Uint8Array): Sublayer {
  const word = readU32(octets, 0);
  const bits = word >>> 24;
  return {
    vccv: (bits & l2tp.SUBLAYER_V) !== 0,
    fragment: (bits & l2tp.SUBLAYER_FRAGMENT) >> 4,
    mark: bits & l2tp.SUBLAYER_ATM_BITS,
    number: bits & l2tp.SUBLAYER_S ? word & NUMBER : undefined,
  };
}

export function emitSublayer({ vccv, fragment, mark, number }: Sublayer): Uint8Array {
  const octets = new Uint8Array(l2tp.SUBLAYER_LENGTH);
  const numbered = number === undefined ? 0 : l2tp.SUBLAYER_S;
  const bits = (vccv ? l2tp.SUBLAYER_V : 0) | numbered | (fragment << 4) | mark;
  writeU32(octets, 0, (bits << 24) | ((number ?? 0) & NUMBER));
  return octets;
}

/** Reads a control message (RFC 2661 §3.1, RFC 3931 §3.2.1), without the four zero octets over IP. */
export function parseControl(octets: Uint8Array): ControlMessage | Drop {
  if (octets.length < l2tp.L2TP_CONTROL_HEADER) return VERDICT_TRUNCATED;
  const bits = readU16(octets, 0);
  const version = versionOf(bits);
  if (version === undefined) return VERDICT_L2TP_VERSION;
  const wanted = l2tp.L2TP_CONTROL | l2tp.L2TP_LENGTH | l2tp.L2TP_SEQUENCE;
  if ((bits & wanted) !== wanted) return VERDICT_L2TP_HEADER;
  if (version === 2 && bits & l2tp.L2TP_OFFSET) return VERDICT_L2TP_HEADER;
  const length = readU16(octets, l2tp.L2TP_CONTROL_LENGTH);
  if (length < l2tp.L2TP_CONTROL_HEADER || length > octets.length) return VERDICT_L2TP_HEADER;
  return {
    kind: "control",
    version,
    connection: readU32(octets, l2tp.L2TP_CONTROL_ID),
    ns: readU16(octets, l2tp.L2TP_CONTROL_NS),
    nr: readU16(octets, l2tp.L2TP_CONTROL_NR),
    avps: octets.subarray(l2tp.L2TP_CONTROL_HEADER, length),
  };
}

/** A control message, over IP with the four zero octets before it. */
export function emitControl(
  { version, connection, ns, nr, avps }: Omit<ControlMessage, "kind">,
  encapsulation: Encapsulation,
): Uint8Array {
  const start = encapsulation === "ip" ? ZERO_SESSION : 0;
  const length = l2tp.L2TP_CONTROL_HEADER + avps.length;
  if (length > 0xffff) throw new BugError(`a control message of ${length} octets`);
  const octets = new Uint8Array(start + length);
  const message = octets.subarray(start);
  writeU16(message, 0, l2tp.L2TP_CONTROL | l2tp.L2TP_LENGTH | l2tp.L2TP_SEQUENCE | version);
  writeU16(message, l2tp.L2TP_CONTROL_LENGTH, length);
  writeU32(message, l2tp.L2TP_CONTROL_ID, connection);
  writeU16(message, l2tp.L2TP_CONTROL_NS, ns);
  writeU16(message, l2tp.L2TP_CONTROL_NR, nr);
  message.set(avps, l2tp.L2TP_CONTROL_HEADER);
  return octets;
}

/** An attribute-value pair (RFC 2661 §4.1, RFC 3931 §5.1). */
export interface Avp {
  readonly mandatory: boolean;
  readonly hidden: boolean;
  /** True when a reserved bit is set: to version 2 the AVP is unrecognised then. */
  readonly reserved: boolean;
  /** 0: the IETF's. */
  readonly vendor: number;
  readonly type: number;
  readonly value: Uint8Array;
}

/** Walks the AVPs of a control message. One that cannot be, or ends outside, spoils them all. */
export function parseAvps(octets: Uint8Array): Avp[] | Drop {
  const avps: Avp[] = [];
  for (let at = 0; at < octets.length;) {
    if (octets.length - at < l2tp.AVP_HEADER) return VERDICT_L2TP_HEADER;
    const bits = readU16(octets, at);
    const length = bits & l2tp.AVP_LENGTH;
    if (length < l2tp.AVP_HEADER || length > octets.length - at) return VERDICT_L2TP_HEADER;
    avps.push({
      mandatory: (bits & l2tp.AVP_MANDATORY) !== 0,
      hidden: (bits & l2tp.AVP_HIDDEN) !== 0,
      reserved: (bits & l2tp.AVP_RESERVED) !== 0,
      vendor: readU16(octets, at + l2tp.AVP_VENDOR),
      type: readU16(octets, at + l2tp.AVP_TYPE),
      value: octets.subarray(at + l2tp.AVP_HEADER, at + length),
    });
    at += length;
  }
  return avps;
}

/** The octets of these AVPs, one after another. */
export function emitAvps(avps: readonly Omit<Avp, "reserved">[]): Uint8Array {
  const lengths = avps.map(({ value }) => l2tp.AVP_HEADER + value.length);
  const octets = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const [i, { mandatory, hidden, vendor, type, value }] of avps.entries()) {
    const length = lengths[i]!;
    if (length > l2tp.AVP_LENGTH) throw new BugError(`an AVP of ${length} octets`);
    const bits = (mandatory ? l2tp.AVP_MANDATORY : 0) | (hidden ? l2tp.AVP_HIDDEN : 0);
    writeU16(octets, at, bits | length);
    writeU16(octets, at + l2tp.AVP_VENDOR, vendor);
    writeU16(octets, at + l2tp.AVP_TYPE, type);
    octets.set(value, at + l2tp.AVP_HEADER);
    at += length;
  }
  return octets;
}

/** A message's type, from its first AVP; undefined for a ZLB or when another AVP comes first. */
export function messageType(avps: readonly Avp[]): number | undefined {
  const [first] = avps;
  if (first?.vendor !== 0 || first.type !== l2tp.AVP_MESSAGE_TYPE || first.hidden) return undefined;
  return first.value.length === 2 ? readU16(first.value, 0) : undefined;
}

/** The Message Type AVP of a message of this type. */
export function messageTypeAvp(type: number): Omit<Avp, "reserved"> {
  const value = new Uint8Array(2);
  writeU16(value, 0, type);
  return { mandatory: true, hidden: false, vendor: 0, type: l2tp.AVP_MESSAGE_TYPE, value };
}
