/**
 * One L2TP session of the drop-in engine: data messages on and off. Control messages, tunnels and
 * devices are the affair of others. Options have the words of `ip l2tp`, where it has any.
 */
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { ConfigError } from "../core/errors.ts";
import type { Encapsulation } from "../wire/l2tp.ts";

/** Pseudowire types by name (IANA "L2TPv3 Pseudowire Types"). */
export const PSEUDOWIRES = {
  ethernet: l2tp.PW_ETHERNET,
  vlan: l2tp.PW_VLAN,
  "frame-relay": l2tp.PW_FRAME_RELAY,
  aal5: l2tp.PW_AAL5,
  "atm-port": l2tp.PW_ATM_PORT,
  "atm-vcc": l2tp.PW_ATM_VCC,
  "atm-vpc": l2tp.PW_ATM_VPC,
  hdlc: l2tp.PW_HDLC,
  ppp: l2tp.PW_PPP,
  ip: l2tp.PW_IP,
} as const;
export type Pseudowire = keyof typeof PSEUDOWIRES;

/** L2-Specific Sublayers by name (RFC 3931 §4.6, RFC 4454 §3). */
const SUBLAYERS = {
  none: l2tp.SUBLAYER_NONE,
  default: l2tp.SUBLAYER_DEFAULT,
  atm: l2tp.SUBLAYER_ATM,
} as const;
export type SublayerName = keyof typeof SUBLAYERS;

export interface L2tpSessionOptions {
  /** 3 (RFC 3931) unless said otherwise; 2 is RFC 2661. */
  readonly version?: 2 | 3;
  /** What a datagram is: "udp", a UDP payload; "ip", what follows an IP header of protocol 115. */
  readonly encapsulation?: Encapsulation;
  /**
   * Our Session ID, which datagrams for us bear. 0 with "ip" takes any, for a keyed IPv6 tunnel,
   * which addresses alone identify (RFC 8159 §3).
   */
  readonly sessionId: number;
  /** The peer's Session ID, which is sent; 0xffffffff for a keyed IPv6 tunnel. */
  readonly peerSessionId: number;
  /** Version 2: our Tunnel ID and the peer's. */
  readonly tunnelId?: number;
  readonly peerTunnelId?: number;
  /** What frames are: "ethernet" in version 3, "ppp" in version 2, unless said otherwise. */
  readonly pseudowire?: Pseudowire;
  /**
   * Pseudowire "vlan": the VLAN identifier of this end. Frames that are sent must bear it; frames
   * that arrive get it in place of the peer's (RFC 4719 §3).
   */
  readonly vlan?: number;
  /** The cookie that is sent: 0, 4 or 8 octets. */
  readonly cookie?: Uint8Array;
  /** The cookie that is expected, and a second one of the same length that is accepted, too. */
  readonly peerCookie?: Uint8Array;
  readonly peerCookie2?: Uint8Array;
  /** The sublayer that is sent; with "atm" a frame comes after FRAME_MARK octets, see below. */
  readonly sublayer?: SublayerName;
  /** The sublayer that is expected; what is sent unless said otherwise. */
  readonly peerSublayer?: SublayerName;
  /** True: packets are numbered, from 0 on. */
  readonly sequence?: boolean;
  /**
   * What numbers that arrive mean. "accept": what is expected or ahead goes through, what is behind
   * does not; unnumbered packets do. "require": unnumbered packets do not. "ignore": nothing.
   * "mirror", version 2's LAC: "accept", and packets are numbered if the peer's are (RFC 2661 §5.4).
   */
  readonly peerSequence?: "ignore" | "accept" | "require" | "mirror";
  /** Consecutive old numbers after which the peer has started anew; 0: never. 16 unless said. */
  readonly restartAfter?: number;
  /** Version 2: the header has a Length; and so many octets of padding, 0 to 32, after an offset. */
  readonly length?: boolean;
  readonly offset?: number;
  /** Largest frame in octets; what fits a datagram unless said otherwise. */
  readonly frameMax?: number;
}

/**
 * A session. When a sublayer is "atm", either way, each frame comes after FRAME_MARK octets: T, G,
 * C and U in the low bits of the first (RFC 4454 §3), the rest zero.
 */
