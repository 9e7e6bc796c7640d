/** A status for Prometheus: what `--json` has, as series of numbers. */
import { endpointText } from "../core/address.ts";
import { DROPS, type DropName } from "../core/drops.ts";
import { expositionText, type Family, type Sample } from "../metrics/exposition.ts";
import { SESSION_COUNTERS } from "../metrics/l2tp.ts";
import { GAUGES, meaningOf } from "../metrics/meanings.ts";
import type { DaemonStatus } from "../runtime/control.ts";
import type { ServiceStatus } from "../runtime/service.ts";

type Labels = Sample["labels"];

/** A service, with the labels that tell it from all others. */
interface Labelled {
  readonly service: ServiceStatus;
  readonly labels: Labels;
}

/** Everything that some daemons answered. */
export function prometheusText(daemons: readonly DaemonStatus[]): string {
  const all = daemons.flatMap(({ pid, services }) =>
    services.map((service): Labelled => {
      const { name, role } = service;
      return { service, labels: { service: name, role, pid: `${pid}` } };
    }),
  );
  return expositionText([...services(all), ...counters(all), drops(all), ...l2tpSessions(all)]);
}

function services(all: readonly Labelled[]): Family[] {
  const gauge = (
    name: string,
    help: string,
    read: (service: ServiceStatus) => readonly (readonly [Labels, number])[],
  ): Family => ({ name: `culvert_${name}`, type: "gauge", help, samples: samplesOf(all, read) });
  return [
    gauge("state", "1 for the state that the service is in", ({ state }) => [[{ state }, 1]]),
    gauge("uptime_seconds", "for how long the service has run", (one) => [[{}, one.uptimeSeconds]]),
    gauge("tunnels", "a relay's AMT tunnels", ({ role, tunnels }) =>
      role === "relay" ? [[{}, tunnels.length]] : [],
    ),
    gauge("groups", "groups that are joined", ({ role, groups }) =>
      role === "l2tp" ? [] : [[{}, groups.length]],
    ),
    gauge(
      "tunnel_path_mtu_octets",
      "a tunnel's path MTU, where ICMP told of a smaller one",
      (one) =>
        one.tunnels.flatMap(({ gateway, local, pathMtu }) =>
          pathMtu === undefined
            ? []
            : [[{ gateway: endpointText(gateway), local: endpointText(local) }, pathMtu] as const],
        ),
    ),
    gauge("interface_up", "whether a downstream interface can be used", ({ interfaces = [] }) =>
      interfaces.map(({ name, state }) => [{ interface: name }, state === "up" ? 1 : 0]),
    ),
    gauge("interface_groups", "groups joined on a downstream interface", ({ interfaces = [] }) =>
      interfaces.map(({ name, groups }) => [{ interface: name }, groups]),
    ),
    gauge("lane_up", "whether a lane runs", ({ lanes }) =>
      lanes.map(({ lane, state }) => [{ lane: `${lane}` }, state === "running" ? 1 : 0]),
    ),
    {
      name: "culvert_lane_restarts_total",
      type: "counter",
      help: "how often a lane was started anew after its death",
      samples: samplesOf(all, ({ lanes }) =>
        lanes.map(({ lane, restarts }) => [{ lane: `${lane}` }, restarts]),
      ),
    },
  ];
}

/** The counters of a status, each a family. */
function counters(all: readonly Labelled[]): Family[] {
  const names = new Set(all.flatMap(({ service }) => Object.keys(service.counters)));
  return Array.from(names, (counter): Family => {
    const isGauge = GAUGES.has(counter);
    return {
      name: `culvert_${counter}${isGauge ? "" : "_total"}`,
      type: isGauge ? "gauge" : "counter",
      help: meaningOf(counter),
      samples: samplesOf(all, (service) => {
        const value = service.counters[counter];
        return value === undefined ? [] : [[{}, value]];
      }),
    };
  });
}

function drops(all: readonly Labelled[]): Family {
  const samples = samplesOf(all, (service) =>
    Object.entries(service.drops).flatMap(([stage, reasons]) =>
      Object.entries(reasons).map(([reason, value]) => [{ stage, reason }, value] as const),
    ),
  );
  const occurred = new Set(samples.map(({ labels }) => labels["reason"] as DropName));
  return {
    name: "culvert_dropped_total",
    type: "counter",
    help: "packets dropped, by stage and reason",
    notes: DROPS.filter(({ name }) => occurred.has(name)).map(
      ({ name, meaning }) => `${name}: ${meaning}`,
    ),
    samples,
  };
}

function l2tpSessions(all: readonly Labelled[]): Family[] {
  return SESSION_COUNTERS.map((row): Family => {
    const { direction, name, what } = row;
    return {
      name: `culvert_l2tp_session_${direction}_${name}_total`,
      type: "counter",
      help: `${what}, of one session`,
      samples: samplesOf(all, ({ l2tp }) =>
        (l2tp?.sessions ?? []).map(({ tunnel_id, session_id, statistics }) => {
          const counts: Readonly<Record<string, number>> = statistics[direction];
          return [{ tunnel: `${tunnel_id}`, session: `${session_id}` }, counts[name]!];
        }),
      ),
    };
  });
}

/** What each service has of a family; its own labels stand first. */
function samplesOf(
  all: readonly Labelled[],
  read: (service: ServiceStatus) => readonly (readonly [Labels, number])[],
): Sample[] {
  return all.flatMap(({ service, labels }) =>
    read(service).map(([more, value]) => ({ labels: { ...labels, ...more }, value })),
  );
}
