/** What the sources of a laboratory send: a mark, a sequence number, the time of sending. */

const MARK = 0x63764c31;
const SEQUENCE = 4; // u32
const SENT_AT = 8; // u64: nanoseconds of CLOCK_MONOTONIC, one clock for all processes of a machine

/** The shortest payload, in octets; the rest of a longer one means nothing. */
export const PAYLOAD_MIN = 16;

/** Sequence numbers stay below this, so that a tally's memory is bounded. */
export const SEQUENCE_LIMIT = 1 << 27;

/** Writes the mark, `sequence` and `sentAt` at the front of a payload. */
export function writePayload(octets: Uint8Array, sequence: number, sentAt: bigint): void {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  view.setUint32(0, MARK);
  view.setUint32(SEQUENCE, sequence);
  view.setBigUint64(SENT_AT, sentAt);
}

/** The sequence number and time of a payload; undefined for one of somebody else. */
export function readPayload(
  octets: Uint8Array,
): { readonly sequence: number; readonly sentAt: bigint } | undefined {
  if (octets.length < PAYLOAD_MIN) return undefined;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const sequence = view.getUint32(SEQUENCE);
  if (view.getUint32(0) !== MARK || sequence >= SEQUENCE_LIMIT) return undefined;
  return { sequence, sentAt: view.getBigUint64(SENT_AT) };
}
