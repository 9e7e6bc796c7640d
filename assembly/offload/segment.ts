// A super-packet as the TCP segments or UDP datagrams that it stands for: what the host's own stack
// would have sent had the device not promised to cut them (linux/virtio_net.h).
import {
  IPV4_CHECKSUM,
  IPV4_ID,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV6_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  TCP_CHECKSUM,
  TCP_CWR,
  TCP_DATA_OFFSET,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  UDP_CHECKSUM,
  UDP_HEADER,
  UDP_LENGTH,
} from "../layout/ip";
import {
  VNET_GSO_ECN,
  VNET_GSO_SIZE,
  VNET_GSO_TCPV4,
  VNET_GSO_TCPV6,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
} from "../layout/system";
import { VERDICT_FORWARDED, VERDICT_SEGMENT_KIND, VERDICT_TRUNCATED } from "../layout/verdict";
import { fold, sumWords, swap16 } from "../checksum";
import { be16, ipv4HeaderLength, isIpv4, storeBe16, sumIpv4, sumVariedIpv4 } from "../datagram";
import { copyOctets } from "../octets";
import { datagramLength, isTcp, isV4, payloadAt, readHeaders, transportAt } from "./headers";

// The super-packet being cut.
let superFrame: usize = 0;
let superIp: i32 = 0; // octets before its IP header
let superTransport: i32 = 0; // octets before TCP or UDP
let superPayload: i32 = 0; // octets before the payload
let superLength: i32 = 0;
let superSize: i32 = 0;
let superTcp: bool = false;
let superV4: bool = false;
// Folded sums, as in `sumWords`, of what all segments have in common: of the IPv4 header, and of TCP's
// or UDP's header with the pseudo-header.
let commonIp: u32 = 0;
let commonTransport: u32 = 0;

/** How many segments the super-packet makes, and the octets of its first one with all headers. */
export let segments: u32 = 0;
export let segmentLength: i32 = 0;

/**
 * Takes up the super-packet in the frame of `length` octets at `frame`, whose IP header stands at
 * `ip` octets and whose virtio_net_hdr is `vnet`. Returns VERDICT_FORWARDED or why it can't be cut.
 */
export function openSuper(frame: usize, length: i32, ip: i32, vnet: usize): i32 {
  const type = <i32>(load<u8>(vnet, VNET_GSO_TYPE) & ~VNET_GSO_ECN);
  const size = <i32>load<u16>(vnet, VNET_GSO_SIZE);
  if (size == 0) return VERDICT_SEGMENT_KIND;
  if (!readHeaders(frame + ip, length - ip, true, true)) return VERDICT_TRUNCATED;
  const wanted = isTcp ? (isV4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6) : VNET_GSO_UDP_L4;
  if (type != wanted) return VERDICT_SEGMENT_KIND;
  if (payloadAt >= datagramLength) return VERDICT_SEGMENT_KIND;
  superTcp = isTcp;
  superV4 = isV4;
  open(frame, ip, ip + transportAt, ip + payloadAt, ip + datagramLength, size);
  return VERDICT_FORWARDED;
}

/** Takes up a super-packet of UDP, of `length` octets, that has been checked; `size` as in `openSuper`. */
export function openUdp(packet: usize, length: i32, size: i32): void {
  superTcp = false;
  superV4 = isIpv4(packet);
  const transport = superV4 ? <i32>ipv4HeaderLength(packet) : IPV6_HEADER;
  open(packet, 0, transport, transport + UDP_HEADER, length, size);
}

/** True when the super-packet at `frame` is the one being cut. */
export function isOpen(frame: usize): bool {
  return superFrame == frame;
}

function open(frame: usize, ip: i32, transport: i32, payload: i32, length: i32, size: i32): void {
  superFrame = frame;
  superIp = ip;
  superTransport = transport;
  superPayload = payload;
  superLength = length;
  superSize = size;
  segments = <u32>((length - payload + size - 1) / size);
  segmentLength = min(payload + size, length);
  sumCommon(frame + ip, frame + transport);
}

