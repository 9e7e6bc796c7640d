/**
 * A relay behind the host's own multicast routing:
 *
 *     source ──── up0, kernel's routing, amt0, relay ──── gateway: listener
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { SOURCES } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { Network, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const COUNT = 1_000;

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
    const source = await network.send(GROUP, COUNT);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await listener.first(5_000);
    await source.report(10_000);
    await heard(listener, COUNT - 1);
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
