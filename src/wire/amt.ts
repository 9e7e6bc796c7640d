/**
 * The seven AMT messages. Read RFC 7450 §5.1 first, and RFC 9601 for the E flag.
 *
 * A `parse` function checks the length once and returns a view, or the number of the drop reason; a
 * view wraps the caller's octets, copies nothing, and cannot fail. An `emit` function returns fresh
 * octets. Version and type are the business of `amtType`, which comes first; reserved bits are
 * ignored on receipt and sent as zero (§5.1).
 */
import {
  AMT_ADVERTISEMENT,
  AMT_ADVERTISEMENT_ADDRESS,
  AMT_ADVERTISEMENT_LENGTH_IPV4,
  AMT_ADVERTISEMENT_LENGTH_IPV6,
  AMT_DATA_DATAGRAM,
  AMT_DISCOVERY,
  AMT_DISCOVERY_LENGTH,
  AMT_DISCOVERY_NONCE,
  AMT_GATEWAY_FIELDS,
  AMT_MEMBERSHIP,
  AMT_QUERY,
  AMT_QUERY_FLAGS,
  AMT_QUERY_G,
  AMT_QUERY_L,
  AMT_QUERY_MISPLACED,
  AMT_REQUEST,
  AMT_REQUEST_E,
  AMT_REQUEST_FLAGS,
  AMT_REQUEST_LENGTH,
  AMT_REQUEST_NONCE,
  AMT_REQUEST_P,
  AMT_REQUEST_P_MISPLACED,
  AMT_RESPONSE_MAC,
  AMT_RESPONSE_NONCE,
  AMT_TEARDOWN,
  AMT_TEARDOWN_LENGTH,
  AMT_TEARDOWN_PORT,
  AMT_UPDATE,
  AMT_VERSION_TYPE,
} from "../../assembly/layout/amt.ts";
import { VERDICT_AMT_LENGTH } from "../../assembly/layout/verdict.ts";
import { type Address, type Endpoint, type Family, formatAddress } from "../core/address.ts";
import type { Drop } from "../core/drops.ts";
import { addressOctets, readU16, readU32, writeU16, writeU32 } from "./octets.ts";

/** Octets of the memory that messages are cut from. */
const PIECE = 16_384;
let piece = new Uint8Array(0);
/** Octets of it that are cut off. */
let used = 0;

/** The message type, 0 to 15; undefined if there is no octet or the version is not 0 (§5.1). */
export function amtType(octets: Uint8Array): number | undefined {
  const first = octets[AMT_VERSION_TYPE];
  return first !== undefined && first < 0x10 ? first : undefined;
}

/** A Relay Discovery (§5.1.1). */
export class DiscoveryView {
  constructor(readonly octets: Uint8Array) {}
  get nonce(): number {
    return readU32(this.octets, AMT_DISCOVERY_NONCE);
  }
}

/** A Relay Advertisement (§5.1.2), 12 or 24 octets long. */
export class AdvertisementView {
  constructor(readonly octets: Uint8Array) {}
  get nonce(): number {
    return readU32(this.octets, AMT_DISCOVERY_NONCE);
  }
  get relay(): Address {
    const family = this.octets.length === AMT_ADVERTISEMENT_LENGTH_IPV4 ? 4 : 6;
    return formatAddress(this.octets, AMT_ADVERTISEMENT_ADDRESS, family);
  }
}

/** A Request (§5.1.3). */
export class RequestView {
  constructor(readonly octets: Uint8Array) {}
  /** The whole octet, reserved bits and all. */
  get flags(): number {
    return this.octets[AMT_REQUEST_FLAGS]!;
  }
  /** P: 6 asks for an MLDv2 query, 4 for an IGMPv3 one (§5.1.3). */
  get family(): Family {
    return (this.flags & AMT_REQUEST_P) === 0 ? 4 : 6;
  }
  /** The bit is set that some deployed gateways take for P, and P is not. */
  get misplacedP(): boolean {
    return (this.flags & (AMT_REQUEST_P | AMT_REQUEST_P_MISPLACED)) === AMT_REQUEST_P_MISPLACED;
  }
  /** E: the gateway decapsulates ECN as RFC 6040 says (RFC 9601). */
  get ecn(): boolean {
    return (this.flags & AMT_REQUEST_E) !== 0;
  }
  get nonce(): number {
    return readU32(this.octets, AMT_REQUEST_NONCE);
  }
}

/** What Query, Update and Teardown have in common: the relay's proof and its nonce. */
abstract class ResponseView {
  constructor(readonly octets: Uint8Array) {}
  /** Response MAC, 6 octets of the message itself. */
  get mac(): Uint8Array {
    return this.octets.subarray(AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE);
  }
  /** Request Nonce. */
  get nonce(): number {
    return readU32(this.octets, AMT_RESPONSE_NONCE);
  }
}

