/** Very many gateways join while a stream is under way to one that has joined before. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { GATEWAYS, RELAY, SOURCES } from "../../src/lab/tree.ts";
import { Network, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const COUNT = 5_000;
/** What they all could have for addresses: see the program. */
const CROWD = "10.96.0.0/15";
const JOIN_MS = 120_000;

kernelTest(`while ${COUNT} gateways join, no packet of a stream is lost`, [], async (lab) => {
  const network = new Network(lab);
  const { relay: box, gateways } = network.tree;
  const crowd = gateways[1];
  box.route(CROWD, "br0", GATEWAYS[1]);
  crowd.sysctl("net/ipv4/ip_forward", 1);
  crowd.ip("tuntap", "add", "mode", "tun", "name", "crowd0");
  crowd.up("crowd0");
  crowd.route(CROWD, "crowd0");
  const room = ["--max-tunnels", `${COUNT + 1}`];
  const relay = await network.relay(["--ingress", "up0", ...room]);
  await network.gateway(0);
  const listener = await network.join(0, GROUP, SOURCES[0]);
  const source = await network.send(GROUP, { rate: 2_000, size: 1_000 });
  await listener.first(5_000);

  const file = fileURLToPath(new URL("../../bench/state/join-crowd.js", import.meta.url));
  const args = [file, "crowd0", RELAY, "198.51.100.9", `${COUNT}`];
  const program = crowd.start(process.execPath, args);
  const end = await program.finish(JOIN_MS);
  assert.deepEqual(end, { code: 0, signal: null }, program.stderr);
  await eventually(
    "all tunnels",
    30_000,
    async () => (await relay.status()).tunnels.length === COUNT + 1,
  );
  const { sent } = await source.stop();
  await heard(listener, sent - 1);
  const { streams } = await listener.leave();
  const { groups, drops } = await relay.status();

  assert.deepEqual(
    streams.map(({ source: from, lost, duplicated }) => [from, lost, duplicated]),
    [[SOURCES[0], 0, 0]],
  );
  assert.ok(sent > COUNT / 10, `${sent} packets while they joined`);
  // Each of the crowd asked for ten groups, of a hundred.
  const joined = groups.filter(({ group }) => group.startsWith("232.9."));
  assert.equal(joined.length, 100);
  assert.equal(
    joined.reduce((sum, { members }) => sum + members, 0),
    10 * COUNT,
  );
  assert.deepEqual(drops["egress"] ?? {}, {});
});
