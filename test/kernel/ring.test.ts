/** A relay that reads its ingress by a packet ring in its lane's arena, and one that does not. */
import assert from "node:assert/strict";
import { SOURCES } from "../../src/lab/tree.ts";
import { Network, counted, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const COUNT = 1_000;

for (const [how, plan, expected] of [
  ["datagrams", {}, "frames"],
  ["trains that exceed a frame", { segments: 20, size: 1_316, rate: 2_000 }, "calls"],
] as const)
  kernelTest(`a relay takes ${how} by ring and queue, and by calls alone`, [], async (lab) => {
    const network = new Network(lab);
    for (const option of ["on", "off"]) {
      const relay = await network.relay(["--ingress", "up0", "--ingress-ring", option]);
      const gateway = await network.gateway(0);
      const listener = await network.join(0, GROUP, SOURCES[0]);
      const source = await network.send(GROUP, plan);
      await counted(listener, COUNT);
      const { sent } = await source.stop();
      await heard(listener, sent - 1);
      const { streams } = await listener.leave();
      assert.deepEqual(
        streams.map(({ lost, duplicated, outOfOrder }) => [lost, duplicated, outOfOrder]),
        [[0, 0, 0]],
      );
      const { counters } = await relay.status();
      const { ring_frames: frames = 0, ingest_received: received = 0 } = counters;
      if (option === "on" && expected === "frames") assert.equal(frames, received);
      else assert.equal(frames, 0);
      assert.ok(received >= COUNT);
      assert.equal(counters["ingress_lost"], 0);
      for (const daemon of [gateway, relay]) await daemon.program.stop();
    }
  });

kernelTest(
  "what a relay that stands still has no room for is counted, and it goes on after that",
  [],
  async (lab) => {
    const network = new Network(lab);
    const relay = await network.relay(["--ingress", "up0"]);
    await network.gateway(0);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    const first = await network.send(GROUP);
    await counted(listener, 100);
    const { sent: before } = await first.stop();
    await heard(listener, before - 1);
    const at = (await relay.status()).counters["ingest_received"]!;

    // More than the frames of a ring of 32 MiB.
    const MANY = 20_000;
    const ROOM = 16_384;
    relay.program.kill("SIGSTOP");
    const second = await network.send(GROUP, { rate: 20_000, count: MANY, source: SOURCES[1] });
    await second.report(60_000);
    relay.program.kill("SIGCONT");
    let lost = 0;
    await eventually("all that was kept", 30_000, async () => {
      const { counters } = await relay.status();
      lost = counters["ingress_lost"]!;
      return counters["ingest_received"]! - at + lost === MANY;
    });
    assert.equal(lost, MANY - ROOM);

    const third = await network.send(GROUP);
    await counted(listener, before + 500);
    const { sent } = await third.stop();
    await heard(listener, sent - 1);
  },
);
