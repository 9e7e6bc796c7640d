/**
 * A relay behind the host's own multicast routing:
 *
 *     source ──── up0, kernel's routing, amt0, relay ──── gateway: listener
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { RELAY, RELAY_6, SOURCES } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { Network, counted, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const COUNT = 500;

kernelTest(
  "a relay takes what the host's multicast routing forwards, and tells it of the joins",
  ["dumpcap", "tshark"],
  async (lab) => {
    const network = new Network(lab);
    const host = network.tree.relay;
    host.sysctl("net/ipv4/ip_forward", 1);
    await network.relay(["--tun", "amt0"]);
    const capture = await Capture.start(lab, host, "amt0", "igmp");
    const program = fileURLToPath(new URL("programs/mroute.js", import.meta.url));
    const router = host.start(process.execPath, [program, SOURCES[0], GROUP, "up0", "amt0"]);
    await router.line(/^routing$/, "stdout", 5_000);

    await network.gateway(0);
    const source = await network.send(GROUP);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await counted(listener, COUNT);
    const { sent } = await source.stop();
    await heard(listener, sent - 1);
    const { streams } = await listener.leave();
    await capture.stop();

    assert.deepEqual(
      streams.map(({ source: from, lost, duplicated }) => [from, lost, duplicated]),
      [[SOURCES[0], 0, 0]],
    );
    // A routing daemon would see who asked, and for what.
    const reports = capture.values("igmp.maddr", "igmp.type == 0x22");
    assert.ok(reports.some((groups) => groups.includes(GROUP)));
    const asked = capture.values("igmp.saddr", "igmp.type == 0x22");
    assert.ok(asked.some((sources) => sources.includes(SOURCES[0])));
  },
);

kernelTest(
  "every lane of every endpoint of a relay takes what is forwarded into its device",
  [],
  async (lab) => {
    const network = new Network(lab);
    const host = network.tree.relay;
    host.sysctl("net/ipv4/ip_forward", 1);
    const relay = await network.relay(["--tun", "amt0", "--lanes", "2"], [RELAY, RELAY_6]);
    const program = fileURLToPath(new URL("programs/mroute.js", import.meta.url));
    const router = host.start(process.execPath, [program, SOURCES[0], GROUP, "up0", "amt0"]);
    await router.line(/^routing$/, "stdout", 5_000);

    await Promise.all([network.gateway(0), network.gateway(1, "--relay", RELAY_6)]);
    const listeners = await Promise.all([
      network.join(0, GROUP, SOURCES[0]),
      network.join(1, GROUP, SOURCES[0]),
    ]);
    await eventually(
      "both tunnels",
      5_000,
      async () => (await relay.status()).tunnels.length === 2,
    );
    const source = await network.send(GROUP, { count: COUNT });
    await source.report(10_000);
    for (const listener of listeners) await heard(listener, COUNT - 1);
    const { tunnels } = await relay.status();
    const reports = await Promise.all(listeners.map((listener) => listener.leave()));

    // The second tunnel's lane is not the one that reads the device.
    assert.deepEqual(new Set(tunnels.map(({ local }) => local.address)), new Set([RELAY, RELAY_6]));
    for (const { streams } of reports)
      assert.deepEqual(
        streams.map(({ source: from, received, lost, duplicated }) => [
          from,
          received,
          lost,
          duplicated,
        ]),
        [[SOURCES[0], COUNT, 0, 0]],
      );
  },
);
