/** What an L2TP tunnel leaves of the path's MTU (RFC 3931 §4.1.4, RFC 4719 §4.4). */
import {
  PW_ETHERNET,
  PW_VLAN,
  SUBLAYER_LENGTH,
  SUBLAYER_NONE,
} from "../../../assembly/layout/l2tp.ts";
import { familyOf } from "../../core/address.ts";
import type { SessionSettings, TunnelSettings } from "./settings.ts";

const IP_HEADER = { 4: 20, 6: 40 } as const;
const UDP_HEADER = 8;
const SESSION_ID = 4;
const VERSION_3_UDP = 4; // flags, version and reserved octets
const VERSION_2_HEADER = 6;
const VERSION_2_NUMBERS = 4;
const VERSION_2_OFFSET = 2;
const ETHERNET = 14;
const VLAN_TAG = 4;

/** Octets of outer IP, and UDP, before an L2TP header. */
export function outerLength(tunnel: TunnelSettings): number {
  return IP_HEADER[familyOf(tunnel.local)] + (tunnel.udp ? UDP_HEADER : 0);
}

/** Octets before a session's frames: all headers that the tunnel adds. */
export function overhead(tunnel: TunnelSettings, session: SessionSettings): number {
  const outer = outerLength(tunnel);
  if (tunnel.version === 2) {
    const numbers = session.sendNumbers || !session.lns ? VERSION_2_NUMBERS : 0;
    const offset = session.offset > 0 ? VERSION_2_OFFSET + session.offset : 0;
    return outer + VERSION_2_HEADER + numbers + offset;
  }
  const sublayer = session.sublayer === SUBLAYER_NONE ? 0 : SUBLAYER_LENGTH;
  return outer + (tunnel.udp ? VERSION_3_UDP : 0) + SESSION_ID + session.cookie.length + sublayer;
}

/** The MTU of a session's device for a path's MTU. */
export function deviceMtu(
  pathMtu: number,
  tunnel: TunnelSettings,
  session: SessionSettings,
): number {
  return pathMtu - overhead(tunnel, session) - linkHeader(session.pseudowire);
}

/** Octets of a frame before the IP datagram in it; a device's MTU does not count them. */
function linkHeader(pseudowire: number): number {
  if (pseudowire === PW_ETHERNET) return ETHERNET;
  return pseudowire === PW_VLAN ? ETHERNET + VLAN_TAG : 0;
}
