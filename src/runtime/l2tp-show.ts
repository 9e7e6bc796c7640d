/** Tunnels and sessions as `show` and the status tell of them. */
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { PSEUDOWIRES } from "../config/l2tp.ts";
import { cookieText } from "../config/l2tp-rules.ts";
import { familyOf } from "../core/address.ts";
import type { SessionCounters } from "../engine/session.ts";
import { nameStatistics } from "../metrics/l2tp.ts";
import type { Session, Tunnel } from "../protocols/l2tp/registry.ts";
import type { L2tpSessionStatus, L2tpTunnelStatus } from "./service.ts";

const SUBLAYERS = ["none", "default", "atm"];
const NAMES: ReadonlyMap<number, (typeof PSEUDOWIRES)[number]> = new Map([
  [l2tp.PW_ETHERNET, "eth"],
  [l2tp.PW_VLAN, "vlan"],
  [l2tp.PW_HDLC, "hdlc"],
  [l2tp.PW_FRAME_RELAY, "fr"],
  [l2tp.PW_ATM_PORT, "atm-port"],
  [l2tp.PW_ATM_VCC, "atm-vcc"],
  [l2tp.PW_ATM_VPC, "atm-vpc"],
  [l2tp.PW_AAL5, "aal5"],
  [l2tp.PW_PPP, "ppp"],
  [l2tp.PW_IP, "ip"],
]);

/** `alive` is undefined without a keepalive. */
export function tunnelStatus(
  { settings, sessions }: Tunnel,
  mtu: number,
  alive: boolean | undefined,
  isLost: boolean,
  counters: SessionCounters,
): L2tpTunnelStatus {
  const { udp, localPort, remotePort, checksumSent, checksumWanted } = settings;
  const isV4 = familyOf(settings.local) === 4;
  return {
    tunnel_id: settings.id,
    encap: udp ? "UDP" : "IP",
    local: settings.local,
    peer: settings.remote,
    peer_tunnel: settings.peerId,
    ...(udp ? { local_port: localPort, peer_port: remotePort } : {}),
    ...(udp && isV4 ? { checksum: checksumSent } : {}),
    ...(udp && !isV4 ? { checksum_tx: checksumSent, checksum_rx: checksumWanted } : {}),
    version: settings.version,
    mode: settings.keyed ? "keyed" : "standard",
    path_mtu: mtu,
    sessions: sessions.size,
    ...(alive === undefined ? {} : { alive }),
    ...(isLost ? { socket_lost: true as const } : {}),
    statistics: nameStatistics(counters),
  };
}

/** `device` is the name that the system gave; `lanes` is how many there are. */
export function sessionStatus(
  { settings, tunnel, lane, place: { lane: reader } }: Session,
  device: string | undefined,
  mtu: number,
  counters: SessionCounters,
  lanes: number,
): L2tpSessionStatus {
  const { place, cookie, peerCookie, peerCookie2 } = settings;
  const hex = (key: string, value: Uint8Array) =>
    value.length === 0 ? {} : { [key]: cookieText(value) };
  return {
    session_id: settings.id,
    tunnel_id: tunnel.settings.id,
    peer_session_id: settings.peerId,
    peer_tunnel_id: tunnel.settings.peerId,
    ...(device === undefined ? {} : { interface: device }),
    ...("netns" in place && place.netns !== undefined ? { netns: place.netns } : {}),
    ...(place.kind === "trunk" ? { vlan: place.vlan } : {}),
    ...(place.kind === "frames" ? { frames: place.path } : {}),
    ...(place.kind === "capture" ? { pcap: place.path } : {}),
    ...hex("cookie", cookie),
    ...hex("peer_cookie", peerCookie),
    ...hex("peer_cookie2", peerCookie2),
    ...(settings.reorderTimeout > 0 ? { reorder_timeout: settings.reorderTimeout } : {}),
    ...(settings.sendNumbers ? { send_seq: true } : {}),
    ...(settings.wantNumbers ? { recv_seq: true } : {}),
    pwtype: NAMES.get(settings.pseudowire)!,
    l2spec_type: SUBLAYERS[settings.sublayer]!,
    mtu,
    ...(lanes > 1 ? { lane, read_lane: reader } : {}),
    statistics: nameStatistics(counters),
  };
}
