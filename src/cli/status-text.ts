/** A status as people read it: one block for each service, tables for what it holds. */
import { BUSY_POLL } from "../config/lanes.ts";
import { endpointText, type Address } from "../core/address.ts";
import { DROPS, type DropName } from "../core/drops.ts";
import type { DaemonStatus } from "../runtime/control.ts";
import type { L2tpTunnelStatus, GroupStatus, ServiceStatus } from "../runtime/service.ts";
import { durationText, numberText, table } from "./table.ts";

/** Rows of a table beyond which only their number is said. */
const ROWS_MAX = 40;
/** Sources of a group beyond which only their number is said. */
const SOURCES_MAX = 4;

const meanings = new Map<DropName, string>(DROPS.map(({ name, meaning }) => [name, meaning]));

/** Everything that some daemons answered, as lines without their newlines. */
export function statusText(daemons: readonly DaemonStatus[]): string[] {
  const blocks = daemons.flatMap(({ pid, services }) =>
    services.length === 0
      ? [[`pid ${pid}: starting`]]
      : services.map((service) => block(service, pid)),
  );
  return blocks.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function block(service: ServiceStatus, pid: number): string[] {
  const { name, role, state, local, relay, uptimeSeconds } = service;
  const head = [
    `${name === role ? role : `${role} ${name}`}: ${state}`,
    ...(local.length === 0 ? [] : [`at ${local.map(endpointText).join(" and ")}`]),
    ...(relay === undefined ? [] : [`relay ${endpointText(relay)}`]),
    `up ${durationText(uptimeSeconds)}`,
    `pid ${pid}`,
  ];
  const parts = [
    tunnels(service),
    relays(service),
    interfaces(service),
    groups(service),
    l2tpTunnels(service),
    l2tpSessions(service),
    counters(service),
    drops(service),
  ];
  return [head.join(", "), ...lanes(service), ...parts.flat()];
}

/** Lanes are worth a line when there are several, when they are pinned, and one that has died. */
function lanes(service: ServiceStatus): string[] {
  const pinned = service.lanes.flatMap(({ processor }) => processor ?? []);
  const busy = service.lanes[0]?.busyPoll;
  const where = [
    pinned.length > 0 ? ` on processors ${pinned.join(", ")}` : "",
    busy === undefined || busy === BUSY_POLL
      ? ""
      : ` that ${busy === 0 ? "sleep at once" : `look for packets ${busy} µs before they sleep`}`,
  ].join("");
  const all =
    service.lanes.length > 1 || where !== ""
      ? [`  ${service.lanes.length} ${service.lanes.length > 1 ? "lanes" : "lane"}${where}`]
      : [];
  return [...all, ...troubled(service)];
}

function troubled(service: ServiceStatus): string[] {
  return service.lanes
    .filter((lane) => lane.state !== "running" || lane.restarts > 0)
    .map(({ lane, state, restarts }) => `  lane ${lane}: ${state}, started anew ${restarts} times`);
}

function tunnels(service: ServiceStatus): string[] {
  // A column of its own where a path is narrower than its first hop.
  const narrow = service.tunnels.some(({ pathMtu }) => pathMtu !== undefined);
  return titled(
    [
      { title: "TUNNEL TO" },
      { title: "FROM" },
      { title: "GROUPS", right: true },
      { title: "SINCE", right: true },
      ...(narrow ? [{ title: "PATH MTU", right: true } as const] : []),
    ],
    service.tunnels.map((tunnel) => [
      endpointText(tunnel.gateway),
      endpointText(tunnel.local),
      numberText(tunnel.groups),
      durationText(tunnel.sinceSeconds),
      ...(narrow ? [tunnel.pathMtu?.toString() ?? ""] : []),
    ]),
  );
}

function relays(service: ServiceStatus): string[] {
  return titled(
    [{ title: "RELAY" }, { title: "SOURCES" }],
    (service.relays ?? []).map(({ relay, sources }) => [
      endpointText(relay),
      sources.length === 0 ? "any" : sourceList(sources),
    ]),
  );
}

function interfaces(service: ServiceStatus): string[] {
  return titled(
    [
      { title: "INTERFACE" },
      { title: "STATE" },
      { title: "IGMP QUERIER" },
      { title: "MLD QUERIER" },
      { title: "GROUPS", right: true },
    ],
    (service.interfaces ?? []).map(({ name, state, igmpQuerier, mldQuerier, groups: joined }) => [
      name,
      state,
      igmpQuerier ?? "none",
      mldQuerier ?? "none",
      numberText(joined),
    ]),
  );
}

function groups(service: ServiceStatus): string[] {
  return titled(
    [{ title: "GROUP" }, { title: "SOURCES" }, { title: "MEMBERS", right: true }],
    service.groups.map((group) => [group.group, sourcesText(group), numberText(group.members)]),
  );
}

function l2tpTunnels({ l2tp }: ServiceStatus): string[] {
  return titled(
    [
      { title: "TUNNEL", right: true },
      { title: "PEER", right: true },
      { title: "FROM" },
      { title: "TO" },
      { title: "SESSIONS", right: true },
      { title: "PATH MTU", right: true },
      { title: "PEER IS" },
    ],
    (l2tp?.tunnels ?? []).map((tunnel) => [
      `${tunnel.tunnel_id}`,
      `${tunnel.peer_tunnel}`,
      placeText(tunnel.local, tunnel.local_port),
      placeText(tunnel.peer, tunnel.peer_port),
      numberText(tunnel.sessions),
      `${tunnel.path_mtu}`,
      peerText(tunnel),
    ]),
  );
}

function peerText({ alive, socket_lost: lost }: L2tpTunnelStatus): string {
  if (lost) return "cut off, socket lost";
  return alive === undefined ? "not asked" : alive ? "alive" : "dead";
}

/** "192.0.2.1:1701", or over IP the address alone. */
function placeText(address: string, port: number | undefined): string {
  return port === undefined ? address : endpointText({ address, port });
}

function l2tpSessions({ l2tp }: ServiceStatus): string[] {
  return titled(
    [
      { title: "SESSION", right: true },
      { title: "PEER", right: true },
      { title: "IN TUNNEL", right: true },
      { title: "WHERE" },
      { title: "PSEUDOWIRE" },
      { title: "SENT", right: true },
      { title: "RECEIVED", right: true },
      { title: "DROPPED", right: true },
    ],
    (l2tp?.sessions ?? []).map(({ statistics: { tx, rx }, ...session }) => [
      `${session.session_id}`,
      `${session.peer_session_id}`,
      `${session.tunnel_id}`,
      session.interface ?? session.frames ?? session.pcap ?? "",
      session.pwtype,
      numberText(tx.packets),
      numberText(rx.packets),
      numberText(
        tx.errors + rx.errors + rx.cookie_discards + rx.invalid + rx.seq_discards + rx.unnumbered,
      ),
    ]),
  );
}

function counters(service: ServiceStatus): string[] {
  return titled(
    [{ title: "COUNTER" }, { title: "COUNT", right: true }],
    // What never happened says nothing to a reader; --json has it.
    Object.entries(service.counters)
      .filter(([, value]) => value !== 0)
      .map(([name, value]) => [name, numberText(value)]),
  );
}

function drops(service: ServiceStatus): string[] {
  const rows = Object.entries(service.drops).flatMap(([stage, reasons]) =>
    Object.entries(reasons).map(([reason, value]) => [
      stage,
      reason,
      numberText(value),
      meanings.get(reason as DropName) ?? "",
    ]),
  );
  return titled(
    [
      { title: "DROPPED AT" },
      { title: "REASON" },
      { title: "COUNT", right: true },
      { title: "MEANING" },
    ],
    rows,
  );
}

/** An indented table with a blank line before it; nothing if it has no rows. */
function titled(columns: Parameters<typeof table>[0], rows: readonly string[][]): string[] {
  if (rows.length === 0) return [];
  const more = rows.length - ROWS_MAX;
  const lines = table(columns, rows.slice(0, ROWS_MAX));
  if (more > 0) lines.push(`and ${numberText(more)} more; --json lists all`);
  return ["", ...lines.map((line) => `  ${line}`)];
}

function sourcesText({ mode, sources }: GroupStatus): string {
  if (sources.length === 0) return mode === "exclude" ? "any" : "none";
  const listed = sourceList(sources);
  return mode === "exclude" ? `any but ${listed}` : listed;
}

/** Some addresses, and how many more there are. */
function sourceList(sources: readonly Address[]): string {
  const more = sources.length - SOURCES_MAX;
  return sources.slice(0, SOURCES_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
