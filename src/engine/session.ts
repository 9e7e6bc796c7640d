/**
 * An L2TP session as the core keeps it: what the control thread says about it, as octets of its
 * record (`assembly/layout/l2tp.ts`), and what can be read of it while it works.
 */
import { ARENA_SESSIONS } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { AF_INET, AF_INET6 } from "../../assembly/layout/system.ts";
import { parseAddress, type Endpoint } from "../core/address.ts";
import { BugError } from "../core/errors.ts";
import { writeSockaddr } from "./sockaddr.ts";

/** What identifies a session's datagrams. */
export interface SessionKey {
  /** Number of the port whose socket receives them. */
  readonly port: number;
  readonly version: 2 | 3;
  /** Where they come from, and go to; port 0 over IP. */
  readonly peer: Endpoint;
  /** Our session identifier; version 2: tunnel << 16 | session; 0 for a keyed IPv6 tunnel. */
  readonly id: number;
}

/** Everything else about a session. */
export interface SessionPlan {
  /** PW_*. */
  readonly pseudowire: number;
  /** Number of the port that frames go to. */
  readonly device: number;
  /** On a trunk, the VLAN identifier of its frames. */
  readonly vlan?: number;
  /** The cookie expected of the peer: 0, 4 or 8 octets; and another one of the same length. */
  readonly cookie: Uint8Array;
  readonly cookie2?: Uint8Array | undefined;
  /** SUBLAYER_* expected of the peer. */
  readonly sublayer: number;
  /** What numbers that arrive mean; "mirror" is version 2's LAC, which numbers as its peer does. */
  readonly sequence: "ignore" | "accept" | "require" | "mirror";
  /** Milliseconds that a packet which came ahead waits for those before it; 0: it does not. */
  readonly hold: number;
  /** Consecutive old numbers after which the peer has started anew; 0: never. */
  readonly restartAfter: number;
  readonly header: DataHeader;
  /** True: packets are numbered. */
  readonly numbered: boolean;
  /** Largest frame in octets. */
  readonly frameMax: number;
  /** Largest datagram that may be sent in a train; 0: none are. */
  readonly segmentMax: number;
  /** Traffic class of what is sent, and what of it is inherited from an IP datagram inside. */
  readonly trafficClass: number;
  readonly inheritDscp: boolean;
  readonly inheritEcn: boolean;
}

/** A prepared header, and the places in it that change. */
export interface DataHeader {
  readonly octets: Uint8Array;
  /** SUBLAYER_* in it. */
  readonly sublayer: number;
  /** Where Ns or the sublayer stands, and version 2's Length; 0: nowhere. */
  readonly sequenceAt: number;
  readonly lengthAt: number;
}

export interface HeaderPlan {
  readonly version: 2 | 3;
  /** True over UDP; version 2 knows nothing else. */
  readonly udp: boolean;
  /** The peer's session identifier; version 2: tunnel << 16 | session. */
  readonly id: number;
  /** The cookie that is sent. */
  readonly cookie: Uint8Array;
  /** SUBLAYER_*. */
  readonly sublayer: number;
  /** Version 2: a place for Ns and Nr, a Length, and so many octets of padding behind an offset. */
  readonly numbers?: boolean;
  readonly length?: boolean;
  readonly offset?: number;
}

/** The header that a session's datagrams begin with (RFC 2661 §3.1, RFC 3931 §4.1). */
export function prepareHeader(plan: HeaderPlan): DataHeader {
  return plan.version === 2 ? prepareV2(plan) : prepareV3(plan);
}

function prepareV3({ udp, id, cookie, sublayer }: HeaderPlan): DataHeader {
  const before = udp ? 4 : 0;
  const sequenceAt = before + 4 + cookie.length;
  const length = sequenceAt + (sublayer === l2tp.SUBLAYER_NONE ? 0 : l2tp.SUBLAYER_LENGTH);
  const octets = new Uint8Array(length);
  const view = new DataView(octets.buffer);
  if (udp) view.setUint16(0, l2tp.L2TP_V3);
  view.setUint32(before, id);
  octets.set(cookie, before + 4);
  return {
    octets,
    sublayer,
    sequenceAt: sublayer === l2tp.SUBLAYER_NONE ? 0 : sequenceAt,
    lengthAt: 0,
  };
}

