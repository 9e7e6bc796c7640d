/** What a lane is told of a session: the prepared header, what is expected, what may be sent. */
import type { Session } from "./registry.ts";
import { outerLength, overhead } from "./overhead.ts";

/** Octets of a frame that an outer datagram carries in fragments. */
const FRAME_MAX = 65_000;
/** Consecutive old numbers after which the peer has started anew (RFC 3931 §4.6.1). */
const RESTART_AFTER = 16;

/** The header that a session's packets begin with. */
export interface HeaderSettings {
  readonly version: 2 | 3;
  readonly udp: boolean;
  readonly id: number;
  readonly cookie: Uint8Array;
  readonly sublayer: number;
  readonly numbers: boolean;
  readonly offset?: number;
}

/** What numbers that arrive mean. */
export type SequenceUse = "ignore" | "accept" | "require" | "mirror";

/** The identifier of a session on the wire: with version 2 both numbers, keyed none. */
export function wireId({ settings, tunnel }: Pick<Session, "settings" | "tunnel">): number {
  const { version, id, keyed } = tunnel.settings;
  if (version === 2) return id * 0x1_0000 + settings.id;
  return keyed ? 0 : settings.id;
}

export function headerSettings({ settings, tunnel }: Session): HeaderSettings {
  const { version, udp, peerId } = tunnel.settings;
  const id = version === 2 ? peerId * 0x1_0000 + settings.peerId : settings.peerId;
  return {
    version,
    udp,
    id,
    cookie: settings.cookie,
    sublayer: settings.sublayer,
    // A place for numbers also where the peer may come to want them.
    numbers: settings.sendNumbers || !settings.lns,
    ...(version === 2 && settings.offset > 0 ? { offset: settings.offset } : {}),
  };
}

/** What numbers mean (RFC 2661 §5.4, RFC 3931 §5.4.4). */
export function sequenceUse({
  settings,
  tunnel,
}: Pick<Session, "settings" | "tunnel">): SequenceUse {
  if (settings.wantNumbers) return "require";
  if (tunnel.settings.version === 3) return "ignore";
  return settings.lns || settings.sendNumbers ? "accept" : "mirror";
}

/** What may be sent, for a path's MTU; `trains` is false where a datagram is a message. */
export function sendLimits(session: Session, pathMtu: number, trains: boolean) {
  const { settings, tunnel } = session;
  const { dontFragment, udp } = tunnel.settings;
  return {
    frameMax: dontFragment ? pathMtu - overhead(tunnel.settings, settings) : FRAME_MAX,
    segmentMax: udp && trains ? pathMtu - outerLength(tunnel.settings) : 0,
    restartAfter: RESTART_AFTER,
  };
}
