/** AMT Multicast Data, on and off. Read RFC 7450 §5.1.6 and §5.2.3.6 first. */
import * as amt from "../../../assembly/layout/amt.ts";
import * as verdict from "../../../assembly/layout/verdict.ts";
import { checkDatagram, mayHop, takeHop } from "./datagram.ts";

/**
 * Relays the multicast datagram at the start of `datagram`: writes it to `message`, one hop older,
 * as a Multicast Data message. Returns the message's length in octets or a negated verdict. Throws
 * a RangeError unless `message` holds `datagram.length` octets and the AMT header.
 */
export function encapsulate(datagram: Uint8Array, message: Uint8Array): number {
  const room = datagram.length + amt.AMT_DATA_DATAGRAM;
  if (message.length < room)
    throw new RangeError(`message: expected room for ${room} octets, got ${message.length}`);

  const length = checkDatagram(datagram, verdict.VERDICT_TRUNCATED);
  if (length < 0) return length;
  if (!mayHop(datagram)) return -verdict.VERDICT_TTL_EXPIRED;

  message[amt.AMT_VERSION_TYPE] = amt.AMT_DATA; // version 0
  message[amt.AMT_VERSION_TYPE + 1] = 0; // reserved
  message.set(datagram.subarray(0, length), amt.AMT_DATA_DATAGRAM);
  takeHop(message.subarray(amt.AMT_DATA_DATAGRAM));
  return amt.AMT_DATA_DATAGRAM + length;
}

/**
 * Writes to `datagram` what the Multicast Data message `message` carries, without octets that
 * follow it. Returns the datagram's length in octets or a negated verdict. Throws a RangeError
 * unless `datagram` holds `message.length` octets less the AMT header.
 */
export function decapsulate(message: Uint8Array, datagram: Uint8Array): number {
  const room = message.length - amt.AMT_DATA_DATAGRAM;
  if (datagram.length < room)
    throw new RangeError(`datagram: expected room for ${room} octets, got ${datagram.length}`);

  if (message.length === 0) return -verdict.VERDICT_TRUNCATED;
  const version = message[amt.AMT_VERSION_TYPE]! >> 4;
  const type = message[amt.AMT_VERSION_TYPE]! & 0x0f;
  if (version !== 0) return -verdict.VERDICT_AMT_VERSION;
  if (type < amt.AMT_DISCOVERY || type > amt.AMT_TEARDOWN) return -verdict.VERDICT_AMT_TYPE_UNKNOWN;
  if (type !== amt.AMT_DATA) return -verdict.VERDICT_AMT_TYPE_ROLE;

  const inner = message.subarray(amt.AMT_DATA_DATAGRAM);
  const length = checkDatagram(inner, verdict.VERDICT_INNER_LENGTH);
  if (length > 0) datagram.set(inner.subarray(0, length));
  return length;
}