function prepareV2({ id, numbers = false, length = false, offset }: HeaderPlan): DataHeader {
  const idAt = length ? 4 : 2;
  const sequenceAt = numbers ? idAt + 4 : 0;
  const offsetAt = idAt + 4 + (numbers ? 4 : 0);
  const octets = new Uint8Array(offsetAt + (offset === undefined ? 0 : 2 + offset));
  if (octets.length > l2tp.SESSION_HEADER_MAX)
    throw new BugError(`a header of ${octets.length} octets`);
  const view = new DataView(octets.buffer);
  const bits =
    (length ? l2tp.L2TP_LENGTH : 0) |
    (numbers ? l2tp.L2TP_SEQUENCE : 0) |
    (offset === undefined ? 0 : l2tp.L2TP_OFFSET);
  view.setUint16(0, bits | l2tp.L2TP_V2);
  view.setUint32(idAt, id);
  if (offset !== undefined) view.setUint16(offsetAt, offset);
  return { octets, sublayer: l2tp.SUBLAYER_NONE, sequenceAt, lengthAt: length ? 2 : 0 };
}

/** The key as it stands in a record. */
export function sessionKey({ port, version, peer, id }: SessionKey): Uint8Array {
  const octets = new Uint8Array(l2tp.SESSION_KEY_LENGTH);
  const view = new DataView(octets.buffer);
  const address = octetsOf(peer);
  view.setUint32(l2tp.SESSION_PORT, port, true);
  view.setUint16(l2tp.SESSION_VERSION, version, true);
  view.setUint16(l2tp.SESSION_PEER_PORT, peer.port);
  view.setUint32(l2tp.SESSION_ID, id);
  view.setUint32(l2tp.SESSION_FAMILY, address.length === 4 ? AF_INET : AF_INET6, true);
  octets.set(address, l2tp.SESSION_PEER);
  return octets;
}

/** A part of a record: octets from `offset` on. */
export interface RecordPart {
  readonly offset: number;
  readonly octets: Uint8Array;
}

/** The parts of a record that say all this. */
export function sessionParts(peer: Endpoint, plan: SessionPlan): RecordPart[] {
  const octets = new Uint8Array(l2tp.SESSION_TX_PACKETS);
  const view = new DataView(octets.buffer);
  view.setUint32(l2tp.SESSION_FLAGS, flagsOf(plan), true);
  view.setUint8(l2tp.SESSION_SUBLAYER, plan.sublayer);
  view.setUint8(l2tp.SESSION_COOKIE_LENGTH, plan.cookie.length);
  view.setUint16(l2tp.SESSION_PSEUDOWIRE, plan.pseudowire, true);
  view.setUint32(l2tp.SESSION_DEVICE, plan.device, true);
  octets.set(plan.cookie, l2tp.SESSION_COOKIE);
  octets.set(plan.cookie2 ?? plan.cookie, l2tp.SESSION_COOKIE_2);
  view.setUint16(l2tp.SESSION_VLAN, plan.vlan ?? 0, true);
  view.setUint32(l2tp.SESSION_OLD_MAX, plan.restartAfter, true);
  view.setUint32(l2tp.SESSION_HOLD, plan.hold, true);
  const length = writeSockaddr(octets, view, l2tp.SESSION_SOCKADDR, peer);
  view.setUint32(l2tp.SESSION_SOCKADDR_LENGTH, length, true);
  const { header } = plan;
  view.setUint8(l2tp.SESSION_HEADER_LENGTH, header.octets.length);
  view.setUint8(l2tp.SESSION_SEQUENCE_AT, header.sequenceAt);
  view.setUint8(l2tp.SESSION_LENGTH_AT, header.lengthAt);
  view.setUint8(l2tp.SESSION_SUBLAYER_SENT, header.sublayer);
  octets.set(header.octets, l2tp.SESSION_HEADER);
  view.setUint32(l2tp.SESSION_FRAME_MAX, plan.frameMax, true);
  view.setUint32(l2tp.SESSION_SEGMENT_MAX, plan.segmentMax, true);
  view.setUint8(l2tp.SESSION_CLASS, plan.trafficClass);
  // What the core counts up by itself is left alone: a session can be changed while it works.
  return [
    part(octets, l2tp.SESSION_FLAGS, l2tp.SESSION_EXPECTED),
    part(octets, l2tp.SESSION_OLD_MAX, l2tp.SESSION_HELD),
    part(octets, l2tp.SESSION_SOCKADDR, l2tp.SESSION_NEXT_NUMBER),
    part(octets, l2tp.SESSION_HEADER_LENGTH, l2tp.SESSION_CLASS + 4),
  ];
}

