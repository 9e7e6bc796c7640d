/** Relays with several ingress interfaces, and with more groups than a socket of the kernel takes. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Daemon, startCulvert } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { startListener, startSource } from "../../src/lab/stream.ts";
import type { Listener, Source, SourcePlan } from "../../src/lab/stream.ts";
import { counted, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const RELAY = "192.0.2.1";
const GATEWAY = "192.0.2.11";
const DEVICE_ADDRESS = "203.0.113.1";
const PORT = 5000;
const SOURCE = "198.51.100.1";
const SOURCE_6 = "2001:db8:1::1";

/**
 * A switch between source and relay, that has the relay on two ports:
 *
 *     source eth0 ──── s0 switch br0 s1 ──── up0 relay out ──── eth0 gateway
 *                                 s2 ──── up1
 */
function buildNetwork(lab: Lab) {
  const [source, bridge, relay, gateway] = ["source", "switch", "relay", "gateway"].map((name) =>
    lab.namespace(name),
  ) as [Namespace, Namespace, Namespace, Namespace];
  lab.connect(source, "eth0", bridge, "s0");
  lab.connect(relay, "up0", bridge, "s1");
  lab.connect(relay, "up1", bridge, "s2");
  lab.connect(relay, "out", gateway, "eth0");
  bridge.bridge("br0", "s0", "s1", "s2");
  source.address("eth0", `${SOURCE}/24`, `${SOURCE_6}/64`);
  source.multicastRoute("eth0");
  relay.address("up0", "198.51.100.2/24");
  relay.address("up1", "198.51.100.3/24");
  relay.address("out", `${RELAY}/24`);
  gateway.address("eth0", `${GATEWAY}/24`);
  return { source, bridge, relay, gateway };
}

type Network = ReturnType<typeof buildNetwork>;

function startRelay(lab: Lab, { relay }: Network, ...options: string[]): Promise<Daemon> {
  return Daemon.start(relay, lab.folder, "relay", ["relay", "--local", RELAY, ...options]);
}

/** A gateway, and a listener on its device: of SOURCE alone where the group is source-specific. */
async function join(lab: Lab, { gateway }: Network, group: string): Promise<Listener> {
  const ends = ["--local", GATEWAY, "--relay", RELAY];
  const args = ["gateway", ...ends, "--tun", "culvert0", "--address", `${DEVICE_ADDRESS}/32`];
  await Daemon.start(gateway, lab.folder, "gateway", args);
  const plan = { group, port: PORT, device: "culvert0", address: DEVICE_ADDRESS };
  return startListener(gateway, group.startsWith("232.") ? { ...plan, sources: [SOURCE] } : plan);
}

function send(host: Namespace, group: string, plan: Partial<SourcePlan> = {}): Promise<Source> {
  const usual = { port: PORT, source: SOURCE, device: "eth0", size: 200, rate: 500, ttl: 8 };
  return startSource(host, { ...usual, group, ...plan });
}

for (const [means, options] of [
  ["packet sockets", []],
  ["sockets of its port", ["--ingress-ports", `${PORT}`]],
] as const)
  kernelTest(
    `a stream on two ingress interfaces, taken by ${means}, is relayed once, and goes on over the other when one fails`,
    [],
    async (lab) => {
      const network = buildNetwork(lab);
      for (const name of ["all", "up0", "up1"])
        network.relay.sysctl(`net/ipv4/conf/${name}/rp_filter`, 0);
      const both = ["--ingress", "up0", "--ingress", "up1"];
      const relay = await startRelay(lab, network, ...both, ...options);
      const listener = await join(lab, network, "232.1.1.1");
      const source = await send(network.source, "232.1.1.1");
      await counted(listener, 1_000);
      const { drops } = await relay.status();
      assert.ok(drops["ingest"]!["other-ingress"]! >= 500, JSON.stringify(drops));
      const before = listener.progress()!.streams[0]!;
      assert.deepEqual([before.lost, before.duplicated], [0, 0]);

      // Which one was first is the kernel's affair; only one of these can interrupt the stream.
      for (const device of ["up0", "up1"]) {
        network.relay.ip("link", "set", device, "down");
        await counted(listener, listener.progress()!.streams[0]!.received + 1_000);
        network.relay.up(device);
        await counted(listener, listener.progress()!.streams[0]!.received + 1_000);
      }
      const { sent } = await source.stop();
      await heard(listener, sent - 1);
      const { streams } = await listener.leave();
      assert.deepEqual(
        streams.map(({ source: from, duplicated }) => [from, duplicated]),
        [[SOURCE, 0]],
      );
    },
  );

