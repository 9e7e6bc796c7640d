// Control packets: checked as far as the core can, then punted. `relayControl` reads a relay's AMT
// socket, `deviceControl` what a gateway's host sends to its device.
import {
  AMT_ADVERTISEMENT,
  AMT_ADVERTISEMENT_LENGTH_IPV4,
  AMT_DISCOVERY,
  AMT_DISCOVERY_LENGTH,
  AMT_MEMBERSHIP,
  AMT_QUERY,
  AMT_REQUEST,
  AMT_REQUEST_LENGTH,
  AMT_TEARDOWN,
  AMT_TEARDOWN_LENGTH,
  AMT_UPDATE,
} from "../layout/amt";
import {
  PUNT_FROM_DEVICE,
  PUNT_FROM_SOCKET,
  STAGE_CONTROL,
  STAGE_DEVICE,
  STAGE_RECEIVED,
} from "../layout/arena";
import {
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IGMP,
} from "../layout/ip";
import { ETHERNET_TYPE, ETHERNET_LENGTH, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../layout/system";
import {
  VERDICT_AMT_LENGTH,
  VERDICT_AMT_TYPE_ROLE,
  VERDICT_INNER_VERSION,
  VERDICT_NOT_MEMBERSHIP,
  VERDICT_TRUNCATED,
} from "../layout/verdict";
import { messageType } from "./data";
import { frameHeader, linkHeader, rxLength, rxName, rxNameLength, rxPacket } from "../batch";
import { count } from "../counters";
import { be16 } from "../datagram";
import { punt } from "../punt";

const MLD_QUERY = 130; // RFC 3810 §5.1
const MLD_DONE = 132; // RFC 2710 §3
const MLD_REPORT_V2 = 143; // RFC 3810 §5.2

/** Takes `messages` messages from a relay's AMT socket. */
export function relayControl(region: usize, messages: u32): void {
  for (let i: u32 = 0; i < messages; i++) {
    const verdict = puntMessage(region, i, rxPacket(region, i), rxLength(region, i), true);
    count(STAGE_CONTROL, STAGE_RECEIVED, 1);
    count(STAGE_CONTROL, verdict, 1);
  }
}

/** Punts an AMT control message that its receiver's role knows. Returns the verdict. */
export function puntMessage(region: usize, i: u32, message: usize, length: i32, relay: bool): i32 {
  const type = messageType(message, length);
  if (type < 0) return -type;
  if (relay ? !forRelay(type) : !forGateway(type)) return VERDICT_AMT_TYPE_ROLE;
  if (length < shortest(type)) return VERDICT_AMT_LENGTH;
  return punt(PUNT_FROM_SOCKET, message, length, rxName(region, i), rxNameLength(region, i));
}

function forRelay(type: i32): bool {
  return type == AMT_DISCOVERY || type == AMT_REQUEST || type == AMT_UPDATE || type == AMT_TEARDOWN;
}

function forGateway(type: i32): bool {
  return type == AMT_ADVERTISEMENT || type == AMT_QUERY;
}

/** Octets that a control message of this type has at least. */
function shortest(type: i32): i32 {
  if (type == AMT_DISCOVERY) return AMT_DISCOVERY_LENGTH;
  if (type == AMT_ADVERTISEMENT) return AMT_ADVERTISEMENT_LENGTH_IPV4;
  if (type == AMT_REQUEST) return AMT_REQUEST_LENGTH;
  if (type == AMT_TEARDOWN) return AMT_TEARDOWN_LENGTH;
  return AMT_MEMBERSHIP + IPV4_HEADER;
}

/** Takes `messages` packets that the host sent to a device, and punts the IGMP and MLD among them. */
export function deviceControl(region: usize, messages: u32, frame: u32): void {
  for (let i: u32 = 0; i < messages; i++) {
    const verdict = devicePacket(region, i, frame);
    count(STAGE_DEVICE, STAGE_RECEIVED, 1);
    count(STAGE_DEVICE, verdict, 1);
  }
}

function devicePacket(region: usize, i: u32, frame: u32): i32 {
  const packet = rxPacket(region, i);
  const length = rxLength(region, i) - frameHeader(frame);
  if (length < IPV4_HEADER) return VERDICT_TRUNCATED;
  if (linkHeader(frame)) {
    const type = be16(packet - ETHERNET_LENGTH + ETHERNET_TYPE);
    if (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6) return VERDICT_NOT_MEMBERSHIP;
  }
  const version = load<u8>(packet) >> 4;
  if (version != 4 && version != 6) return VERDICT_INNER_VERSION;
  if (!isMembership(packet, length)) return VERDICT_NOT_MEMBERSHIP;
  return punt(PUNT_FROM_DEVICE, packet, length, 0, 0);
}

/** True for IGMP and MLD in a packet of `length` octets. */
export function isMembership(packet: usize, length: i32): bool {
  if (length < IPV4_HEADER) return false;
  const version = load<u8>(packet) >> 4;
  if (version == 4) return load<u8>(packet, IPV4_PROTOCOL) == PROTOCOL_IGMP;
  return version == 6 && isMld(packet, length);
}

/** True for ICMPv6 of an MLD type behind one hop-by-hop header (RFC 3810 §5). */
function isMld(packet: usize, length: i32): bool {
  if (length < IPV6_HEADER + 8 + 1) return false;
  if (load<u8>(packet, IPV6_NEXT_HEADER) != PROTOCOL_HOP_BY_HOP) return false;
  const extension = packet + IPV6_HEADER;
  if (load<u8>(extension) != PROTOCOL_ICMPV6) return false;
  const icmp = IPV6_HEADER + ((<i32>load<u8>(extension, 1) + 1) << 3);
  if (length <= icmp) return false;
  const type = <i32>load<u8>(packet + icmp);
  return (type >= MLD_QUERY && type <= MLD_DONE) || type == MLD_REPORT_V2;
}
