// Data headers: putting a session's on, and reading one up to the session's identifier.
import { ARENA_KEY } from "../layout/arena";
import {
  L2TP_CONTROL,
  L2TP_CONTROL_HEADER,
  L2TP_LENGTH,
  L2TP_OFFSET,
  L2TP_SEQUENCE,
  L2TP_V2,
  L2TP_V3,
  L2TP_VERSION_MASK,
  PORT_IPV4,
  PORT_UDP,
  SESSION_FLAGS,
  SESSION_HEADER,
  SESSION_HEADER_LENGTH,
  SESSION_ID,
  SESSION_LENGTH_AT,
  SESSION_NEXT_NUMBER,
  SESSION_SEND_SEQUENCE,
  SESSION_SEQUENCE_AT,
  SESSION_SUBLAYER_SENT,
  SESSION_VERSION,
  SUBLAYER_ATM,
  SUBLAYER_S,
} from "../layout/l2tp";
import { IPV4_HEADER } from "../layout/ip";
import { VERDICT_L2TP_HEADER, VERDICT_L2TP_VERSION, VERDICT_TRUNCATED } from "../layout/verdict";
import { be16, ipv4HeaderLength, storeBe16 } from "../datagram";
import { copyOctets } from "../octets";

const NUMBER_V3: u32 = 0xffffff; // RFC 3931 §4.6
const SEQUENCE_OCTETS: u32 = 4; // Ns and Nr of version 2
const S_V2: u8 = <u8>(L2TP_SEQUENCE >> 8);

/** Octets that `putHeader` would write. */
export function headerLength(session: usize): u32 {
  const length = <u32>load<u8>(session, SESSION_HEADER_LENGTH);
  return leavesOut(session) ? length - SEQUENCE_OCTETS : length;
}

/** True for a version 2 header that has a place for numbers, while none are sent. */
function leavesOut(session: usize): bool {
  if (load<u16>(session, SESSION_VERSION) != L2TP_V2 || !load<u8>(session, SESSION_SEQUENCE_AT))
    return false;
  return !(load<u32>(session, SESSION_FLAGS) & SESSION_SEND_SEQUENCE);
}

/**
 * Writes the session's header just before `frame`, which has `length` octets; `mark` are the bits
 * of an ATM sublayer. Returns the header's length.
 */
export function putHeader(session: usize, frame: usize, length: u32, mark: u32): u32 {
  const header = <usize>load<u8>(session, SESSION_HEADER_LENGTH);
  const place = <usize>load<u8>(session, SESSION_SEQUENCE_AT);
  const prepared = session + SESSION_HEADER;
  const size = <usize>headerLength(session);
  const at = frame - size;
  if (size == header) {
    copyOctets(at, prepared, header);
  } else {
    copyOctets(at, prepared, place);
    copyOctets(at + place, prepared + place + SEQUENCE_OCTETS, size - place);
    store<u8>(at, load<u8>(at) & ~S_V2);
  }
  if (load<u16>(session, SESSION_VERSION) == L2TP_V2) {
    if (size == header && place) storeBe16(at + place, takeNumber(session, 0xffff));
    const lengthAt = <usize>load<u8>(session, SESSION_LENGTH_AT);
    if (lengthAt) storeBe16(at + lengthAt, <u32>size + length);
  } else if (place) {
    let word: u32 = 0;
    if (load<u32>(session, SESSION_FLAGS) & SESSION_SEND_SEQUENCE)
      word = ((<u32>SUBLAYER_S) << 24) | takeNumber(session, NUMBER_V3);
    if (load<u8>(session, SESSION_SUBLAYER_SENT) == SUBLAYER_ATM) word |= mark << 24;
    store<u32>(at + place, bswap<u32>(word));
  }
  return <u32>size;
}

function takeNumber(session: usize, mask: u32): u32 {
  const number = load<u32>(session, SESSION_NEXT_NUMBER) & mask;
  store<u32>(session, number + 1, SESSION_NEXT_NUMBER);
  return number;
}

// What `readHeader` found. `headVersion` is 0 for a control message.
export let headVersion: u32 = 0;
export let headStart: usize = 0; // a control message; else what follows the identifier or header
export let headLength: i32 = 0; // octets from there
export let headNumbered: bool = false; // version 2: a sequence number stands in headNumber
export let headNumber: u32 = 0;

