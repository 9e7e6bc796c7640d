// AMT Multicast Data (RFC 7450 §5.1.6) on and off, one packet at a time. Lanes put the header on in
// `relay.ts` while they build trains; both take their checks from here.
import { AMT_DATA, AMT_DATA_DATAGRAM, AMT_TEARDOWN } from "../layout/amt";
import {
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_AMT_TYPE_UNKNOWN,
  VERDICT_AMT_VERSION,
  VERDICT_INNER_LENGTH,
  VERDICT_TRUNCATED,
  VERDICT_TTL_EXPIRED,
} from "../layout/verdict";
import { checkMulticast, hasHops, takeHop } from "../datagram";

/** The length of a datagram that a relay may send on, or a negated verdict. */
export function checkRelayed(packet: usize, room: i32): i32 {
  const length = checkMulticast(packet, room, VERDICT_TRUNCATED);
  if (length > 0 && !hasHops(packet)) return -VERDICT_TTL_EXPIRED;
  return length;
}

/** Writes the message's two octets; the datagram follows them. */
export function putDataHeader(message: usize): void {
  store<u16>(message, AMT_DATA); // version 0, type 6, then the reserved octet
}

/** Makes a message at `message` of the datagram at `packet`; its length or a negated verdict. */
export function encapsulate(packet: usize, room: i32, message: usize): i32 {
  const length = checkRelayed(packet, room);
  if (length < 0) return length;
  putDataHeader(message);
  memory.copy(message + AMT_DATA_DATAGRAM, packet, length);
  takeHop(message + AMT_DATA_DATAGRAM);
  return length + AMT_DATA_DATAGRAM;
}

/**
 * Checks the message of `room` octets. Returns the length of its datagram, which stands at
 * AMT_DATA_DATAGRAM, or a negated verdict.
 */
export function decapsulate(message: usize, room: i32): i32 {
  const type = messageType(message, room);
  if (type < 0) return type;
  if (type != AMT_DATA) return -VERDICT_AMT_TYPE_ROLE;
  if (room <= AMT_DATA_DATAGRAM) return -VERDICT_TRUNCATED;
  return checkMulticast(
    message + AMT_DATA_DATAGRAM,
    room - AMT_DATA_DATAGRAM,
    VERDICT_INNER_LENGTH,
  );
}

/** A message's type, 1 to 7, or a negated verdict (RFC 7450 §5.1). */
export function messageType(message: usize, room: i32): i32 {
  if (room < 1) return -VERDICT_TRUNCATED;
  const first = <i32>load<u8>(message);
  if (first >> 4) return -VERDICT_AMT_VERSION;
  if (first == 0 || first > AMT_TEARDOWN) return -VERDICT_AMT_TYPE_UNKNOWN;
  return first;
}
