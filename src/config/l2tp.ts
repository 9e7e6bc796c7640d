/**
 * The configuration of L2TP: tunnels and sessions without a control protocol, in the words of
 * `ip l2tp` and some more. A file writes `peerTunnelId` where a command writes `peer_tunnel_id`;
 * both come from these tables. What holds between several fields is in `l2tp-rules.ts`.
 */
import type { z } from "zod";
import {
  address,
  choice,
  cookie,
  count,
  filePath,
  identifier,
  interfaceName,
  namespace,
  octets,
  seconds,
  socketPath,
  toggle,
  trafficClass,
} from "./field.ts";
import { BUSY_POLL, laneFields } from "./lanes.ts";
import type { Shape } from "./system.ts";

/** Pseudowires by the word that asks for one. */
export const PSEUDOWIRES = [
  "eth",
  "vlan",
  "hdlc",
  "fr",
  "atm-port",
  "atm-vcc",
  "atm-vpc",
  "aal5",
  "ppp",
  "ip",
] as const;

export type PseudowireName = (typeof PSEUDOWIRES)[number];

const tunnelFields = {
  tunnelId: identifier({
    help: "our number of the tunnel; the control connection identifier of keepalives, and the tunnel identifier that arrives with version 2",
    driver: "tunnel_id, tid",
  }),
  peerTunnelId: identifier({
    help: "the peer's number of the tunnel",
    driver: "peer_tunnel_id, ptid",
  }),
  encap: choice({
    words: ["udp", "ip"],
    fallback: "udp",
    help: "over UDP, or over IP protocol 115",
  }),
  local: address({ help: "our address; an interface of this host must have it" }),
  remote: address({ help: "the peer's address" }),
  udpSport: count({
    optional: true,
    min: 1,
    max: 65_535,
    help: "our UDP port; tunnels of one address and port share a socket",
    driver: "udp_sport",
  }),
  udpDport: count({
    optional: true,
    min: 1,
    max: 65_535,
    help: "the peer's UDP port",
    driver: "udp_dport",
  }),
  udpCsum: toggle({
    fallback: "off",
    help: "send UDP checksums over IPv4; also lets several datagrams leave in one system call",
    driver: "udp_csum",
  }),
  udp6CsumTx: toggle({
    fallback: "on",
    help: "send UDP checksums over IPv6",
    driver: "udp6_csum_tx",
  }),
  udp6CsumRx: toggle({
    fallback: "on",
    help: "want UDP checksums over IPv6; off takes a zero checksum too (RFC 6935)",
    driver: "udp6_csum_rx",
  }),
  version: choice({
    words: ["2", "3"],
    fallback: "3",
    help: "L2TPv2 (RFC 2661) or L2TPv3 (RFC 3931)",
  }),
  mode: choice({
    words: ["standard", "keyed"],
    fallback: "standard",
    help: "keyed: the addresses alone tell the session, with 64-bit cookies both ways, over IPv6 without UDP (RFC 8159)",
  }),
  tos: trafficClass({
    fallback: 0,
    help: "traffic class of what is sent; inherit takes the DSCP of the packet inside",
  }),
  ttl: count({
    optional: true,
    min: 1,
    max: 255,
    help: "TTL or hop limit; the host's if left out",
  }),
  ecn: toggle({
    fallback: "off",
    help: "copy the ECN field of the packet inside (normal mode of RFC 6040), for a peer that puts it back",
  }),
  df: toggle({
    fallback: "off",
    help: "forbid that routers fragment; frames that do not fit are dropped",
  }),
  mtu: octets({
    optional: true,
    min: 576,
    max: 65_535,
    help: "path MTU to the peer, from which that of devices follows; what routing knows if left out",
  }),
  spread: choice({
    words: ["tunnels", "sessions"],
    fallback: "tunnels",
    help: "what is divided among lanes on its way in; sessions: also those of one tunnel, but over UDP the kernel then joins no datagrams into trains, which costs more for each",
  }),
  keepalive: seconds({
    optional: true,
    min: 1,
    max: 86_400,
    help: "after so long without a packet of the peer, send a HELLO; without an answer devices lose their carrier",
  }),
  keepaliveRetries: count({
    optional: true,
    min: 1,
    max: 32,
    help: "repetitions of a HELLO before the peer counts as dead; 5 with version 2 and 10 with version 3 if left out (RFC 3931 §4.2)",
  }),
};