/** A Membership Query (§5.1.4). */
export class QueryView extends ResponseView {
  /** L: the relay takes no new tunnels (§5.1.4.4). */
  get limit(): boolean {
    return (this.octets[AMT_QUERY_FLAGS]! & AMT_QUERY_L) !== 0;
  }
  /** Bits are set that some deployed relays take for G and L; they count for nothing. */
  get misplacedFlags(): boolean {
    return (this.octets[AMT_QUERY_FLAGS]! & AMT_QUERY_MISPLACED) !== 0;
  }
  /** The gateway's port and address as the relay saw them: the last 18 octets if G is set. */
  get gatewayFields(): GatewayFieldsView | undefined {
    if ((this.octets[AMT_QUERY_FLAGS]! & AMT_QUERY_G) === 0) return undefined;
    return new GatewayFieldsView(this.octets.subarray(-AMT_GATEWAY_FIELDS));
  }
  get gateway(): Endpoint | undefined {
    return this.gatewayFields?.endpoint;
  }
  /** The room of the encapsulated datagram, which may end earlier by its own header. */
  get datagram(): Uint8Array {
    const fields = (this.octets[AMT_QUERY_FLAGS]! & AMT_QUERY_G) === 0 ? 0 : AMT_GATEWAY_FIELDS;
    return this.octets.subarray(AMT_MEMBERSHIP, this.octets.length - fields);
  }
}

/** A Membership Update (§5.1.5). */
export class UpdateView extends ResponseView {
  /** The room of the encapsulated datagram, which may end earlier by its own header. */
  get datagram(): Uint8Array {
    return this.octets.subarray(AMT_MEMBERSHIP);
  }
}

/** A Teardown (§5.1.7). */
export class TeardownView extends ResponseView {
  get gatewayFields(): GatewayFieldsView {
    return new GatewayFieldsView(this.octets.subarray(AMT_TEARDOWN_PORT, AMT_TEARDOWN_LENGTH));
  }
  /** The tunnel to end, which need not be the sender's. */
  get gateway(): Endpoint {
    return this.gatewayFields.endpoint;
  }
}

/** Multicast Data (§5.1.6). */
class MulticastDataView {
  constructor(readonly octets: Uint8Array) {}
  /** The encapsulated datagram or fragment. */
  get datagram(): Uint8Array {
    return this.octets.subarray(AMT_DATA_DATAGRAM);
  }
}

/** The 18 octets of gateway port and address in Query and Teardown (§5.1.4, §5.1.7). */
class GatewayFieldsView {
  constructor(readonly octets: Uint8Array) {}
  get port(): number {
    return readU16(this.octets, 0);
  }
  /** The address as written: 16 octets, IPv4 in the IPv4-compatible form. */
  get address16(): Uint8Array {
    return this.octets.subarray(2);
  }
  /**
   * Port and canonical address; `emitTeardown` makes the same 18 octets of it. Twelve zero octets
   * mean IPv4 unless the thirteenth is zero too: "::1" is a gateway's address, 0.0.0.1 is not.
   */
  get endpoint(): Endpoint {
    const ipv4 = this.octets[14] !== 0 && this.octets.subarray(2, 14).every((octet) => octet === 0);
    const address = ipv4 ? formatAddress(this.octets, 14, 4) : formatAddress(this.octets, 2, 6);
    return { address, port: this.port };
  }
}

/** Trailing octets are tolerated, here and in Request and Teardown: deployed peers send some. */
export function parseDiscovery(octets: Uint8Array): DiscoveryView | Drop {
  return octets.length < AMT_DISCOVERY_LENGTH ? VERDICT_AMT_LENGTH : new DiscoveryView(octets);
}

/** Just 12 or 24 octets: the length tells the family (§5.1.2.5). */
export function parseAdvertisement(octets: Uint8Array): AdvertisementView | Drop {
  const ipv4 = octets.length === AMT_ADVERTISEMENT_LENGTH_IPV4;
  const ipv6 = octets.length === AMT_ADVERTISEMENT_LENGTH_IPV6;
  return ipv4 || ipv6 ? new AdvertisementView(octets) : VERDICT_AMT_LENGTH;
}

export function parseRequest(octets: Uint8Array): RequestView | Drop {
  return octets.length < AMT_REQUEST_LENGTH ? VERDICT_AMT_LENGTH : new RequestView(octets);
}

/** Whether the datagram's own length fits its room is found by `parseMembershipDatagram`. */
export function parseQuery(octets: Uint8Array): QueryView | Drop {
  if (octets.length < AMT_MEMBERSHIP) return VERDICT_AMT_LENGTH;
  const fields = (octets[AMT_QUERY_FLAGS]! & AMT_QUERY_G) === 0 ? 0 : AMT_GATEWAY_FIELDS;
  return octets.length < AMT_MEMBERSHIP + fields ? VERDICT_AMT_LENGTH : new QueryView(octets);
}

export function parseUpdate(octets: Uint8Array): UpdateView | Drop {
  return octets.length < AMT_MEMBERSHIP ? VERDICT_AMT_LENGTH : new UpdateView(octets);
}

export function parseMulticastData(octets: Uint8Array): MulticastDataView | Drop {
  return octets.length < AMT_DATA_DATAGRAM ? VERDICT_AMT_LENGTH : new MulticastDataView(octets);
}

export function parseTeardown(octets: Uint8Array): TeardownView | Drop {
  return octets.length < AMT_TEARDOWN_LENGTH ? VERDICT_AMT_LENGTH : new TeardownView(octets);
}