/**
 * Reads the datagram of `length` octets at `at`, received on a port of kind PORT_UDP, PORT_IPV4 or
 * PORT_IPV6, and stores the session's identifier at SESSION_ID of ARENA_KEY. Returns 0 or a verdict.
 */
export function readHeader(kind: u32, at: usize, length: i32): i32 {
  if (kind == PORT_UDP) return readUdp(at, length);
  if (kind == PORT_IPV4) {
    if (length < IPV4_HEADER) return VERDICT_TRUNCATED;
    const header = <i32>ipv4HeaderLength(at);
    if (header < IPV4_HEADER || header > length) return VERDICT_L2TP_HEADER;
    at += header;
    length -= header;
  }
  if (length < 4) return VERDICT_TRUNCATED;
  if (load<u32>(at) == 0) return control(at + 4, length - 4);
  return data(at, length);
}

function readUdp(at: usize, length: i32): i32 {
  if (length < 2) return VERDICT_TRUNCATED;
  const word = be16(at);
  const version = word & L2TP_VERSION_MASK;
  if (version != L2TP_V2 && version != L2TP_V3) return VERDICT_L2TP_VERSION;
  if (word & L2TP_CONTROL) return control(at, length);
  if (version == L2TP_V2) return readV2(at, length, word);
  if (length < 8) return VERDICT_TRUNCATED;
  if (load<u32>(at, 4) == 0) return VERDICT_L2TP_HEADER;
  return data(at + 4, length - 4);
}

/** A control message: its header must be one (RFC 2661 §3.1, RFC 3931 §3.2.1). */
function control(at: usize, length: i32): i32 {
  if (length < L2TP_CONTROL_HEADER) return VERDICT_TRUNCATED;
  const word = be16(at);
  const version = word & L2TP_VERSION_MASK;
  if (version != L2TP_V2 && version != L2TP_V3) return VERDICT_L2TP_VERSION;
  const wanted: u32 = L2TP_CONTROL | L2TP_LENGTH | L2TP_SEQUENCE;
  if ((word & wanted) != wanted) return VERDICT_L2TP_HEADER;
  if (version == L2TP_V2 && word & L2TP_OFFSET) return VERDICT_L2TP_HEADER;
  const stated = <i32>be16(at + 2);
  if (stated < L2TP_CONTROL_HEADER || stated > length) return VERDICT_L2TP_HEADER;
  headVersion = 0;
  headStart = at;
  headLength = stated;
  return 0;
}

/** Version 3: a session identifier, and what follows it. */
function data(at: usize, length: i32): i32 {
  store<u32>(ARENA_KEY, load<u32>(at), SESSION_ID);
  headVersion = L2TP_V3;
  headStart = at + 4;
  headLength = length - 4;
  headNumbered = false;
  return 0;
}

/** Version 2: any of the optional fields may be there (RFC 2661 §3.1). */
function readV2(at: usize, length: i32, word: u32): i32 {
  const start = at;
  let header = 6;
  if (word & L2TP_LENGTH) header += 2;
  if (word & L2TP_SEQUENCE) header += 4;
  if (word & L2TP_OFFSET) header += 2;
  if (length < header) return VERDICT_TRUNCATED;
  at += 2;
  if (word & L2TP_LENGTH) {
    const stated = <i32>be16(at);
    if (stated > length) return VERDICT_TRUNCATED;
    if (stated < header) return VERDICT_L2TP_HEADER;
    length = stated; // the rest is not part of the message
    at += 2;
  }
  store<u32>(ARENA_KEY, load<u32>(at), SESSION_ID);
  at += 4;
  headNumbered = (word & L2TP_SEQUENCE) != 0;
  if (headNumbered) {
    headNumber = be16(at);
    at += 4;
  }
  if (word & L2TP_OFFSET) at += 2 + <usize>be16(at);
  const used = <i32>(at - start);
  if (used > length) return VERDICT_L2TP_HEADER;
  headVersion = L2TP_V2;
  headStart = at;
  headLength = length - used;
  return 0;
}
