/**
 * Super-packets, written to be read: how a host cuts one into TCP segments or UDP datagrams, and
 * when segments may become one without loss. Frames begin with `ip` octets of link header. The
 * core's is `assembly/offload`.
 */
import * as ip from "../../../assembly/layout/ip.ts";
import * as system from "../../../assembly/layout/system.ts";
import { checksum } from "./checksum.ts";

/** What a virtio_net_hdr says of a super-packet (linux/virtio_net.h). */
export interface SuperPacket {
  readonly octets: Uint8Array;
  /** Octets before the IP header. */
  readonly ip: number;
  /** Octets of payload in each segment but the last. */
  readonly size: number;
}

interface Headers {
  readonly isV4: boolean;
  readonly isTcp: boolean;
  /** Offsets in the frame. */
  readonly transport: number;
  readonly payload: number;
}

/** The frames that a super-packet stands for. */
export function cut({ octets, ip: at, size }: SuperPacket): Uint8Array[] {
  const headers = headersOf(octets, at);
  if (!headers) return [];
  const { isV4, isTcp, transport, payload } = headers;
  const frames: Uint8Array[] = [];
  for (let start = payload; start < octets.length; start += size) {
    const index = frames.length;
    const isLast = start + size >= octets.length;
    const part = octets.subarray(start, start + size);
    const frame = new Uint8Array(payload + part.length);
    frame.set(octets.subarray(0, payload));
    frame.set(part, payload);
    const view = viewOf(frame);
    if (isV4) {
      view.setUint16(at + ip.IPV4_TOTAL_LENGTH, frame.length - at);
      view.setUint16(at + ip.IPV4_ID, view.getUint16(at + ip.IPV4_ID) + index);
      view.setUint16(at + ip.IPV4_CHECKSUM, 0);
      view.setUint16(at + ip.IPV4_CHECKSUM, checksum(frame.subarray(at, transport)));
    } else {
      view.setUint16(at + ip.IPV6_PAYLOAD_LENGTH, frame.length - at - ip.IPV6_HEADER);
    }
    if (isTcp) {
      const sequence = view.getUint32(transport + ip.TCP_SEQUENCE);
      view.setUint32(transport + ip.TCP_SEQUENCE, sequence + (start - payload));
      if (!isLast) frame[transport + ip.TCP_FLAGS]! &= ~(ip.TCP_FIN | ip.TCP_PSH);
      if (index > 0) frame[transport + ip.TCP_FLAGS]! &= ~ip.TCP_CWR;
    } else {
      view.setUint16(transport + ip.UDP_LENGTH, frame.length - transport);
    }
    sign(frame, at, headers);
    frames.push(frame);
  }
  return frames;
}

/** Computes the checksum of TCP or UDP. */
export function sign(frame: Uint8Array, at: number, headers = headersOf(frame, at)!): void {
  const { isTcp, transport } = headers;
  const place = transport + (isTcp ? ip.TCP_CHECKSUM : ip.UDP_CHECKSUM);
  const view = viewOf(frame);
  view.setUint16(place, 0);
  const sum = checksum(frame.subarray(transport), pseudoSum(frame, at, headers));
  view.setUint16(place, sum === 0 && !isTcp ? 0xffff : sum);
}

/** The folded sum over the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1). */
export function pseudoSum(frame: Uint8Array, at: number, headers: Headers): number {
  const { isV4, isTcp, transport } = headers;
  const addresses = isV4
    ? frame.subarray(at + ip.IPV4_SOURCE, at + ip.IPV4_HEADER)
    : frame.subarray(at + ip.IPV6_SOURCE, at + ip.IPV6_HEADER);
  const length = frame.length - transport;
  const rest = [0, isTcp ? ip.PROTOCOL_TCP : ip.PROTOCOL_UDP, length >> 8, length & 0xff];
  return ~checksum(Uint8Array.from([...addresses, ...rest])) & 0xffff;
}

/** Where the parts of an unfragmented TCP segment or UDP datagram stand; undefined for others. */
export function headersOf(frame: Uint8Array, at: number): Headers | undefined {
  const view = viewOf(frame);
  if (frame.length < at + ip.IPV4_HEADER) return undefined;
  const isV4 = frame[at]! >> 4 === 4;
  if (!isV4 && (frame[at]! >> 4 !== 6 || frame.length < at + ip.IPV6_HEADER)) return undefined;
  const transport = at + (isV4 ? (frame[at]! & 15) * 4 : ip.IPV6_HEADER);
  if (isV4 && view.getUint16(at + ip.IPV4_FRAGMENT) & 0x3fff) return undefined;
  const protocol = frame[at + (isV4 ? ip.IPV4_PROTOCOL : ip.IPV6_NEXT_HEADER)];
  if (protocol === ip.PROTOCOL_UDP)
    return { isV4, isTcp: false, transport, payload: transport + ip.UDP_HEADER };
  if (protocol !== ip.PROTOCOL_TCP) return undefined;
  const header = (frame[transport + ip.TCP_DATA_OFFSET]! >> 4) * 4;
  return { isV4, isTcp: true, transport, payload: transport + header };
}

/**
 * Reads what is written to a device: the frame that it is, or the frames that the host would cut it
 * into. Throws a RangeError where the virtio_net_hdr contradicts the frame.
 */
export function unfold(written: Uint8Array, at: number): Uint8Array[] {
  const vnet = viewOf(written);
  const octets = written.subarray(system.VNET_LENGTH);
  const type = vnet.getUint8(system.VNET_GSO_TYPE);
  if (type === system.VNET_GSO_NONE) return [octets];
  const headers = headersOf(octets, at);
  if (!headers) throw new RangeError("a super-packet without TCP or UDP");
  const { isTcp, isV4, transport, payload } = headers;
  const expect = (name: string, got: number, wanted: number): void => {
    if (got !== wanted) throw new RangeError(`${name} is ${got}, not ${wanted}`);
  };
  const kind = isV4 ? system.VNET_GSO_TCPV4 : system.VNET_GSO_TCPV6;
  const place = isTcp ? ip.TCP_CHECKSUM : ip.UDP_CHECKSUM;
  expect("type", type, isTcp ? kind : system.VNET_GSO_UDP_L4);
  expect("flags", vnet.getUint8(system.VNET_FLAGS), system.VNET_NEEDS_CHECKSUM);
  expect("header length", vnet.getUint16(system.VNET_HEADER_LENGTH, true), payload);
  expect("checksum start", vnet.getUint16(system.VNET_CHECKSUM_START, true), transport);
  expect("checksum offset", vnet.getUint16(system.VNET_CHECKSUM_OFFSET, true), place);
  const view = viewOf(octets);
  expect("partial sum", view.getUint16(transport + place), pseudoSum(octets, at, headers));
  if (isV4) {
    expect("length", view.getUint16(at + ip.IPV4_TOTAL_LENGTH), octets.length - at);
    expect("header checksum", checksum(octets.subarray(at, transport)), 0);
  } else {
    const length = view.getUint16(at + ip.IPV6_PAYLOAD_LENGTH);
    expect("length", length, octets.length - at - ip.IPV6_HEADER);
  }
  if (!isTcp)
    expect("UDP length", view.getUint16(transport + ip.UDP_LENGTH), octets.length - transport);
  return cut({ octets, ip: at, size: vnet.getUint16(system.VNET_GSO_SIZE, true) });
}

function viewOf(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.length);
}
