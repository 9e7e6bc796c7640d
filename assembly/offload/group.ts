// Segments of one flow, one after another, as one super-packet for a device whose host cuts it again
// if it must. What the host would cut it into is what came, octet for octet: where that is not
// certain, a segment stays alone.
import {
  IPV4_CHECKSUM,
  IPV4_HEADER,
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
  TCP_FIN,
  TCP_FLAGS,
  TCP_HEADER,
  TCP_PSH,
  TCP_RST,
  TCP_SEQUENCE,
  TCP_SYN,
  TCP_URG,
  UDP_CHECKSUM,
  UDP_LENGTH,
} from "../layout/ip";
import {
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_SIZE,
  VNET_GSO_TCPV4,
  VNET_GSO_TCPV6,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
  VNET_HEADER_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../layout/system";
import { checksum } from "../checksum";
import { be16, storeBe16, sumIpv4, sumVariedIpv4 } from "../datagram";
import { sameOctets } from "../octets";
import { pseudoSum, sumBehindAddresses } from "../transport";
import { datagramLength, isTcp, isV4, payloadAt, readHeaders, transportAt } from "./headers";

const SEGMENTS_MAX: u32 = 64; // Linux takes no more UDP datagrams in one
const LENGTH_MAX: i32 = 65_535; // of an IP datagram, and of an IPv6 payload

/** Flags with which a segment stays alone. */
const FLAGS_ALONE: u32 = TCP_SYN | TCP_RST | TCP_URG | TCP_CWR;
/** Flags that end a super-packet. */
const FLAGS_LAST: u32 = TCP_FIN | TCP_PSH;

// The group: `groupCount` frames, 0 when nothing can join.
let groupCount: u32 = 0;
let first: usize = 0; // the first frame
let ip: i32 = 0; // octets before its IP header
let transport: i32 = 0;
let payload: i32 = 0;
let size: i32 = 0; // octets of payload in each segment but the last
let total: i32 = 0; // octets of the frame that the group makes
let tcp: bool = false;
let v4: bool = false;
let checked: bool = false; // the first one's checksums are right
let varied: u32 = 0; // what `sumVariedIpv4` then said of it
let ended: bool = false;
let nextSequence: u32 = 0;
let lastFlags: u32 = 0;

/**
 * Begins a group with the frame of `length` octets at `frame`, whose IP header stands at `at`;
 * a negative one means that there is none. `tcpToo` and `udpToo` say what the device takes.
 */
export function groupBegin(frame: usize, length: i32, at: i32, tcpToo: bool, udpToo: bool): void {
  groupCount = 0;
  if (at < 0 || !isSegment(frame, length, at)) return;
  if (isTcp ? !tcpToo : !udpToo) return;
  groupCount = 1;
  first = frame;
  ip = at;
  transport = at + transportAt;
  payload = at + payloadAt;
  size = length - payload;
  total = length;
  tcp = isTcp;
  v4 = isV4;
  checked = false;
  ended = false;
  if (!tcp) return;
  lastFlags = load<u8>(frame + transport, TCP_FLAGS);
  ended = (lastFlags & FLAGS_LAST) != 0;
  nextSequence = sequenceOf(frame + transport) + size;
}

/** Lets nothing join what was there. */
export function groupEnd(): void {
  groupCount = 0;
}

/** True when the frame has become part of the group: its octets from `groupPayload` on. */
export function groupJoins(frame: usize, length: i32, at: i32): bool {
  if (groupCount == 0 || groupCount == SEGMENTS_MAX || ended || at != ip) return false;
  const octets = length - payload;
  if (octets <= 0 || octets > size) return false;
  if (total + octets - ip - (v4 ? 0 : IPV6_HEADER) > LENGTH_MAX) return false;
  if (!isNext(frame, length)) return false;
  if (!checked && !checkFirst()) return false;
  // All their IPv4 checksums are right if these sums are the same and one is.
  if (v4 && sumVariedIpv4(frame + ip) != varied) return false;
  if (!isRight(frame, length)) return false;
  groupCount++;
  total += octets;
  ended = octets < size;
  if (!tcp) return true;
  lastFlags = load<u8>(frame + transport, TCP_FLAGS);
  if (lastFlags & FLAGS_LAST) ended = true;
  nextSequence += octets;
  return true;
}

/** Where the payload of a frame of the group starts. */
export function groupPayload(): i32 {
  return payload;
}

/**
 * Makes the first frame's headers those of the super-packet, and writes its virtio_net_hdr; `link`
 * octets of link header stand between that and the frame.
 */
export function groupFinish(vnet: usize, link: i32): void {
  if (groupCount < 2) return;
  const packet = first + ip;
  const length = total - ip;
  if (v4) {
    storeBe16(packet + IPV4_TOTAL_LENGTH, length);
    store<u16>(packet, 0, IPV4_CHECKSUM);
    storeBe16(packet + IPV4_CHECKSUM, checksum(packet, IPV4_HEADER, 0));
  } else {
    storeBe16(packet + IPV6_PAYLOAD_LENGTH, length - IPV6_HEADER);
  }
  const header = first + transport;
  const transportLength = total - transport;
  // The host completes the checksum: only the pseudo-header's sum stands there.
  if (tcp) {
    store<u8>(header, lastFlags, TCP_FLAGS);
    storeBe16(header + TCP_CHECKSUM, pseudoSum(packet, PROTOCOL_TCP, transportLength, 0));
  } else {
    storeBe16(header + UDP_LENGTH, transportLength);
    storeBe16(header + UDP_CHECKSUM, pseudoSum(packet, PROTOCOL_UDP, transportLength, 0));
  }
  store<u8>(vnet, VNET_NEEDS_CHECKSUM, VNET_FLAGS);
  store<u8>(vnet, tcp ? (v4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6) : VNET_GSO_UDP_L4, VNET_GSO_TYPE);
  store<u16>(vnet, <u16>(link + payload), VNET_HEADER_LENGTH);
  store<u16>(vnet, <u16>size, VNET_GSO_SIZE);
  store<u16>(vnet, <u16>(link + transport), VNET_CHECKSUM_START);
  store<u16>(vnet, tcp ? TCP_CHECKSUM : UDP_CHECKSUM, VNET_CHECKSUM_OFFSET);
}

/** True for a frame that is nothing but one segment with payload, which may have neighbours. */
function isSegment(frame: usize, length: i32, at: i32): bool {
  const packet = frame + at;
  if (!readHeaders(packet, length - at, false, false)) return false;
  if (datagramLength != length - at || payloadAt >= datagramLength) return false;
  const header = packet + transportAt;
  // A checksum of zero would not be made again; TCP's 0xffff would become zero.
  if (!isTcp) return load<u16>(header, UDP_CHECKSUM) != 0;
  if (load<u8>(header, TCP_FLAGS) & FLAGS_ALONE) return false;
  return load<u16>(header, TCP_CHECKSUM) != 0xffff && (load<u8>(header, 12) & 0x0f) == 0;
}

/**
 * True for the segment that comes next: all in its headers is as in the first frame but what must
 * change from segment to segment, and that is as it must be. Its checksums have not been looked at.
 */
function isNext(frame: usize, length: i32): bool {
  if (!sameOctets(frame, first, ip)) return false;
  const packet = frame + ip;
  if (!(v4 ? isNextV4(packet, length - ip) : isNextV6(packet, length - ip))) return false;
  const header = frame + transport;
  return tcp ? isNextTcp(header) : isNextUdp(header, length - transport);
}

/** All but length, identification and checksum; the last eight octets are destination and ports. */
function isNextV4(packet: usize, length: i32): bool {
  const other = first + ip;
  const difference =
    ((load<u64>(packet) ^ load<u64>(other)) & 0xffff_0000_0000_ffff) |
    ((load<u64>(packet, 8) ^ load<u64>(other, 8)) & 0xffff_ffff_0000_ffff) |
    (load<u64>(packet, 16) ^ load<u64>(other, 16));
  if (difference != 0 || <i32>be16(packet + IPV4_TOTAL_LENGTH) != length) return false;
  return be16(packet + IPV4_ID) == ((be16(other + IPV4_ID) + groupCount) & 0xffff);
}

/** All but length; the last four octets are the ports. */
function isNextV6(packet: usize, length: i32): bool {
  const other = first + ip;
  const difference =
    ((load<u64>(packet) ^ load<u64>(other)) & 0xffff_0000_ffff_ffff) |
    (load<u64>(packet, 8) ^ load<u64>(other, 8)) |
    (load<u64>(packet, 16) ^ load<u64>(other, 16)) |
    (load<u64>(packet, 24) ^ load<u64>(other, 24)) |
    (load<u64>(packet, 32) ^ load<u64>(other, 32)) |
    (load<u32>(packet, 40) ^ load<u32>(other, 40));
  return difference == 0 && <i32>be16(packet + IPV6_PAYLOAD_LENGTH) == length - IPV6_HEADER;
}

/** All but length and checksum, of which zero would not be made again. */
function isNextUdp(header: usize, length: i32): bool {
  return <i32>be16(header + UDP_LENGTH) == length && load<u16>(header, UDP_CHECKSUM) != 0;
}

/** All but sequence number, checksum, and flags that end a group; 0xffff would become zero. */
function isNextTcp(header: usize): bool {
  const other = first + transport;
  const difference =
    ((load<u64>(header, 8) ^ load<u64>(other, 8)) & ~((<u64>FLAGS_LAST) << 40)) |
    (load<u16>(header, 18) ^ load<u16>(other, 18)); // the urgent pointer
  if (difference != 0 || sequenceOf(header) != nextSequence) return false;
  if (load<u16>(header, TCP_CHECKSUM) == 0xffff) return false;
  return sameOctets(header + TCP_HEADER, other + TCP_HEADER, payload - transport - TCP_HEADER);
}

/** Checks the checksums of the first frame, which can have no followers if one is wrong. */
function checkFirst(): bool {
  checked = (!v4 || sumIpv4(first + ip, IPV4_HEADER) == 0xffff) && isRight(first, payload + size);
  if (v4) varied = sumVariedIpv4(first + ip);
  if (!checked) groupCount = 0;
  return checked;
}

/** True when the checksum of TCP or UDP is right. */
function isRight(frame: usize, length: i32): bool {
  const addresses = frame + ip + (v4 ? IPV4_SOURCE : IPV6_SOURCE);
  const protocol: u32 = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  const end = frame + length;
  return sumBehindAddresses(addresses, end, length - transport, protocol) == 0xffff;
}

function sequenceOf(header: usize): u32 {
  return bswap<u32>(load<u32>(header, TCP_SEQUENCE));
}
