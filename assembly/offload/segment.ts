// A super-packet as the TCP segments or UDP datagrams that it stands for: what the host's own stack
// would have sent had the device not promised to cut them (linux/virtio_net.h).
import {
  IPV4_CHECKSUM,
  IPV4_ID,
  IPV4_TOTAL_LENGTH,
  IPV6_HEADER,
  IPV6_PAYLOAD_LENGTH,
  TCP_CHECKSUM,
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  UDP_CHECKSUM,
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
import { checksum, sumWords } from "../checksum";
import { be16, ipv4HeaderLength, storeBe16 } from "../datagram";
import { putSplitChecksum } from "../transport";
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
  const payload = datagramLength - payloadAt;
  if (payload <= 0) return VERDICT_SEGMENT_KIND;
  superFrame = frame;
  superIp = ip;
  superTransport = ip + transportAt;
  superPayload = ip + payloadAt;
  superLength = ip + datagramLength;
  superSize = size;
  superTcp = isTcp;
  superV4 = isV4;
  segments = <u32>((payload + size - 1) / size);
  segmentLength = superPayload + min(size, payload);
  return VERDICT_FORWARDED;
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

/** Writes the headers of segment `i`, which has `length` octets with them, to `to`. */
export function putSegmentHeaders(i: u32, to: usize, length: i32): void {
  memory.copy(to, superFrame, superPayload);
  const ip = to + superIp;
  const transport = to + superTransport;
  if (superV4) {
    storeBe16(ip + IPV4_TOTAL_LENGTH, length - superIp);
    storeBe16(ip + IPV4_ID, be16(ip + IPV4_ID) + i);
    store<u16>(ip, 0, IPV4_CHECKSUM);
    storeBe16(ip + IPV4_CHECKSUM, checksum(ip, ipv4HeaderLength(ip), 0));
  } else {
    storeBe16(ip + IPV6_PAYLOAD_LENGTH, length - superIp - IPV6_HEADER);
  }
  if (superTcp) {
    const sequence = bswap<u32>(load<u32>(transport, TCP_SEQUENCE)) + <u32>i * superSize;
    store<u32>(transport, bswap<u32>(sequence), TCP_SEQUENCE);
    let flags = <u32>load<u8>(transport, TCP_FLAGS);
    if (i + 1 < segments) flags &= ~(TCP_FIN | TCP_PSH);
    if (i > 0) flags &= ~TCP_CWR;
    store<u8>(transport, flags, TCP_FLAGS);
  } else {
    storeBe16(transport + UDP_LENGTH, length - superTransport);
  }
  store<u16>(transport + (superTcp ? TCP_CHECKSUM : UDP_CHECKSUM), 0);
  const payload = sumWords(segmentPayload(i), length - superPayload);
  const header = superPayload - superTransport;
  putSplitChecksum(ip, transport, header, length - superTransport, payload, superTcp);
}