const sessionFields = {
  name: interfaceName({
    optional: true,
    help: "the device, a TAP, or a TUN with pwtype ip; one that exists and is free is taken over; l2tpeth%d if left out, the first free number",
  }),
  sessionId: identifier({
    optional: true,
    help: "our number of the session, in what arrives; required but in a keyed tunnel, where it is 4294967295 if left out",
    driver: "session_id, sid",
  }),
  peerSessionId: identifier({
    optional: true,
    help: "the peer's number of the session, in what is sent; likewise",
    driver: "peer_session_id, psid",
  }),
  cookie: cookie({
    optional: true,
    help: "the cookie that we SEND; the peer's peer_cookie",
  }),
  peerCookie: cookie({
    optional: true,
    help: "the cookie that we EXPECT of the peer; the peer's cookie",
    driver: "peer_cookie",
  }),
  peerCookie2: cookie({
    optional: true,
    help: "another cookie that is valid, too, so that a peer can change from one to the other without a loss",
  }),
  seq: choice({
    words: ["none", "send", "recv", "both"],
    fallback: "none",
    help: "send: number what is sent; recv: drop what arrives without a number or late",
  }),
  l2specType: choice({
    words: ["default", "none", "atm"],
    optional: true,
    help: "the L2-specific sublayer, both ways; default if left out, but atm with pwtype aal5 and none in a keyed tunnel without seq",
    driver: "l2spec_type",
  }),
  offset: count({
    optional: true,
    min: 0,
    max: 30,
    help: "version 2: octets of padding before the payload; without effect with version 3, as with Linux",
  }),
  peerOffset: count({
    optional: true,
    min: 0,
    max: 65_535,
    help: "without effect, as with Linux: what arrives tells its own offset",
    driver: "peer_offset",
  }),
  pwtype: choice({
    words: PSEUDOWIRES,
    optional: true,
    help: "the pseudowire; eth if left out, ppp with version 2",
  }),
  trunk: interfaceName({
    optional: true,
    help: "pwtype vlan: a TAP of many sessions, told apart by VLAN tags",
  }),
  vlan: count({
    optional: true,
    min: 1,
    max: 4094,
    help: "the VLAN identifier of the session's frames on the trunk",
  }),
  frames: socketPath({
    optional: true,
    help: "a Unix sequenced-packet socket in place of a device: each message is a frame",
  }),
  pcap: filePath({
    optional: true,
    help: "a pcapng file in place of a device, which takes what arrives",
  }),
  netns: namespace({
    optional: true,
    help: "the network namespace of the device; the daemon's own if left out",
  }),
  mtu: octets({
    optional: true,
    min: 68,
    max: 65_535,
    help: "the device's MTU; what of the path MTU the headers leave if left out",
  }),
  reorderTimeout: count({
    fallback: 0,
    min: 0,
    max: 60_000,
    help: "milliseconds that a packet waits for those numbered before it",
    driver: "reorder_timeout",
  }),
  lns: toggle({
    fallback: "off",
    help: "version 2: we decide whether packets are numbered; off does as the peer does (RFC 2661 §5.4)",
  }),
};

const NO_RULES = { oneOf: [], needs: {}, below: {} } as const;

export const l2tpTunnel = {
  fields: tunnelFields,
  ...NO_RULES,
  needs: { keepaliveRetries: ["keepalive"] },
} as const satisfies Shape;

export const l2tpSession = {
  fields: sessionFields,
  ...NO_RULES,
  needs: { trunk: ["vlan"], vlan: ["trunk"], peerCookie2: ["peerCookie"] },
} as const satisfies Shape;

/** What can be changed of a session while it runs. */
export const l2tpChange = {
  fields: {
    cookie: sessionFields.cookie,
    peerCookie: sessionFields.peerCookie,
    peerCookie2: sessionFields.peerCookie2,
    seq: choice({
      words: ["none", "send", "recv", "both"],
      optional: true,
      help: "what is numbered from now on",
    }),
    reorderTimeout: count({
      optional: true,
      min: 0,
      max: 60_000,
      help: "milliseconds that a packet waits for those numbered before it",
    }),
    mtu: sessionFields.mtu,
  },
  ...NO_RULES,
} as const satisfies Shape;

/** What stands at the top of a file's `l2tp`, beside its tunnels. */
export const l2tpSettings = {
  fields: {
    ...laneFields(
      "packet threads: what arrives is divided by a tunnel's spread, what is sent by device or trunk; auto: one less than there are processors, at most 4",
      "auto",
    ),
  },
  ...NO_RULES,
} as const satisfies Shape;

export type L2tpTunnelConfig = z.output<z.ZodObject<typeof tunnelFields>>;
export type L2tpSessionConfig = z.output<z.ZodObject<typeof sessionFields>>;
export type L2tpChange = z.output<z.ZodObject<typeof l2tpChange.fields>>;

/** A tunnel of a file, with its sessions. */
export interface L2tpTunnelPart {
  readonly tunnel: L2tpTunnelConfig;
  readonly sessions: readonly L2tpSessionConfig[];
}

/** What stands beside the tunnels. */
export type L2tpLaneConfig = z.output<z.ZodObject<typeof l2tpSettings.fields>>;

/** All that a file says about L2TP. */
export interface L2tpConfig extends L2tpLaneConfig {
  readonly tunnels: readonly L2tpTunnelPart[];
}

export const NO_L2TP: L2tpConfig = {
  lanes: "auto",
  pin: undefined,
  busyPoll: BUSY_POLL,
  tunnels: [],
};