kernelTest(
  "sources behind different ingress interfaces are relayed whole, each from its own",
  [],
  async (lab) => {
    const network = buildNetwork(lab);
    const { source, bridge, relay } = network;
    bridge.ip("link", "set", "s2", "nomaster");
    lab.connect(source, "eth1", bridge, "s3");
    bridge.bridge("br1", "s2", "s3");
    source.address("eth1", "198.51.101.1/24");
    relay.address("up1", "198.51.101.2/24");
    const daemon = await startRelay(lab, network, "--ingress", "up0,up1");
    const listener = await join(lab, network, "239.1.1.1");
    const sources = await Promise.all([
      send(source, "239.1.1.1"),
      send(source, "239.1.1.1", { source: "198.51.101.1", device: "eth1" }),
    ]);
    const reached = () => (listener.progress()?.streams ?? []).filter(({ last }) => last > 500);
    await eventually("both sources", 20_000, () => reached().length === 2);
    for (const each of sources) await each.stop();
    const { streams } = await listener.leave();
    for (const { lost, duplicated } of streams) assert.deepEqual([lost, duplicated], [0, 0]);
    const { drops } = await daemon.status();
    assert.equal(drops["ingest"]?.["other-ingress"], undefined);
  },
);

for (const [means, options] of [
  ["a packet ring", []],
  ["system calls", ["--ingress-ring", "off"]],
  ["sockets of its port", ["--ingress-ports", `${PORT}`]],
] as const)
  kernelTest(
    `an ingress interface that is deleted and made anew is taken up again, read by ${means}`,
    [],
    async (lab) => {
      const network = buildNetwork(lab);
      const { bridge, relay } = network;
      const daemon = await startRelay(lab, network, "--ingress", "up0", ...options);
      const listener = await join(lab, network, "232.1.1.1");
      const source = await send(network.source, "232.1.1.1");
      await counted(listener, 200);
      relay.ip("link", "del", "up0");
      await daemon.program.line(/culvert: relay: ingress up0 is gone/, "stderr", 20_000);
      lab.connect(relay, "up0", bridge, "s1");
      bridge.ip("link", "set", "s1", "master", "br0");
      relay.address("up0", "198.51.100.2/24");
      await daemon.program.line(/culvert: relay: ingress up0 is up again/, "stderr", 20_000);
      await counted(listener, listener.progress()!.streams[0]!.received + 500);
      await source.stop();
    },
  );

kernelTest(
  "a bridge is an ingress; its port is refused, and the bridge is named",
  [],
  async (lab) => {
    const network = buildNetwork(lab);
    const { relay } = network;
    for (const device of ["up0", "up1"]) relay.ip("address", "flush", "dev", device);
    network.bridge.ip("link", "set", "s2", "nomaster"); // or the two bridges were a loop
    relay.bridge("lan", "up0", "up1");
    relay.address("lan", "198.51.100.2/24");
    const refused = startCulvert(relay, "relay", "--local", RELAY, "--ingress", "up0");
    await refused.finish(20_000);
    assert.equal(refused.exit?.code, 1);
    assert.match(
      refused.stderr,
      /ingress up0: expected an interface of its own, got a port of bridge lan; name lan in its place/,
    );

    await startRelay(lab, network, "--ingress", "lan");
    const listener = await join(lab, network, "232.1.1.1");
    const source = await send(network.source, "232.1.1.1");
    await counted(listener, 500);
    const { sent } = await source.stop();
    await heard(listener, sent - 1);
    const { streams } = await listener.leave();
    assert.deepEqual(
      streams.map(({ lost, duplicated }) => [lost, duplicated]),
      [[0, 0]],
    );
  },
);