/** Sums what stays the same from segment to segment: all but what `putSegmentHeaders` adds. */
function sumCommon(ip: usize, transport: usize): void {
  if (superV4) commonIp = difference(sumIpv4(ip, superTransport - superIp), sumVariedIpv4(ip));
  const varied: u64 = superTcp
    ? <u64>load<u32>(transport, TCP_SEQUENCE) +
      load<u16>(transport, TCP_DATA_OFFSET) +
      load<u16>(transport, TCP_CHECKSUM)
    : <u64>load<u16>(transport, UDP_LENGTH) + load<u16>(transport, UDP_CHECKSUM);
  const addresses = superV4 ? sumWords(ip + IPV4_SOURCE, 8) : sumWords(ip + IPV6_SOURCE, 32);
  const protocol: u32 = superTcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  const header = sumWords(transport, superPayload - superTransport);
  const all = fold(<u64>addresses + header + swap16(protocol));
  commonTransport = difference(all, fold(varied));
}

/** What must be added to folded sum `part` for `whole`. */
function difference(whole: u32, part: u32): u32 {
  return fold(<u64>whole + (~part & 0xffff));
}

/** Octets of segment `i` with all headers. */
export function lengthOfSegment(i: u32): i32 {
  return superPayload + min(superSize, superLength - superPayload - <i32>i * superSize);
}

/** Octets of a segment's headers. */
export function segmentHeaders(): i32 {
  return superPayload;
}

/** Where the payload of segment `i` stands. */
export function segmentPayload(i: u32): usize {
  return superFrame + superPayload + <i32>i * superSize;
}

/**
 * Writes the headers of segment `i`, which has `length` octets with them, to `to`; its payload has the
 * sum `payload` (`sumWords`).
 */
export function putSegmentHeaders(i: u32, to: usize, length: i32, payload: u32): void {
  copyOctets(to, superFrame, superPayload);
  const ip = to + superIp;
  if (superV4) {
    const octets: u32 = swap16(length - superIp);
    const id: u32 = swap16(be16(superFrame + superIp + IPV4_ID) + i);
    store<u16>(ip, octets, IPV4_TOTAL_LENGTH);
    store<u16>(ip, id, IPV4_ID);
    store<u16>(ip, ~fold(<u64>commonIp + octets + id), IPV4_CHECKSUM);
  } else {
    storeBe16(ip + IPV6_PAYLOAD_LENGTH, length - superIp - IPV6_HEADER);
  }
  const transport = to + superTransport;
  const octets: u32 = swap16(length - superTransport);
  const sum = <u64>commonTransport + payload + octets;
  if (superTcp) putTcp(i, transport, sum);
  else putUdp(transport, octets, sum);
}

/** Sets what differs in the TCP header of segment `i`, of which the rest comes to `sum`. */
function putTcp(i: u32, header: usize, sum: u64): void {
  const from = superFrame + superTransport;
  const sequence = bswap<u32>(bswap<u32>(load<u32>(from, TCP_SEQUENCE)) + <u32>i * superSize);
  let flags = <u32>load<u8>(from, TCP_FLAGS);
  if (i + 1 < segments) flags &= ~(TCP_FIN | TCP_PSH);
  if (i > 0) flags &= ~TCP_CWR;
  const word = load<u8>(from, TCP_DATA_OFFSET) | (flags << 8);
  store<u32>(header, sequence, TCP_SEQUENCE);
  store<u16>(header, word, TCP_DATA_OFFSET);
  store<u16>(header, ~fold(sum + sequence + word), TCP_CHECKSUM);
}

/** Likewise of UDP, to which a checksum of zero would mean "none" (RFC 768). */
function putUdp(header: usize, length: u32, sum: u64): void {
  store<u16>(header, length, UDP_LENGTH);
  const checksum = ~fold(sum + length) & 0xffff;
  store<u16>(header, checksum ? checksum : 0xffff, UDP_CHECKSUM);
}