function part(octets: Uint8Array, start: number, end: number): RecordPart {
  return { offset: start, octets: octets.subarray(start, end) };
}

function flagsOf(plan: SessionPlan): number {
  return (
    (plan.cookie2 ? l2tp.SESSION_COOKIES : 0) |
    (plan.numbered ? l2tp.SESSION_SEND_SEQUENCE : 0) |
    (plan.sequence === "require" ? l2tp.SESSION_NEED_SEQUENCE : 0) |
    (plan.sequence === "ignore" ? l2tp.SESSION_IGNORE_SEQUENCE : 0) |
    (plan.sequence === "mirror" ? l2tp.SESSION_MIRROR : 0) |
    (plan.inheritEcn ? l2tp.SESSION_ECN : 0) |
    (plan.inheritDscp ? l2tp.SESSION_TOS : 0) |
    (plan.segmentMax > 0 ? l2tp.SESSION_TRAINS : 0)
  );
}

/** A session's counters; they only grow, but for `txPackets`, which a refusal takes back. */
export interface SessionCounters {
  readonly txPackets: number;
  readonly txOctets: number;
  readonly txErrors: number;
  readonly rxPackets: number;
  readonly rxOctets: number;
  readonly rxErrors: number;
  readonly rxCookie: number;
  readonly rxInvalid: number;
  readonly rxOld: number;
  readonly rxReordered: number;
  readonly rxMissing: number;
  readonly rxUnnumbered: number;
  /** Datagrams from the peer, whatever became of them. */
  readonly heard: number;
}

/** The counters of the session with this number, or undefined when the lane has none. */
export function readSession(
  arena: WebAssembly.Memory,
  number: number,
): SessionCounters | undefined {
  const view = new DataView(arena.buffer);
  const block = view.getUint32(ARENA_SESSIONS, true);
  const octets = 2 ** view.getUint32(ARENA_SESSIONS + 4, true);
  if (block === 0 || (number + 1) * 4 > octets) return undefined;
  const record = view.getUint32(block + number * 4, true);
  // The lane may be taking the session away, or moving the block, this very moment.
  if (record === 0 || record + (1 << l2tp.SESSION_SHIFT) > arena.buffer.byteLength)
    return undefined;
  if (view.getUint32(record + l2tp.SESSION_NUMBER, true) !== number) return undefined;
  const counter = (at: number): number => Number(view.getBigUint64(record + at, true));
  return {
    txPackets: counter(l2tp.SESSION_TX_PACKETS),
    txOctets: counter(l2tp.SESSION_TX_OCTETS),
    txErrors: counter(l2tp.SESSION_TX_ERRORS),
    rxPackets: counter(l2tp.SESSION_RX_PACKETS),
    rxOctets: counter(l2tp.SESSION_RX_OCTETS),
    rxErrors: counter(l2tp.SESSION_RX_ERRORS),
    rxCookie: counter(l2tp.SESSION_RX_COOKIE),
    rxInvalid: counter(l2tp.SESSION_RX_INVALID),
    rxOld: counter(l2tp.SESSION_RX_OLD),
    rxReordered: counter(l2tp.SESSION_RX_REORDERED),
    rxMissing: counter(l2tp.SESSION_RX_MISSING),
    rxUnnumbered: counter(l2tp.SESSION_RX_UNNUMBERED),
    heard: counter(l2tp.SESSION_HEARD),
  };
}

function octetsOf({ address }: Endpoint): Uint8Array {
  const octets = parseAddress(address);
  if (!octets) throw new BugError(`${address} is no address`);
  return octets;
}
