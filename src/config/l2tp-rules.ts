/** What holds between the settings of an L2TP tunnel, and of a session and its tunnel. */
import { familyOf } from "../core/address.ts";
import { checkShape, shown, type Checked, type Fault, type Spelling } from "./check.ts";
import {
  l2tpSession,
  l2tpTunnel,
  type L2tpSessionConfig,
  type L2tpTunnelConfig,
  type PseudowireName,
} from "./l2tp.ts";

/** Both identifiers of a keyed tunnel's session, unless others are given (RFC 8159 §3). */
export const KEYED_SESSION = 0xffff_ffff;
/** The largest identifier of version 2 (RFC 2661 §3.1). */
const ID_V2_MAX = 0xffff;

/** Pseudowires that are a device of the host. */
const DEVICE_PSEUDOWIRES: readonly PseudowireName[] = ["eth", "vlan", "ip"];
const ATM_PSEUDOWIRES: readonly PseudowireName[] = ["atm-port", "atm-vcc", "atm-vpc", "aal5"];

/** The settings of a tunnel, or everything that is wrong with them. */
export function checkTunnel(raw: unknown, spell?: Spelling): Checked<L2tpTunnelConfig> {
  const checked = checkShape(l2tpTunnel, raw, spell);
  if ("faults" in checked) return checked;
  const tunnel = checked.value as L2tpTunnelConfig;
  const faults = tunnelFaults(tunnel, spell ?? ((key) => key));
  return faults.length > 0 ? { faults } : { value: tunnel };
}

/** The settings of a session of `tunnel`, or everything that is wrong with them. */
export function checkSession(
  tunnel: L2tpTunnelConfig,
  raw: unknown,
  spell?: Spelling,
): Checked<L2tpSessionConfig> {
  const checked = checkShape(l2tpSession, raw, spell);
  return "faults" in checked
    ? checked
    : fitSession(tunnel, checked.value as L2tpSessionConfig, spell);
}

/** The same for settings that are good by themselves. */
export function fitSession(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell?: Spelling,
): Checked<L2tpSessionConfig> {
  const faults = sessionFaults(tunnel, session, spell);
  if (faults.length > 0) return { faults };
  // A change of other settings does not change the sublayer, on which both ends agree.
  return { value: { ...session, l2specType: sublayerOf(tunnel, session) } };
}

/** The pseudowire of a session. */
export function pseudowireOf(tunnel: L2tpTunnelConfig, session: L2tpSessionConfig): PseudowireName {
  return session.pwtype ?? (tunnel.version === "2" ? "ppp" : "eth");
}

/** The sublayer of a session. */
export function sublayerOf(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
): "default" | "none" | "atm" {
  if (session.l2specType !== undefined) return session.l2specType;
  if (tunnel.version === "2") return "none";
  if (pseudowireOf(tunnel, session) === "aal5") return "atm";
  return tunnel.mode === "keyed" && session.seq === "none" ? "none" : "default";
}

function tunnelFaults(tunnel: L2tpTunnelConfig, spell: Spelling): Fault[] {
  const faults: Fault[] = [];
  const wrong = faultsInto(faults, tunnel);
  const family = familyOf(tunnel.local);
  if (familyOf(tunnel.remote) !== family)
    wrong("remote", `an IPv${family} address, as ${spell("local")} is`);
  for (const key of ["udpSport", "udpDport"] as const) {
    if (tunnel.encap === "udp" && tunnel[key] === undefined)
      wrong(key, "a UDP port from 1 to 65535");
    if (tunnel.encap === "ip" && tunnel[key] !== undefined)
      wrong(key, `none with ${spell("encap")} ip`);
  }
  if (tunnel.version === "2") {
    if (tunnel.encap !== "udp") wrong("encap", `udp with ${spell("version")} 2 (RFC 2661 §8.1)`);
    for (const key of ["tunnelId", "peerTunnelId"] as const)
      if (tunnel[key] > ID_V2_MAX) wrong(key, `at most ${ID_V2_MAX} with ${spell("version")} 2`);
  }
  if (tunnel.mode === "keyed") {
    const keyed = `with ${spell("mode")} keyed (RFC 8159 §2)`;
    if (tunnel.version !== "3") wrong("version", `3 ${keyed}`);
    if (tunnel.encap !== "ip") wrong("encap", `ip ${keyed}`);
    if (family !== 6) wrong("local", `an IPv6 address ${keyed}`);
    if (tunnel.spread !== "tunnels")
      wrong("spread", `tunnels ${keyed}: addresses alone tell the session`);
    if (tunnel.keepalive !== undefined)
      wrong("keepalive", "none: a keyed tunnel has no control connection (RFC 8159 §5)");
  }
  return faults;
}

