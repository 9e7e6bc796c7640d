/** What the source's kernel leaves undone, the relay finishes: listeners get ordinary datagrams. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { startCulvert } from "../../src/demo/daemon.ts";
import { readPayload } from "../../src/lab/payload.ts";
import type { SourcePlan } from "../../src/lab/stream.ts";
import { RELAY, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { DEVICE, Network, PORT, counted, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const COUNT = 2_000;
const SIZE = 1_316;
const TRAINS = { segments: 20, size: SIZE, rate: 2_000 };

const TRIALS: readonly { name: string; group: string; plan: Partial<SourcePlan> }[] = [
  {
    name: "datagrams whose checksum the source's device was to make",
    group: "232.1.1.1",
    plan: { size: SIZE, rate: 1_000 },
  },
  {
    name: "trains that the source's device was to cut (UDP_SEGMENT)",
    group: "232.1.1.1",
    plan: TRAINS,
  },
  {
    name: "IPv6 trains that the source's device was to cut (UDP_SEGMENT)",
    group: "ff3e::1:1",
    plan: { ...TRAINS, source: SOURCES_6[0] },
  },
];

for (const { name, group, plan } of TRIALS)
  kernelTest(
    `${name} arrive as ordinary datagrams`,
    ["dumpcap", "tshark", "ethtool"],
    async (lab) => {
      const network = new Network(lab);
      network.withoutOffload();
      await network.relay();
      await network.gateway(0);
      const from = plan.source ?? SOURCES[0];
      const listener = await network.join(0, group, from);
      const tunnel = await Capture.start(lab, network.tree.gateways[0], "eth0", "udp port 2268");
      const source = await network.send(group, plan);
      await counted(listener, COUNT);
      const { sent } = await source.stop();
      await heard(listener, sent - 1);
      const report = await listener.leave();
      await tunnel.stop();

      assert.deepEqual(
        report.streams.map((stream) => [stream.source, stream.lost, stream.duplicated]),
        [[from, 0, 0]],
      );
      assert.equal(report.foreign, 0);
      const layer = group.includes(":") ? "ipv6" : "ip";
      const headers = 8 + 2 + (layer === "ip" ? 20 : 40);
      const inner = `amt.type == 6 && ${layer}.src == ${from}`;
      const lengths = new Set(tunnel.values("udp.length", inner));
      assert.deepEqual([...lengths], [`${headers + SIZE + 8},${SIZE + 8}`]);
      assert.deepEqual(tunnel.faults(), []);
    },
  );

kernelTest(
  "a receiver without device or privilege writes the payloads of one source",
  [],
  async (lab) => {
    const network = new Network(lab);
    await network.relay();
    await network.send("232.1.1.1");
    await network.send("232.1.1.1", { source: SOURCES[1] });
    const file = path.join(lab.folder, "stream");
    const url = `amt://${SOURCES[0]}@232.1.1.1:${PORT}`;
    const host = network.tree.gateways[1];
    const wanted = ["--count", "200", "--timeout", "10", "-o", file];
    const receive = startCulvert(host, "receive", url, "--relay", RELAY, ...wanted);
    const end = await receive.finish(15_000);
    assert.deepEqual(end, { code: 0, signal: null }, receive.stderr);

    const octets = readFileSync(file);
    assert.equal(octets.length, 200 * 500);
    const numbers = Array.from(
      { length: 200 },
      (_, i) => readPayload(octets.subarray(i * 500, (i + 1) * 500))?.sequence ?? -1,
    );
    const first = numbers[0]!;
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => first + i),
    );
    assert.doesNotMatch(host.ip("link", "show"), new RegExp(DEVICE));
  },
);
