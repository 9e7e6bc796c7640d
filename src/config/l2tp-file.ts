/** L2TP's part of a file: settings, and tunnels by a name, each with a list of its sessions. */
import { checkShape, isMap, shown, unknownKey, type Checked, type Fault } from "./check.ts";
import {
  l2tpSettings,
  type L2tpConfig,
  type L2tpLaneConfig,
  type L2tpSessionConfig,
  type L2tpTunnelPart,
} from "./l2tp.ts";
import { checkSession, checkTunnel } from "./l2tp-rules.ts";

/** The key of the file under which L2TP stands, and that of its tunnels. */
export const L2TP_SECTION = "l2tp";
const TUNNELS = "tunnels";
const SESSIONS = "sessions";

type Path = readonly (string | number)[];

/** What stands at `l2tp`, or everything that is wrong with it. */
export function readL2tp(raw: unknown): Checked<L2tpConfig> {
  const at: Path = [L2TP_SECTION];
  if (!isMap(raw)) return { faults: [wrong(at, `a map with ${TUNNELS}`, raw)] };
  const { [TUNNELS]: listed = {}, ...rest } = raw;
  const faults: Fault[] = [];
  for (const key of Object.keys(rest))
    if (!Object.hasOwn(l2tpSettings.fields, key))
      faults.push(unknownKey(key, [TUNNELS, ...Object.keys(l2tpSettings.fields)], at));
  if (faults.length > 0) return { faults };
  const settings = checkShape(l2tpSettings, rest);
  if ("faults" in settings) faults.push(...below(at, settings.faults));
  const tunnels: L2tpTunnelPart[] = [];
  if (!isMap(listed))
    faults.push(wrong([...at, TUNNELS], "a map from a name to a tunnel's settings", listed));
  else
    for (const [name, tunnel] of Object.entries(listed)) {
      const read = readTunnel(tunnel);
      if ("value" in read) tunnels.push(read.value);
      else faults.push(...below([...at, TUNNELS, name], read.faults));
    }
  if (faults.length > 0 || "faults" in settings) return { faults };
  return { value: { ...(settings.value as L2tpLaneConfig), tunnels } };
}

function readTunnel(raw: unknown): Checked<L2tpTunnelPart> {
  if (!isMap(raw)) return { faults: [wrong([], "a map of a tunnel's settings", raw)] };
  const { [SESSIONS]: listed = [], ...rest } = raw;
  const tunnel = checkTunnel(rest);
  if ("faults" in tunnel) return tunnel;
  if (!Array.isArray(listed)) return { faults: [wrong([SESSIONS], "a list of sessions", listed)] };
  const faults: Fault[] = [];
  const sessions: L2tpSessionConfig[] = [];
  for (const [i, session] of listed.entries()) {
    const read = checkSession(tunnel.value, session);
    if ("value" in read) sessions.push(read.value);
    else faults.push(...below([SESSIONS, i], read.faults));
  }
  return faults.length > 0 ? { faults } : { value: { tunnel: tunnel.value, sessions } };
}

function wrong(path: Path, expected: string, got: unknown): Fault {
  return { path, at: "value", expected, got: shown(got) };
}

function below(path: Path, faults: readonly Fault[]): Fault[] {
  return faults.map((fault) => ({ ...fault, path: [...path, ...fault.path] }));
}
