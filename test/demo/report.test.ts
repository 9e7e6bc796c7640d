import assert from "node:assert/strict";
import { test } from "node:test";
import { isFlawless, renderReport } from "../../src/demo/report.ts";
import type { DemoReport, ListenerRow } from "../../src/demo/report.ts";
import type { ServiceStatus } from "../../src/runtime/service.ts";

const ROW: ListenerRow = {
  name: "on gateway 1",
  received: 15_400,
  lost: 0,
  duplicated: 0,
  outOfOrder: 0,
  throughput: 21_056_000,
  joinLatency: 16.6,
  delay: 0.264,
};
const RELAY: ServiceStatus = {
  name: "relay",
  role: "relay",
  state: "serving",
  local: [{ address: "192.0.2.1", port: 2268 }],
  uptimeSeconds: 9,
  tunnels: [],
  groups: [],
  lanes: [],
  counters: {},
  drops: { ingest: { "no-route": 600 } },
};

function report(listeners: readonly ListenerRow[], daemons: ServiceStatus[] = []): DemoReport {
  const named = new Map(daemons.map((daemon) => [daemon.name, daemon]));
  return { sent: 16_000, offered: 21_056_000, listeners, daemons: named };
}

test("the report shows counts, rates and times in aligned columns, drops with their meaning", () => {
  assert.deepEqual(renderReport(report([ROW], [RELAY])).split("\n"), [
    "                       packets  lost  twice  late   throughput  join latency    delay",
    "sent by the source      16,000                     21.1 Mbit/s",
    "received on gateway 1   15,400     0      0     0  21.1 Mbit/s         17 ms  0.26 ms",
    "",
    "drops by reason:",
    "  relay  ingest  no-route  600  nobody asked for this source and group",
    "",
    "It works: 15,400 packets reached 1 listener, 0 lost.",
  ]);
});

test("a lost packet, a copy, a swap or a silent listener fails the demonstration", () => {
  assert.equal(isFlawless(report([ROW, ROW])), true);
  for (const fault of [{ lost: 1 }, { duplicated: 1 }, { outOfOrder: 1 }, { received: 0 }])
    assert.equal(isFlawless(report([ROW, { ...ROW, ...fault }])), false, JSON.stringify(fault));
});

test("the verdict says what failed", () => {
  const silent = { ...ROW, received: 0, joinLatency: undefined };
  assert.match(
    renderReport(report([ROW, silent])),
    /none came.*\n\ndrops: none\n\nIt failed: nothing was received on gateway 1\.$/s,
  );
  assert.match(
    renderReport(report([{ ...ROW, received: 999, lost: 1 }])),
    /It failed: 1 of 1,000 packets lost, 0 came twice, 0 late\.$/,
  );
});
