/**
 * L2TP control messages of which the type alone matters: HELLO, StopCCN and acknowledgements
 * (RFC 2661 §3.1, RFC 3931 §3.2). The octets are the affair of `l2tp.ts`.
 */
import { VERDICT_L2TP_HEADER } from "../../assembly/layout/verdict.ts";
import {
  emitAvps,
  emitControl,
  messageType,
  messageTypeAvp,
  parseAvps,
  parseControl,
} from "./l2tp.ts";

/** Message types (RFC 3931 §3.1). */
export const MESSAGE_HELLO = 6;
export const MESSAGE_ACK = 20; // version 3

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
  const read = parseControl(octets);
  if (typeof read === "number") return { drop: read };
  const avps = parseAvps(read.avps);
  if (typeof avps === "number") return { drop: avps };
  const type = messageType(avps);
  if (type === undefined && avps.length > 0) return { drop: VERDICT_L2TP_HEADER };
  const { version, ns, nr } = read;
  const connection = version === 2 ? read.connection >>> 16 : read.connection;
  return { message: { version, connection, ns, nr, type } };
}

/** The octets of a control message that has no AVP but its type. */
export function emitL2tpControl({ version, connection, ns, nr, type }: L2tpControl): Uint8Array {
  const avps = emitAvps(type === undefined ? [] : [messageTypeAvp(type)]);
  const id = version === 2 ? connection << 16 : connection;
  return emitControl({ version, connection: id, ns, nr, avps }, "udp");
}
