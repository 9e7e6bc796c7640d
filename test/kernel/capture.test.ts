/** tshark as the judge of every message that a relay and a gateway send each other. */
import assert from "node:assert/strict";
import { SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { Network, counted } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const COUNT = 200;

kernelTest(
  "tshark dissects all seven messages without a complaint (RFC 7450 §5.1)",
  ["dumpcap", "tshark", "ethtool"],
  async (lab) => {
    const network = new Network(lab);
    network.withoutOffload();
    const capture = await Capture.start(
      lab,
      network.tree.gateways[0],
      "eth0",
      "udp port 2268 or icmp",
    );

    await network.relay();
    const gateway = await network.gateway(0, "--discovery");
    const listeners = [
      await network.join(0, "232.1.1.1", SOURCES[0]),
      await network.join(0, "ff3e::1:1", SOURCES_6[0]),
    ];
    const rate = 100;
    const sources = await Promise.all([
      network.send("232.1.1.1", { rate }),
      network.send("ff3e::1:1", { rate, source: SOURCES_6[0] }),
    ]);
    for (const listener of listeners) await counted(listener, COUNT);
    for (const source of sources) await source.stop();
    assert.deepEqual(await gateway.program.stop(), { code: 0, signal: null });
    await capture.stop();

    const types = new Set(capture.values("amt.type", "amt"));
    assert.deepEqual([...types].sort(), ["1", "2", "3", "4", "5", "6", "7"]);
    assert.deepEqual(capture.faults(), []);
    // Both families inside, each with its own membership protocol.
    for (const inner of [
      "igmp.type == 0x11",
      "igmp.type == 0x22",
      "icmpv6.type == 130",
      "icmpv6.type == 143",
    ])
      assert.notEqual(capture.values("frame.number", `amt && ${inner}`).length, 0, inner);
    // What a gateway sends after its Teardown would build the tunnel anew.
    const last = capture.values("amt.type", "amt && ip.src == 192.0.2.11").at(-1);
    assert.equal(last, "7");
  },
);
