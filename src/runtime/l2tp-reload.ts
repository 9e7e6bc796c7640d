/** What a new file changes of the tunnels and sessions that run. */
import {
  l2tpChange,
  type L2tpChange,
  type L2tpConfig,
  type L2tpSessionConfig,
  type L2tpTunnelConfig,
} from "../config/l2tp.ts";
import { KEYED_SESSION } from "../config/l2tp-rules.ts";
import { laneCount } from "./lane-plan.ts";
import type { LaneThreads } from "../lanes/plan.ts";
import type { L2tpRegistry, Session, Tunnel } from "../protocols/l2tp/registry.ts";

/** Items of a file that are opened before other events get their turn. */
export const ITEMS_AT_ONCE = 32;

const CHANGEABLE = Object.keys(l2tpChange.fields) as (keyof typeof l2tpChange.fields)[];

/** What a reload has done; `refused` tells what could not be done. */
export interface L2tpReloaded {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly kept: number;
  readonly refused: readonly string[];
}

/** A tunnel that runs; one that a file has may be taken away by the next one. */
export interface FiledTunnel {
  readonly tunnel: Tunnel;
  readonly config: L2tpTunnelConfig;
  fromFile: boolean;
}

/** Likewise a session. */
export interface FiledSession {
  readonly session: Session;
  config: L2tpSessionConfig;
  fromFile: boolean;
}

/** What runs, and what can be done to it; what is done throws what the system refuses. */
export interface ReloadDesk {
  /** Lanes that run; undefined before the first. */
  readonly lanes: number | undefined;
  readonly threads: LaneThreads;
  readonly registry: L2tpRegistry;
  readonly tunnels: ReadonlyMap<Tunnel, FiledTunnel>;
  readonly sessions: ReadonlyMap<Session, FiledSession>;
  addTunnel(config: L2tpTunnelConfig): void;
  deleteTunnel(tunnel: Tunnel): void;
  addSession(tunnelId: number, config: L2tpSessionConfig): void;
  deleteSession(session: Session): void;
  change(session: Session, change: L2tpChange): void;
  /** Settles when all that was deleted is closed. */
  closed(): Promise<void>;
}

/** Makes what runs as a new file has it. What came by command is left alone. */
export async function followFile(config: L2tpConfig, desk: ReloadDesk): Promise<L2tpReloaded> {
  const done = { added: 0, changed: 0, removed: 0, kept: 0, refused: [] as string[] };
  if (desk.lanes !== undefined && laneCount(config.lanes) !== desk.lanes)
    done.refused.push(`lanes: expected ${desk.lanes} until a new start, got ${config.lanes}`);
  for (const key of ["pin", "busyPoll"] as const) {
    const [running, wanted] = [desk.threads[key], config[key]].map((value) =>
      String(value ?? "none"),
    );
    if (desk.lanes !== undefined && running !== wanted)
      done.refused.push(`${key}: expected ${running} until a new start, got ${wanted}`);
  }
  const attempt = (what: string, body: () => void, count: "added" | "changed" | "removed") => {
    try {
      body();
      done[count]++;
    } catch (error) {
      done.refused.push(`${what}: ${(error as Error).message}`);
    }
  };
  const wanted = new Map(config.tunnels.map((part) => [part.tunnel.tunnelId, part]));
  for (const { tunnel, config: running, fromFile } of [...desk.tunnels.values()]) {
    const next = wanted.get(running.tunnelId);
    if (next ? !same(next.tunnel, running) : fromFile)
      attempt(`tunnel ${running.tunnelId}`, () => desk.deleteTunnel(tunnel), "removed");
  }
  const wantedSessions = new Map(
    config.tunnels.flatMap(({ tunnel, sessions }) =>
      sessions.map((one) => [`${tunnel.tunnelId} ${idOf(one)}`, one] as const),
    ),
  );
  for (const { config: running, session, fromFile } of [...desk.sessions.values()]) {
    const { id } = session.tunnel.settings;
    const next = wantedSessions.get(`${id} ${session.settings.id}`);
    if (!wanted.has(id) || (next ? changeable(next, running) : !fromFile)) continue;
    attempt(
      `session ${session.settings.id} of tunnel ${id}`,
      () => desk.deleteSession(session),
      "removed",
    );
  }
  // What was closed has to be gone, since its names may be wanted again.
  await desk.closed();
  let items = 0;
  for (const { tunnel, sessions } of config.tunnels) {
    const known = desk.registry.tunnels.get(tunnel.tunnelId);
    if (known) {
      desk.tunnels.get(known)!.fromFile = true;
      done.kept++;
    } else attempt(`tunnel ${tunnel.tunnelId}`, () => desk.addTunnel(tunnel), "added");
    for (const session of sessions) {
      if (++items % ITEMS_AT_ONCE === 0) await turn();
      const what = `session ${idOf(session)} of tunnel ${tunnel.tunnelId}`;
      const there = desk.registry.tunnels.get(tunnel.tunnelId)?.sessions.get(idOf(session));
      const open = there && desk.sessions.get(there);
      if (!open) {
        attempt(what, () => desk.addSession(tunnel.tunnelId, session), "added");
        continue;
      }
      open.fromFile = true;
      if (same(session, open.config)) done.kept++;
      else attempt(what, () => desk.change(open.session, changeTo(session)), "changed");
    }
  }
  return done;
}

/** Our number of a session. */
function idOf(config: L2tpSessionConfig): number {
  return config.sessionId ?? KEYED_SESSION;
}

/** True for settings that say the same. */
function same(one: object, other: object): boolean {
  return textOf(one) === textOf(other);
}

/** True if a session can become the other one while it runs. */
function changeable(one: L2tpSessionConfig, other: L2tpSessionConfig): boolean {
  const fixed = (config: L2tpSessionConfig) =>
    Object.fromEntries(
      Object.entries(config).filter(([key]) => !(CHANGEABLE as string[]).includes(key)),
    );
  return same(fixed(one), fixed(other));
}

/** All of a session that can be changed; what is left out is taken away. */
function changeTo(config: L2tpSessionConfig): L2tpChange {
  return Object.fromEntries(CHANGEABLE.map((key) => [key, config[key]]));
}

function textOf(settings: object): string {
  const rows = Object.entries(settings).filter(([, value]) => value !== undefined);
  return JSON.stringify(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Lets other events have their turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