const MANY = 10_000;
const GATEWAYS = 10;
/** Octets that the relay may grow by for each group. */
const GROUP_ROOM = 20_000;

for (const [family, source, first, prefix, samples] of [
  [4, SOURCE, "232.8.0.0", "232.8.", ["232.8.0.0", "232.8.19.136", "232.8.39.15"]],
  [
    6,
    SOURCE_6,
    "ff3e::8008:0",
    "ff3e::8008:",
    ["ff3e::8008:0", "ff3e::8008:1388", "ff3e::8008:270f"],
  ],
] as const)
  kernelTest(
    `${MANY} IPv${family} groups are joined through a snooping switch, stay through its queries, and are left`,
    [],
    async (lab) => {
      const network = buildNetwork(lab);
      const { bridge } = network;
      bridge.ip("link", "set", "s2", "down");
      const versions = ["mcast_igmp_version", "3", "mcast_mld_version", "2"];
      const limits = ["mcast_hash_max", "65536", "mcast_querier", "1", "mcast_snooping", "1"];
      // In hundredths of a second: who does not answer is forgotten after six seconds.
      const times = ["mcast_query_interval", "200", "mcast_query_response_interval", "100"];
      const forgets = ["mcast_membership_interval", "600", "mcast_startup_query_interval", "100"];
      bridge.ip(
        ...["link", "set", "br0", "type", "bridge"],
        ...[...versions, ...limits, ...times, ...forgets],
      );
      /** Sources of our groups that the switch lets through to the relay. */
      const snooped = (): number => {
        const text = bridge.run("bridge", "mdb", "show", "dev", "br0");
        return text
          .split("\n")
          .filter(
            (line) => line.includes(` port s1 grp ${prefix}`) && line.includes(` src ${source}`),
          ).length;
      };

      const relay = await startRelay(lab, network, "--ingress", "up0", "--max-groups", "1000");
      const { pid } = relay.program;
      const resident = (): number =>
        1_024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
      const atFirst = resident();
      const program = fileURLToPath(new URL("programs/crowd.js", import.meta.url));
      const each = `${MANY / GATEWAYS}`;
      const args = [program, RELAY, GATEWAY, `${GATEWAYS}`, each, source, first];
      const crowd = network.gateway.start(process.execPath, args);
      await crowd.line(/^joined$/, "stdout", 60_000);
      await eventually("all groups in the switch", 60_000, () => snooped() === MANY);
      const grown = resident() - atFirst;
      assert.ok(grown < MANY * GROUP_ROOM, `${grown} octets`);
      const descriptors = readdirSync(`/proc/${pid}/fd`).length;
      assert.ok(descriptors < 700, `${descriptors} descriptors`);

      const sources = await Promise.all(
        samples.map((group) => send(network.source, group, { source, rate: 100 })),
      );
      await crowd.line(new RegExp(`^heard ${samples.length}$`), "stdout", 20_000);
      // Three times the queries' interval, and longer than the switch remembers.
      await eventually("data of ten seconds", 60_000, () =>
        sources.every((one) => one.sent() > 1_000),
      );
      assert.equal(snooped(), MANY);
      const { counters, drops } = await relay.status();
      assert.equal(counters["upstream_joins_waiting"], 0);
      assert.equal(drops["ingest"]?.["no-route"], undefined);

      crowd.input("leave\n");
      await crowd.line(/^left$/, "stdout", 60_000);
      await eventually("no group in the switch", 60_000, () => snooped() === 0);
      await eventually(
        "no socket of a membership",
        20_000,
        () => readdirSync(`/proc/${pid}/fd`).length < 100,
      );
    },
  );