export interface L2tpSession {
  /** The most octets that `encapsulate` adds to a frame. */
  readonly overhead: number;

  /**
   * Writes the data message of one frame to `datagram`, which holds `frame.length + overhead`
   * octets. Returns the message's length or a negated verdict.
   */
  encapsulate(frame: Uint8Array, datagram: Uint8Array): number;

  /**
   * Takes the frame out of a data message and writes it to `frame`, which holds `datagram.length`
   * octets. Returns the frame's length or a negated verdict; -1, "punted", for a control message.
   */
  decapsulate(datagram: Uint8Array, frame: Uint8Array): number;

  /** Gives back what the engine keeps for the session, which must not be used after that. */
  close(): void;
}

/** The options with nothing left open. */
export interface L2tpTerms {
  readonly version: 2 | 3;
  readonly encapsulation: Encapsulation;
  readonly sessionId: number;
  readonly peerSessionId: number;
  readonly tunnelId: number;
  readonly peerTunnelId: number;
  readonly pseudowire: number;
  readonly vlan: number | undefined;
  readonly cookie: Uint8Array;
  readonly peerCookies: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array];
  readonly sublayer: number;
  readonly peerSublayer: number;
  readonly sequence: boolean;
  readonly peerSequence: "ignore" | "accept" | "require" | "mirror";
  readonly restartAfter: number;
  readonly length: boolean;
  readonly offset: number | undefined;
  readonly frameMax: number;
  /** True when frames come after FRAME_MARK octets. */
  readonly marked: boolean;
  readonly overhead: number;
}

const NO_COOKIE = new Uint8Array(0);
const COOKIE_LENGTHS = [0, 4, 8];
const OFFSET_MOST = 32;
const DATAGRAM_MOST = 0xffff;
const RESTART_AFTER = 16;
const ATM_PSEUDOWIRES: readonly number[] = [
  l2tp.PW_AAL5,
  l2tp.PW_ATM_PORT,
  l2tp.PW_ATM_VCC,
  l2tp.PW_ATM_VPC,
];
const V2_FIELDS = 6; // octets of the header that are always there

/** Checks options and fills in the rest. Throws ConfigError. */
export function l2tpTerms(options: L2tpSessionOptions): L2tpTerms {
  const { version = 3, encapsulation = "udp", peerCookie = NO_COOKIE, peerCookie2 } = options;
  const sublayer = options.sublayer ?? "none";
  const terms = {
    version,
    encapsulation,
    sessionId: options.sessionId,
    peerSessionId: options.peerSessionId,
    tunnelId: options.tunnelId ?? 0,
    peerTunnelId: options.peerTunnelId ?? 0,
    pseudowire: PSEUDOWIRES[options.pseudowire ?? (version === 2 ? "ppp" : "ethernet")],
    vlan: options.vlan,
    cookie: (options.cookie ?? NO_COOKIE).slice(),
    peerCookies: peerCookie2
      ? ([peerCookie.slice(), peerCookie2.slice()] as const)
      : ([peerCookie.slice()] as const),
    sublayer: SUBLAYERS[sublayer],
    peerSublayer: SUBLAYERS[options.peerSublayer ?? sublayer],
    sequence: options.sequence ?? false,
    peerSequence: options.peerSequence ?? "accept",
    restartAfter: options.restartAfter ?? RESTART_AFTER,
    length: options.length ?? false,
    offset: options.offset,
    frameMax: options.frameMax ?? DATAGRAM_MOST,
  };
  checkIdentifiers(terms);
  if (version === 2) checkV2(terms);
  else checkV3(terms);
  within("frameMax", terms.frameMax, 1, DATAGRAM_MOST);
  within("restartAfter", terms.restartAfter, 0, 0x7fff);
  const marked = [terms.sublayer, terms.peerSublayer].includes(l2tp.SUBLAYER_ATM);
  const carries = !marked || ATM_PSEUDOWIRES.includes(terms.pseudowire);
  expect("pseudowire", carries, 'one of ATM, as the sublayer is "atm"', options.pseudowire);
  if (terms.vlan !== undefined) {
    within("vlan", terms.vlan, 0, 0xfff);
    expect(
      "pseudowire",
      terms.pseudowire === l2tp.PW_VLAN,
      '"vlan", as there is a vlan',
      options.pseudowire,
    );
  }
  return { ...terms, marked, overhead: overheadOf(terms) };
}

