import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { prometheusText } from "../../src/cli/status-prometheus.ts";
import { expositionText } from "../../src/metrics/exposition.ts";
import { nameCounters } from "../../src/metrics/ledger.ts";
import { nameStatistics, nameTotals } from "../../src/metrics/l2tp.ts";
import { MEANINGS } from "../../src/metrics/meanings.ts";
import { NO_COUNTERS } from "../../src/runtime/l2tp-counters.ts";
import type { ServiceStatus } from "../../src/runtime/service.ts";
import { ROOT } from "../docs/pages.ts";
import { readExposition } from "./exposition.ts";

const STATUS: ServiceStatus = {
  name: "north",
  role: "relay",
  state: "serving",
  local: [{ address: "192.0.2.1", port: 2268 }],
  uptimeSeconds: 61,
  tunnels: [
    {
      gateway: { address: "2001:db8::7", port: 40_000 },
      local: { address: "2001:db8::1", port: 2268 },
      sinceSeconds: 1,
      groups: 2,
      pathMtu: 1_400,
    },
    {
      gateway: { address: "192.0.2.7", port: 40_000 },
      local: { address: "192.0.2.1", port: 2268 },
      sinceSeconds: 1,
      groups: 2,
    },
  ],
  groups: [{ group: "232.1.1.1", mode: "include", sources: ["192.0.2.9"], members: 2 }],
  lanes: [
    { lane: 0, state: "running", restarts: 0 },
    { lane: 1, state: "dead", restarts: 3 },
  ],
  counters: { ...nameCounters([], []), upstream_joins_waiting: 4, amt_update_accepted: 9 },
  drops: { ingest: { "no-route": 7, "ttl-expired": 1 }, machine: { "bad-mac": 2 } },
};

const L2TP: ServiceStatus = {
  ...STATUS,
  name: "l2tp",
  role: "l2tp",
  tunnels: [],
  groups: [],
  drops: {},
  counters: nameTotals(1, 1, NO_COUNTERS),
  l2tp: {
    tunnels: [],
    sessions: [
      {
        session_id: 10,
        tunnel_id: 1,
        peer_session_id: 20,
        peer_tunnel_id: 2,
        pwtype: "eth",
        l2spec_type: "none",
        mtu: 1_446,
        statistics: nameStatistics({ ...NO_COUNTERS, rxPackets: 5 }),
      },
    ],
  },
};

test("what is quoted or escaped reads back from Prometheus' text format", () => {
  const labels = { path: 'a\\b"c\nd,e={}', plain: "x" };
  const help = "back\\slash, and a\nline";
  const text = expositionText([
    {
      name: "one_total",
      type: "counter",
      help,
      notes: ["a note"],
      samples: [{ labels, value: 1 }],
    },
    { name: "none", type: "gauge", help, samples: [] },
    { name: "bare", type: "gauge", help: "no labels", samples: [{ labels: {}, value: 2.5 }] },
  ]);
  const families = readExposition(text);
  assert.deepEqual([...families.keys()], ["one_total", "bare"]);
  assert.deepEqual([...families.get("one_total")!.values], [[JSON.stringify(labels), 1]]);
  assert.equal(families.get("one_total")!.help, "back\\\\slash, and a\\nline");
  assert.deepEqual([...families.get("bare")!.values], [["{}", 2.5]]);
});

test("a status for Prometheus has every counter, drop, lane and session as a series of its own", () => {
  const other = { ...STATUS, name: "south", drops: { ingest: { "no-route": 1 } } };
  const text = prometheusText([
    { pid: 7, services: [STATUS, L2TP] },
    { pid: 8, services: [STATUS, other] },
  ]);
  const families = readExposition(text);
  const value = (name: string, labels: object) =>
    families.get(`culvert_${name}`)?.values.get(JSON.stringify(labels));
  const relay = { service: "north", role: "relay", pid: "7" };
  for (const [counter, count] of Object.entries(STATUS.counters)) {
    const isGauge = counter === "upstream_joins_waiting";
    assert.equal(value(isGauge ? counter : `${counter}_total`, relay), count, counter);
  }
  const dropped = { ...relay, stage: "ingest", reason: "no-route" };
  assert.equal(value("dropped_total", dropped), 7);
  assert.equal(value("dropped_total", { ...dropped, service: "south", pid: "8" }), 1);
  assert.match(text, /\n# no-route: nobody asked for this source and group\n/);
  assert.equal(value("lane_restarts_total", { ...relay, lane: "1" }), 3);
  assert.deepEqual(
    ["0", "1"].map((lane) => value("lane_up", { ...relay, lane })),
    [1, 0],
  );
  assert.equal(value("tunnels", relay), 2);
  const ends = { gateway: "[2001:db8::7]:40000", local: "[2001:db8::1]:2268" };
  assert.equal(value("tunnel_path_mtu_octets", { ...relay, ...ends }), 1_400);
  assert.equal(families.get("culvert_tunnel_path_mtu_octets")!.values.size, 3);
  const session = { service: "l2tp", role: "l2tp", pid: "7", tunnel: "1", session: "10" };
  assert.equal(value("l2tp_session_rx_packets_total", session), 5);
  assert.equal(families.get("culvert_l2tp_tunnels")?.type, "gauge");
});

test("every counter that stands in the source has a meaning", () => {
  const folder = `${ROOT}/src/runtime`;
  const sources = readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`, "utf8"));
  const counted = sources.flatMap((source) =>
    [...source.matchAll(/\.count\(([^;]*)\);/g)].flatMap(([, given]) =>
      [...given!.matchAll(/"(\w+_\w+)"/g)].map(([, name]) => name!),
    ),
  );
  assert.ok(counted.length >= 5);
  const names = [
    ...Object.keys(nameCounters([], [])),
    ...Object.keys(nameTotals(0, 0, NO_COUNTERS)),
  ];
  for (const name of [...names, ...counted]) assert.ok(MEANINGS[name], `${name} has no meaning`);
});
