/** L2TP control messages without a payload: HELLO and acknowledgements (RFC 2661 §3.1, RFC 3931 §3.2). */
import {
  L2TP_CONTROL,
  L2TP_CONTROL_HEADER,
  L2TP_LENGTH,
  L2TP_SEQUENCE,
  L2TP_V2,
  L2TP_V3,
  L2TP_VERSION_MASK,
} from "../../assembly/layout/l2tp.ts";
import {
  VERDICT_L2TP_HEADER,
  VERDICT_L2TP_VERSION,
  VERDICT_TRUNCATED,
} from "../../assembly/layout/verdict.ts";

/** Message types (RFC 3931 §3.1). */
export const MESSAGE_STOP = 4; // StopCCN
export const MESSAGE_HELLO = 6;
export const MESSAGE_ACK = 20; // version 3

const LENGTH = 2; // u16, from the first octet
const CONNECTION = 4; // version 3: u32; version 2: u16 tunnel, u16 session
const NS = 8; // u16
const NR = 10; // u16
const AVP_LENGTH = 8; // of a Message Type AVP
const AVP_MANDATORY = 0x8000;
const AVP_LENGTH_MASK = 0x03ff;

/** The header of a control message, and the type that its first AVP names. */
export interface L2tpControl {
  readonly version: 2 | 3;
  /** The receiver's number of the control connection, with version 2 of the tunnel. */
  readonly connection: number;
  readonly ns: number;
  readonly nr: number;
  /** Undefined for a message without AVPs, which acknowledges (ZLB). */
  readonly type: number | undefined;
}

/** Reads a control message; what is malformed gives a verdict. */
export function parseL2tpControl(
  octets: Uint8Array,
): { readonly message: L2tpControl } | { readonly drop: number } {
  if (octets.length < L2TP_CONTROL_HEADER) return { drop: VERDICT_TRUNCATED };
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const word = view.getUint16(0);
  const version = word & L2TP_VERSION_MASK;
  if (version !== L2TP_V2 && version !== L2TP_V3) return { drop: VERDICT_L2TP_VERSION };
  const wanted = L2TP_CONTROL | L2TP_LENGTH | L2TP_SEQUENCE;
  const length = view.getUint16(LENGTH);
  if ((word & wanted) !== wanted || length < L2TP_CONTROL_HEADER)
    return { drop: VERDICT_L2TP_HEADER };
  if (length > octets.length) return { drop: VERDICT_TRUNCATED };
  let type: number | undefined;
  if (length > L2TP_CONTROL_HEADER) {
    if (length < L2TP_CONTROL_HEADER + AVP_LENGTH) return { drop: VERDICT_L2TP_HEADER };
    // The Message Type AVP comes first (RFC 3931 §5.4.1): vendor 0, attribute 0.
    const avp = view.getUint16(L2TP_CONTROL_HEADER) & AVP_LENGTH_MASK;
    if (avp !== AVP_LENGTH || view.getUint32(L2TP_CONTROL_HEADER + 2) !== 0)
      return { drop: VERDICT_L2TP_HEADER };
    type = view.getUint16(L2TP_CONTROL_HEADER + 6);
  }
  const connection = version === L2TP_V3 ? view.getUint32(CONNECTION) : view.getUint16(CONNECTION);
  const numbers = { ns: view.getUint16(NS), nr: view.getUint16(NR) };
  return { message: { version, connection, ...numbers, type } };
}

/** The octets of a control message that has no AVP but its type. */
export function emitL2tpControl(message: L2tpControl): Uint8Array {
  const { version, connection, ns, nr, type } = message;
  const octets = new Uint8Array(L2TP_CONTROL_HEADER + (type === undefined ? 0 : AVP_LENGTH));
  const view = new DataView(octets.buffer);
  view.setUint16(0, L2TP_CONTROL | L2TP_LENGTH | L2TP_SEQUENCE | version);
  view.setUint16(LENGTH, octets.length);
  if (version === L2TP_V3) view.setUint32(CONNECTION, connection);
  else view.setUint16(CONNECTION, connection);
  view.setUint16(NS, ns);
  view.setUint16(NR, nr);
  if (type !== undefined) {
    view.setUint16(L2TP_CONTROL_HEADER, AVP_MANDATORY | AVP_LENGTH);
    view.setUint16(L2TP_CONTROL_HEADER + 6, type);
  }
  return octets;
}
