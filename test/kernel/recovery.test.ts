/** Either side is killed and started again, or asked to end: nobody has to lend a hand, nothing stays. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { RELAY, SOURCES } from "../../src/lab/tree.ts";
import type { Namespace } from "../../src/lab/lab.ts";
import { Capture } from "./capture.ts";
import { Network, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
/** A relay whose gateways renew often, so that a loss is noticed within the test's time. */
const QUICK = ["--query-interval", "2", "--query-response-interval", "1"];
/** A Query Interval, three tries of a Request, and the start of a process on a busy machine. */
const RECOVERY_MS = 15_000;

kernelTest("a killed relay that is started again serves its old gateways", [], async (lab) => {
  const network = new Network(lab);
  const options = ["--ingress", "up0", ...QUICK];
  const relay = await network.relay(options);
  await network.gateway(0);
  const source = await network.send(GROUP);
  const listener = await network.join(0, GROUP, SOURCES[0]);
  await listener.first(5_000);

  relay.program.kill("SIGKILL");
  await relay.program.finish(5_000);
  await network.relay(options);
  const resumed = source.sent();
  await heard(listener, resumed + 250, RECOVERY_MS);
});

kernelTest("a killed gateway that is started again takes its place", [], async (lab) => {
  const network = new Network(lab);
  const relay = await network.relay(["--ingress", "up0", ...QUICK]);
  const gateway = await network.gateway(0);
  const source = await network.send(GROUP);
  const before = await network.join(0, GROUP, SOURCES[0]);
  await before.first(5_000);

  gateway.program.kill("SIGKILL");
  await gateway.program.finish(5_000);
  const again = await network.gateway(0);
  const resumed = source.sent();
  // The device has gone with its process, and with it what applications had joined there.
  const after = await network.join(0, GROUP, SOURCES[0]);
  await heard(after, resumed + 250, RECOVERY_MS);
  assert.equal((await again.status()).state, "connected");
  assert.equal((await relay.status()).tunnels.length, 1);
});

kernelTest(
  "SIGTERM ends a gateway in order: groups left, tunnel torn down, nothing stays (RFC 7450 §5.2.3.7)",
  ["dumpcap", "tshark"],
  async (lab) => {
    const network = new Network(lab);
    const host = network.tree.gateways[0];
    const before = traces(host);
    const capture = await Capture.start(lab, host, "eth0", "udp port 2268");
    const relay = await network.relay();
    const gateway = await network.gateway(0);
    await network.send(GROUP);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await listener.first(5_000);
    assert.notEqual(traces(host), before);

    assert.deepEqual(await gateway.program.stop(), { code: 0, signal: null });
    assert.equal(traces(host), before);
    assert.equal(existsSync(gateway.control), false);
    await eventually("the relay without tunnels", 2_000, async () => {
      const { tunnels, groups } = await relay.status();
      return tunnels.length === 0 && groups.length === 0;
    });
    await capture.stop();
    const sent = capture.values("amt.type", `amt && ip.dst == ${RELAY}`);
    assert.deepEqual(sent.slice(-2), ["5", "7"]);
  },
);

kernelTest("SIGTERM ends a relay in order: nothing of it stays", [], async (lab) => {
  const network = new Network(lab);
  const host = network.tree.relay;
  const before = traces(host);
  for (const options of [
    ["--ingress", "up0"],
    ["--tun", "amt0"],
  ]) {
    const relay = await network.relay(options);
    const gateway = await network.gateway(0);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await eventually("the membership at the relay", 5_000, async () => {
      return (await relay.status()).groups.some((group) => group.group === GROUP);
    });
    assert.notEqual(traces(host), before);

    assert.deepEqual(await relay.program.stop(), { code: 0, signal: null });
    assert.equal(traces(host), before);
    assert.equal(existsSync(relay.control), false);
    await listener.leave();
    await gateway.program.stop();
  }
});

/** What a process can leave behind in a host: devices, addresses, routes, rules, memberships. */
function traces(host: Namespace): string {
  const shown = [
    ["link", "show"],
    ["address", "show"],
    ["route", "show", "table", "all"],
    ["-6", "route", "show", "table", "all"],
    ["rule", "show"],
    ["maddress", "show"],
  ];
  const bare = (line: string) => line.replace(/(expires|users|valid_lft|preferred_lft) \S+/g, "");
  return shown
    .map((words) => host.ip(...words))
    .join("")
    .split("\n")
    .map(bare)
    .join("\n");
}