/** A Relay Discovery of 8 octets. `nonce` is a u32 other than 0 (§5.1.1). */
export function emitDiscovery(nonce: number): Uint8Array {
  const octets = message(AMT_DISCOVERY, AMT_DISCOVERY_LENGTH);
  writeU32(octets, AMT_DISCOVERY_NONCE, nonce);
  return octets;
}

/** A Relay Advertisement of 12 or 24 octets, by the family of `relay`. */
export function emitAdvertisement(nonce: number, relay: Address): Uint8Array {
  const address = addressOctets(relay);
  const octets = message(AMT_ADVERTISEMENT, AMT_ADVERTISEMENT_ADDRESS + address.length);
  writeU32(octets, AMT_DISCOVERY_NONCE, nonce);
  octets.set(address, AMT_ADVERTISEMENT_ADDRESS);
  return octets;
}

export interface RequestOptions {
  /** P. */
  readonly family: Family;
  /** E. */
  readonly ecn: boolean;
  /** P stands where some deployed relays read it; default false. */
  readonly misplacedP?: boolean;
}

/** A Request of 8 octets. */
export function emitRequest(nonce: number, options: RequestOptions): Uint8Array {
  const octets = message(AMT_REQUEST, AMT_REQUEST_LENGTH);
  const p = options.misplacedP === true ? AMT_REQUEST_P_MISPLACED : AMT_REQUEST_P;
  octets[AMT_REQUEST_FLAGS] = (options.family === 6 ? p : 0) | (options.ecn ? AMT_REQUEST_E : 0);
  writeU32(octets, AMT_REQUEST_NONCE, nonce);
  return octets;
}

export interface QueryFields {
  /** Response MAC, 6 octets. */
  readonly mac: Uint8Array;
  /** Request Nonce, copied. */
  readonly nonce: number;
  /** L: no new tunnels. */
  readonly limit: boolean;
  /** Sets G: where the Request came from. */
  readonly gateway?: Endpoint | undefined;
  /** The General Query, as a whole IP datagram. */
  readonly datagram: Uint8Array;
}

export function emitQuery(fields: QueryFields): Uint8Array {
  const { mac, nonce, limit, gateway, datagram } = fields;
  const end = AMT_MEMBERSHIP + datagram.length;
  const octets = message(AMT_QUERY, end + (gateway ? AMT_GATEWAY_FIELDS : 0));
  octets[AMT_QUERY_FLAGS] = (limit ? AMT_QUERY_L : 0) | (gateway ? AMT_QUERY_G : 0);
  octets.set(mac, AMT_RESPONSE_MAC);
  writeU32(octets, AMT_RESPONSE_NONCE, nonce);
  octets.set(datagram, AMT_MEMBERSHIP);
  if (gateway) writeGateway(octets, end, gateway);
  return octets;
}

export interface UpdateFields {
  /** Response MAC, 6 octets, and Request Nonce of one and the same Query. */
  readonly mac: Uint8Array;
  readonly nonce: number;
  /** The report, leave or done, as a whole IP datagram. */
  readonly datagram: Uint8Array;
}

export function emitUpdate(fields: UpdateFields): Uint8Array {
  const octets = message(AMT_UPDATE, AMT_MEMBERSHIP + fields.datagram.length);
  octets.set(fields.mac, AMT_RESPONSE_MAC);
  writeU32(octets, AMT_RESPONSE_NONCE, fields.nonce);
  octets.set(fields.datagram, AMT_MEMBERSHIP);
  return octets;
}

export interface TeardownFields {
  /** All of one and the same Query: the one whose MAC the last Update bore. */
  readonly mac: Uint8Array;
  readonly nonce: number;
  readonly gateway: Endpoint | { readonly port: number; readonly address16: Uint8Array };
}

export function emitTeardown(fields: TeardownFields): Uint8Array {
  const octets = message(AMT_TEARDOWN, AMT_TEARDOWN_LENGTH);
  octets.set(fields.mac, AMT_RESPONSE_MAC);
  writeU32(octets, AMT_RESPONSE_NONCE, fields.nonce);
  writeGateway(octets, AMT_TEARDOWN_PORT, fields.gateway);
  return octets;
}

/**
 * Zeros under a first octet of version 0 and `type`: a view of a larger piece of memory, since a piece
 * costs many times as much as a view.
 */
function message(type: number, length: number): Uint8Array {
  if (length > piece.length - used) {
    piece = new Uint8Array(Math.max(PIECE, length));
    used = 0;
  }
  const octets = piece.subarray(used, used + length);
  used += length;
  octets[AMT_VERSION_TYPE] = type;
  return octets;
}

/** Port and address into 18 zero octets: a shorter address stands at the end (§5.1.4). */
function writeGateway(octets: Uint8Array, at: number, gateway: TeardownFields["gateway"]): void {
  const address = "address" in gateway ? addressOctets(gateway.address) : gateway.address16;
  writeU16(octets, at, gateway.port);
  octets.set(address, at + AMT_GATEWAY_FIELDS - address.length);
}
