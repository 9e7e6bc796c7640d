// What a pseudowire carries: whether a frame can be one, its VLAN tag, and the IP datagram in it.
import {
  ATM_CELL,
  PW_AAL5,
  PW_ATM_PORT,
  PW_ATM_VCC,
  PW_ATM_VPC,
  PW_ETHERNET,
  PW_FRAME_RELAY,
  PW_IP,
  PW_PPP,
  PW_VLAN,
} from "../layout/l2tp";
import { IPV4_HEADER, IPV6_HEADER } from "../layout/ip";
import { ETHERNET_LENGTH, ETHERNET_TYPE, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../layout/system";
import { be16, storeBe16 } from "../datagram";

const ETHERTYPE_C_TAG = 0x8100; // IEEE 802.1Q
const ETHERTYPE_S_TAG = 0x88a8; // IEEE 802.1ad
const TAG_LENGTH = 4;
const TAG_VLAN = 0x0fff;
const PPP_ALL_STATIONS = 0xff03; // address and control (RFC 1662 §3.1)
const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;
const MARK_T: u32 = 0x08; // the ATM sublayer's T: a cell, not an AAL5 SDU (RFC 4454 §3)
const FRAME_RELAY_EA: u32 = 0x01; // last octet of the address (RFC 4591 §3.4)

/** True when a frame of `length` octets can be one of this pseudowire's. */
export function fitsPseudowire(pseudowire: u32, frame: usize, length: i32, mark: u32): bool {
  switch (pseudowire) {
    case PW_ETHERNET:
      return length >= ETHERNET_LENGTH;
    case PW_VLAN:
      return isTagged(frame, length);
    case PW_ATM_PORT:
    case PW_ATM_VCC:
    case PW_ATM_VPC:
      return isCells(length);
    case PW_AAL5:
      return mark & MARK_T ? length == ATM_CELL : length > 0;
    case PW_FRAME_RELAY:
      return isFrameRelay(frame, length);
    case PW_IP:
      return innerDatagram(pseudowire, frame, length) != 0;
    default:
      return length > 0;
  }
}

function isCells(length: i32): bool {
  return length > 0 && length % ATM_CELL == 0;
}

/** An address of 2 or 4 octets, as its extension bits say. */
function isFrameRelay(frame: usize, length: i32): bool {
  if (length < 2 || load<u8>(frame) & FRAME_RELAY_EA) return false;
  if (load<u8>(frame, 1) & FRAME_RELAY_EA) return true;
  return (
    length >= 4 &&
    !(load<u8>(frame, 2) & FRAME_RELAY_EA) &&
    (load<u8>(frame, 3) & FRAME_RELAY_EA) != 0
  );
}

/** True for an Ethernet frame with a VLAN tag. */
export function isTagged(frame: usize, length: i32): bool {
  if (length < ETHERNET_LENGTH + TAG_LENGTH) return false;
  return isTag(be16(frame + ETHERNET_TYPE));
}

function isTag(type: u32): bool {
  return type == ETHERTYPE_C_TAG || type == ETHERTYPE_S_TAG;
}

/** VLAN identifier of a tagged frame. */
export function vlanOf(frame: usize): u32 {
  return be16(frame + ETHERNET_LENGTH) & TAG_VLAN;
}

/** Rewrites the VLAN identifier of a tagged frame (RFC 4719 §3). */
export function setVlan(frame: usize, vlan: u32): void {
  const tag = be16(frame + ETHERNET_LENGTH);
  storeBe16(frame + ETHERNET_LENGTH, (tag & ~TAG_VLAN) | vlan);
}

/** The IP datagram in a frame, as far as its header is there; 0 when there is none. */
export function innerDatagram(pseudowire: u32, frame: usize, length: i32): usize {
  if (pseudowire == PW_ETHERNET || pseudowire == PW_VLAN) return inEthernet(frame, length);
  if (pseudowire == PW_PPP) return inPpp(frame, length);
  if (pseudowire != PW_IP || length < 1) return 0;
  const version = load<u8>(frame) >> 4;
  return headerOf(version == 4 ? ETHERTYPE_IPV4 : version == 6 ? ETHERTYPE_IPV6 : 0, frame, length);
}

function inEthernet(frame: usize, length: i32): usize {
  let at = ETHERNET_LENGTH;
  if (length < at) return 0;
  let type = be16(frame + ETHERNET_TYPE);
  for (let tags = 0; tags < 2 && isTag(type) && length >= at + TAG_LENGTH; tags++) {
    type = be16(frame + at + 2);
    at += TAG_LENGTH;
  }
  return headerOf(type, frame + at, length - at);
}

function inPpp(frame: usize, length: i32): usize {
  let at = 0;
  if (length >= 2 && be16(frame) == PPP_ALL_STATIONS) at = 2;
  if (length < at + 2) return 0;
  let protocol = <u32>load<u8>(frame + at);
  if (protocol & 1)
    at += 1; // compressed (RFC 1661 §6.5)
  else {
    protocol = be16(frame + at);
    at += 2;
  }
  const type = protocol == PPP_IPV4 ? ETHERTYPE_IPV4 : protocol == PPP_IPV6 ? ETHERTYPE_IPV6 : 0;
  return headerOf(type, frame + at, length - at);
}

function headerOf(type: u32, packet: usize, length: i32): usize {
  if (type == ETHERTYPE_IPV4)
    return length >= IPV4_HEADER && load<u8>(packet) >> 4 == 4 ? packet : 0;
  if (type == ETHERTYPE_IPV6)
    return length >= IPV6_HEADER && load<u8>(packet) >> 4 == 6 ? packet : 0;
  return 0;
}
