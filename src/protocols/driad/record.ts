/** The AMTRELAY resource record and the names under which it stands. Read RFC 8777 §4 first. */
import { formatAddress, parseAddress, familyOf, type Address } from "../../core/address.ts";

/** The type of the resource record (RFC 8777 §4.1). */
export const AMTRELAY = 260;

/** Offsets of the RDATA (RFC 8777 §4.2), in octets. */
const PRECEDENCE = 0;
const D_AND_TYPE = 1;
const RELAY = 2;
/** D: the Relay Advertisement may be done without. */
const D = 0x80;
const TYPE_MASK = 0x7f;
const TYPE_NONE = 0;
const TYPE_IPV4 = 1;
const TYPE_IPV6 = 2;
const TYPE_NAME = 3;

/** RFC 1035 §2.3.4: octets of a label, and of a name with its length octets. */
const LABEL_LONGEST = 63;
const NAME_LONGEST = 255;

/** What the relay field says. */
export type RelayField =
  /** No relay is to be used for the source. */
  | { readonly kind: "none" }
  | { readonly kind: "address"; readonly address: Address }
  /** A domain name, absolute, without its last dot; its A and AAAA records are the relays. */
  | { readonly kind: "name"; readonly name: string };

export interface RelayRecord {
  /** 0 to 255, the lower the better. */
  readonly precedence: number;
  /** D: a Request may be sent without a Relay Advertisement before it. */
  readonly discoveryOptional: boolean;
  readonly relay: RelayField;
}

/**
 * What RDATA says; undefined if its type is unknown, its length is not that of its type, or its name
 * cannot be written as text.
 */
export function parseRelayRecord(rdata: Uint8Array): RelayRecord | undefined {
  if (rdata.length < RELAY) return undefined;
  const relay = parseRelay(rdata[D_AND_TYPE]! & TYPE_MASK, rdata.subarray(RELAY));
  if (relay === undefined) return undefined;
  const discoveryOptional = (rdata[D_AND_TYPE]! & D) !== 0;
  return { precedence: rdata[PRECEDENCE]!, discoveryOptional, relay };
}

/** The RDATA of a record. Its name must be one that `parseRelayRecord` would give. */
export function emitRelayRecord(record: RelayRecord): Uint8Array {
  const { type, field } = emitRelay(record.relay);
  const rdata = new Uint8Array(RELAY + field.length);
  rdata[PRECEDENCE] = record.precedence;
  rdata[D_AND_TYPE] = (record.discoveryOptional ? D : 0) | type;
  rdata.set(field, RELAY);
  return rdata;
}

/** The name under which a source's records stand (RFC 8777 §2.6), without its last dot. */
export function reverseName(source: Address): string {
  const octets = [...parseAddress(source)!].reverse();
  if (familyOf(source) === 4) return `${octets.join(".")}.in-addr.arpa`;
  const nibbles = octets.flatMap((octet) => [octet & 0x0f, octet >> 4]);
  return `${nibbles.map((nibble) => nibble.toString(16)).join(".")}.ip6.arpa`;
}

function parseRelay(type: number, field: Uint8Array): RelayField | undefined {
  switch (type) {
    case TYPE_NONE:
      return field.length === 0 ? { kind: "none" } : undefined;
    case TYPE_IPV4:
      if (field.length !== 4) return undefined;
      return { kind: "address", address: formatAddress(field, 0, 4) };
    case TYPE_IPV6:
      if (field.length !== 16) return undefined;
      return { kind: "address", address: formatAddress(field, 0, 6) };
    case TYPE_NAME:
      return parseName(field);
    default:
      return undefined;
  }
}

/** An uncompressed name that fills `octets` (RFC 1035 §3.1). The root names no host. */
function parseName(octets: Uint8Array): RelayField | undefined {
  if (octets.length > NAME_LONGEST) return undefined;
  const labels: string[] = [];
  for (let at = 0; at < octets.length;) {
    const length = octets[at]!;
    const end = at + 1 + length;
    if (length === 0)
      return end === octets.length && labels.length > 0
        ? { kind: "name", name: labels.join(".") }
        : undefined;
    if (length > LABEL_LONGEST || end > octets.length) return undefined;
    const label = octets.subarray(at + 1, end);
    if (!label.every(isPlain)) return undefined;
    labels.push(String.fromCharCode(...label));
    at = end;
  }
  return undefined;
}

/** True for an octet that stands for itself in a name's text: printable, no dot, no backslash. */
function isPlain(octet: number): boolean {
  return octet > 0x20 && octet < 0x7f && octet !== 0x2e && octet !== 0x5c;
}

function emitRelay(relay: RelayField): { readonly type: number; readonly field: Uint8Array } {
  switch (relay.kind) {
    case "none":
      return { type: TYPE_NONE, field: new Uint8Array(0) };
    case "address": {
      const field = parseAddress(relay.address)!;
      return { type: field.length === 4 ? TYPE_IPV4 : TYPE_IPV6, field };
    }
    case "name": {
      const octets = relay.name
        .split(".")
        .flatMap((label) => [label.length, ...Array.from(label, (char) => char.charCodeAt(0))]);
      return { type: TYPE_NAME, field: Uint8Array.from([...octets, 0]) };
    }
  }
}
