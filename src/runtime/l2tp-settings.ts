/** The configuration of L2TP as the registry takes it, and a session as a lane does. */
import * as l2tp from "../../assembly/layout/l2tp.ts";
import type { L2tpSessionConfig, L2tpTunnelConfig, PseudowireName } from "../config/l2tp.ts";
import { KEYED_SESSION, pseudowireOf, sublayerOf } from "../config/l2tp-rules.ts";
import { prepareHeader, type SessionPlan } from "../engine/session.ts";
import { headerSettings, sendLimits, sequenceUse } from "../protocols/l2tp/plan.ts";
import type { Session } from "../protocols/l2tp/registry.ts";
import type { Place, SessionSettings, TunnelSettings } from "../protocols/l2tp/settings.ts";
import { familyOf } from "../core/address.ts";

/** The name of a device that is given none, as the Linux driver has it. */
const DEVICE = "l2tpeth%d";

const NOTHING = new Uint8Array(0);

const PSEUDOWIRES: Readonly<Record<PseudowireName, number>> = {
  eth: l2tp.PW_ETHERNET,
  vlan: l2tp.PW_VLAN,
  hdlc: l2tp.PW_HDLC,
  fr: l2tp.PW_FRAME_RELAY,
  "atm-port": l2tp.PW_ATM_PORT,
  "atm-vcc": l2tp.PW_ATM_VCC,
  "atm-vpc": l2tp.PW_ATM_VPC,
  aal5: l2tp.PW_AAL5,
  ppp: l2tp.PW_PPP,
  ip: l2tp.PW_IP,
};

const SUBLAYERS = {
  none: l2tp.SUBLAYER_NONE,
  default: l2tp.SUBLAYER_DEFAULT,
  atm: l2tp.SUBLAYER_ATM,
} as const;

export function tunnelSettings(config: L2tpTunnelConfig): TunnelSettings {
  const isV4 = familyOf(config.local) === 4;
  const udp = config.encap === "udp";
  return {
    id: config.tunnelId,
    peerId: config.peerTunnelId,
    version: config.version === "2" ? 2 : 3,
    udp,
    local: config.local,
    remote: config.remote,
    localPort: config.udpSport ?? 0,
    remotePort: config.udpDport ?? 0,
    keyed: config.mode === "keyed",
    checksumSent: isV4 ? config.udpCsum : config.udp6CsumTx,
    checksumWanted: isV4 ? false : config.udp6CsumRx,
    tos: config.tos,
    ttl: config.ttl,
    ecn: config.ecn,
    dontFragment: config.df,
    pathMtu: config.mtu,
    spread: config.spread,
    keepalive: config.keepalive,
    keepaliveRetries: config.keepaliveRetries,
  };
}

/** The settings of a session, which the rules have found good. */
export function sessionSettings(
  tunnel: L2tpTunnelConfig,
  config: L2tpSessionConfig,
): SessionSettings {
  const pseudowire = pseudowireOf(tunnel, config);
  return {
    id: config.sessionId ?? KEYED_SESSION,
    peerId: config.peerSessionId ?? KEYED_SESSION,
    cookie: config.cookie ?? NOTHING,
    peerCookie: config.peerCookie ?? NOTHING,
    peerCookie2: config.peerCookie2 ?? NOTHING,
    sendNumbers: config.seq === "send" || config.seq === "both",
    wantNumbers: config.seq === "recv" || config.seq === "both",
    lns: config.lns,
    sublayer: SUBLAYERS[sublayerOf(tunnel, config)],
    pseudowire: PSEUDOWIRES[pseudowire],
    place: placeOf(config, pseudowire),
    reorderTimeout: config.reorderTimeout,
    offset: tunnel.version === "2" ? (config.offset ?? 0) : 0,
  };
}

function placeOf(config: L2tpSessionConfig, pseudowire: PseudowireName): Place {
  const { trunk, vlan, frames, pcap, netns, mtu, name = DEVICE } = config;
  if (frames !== undefined) return { kind: "frames", path: frames };
  if (pcap !== undefined) return { kind: "capture", path: pcap };
  if (trunk !== undefined && vlan !== undefined) return { kind: "trunk", name: trunk, vlan, netns };
  return { kind: "device", name, device: pseudowire === "ip" ? "tun" : "tap", netns, mtu };
}

/** What a lane is told of a session; `trains` is false where a datagram is a message. */
export function sessionPlan(session: Session, pathMtu: number, trains: boolean): SessionPlan {
  const { settings, tunnel, place } = session;
  const { tos, ecn } = tunnel.settings;
  return {
    pseudowire: settings.pseudowire,
    device: place.port,
    ...(settings.place.kind === "trunk" ? { vlan: settings.place.vlan } : {}),
    cookie: settings.peerCookie,
    cookie2: settings.peerCookie2.length > 0 ? settings.peerCookie2 : undefined,
    sublayer: settings.sublayer,
    sequence: sequenceUse(session),
    hold: settings.reorderTimeout,
    header: prepareHeader(headerSettings(session)),
    numbered: settings.sendNumbers,
    ...sendLimits(session, pathMtu, trains),
    trafficClass: tos === "inherit" ? 0 : tos,
    inheritDscp: tos === "inherit",
    inheritEcn: ecn,
  };
}