type Checked = Omit<L2tpTerms, "marked" | "overhead">;

function checkIdentifiers({ version, encapsulation, ...ids }: Checked): void {
  const most = version === 2 ? 0xffff : 0xffff_ffff;
  within("sessionId", ids.sessionId, version === 3 && encapsulation === "ip" ? 0 : 1, most);
  within("peerSessionId", ids.peerSessionId, 1, most);
  const least = version === 2 ? 1 : 0;
  within("tunnelId", ids.tunnelId, least, version === 2 ? most : 0);
  within("peerTunnelId", ids.peerTunnelId, least, version === 2 ? most : 0);
}

/** Version 2 runs over UDP and has neither cookies nor sublayers. */
function checkV2(terms: Checked): void {
  const { encapsulation, cookie, peerCookies, sublayer, peerSublayer, offset = 0 } = terms;
  expect("encapsulation", encapsulation === "udp", '"udp" with version 2', encapsulation);
  expect("cookie", cookie.length === 0, "none with version 2", cookie.length);
  const [first] = peerCookies;
  expect(
    "peerCookie",
    first.length + peerCookies.length === 1,
    "none with version 2",
    first.length,
  );
  const bare = sublayer === l2tp.SUBLAYER_NONE && peerSublayer === l2tp.SUBLAYER_NONE;
  expect("sublayer", bare, '"none" with version 2', sublayer);
  within("offset", offset, 0, OFFSET_MOST);
}

/** Numbers stand in the sublayer (RFC 3931 §4.6). */
function checkV3(terms: Checked): void {
  const { cookie, peerCookies, sublayer, peerSublayer, sequence, peerSequence } = terms;
  const lengths = "0, 4 or 8 octets";
  expect("cookie", COOKIE_LENGTHS.includes(cookie.length), lengths, cookie.length);
  const [first, second = first] = peerCookies;
  expect("peerCookie", COOKIE_LENGTHS.includes(first.length), lengths, first.length);
  const alike = `${first.length} octets, as peerCookie`;
  expect("peerCookie2", second.length === first.length, alike, second.length);
  expect("sublayer", !sequence || sublayer !== l2tp.SUBLAYER_NONE, "one for the numbers", "none");
  const bare = peerSublayer === l2tp.SUBLAYER_NONE;
  expect("peerSublayer", peerSequence !== "require" || !bare, "one for the numbers", "none");
  const isLac = peerSequence === "mirror";
  expect("peerSequence", !isLac, '"ignore", "accept" or "require" with version 3', peerSequence);
  expect("length", !terms.length, "false with version 3", terms.length);
  expect("offset", terms.offset === undefined, "none with version 3", terms.offset);
}

function within(name: string, value: number, least: number, most: number): void {
  const fits = Number.isInteger(value) && value >= least && value <= most;
  expect(name, fits, least === most ? `${least}` : `${least} to ${most}`, value);
}

function expect(name: string, holds: boolean, expected: string, got: unknown): void {
  if (!holds) throw new ConfigError(`l2tpSession.${name}`, expected, got);
}

function overheadOf(terms: Checked): number {
  if (terms.version === 3) {
    const before = terms.encapsulation === "udp" ? 4 : 0;
    const sublayer = terms.sublayer === l2tp.SUBLAYER_NONE ? 0 : l2tp.SUBLAYER_LENGTH;
    return before + 4 + terms.cookie.length + sublayer;
  }
  const numbers = hasNumbers(terms) ? 4 : 0;
  const padding = terms.offset === undefined ? 0 : 2 + terms.offset;
  return V2_FIELDS + (terms.length ? 2 : 0) + numbers + padding;
}

/** True when a version 2 header may have numbers. */
export function hasNumbers({ sequence, peerSequence }: Checked): boolean {
  return sequence || peerSequence === "mirror";
}

/** Throws a RangeError unless a caller's buffer has room. */
export function needRoom(name: string, buffer: Uint8Array, room: number): void {
  if (buffer.length < room)
    throw new RangeError(`${name}: expected room for ${room} octets, got ${buffer.length}`);
}

/** A datagram longer than this cannot have arrived. */
export const L2TP_DATAGRAM_MAX = DATAGRAM_MOST;
