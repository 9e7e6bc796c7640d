/** What frames of a pseudowire may be. Read RFC 4719, RFC 4454 and RFC 4591 first. */
import * as l2tp from "../../../assembly/layout/l2tp.ts";
import { readU16, writeU16 } from "../../wire/octets.ts";

const ETHERNET_HEADER = 14;
const ETHERTYPE = 12; // where it stands
const TAG_LENGTH = 4;
const TAG_CONTROL = 14; // priority, DEI, VLAN identifier
const TAGS = [0x8100, 0x88a8]; // IEEE 802.1Q, 802.1ad
const VLAN = 0x0fff;
const MARK_T = 0x08; // an ATM cell, not an AAL5 SDU (RFC 4454 §3)
const EXTENSION = 0x01; // set in the last octet of a Frame Relay address
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;

/** True when the frame can be one of this pseudowire; `mark` are the bits of an ATM sublayer. */
export function fits(pseudowire: number, frame: Uint8Array, mark: number): boolean {
  switch (pseudowire) {
    case l2tp.PW_ETHERNET:
      return frame.length >= ETHERNET_HEADER;
    case l2tp.PW_VLAN:
      return isTagged(frame);
    case l2tp.PW_ATM_PORT:
    case l2tp.PW_ATM_VCC:
    case l2tp.PW_ATM_VPC:
      return frame.length > 0 && frame.length % l2tp.ATM_CELL === 0;
    case l2tp.PW_AAL5:
      return mark & MARK_T ? frame.length === l2tp.ATM_CELL : frame.length > 0;
    case l2tp.PW_FRAME_RELAY:
      return hasFrameRelayAddress(frame);
    case l2tp.PW_IP:
      return isDatagram(frame);
    default:
      return frame.length > 0; // HDLC, PPP: anything
  }
}

/** An address of 2 or 4 octets: only its last one has the extension bit. */
function hasFrameRelayAddress(frame: Uint8Array): boolean {
  const length = frame.findIndex((octet) => (octet & EXTENSION) !== 0) + 1;
  return length === 2 || length === 4;
}

function isDatagram(frame: Uint8Array): boolean {
  const version = (frame[0] ?? 0) >> 4;
  if (version === 4) return frame.length >= IPV4_HEADER;
  return version === 6 && frame.length >= IPV6_HEADER;
}

/** True for an Ethernet frame with a VLAN tag. */
export function isTagged(frame: Uint8Array): boolean {
  return frame.length >= ETHERNET_HEADER + TAG_LENGTH && TAGS.includes(readU16(frame, ETHERTYPE));
}

/** VLAN identifier of a tagged frame. */
export function vlanOf(frame: Uint8Array): number {
  return readU16(frame, TAG_CONTROL) & VLAN;
}

/** Rewrites the VLAN identifier of a tagged frame. */
export function setVlan(frame: Uint8Array, vlan: number): void {
  writeU16(frame, TAG_CONTROL, (readU16(frame, TAG_CONTROL) & ~VLAN) | vlan);
}