/** What is wrong with settings of a session that are good by themselves. */
export function sessionFaults(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell: Spelling = (key) => key,
): Fault[] {
  const faults: Fault[] = [];
  const wrong = faultsInto(faults, session);
  identifiers(tunnel, session, spell, wrong);
  cookies(tunnel, session, spell, wrong);
  sequence(tunnel, session, spell, wrong);
  places(tunnel, session, spell, wrong);
  return faults;
}

type Wrong = (key: string, expected: string) => void;

function identifiers(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell: Spelling,
  wrong: Wrong,
): void {
  for (const key of ["sessionId", "peerSessionId"] as const) {
    const id = session[key];
    if (id === undefined && tunnel.mode !== "keyed") wrong(key, "a number from 1 to 4294967295");
    if (id !== undefined && tunnel.version === "2" && id > ID_V2_MAX)
      wrong(key, `at most ${ID_V2_MAX} in a tunnel with ${spell("version")} 2`);
  }
}

function cookies(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell: Spelling,
  wrong: Wrong,
): void {
  for (const key of ["cookie", "peerCookie", "peerCookie2"] as const) {
    const length = session[key]?.length ?? 0;
    if (tunnel.version === "2" && length > 0) wrong(key, "none: version 2 knows no cookies");
    if (tunnel.mode === "keyed" && key !== "peerCookie2" && length !== 8)
      wrong(key, "16 hexadecimal digits in a keyed tunnel (RFC 8159 §3)");
  }
  const second = session.peerCookie2?.length ?? 0;
  if (second > 0 && second !== session.peerCookie?.length)
    wrong("peerCookie2", `as many digits as ${spell("peerCookie")} has`);
}

function sequence(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell: Spelling,
  wrong: Wrong,
): void {
  const pseudowire = pseudowireOf(tunnel, session);
  const sublayer = sublayerOf(tunnel, session);
  if (tunnel.version === "2") {
    if (sublayer !== "none") wrong("l2specType", "none: version 2 has no sublayer");
  } else {
    if (session.seq !== "none" && sublayer === "none")
      wrong("l2specType", `default or atm: ${spell("seq")} needs a sublayer (RFC 3931 §5.4.4)`);
    if (pseudowire === "aal5" && sublayer !== "atm")
      wrong("l2specType", `atm with ${spell("pwtype")} aal5 (RFC 4454 §4)`);
    if (sublayer === "atm" && !ATM_PSEUDOWIRES.includes(pseudowire))
      wrong("l2specType", `default or none, as ${spell("pwtype")} is not ATM`);
    if (session.lns) wrong("lns", "off: version 3 has no such role");
  }
  const looksAtNumbers = session.seq === "recv" || session.seq === "both" || tunnel.version === "2";
  if (session.reorderTimeout > 0 && !looksAtNumbers)
    wrong("reorderTimeout", `0, or ${spell("seq")} recv or both beside it`);
}

/** Where frames go. */
function places(
  tunnel: L2tpTunnelConfig,
  session: L2tpSessionConfig,
  spell: Spelling,
  wrong: Wrong,
): void {
  const pseudowire = pseudowireOf(tunnel, session);
  const isDevice = DEVICE_PSEUDOWIRES.includes(pseudowire);
  if (tunnel.version === "2" && pseudowire !== "ppp")
    wrong("pwtype", "ppp: version 2 carries nothing else");
  const given = (["name", "trunk", "frames", "pcap"] as const).filter(
    (key) => session[key] !== undefined,
  );
  if (given.length > 1)
    wrong(
      given[1]!,
      `one of ${(["name", "trunk", "frames", "pcap"] as const).map(spell).join(", ")}`,
    );
  if (!isDevice && session.frames === undefined && session.pcap === undefined)
    wrong("pwtype", `frames or pcap beside it, as Linux has no device for ${pseudowire}`);
  if (session.trunk !== undefined && pseudowire !== "vlan")
    wrong("trunk", `${spell("pwtype")} vlan beside it`);
  const elsewhere = session.frames !== undefined || session.pcap !== undefined;
  if (elsewhere && session.netns !== undefined) wrong("netns", "a device beside it");
  if (session.mtu !== undefined && (elsewhere || session.trunk !== undefined))
    wrong("mtu", "a device of the session's own beside it");
}

function faultsInto(faults: Fault[], values: object): Wrong {
  return (key, expected) => {
    const value: unknown = (values as Readonly<Record<string, unknown>>)[key];
    const got = value instanceof Uint8Array ? cookieText(value) : shown(value);
    faults.push({ path: [key], at: "value", expected, got });
  };
}

/** A cookie as `ip l2tp` writes it. */
export function cookieText(cookie: Uint8Array): string {
  return cookie.length === 0 ? "none" : Buffer.from(cookie).toString("hex");
}
