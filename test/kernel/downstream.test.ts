/** Hosts of a LAN behind a gateway, of all versions of IGMP and MLD: see the drawing in `lan.ts`. */
import assert from "node:assert/strict";
import type { Daemon } from "../../src/demo/daemon.ts";
import type { Listener, ListenerReport } from "../../src/lab/stream.ts";
import { DEVICES, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import type { InterfaceStatus } from "../../src/runtime/service.ts";
import { Capture } from "./capture.ts";
import { DEVICE, PORT, eventually } from "./culvert.ts";
import { EXPIRY_MS, LAN_ADDRESS, LAN_DEVICE, Lan, PATIENCE_MS, begins, goesOn } from "./lan.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "239.1.1.1";
const GROUP_6 = "ff0e::1:1";

/** Nothing was lost, doubled or out of order. */
function assertWhole({ streams }: ListenerReport): void {
  assert.ok(streams.length > 0);
  for (const stream of streams)
    assert.deepEqual(
      [stream.lost, stream.duplicated, stream.outOfOrder],
      [0, 0, 0],
      JSON.stringify(stream),
    );
}

/** What the gateway says of its interfaces. */
async function interfaces(gateway: Daemon): Promise<readonly InterfaceStatus[]> {
  return (await gateway.status()).interfaces!;
}

/** Waits until the gateway asks for nothing of a group, or for these sources of it. */
async function asks(
  gateway: Daemon,
  group: string,
  expected: readonly string[] | "any" | "nothing",
  milliseconds: number,
): Promise<void> {
  await eventually(`${expected.toString()} of ${group}`, milliseconds, async () => {
    const asked = (await gateway.status()).groups.find((one) => one.group === group);
    if (!asked) return expected === "nothing";
    const all = asked.mode === "exclude" && asked.sources.length === 0;
    if (typeof expected === "string" || all) return expected === "any" && all;
    return asked.sources.toSorted().join() === expected.toSorted().join();
  });
}

for (const { name, group, source, versions } of [
  {
    name: "IGMPv1, IGMPv2 and IGMPv3 (RFC 3376 §7.3.2)",
    group: GROUP,
    source: SOURCES[0],
    versions: [1, 2, 3],
  },
  {
    name: "MLDv1, MLDv1 and MLDv2 (RFC 3810 §8.3.2)",
    group: GROUP_6,
    source: SOURCES_6[0],
    versions: [1, 1, 2],
  },
] as const)
  kernelTest(
    `hosts of ${name} share a group, and one's leave never cuts off another`,
    [],
    async (lab) => {
      const lan = new Lan(lab);
      for (const [i, version] of versions.entries())
        lan.speak(i, version as 1 | 2 | 3, Math.min(version, 2) as 1 | 2);
      const gateway = await lan.start("--downstream", LAN_DEVICE);
      const listeners: Listener[] = [];
      for (const i of [0, 1, 2]) listeners.push(await lan.join(i, group));
      const [oldest, older, newest] = listeners as [Listener, Listener, Listener];
      await asks(gateway, group, "any", PATIENCE_MS);
      await lan.network.send(group, { source });
      await Promise.all(listeners.map(begins));

      await Promise.all(listeners.map((listener) => goesOn(listener)));
      assertWhole(await older.leave());
      // Longer than the Last Member Query Time: whom the leave cuts off gets nothing any more.
      await Promise.all([oldest, newest].map((listener) => goesOn(listener, 2_000)));
      assertWhole(await newest.leave());
      await goesOn(oldest, 2_000);
      assertWhole(await oldest.leave());
      // An IGMPv1 host leaves without a word.
      await asks(gateway, group, "nothing", EXPIRY_MS);
      assert.equal((await interfaces(gateway))[0]!.state, "up");
    },
  );

kernelTest(
  "a LAN gets a source list's sources alone, all of them for an older host, and its own again after it (RFC 3376 §7.3.2)",
  [],
  async (lab) => {
    const lan = new Lan(lab);
    lan.speak(1, 2, 1);
    const gateway = await lan.start("--downstream", LAN_DEVICE);
    const exact = await lan.join(0, GROUP, SOURCES[0]);
    await asks(gateway, GROUP, [SOURCES[0]], PATIENCE_MS);
    for (const source of SOURCES) await lan.network.send(GROUP, { source });
    await begins(exact);
    const before = lan.gateway.counter(LAN_DEVICE, "tx_packets");
    await goesOn(exact);
    // Only the one source's packets are on the LAN, and the querier's few.
    const sent = lan.gateway.counter(LAN_DEVICE, "tx_packets") - before;
    assert.ok(sent < 2 * 500, `${sent} packets`);

    const older = await lan.join(1, GROUP);
    await asks(gateway, GROUP, "any", PATIENCE_MS);
    await goesOn(older, 500, SOURCES[0]);
    await goesOn(older, 500, SOURCES[1]);
    await older.leave();
    await asks(gateway, GROUP, [SOURCES[0]], EXPIRY_MS);
    await goesOn(exact);

    // While the older host counts as present nobody can block a source; then it ages out.
    const second = await lan.join(0, GROUP, SOURCES[1]);
    await asks(gateway, GROUP, SOURCES, PATIENCE_MS);
    await second.leave();
    await asks(gateway, GROUP, [SOURCES[0]], EXPIRY_MS);
    const third = await lan.join(0, GROUP, SOURCES[1]);
    await asks(gateway, GROUP, SOURCES, PATIENCE_MS);
    await third.leave();
    // Sooner than the source's own timer, which a query has just renewed.
    await asks(gateway, GROUP, [SOURCES[0]], 7_500);
    const got = await exact.leave();
    assertWhole(got);
    assert.deepEqual(
      got.streams.map(({ source }) => source),
      [SOURCES[0]],
    );
  },
);

kernelTest(
  "frames on the LAN have the group's address, the interface's own and one hop less (RFC 1112 §6.4, RFC 2464 §7)",
  ["dumpcap", "tshark"],
  async (lab) => {
    const lan = new Lan(lab, 1);
    await lan.start("--downstream", LAN_DEVICE);
    const capture = await Capture.start(lab, lan.hosts[0]!, "eth0", `udp port ${PORT}`);
    const listeners = [await lan.join(0, GROUP), await lan.join(0, GROUP_6)];
    await lan.network.send(GROUP, { ttl: 8 });
    await lan.network.send(GROUP_6, { source: SOURCES_6[0], ttl: 8 });
    await Promise.all(listeners.map((listener) => goesOn(listener)));
    await capture.stop();
    const only = (field: string, filter: string) => [...new Set(capture.values(field, filter))];
    // The relay takes a hop as well.
    assert.deepEqual(only("ip.ttl", "ip"), ["6"]);
    assert.deepEqual(only("ipv6.hlim", "ipv6"), ["6"]);
    assert.deepEqual(only("eth.dst", "ip"), ["01:00:5e:01:01:01"]);
    assert.deepEqual(only("eth.dst", "ipv6"), ["33:33:00:01:00:01"]);
    assert.deepEqual(only("eth.src", "udp"), ["0a:00:00:00:00:09"]);
    assert.deepEqual(capture.faults(), []);
  },
);

kernelTest(
  "a querier of lower address queries in our place, and its older version is told once (RFC 3376 §6.6.2, §7.3.1)",
  [],
  async (lab) => {
    const lan = new Lan(lab);
    // Its link-local address comes of its MAC address when it comes up.
    lan.bridge.ip("link", "set", "br0", "down", "address", "02:00:00:00:00:01");
    lan.bridge.up("br0");
    lan.bridge.address("br0", "10.9.0.1/24");
    // It queries with IGMPv2 and MLDv1 unless it is told otherwise.
    // It obeys us for three seconds should ours be the first query there.
    const interval = ["mcast_query_interval", "300", "mcast_startup_query_interval", "100"];
    interval.push("mcast_querier_interval", "300");
    const options = ["mcast_query_use_ifaddr", "1", ...interval, "mcast_querier", "1"];
    lan.bridge.ip("link", "set", "br0", "type", "bridge", ...options);
    const gateway = await lan.start("--downstream", LAN_DEVICE);
    await eventually("the other querier", PATIENCE_MS, async () => {
      const [one] = await interfaces(gateway);
      return one!.igmpQuerier === "10.9.0.1" && one!.mldQuerier === "fe80::ff:fe00:1";
    });
    const listeners = [await lan.join(0, GROUP), await lan.join(1, GROUP)] as const;
    await lan.network.send(GROUP);
    await Promise.all(listeners.map((listener) => goesOn(listener)));
    assertWhole(await listeners[0].leave());
    await goesOn(listeners[1], 2_000);
    assertWhole(await listeners[1].leave());
    await asks(gateway, GROUP, "nothing", EXPIRY_MS);
    const { counters } = await gateway.status();
    assert.ok(counters["older_querier_igmp"]! > 1 && counters["older_querier_mld"]! > 1);
    const warnings = gateway.program.stderr.match(/speaks (IGMPv2|MLDv1)/g);
    assert.deepEqual(warnings?.toSorted(), ["speaks IGMPv2", "speaks MLDv1"]);
    // It falls silent: we query again.
    lan.bridge.ip("link", "set", "br0", "type", "bridge", "mcast_querier", "0");
    await eventually("our own querying", EXPIRY_MS + PATIENCE_MS, async () => {
      const [one] = await interfaces(gateway);
      return one!.igmpQuerier === "self" && one!.mldQuerier === "self";
    });
  },
);

for (const version of [1, 2] as const)
  kernelTest(
    `a querier set to IGMPv${version} and MLDv1 makes hosts speak that (RFC 3376 §7.3.1)`,
    [],
    async (lab) => {
      const lan = new Lan(lab, 2);
      const older = ["--igmp-version", `${version}`, "--mld-version", "1"];
      const gateway = await lan.start("--downstream", LAN_DEVICE, ...older);
      const spoken = (): string | undefined =>
        /eth0\s*:\s*\d+\s+(V\d)/.exec(lan.hosts[0]!.read("/proc/net/igmp"))?.[1];
      await eventually("the hosts' version", PATIENCE_MS, () => spoken() === `V${version}`);
      const listeners = [await lan.join(0, GROUP), await lan.join(1, GROUP)] as const;
      const other = await lan.join(0, GROUP_6);
      await lan.network.send(GROUP);
      await lan.network.send(GROUP_6, { source: SOURCES_6[0] });
      await Promise.all([...listeners, other].map((listener) => goesOn(listener)));
      await listeners[0].leave();
      await goesOn(listeners[1], 2_000);
      assertWhole(await listeners[1].leave());
      await asks(gateway, GROUP, "nothing", EXPIRY_MS);
      await other.leave();
      await asks(gateway, GROUP_6, "nothing", EXPIRY_MS);
      assert.equal(gateway.program.stderr.includes("speaks"), false);
    },
  );

kernelTest(
  "an application on the device and a host of the LAN have a group together, and each leaves alone",
  [],
  async (lab) => {
    const lan = new Lan(lab, 1);
    const device = ["--tun", DEVICE, "--address", `${DEVICES[0]}/32`, "--lanes", "2"];
    const gateway = await lan.start("--downstream", LAN_DEVICE, ...device);
    const [local, remote] = [await lan.network.join(0, GROUP), await lan.join(0, GROUP)];
    await lan.network.send(GROUP);
    await Promise.all([local, remote].map((listener) => goesOn(listener)));
    assertWhole(await local.leave());
    await goesOn(remote, 2_000);
    const again = await lan.network.join(0, GROUP);
    await goesOn(again);
    assertWhole(await remote.leave());
    await goesOn(again, 2_000);
    assertWhole(await again.leave());
    await asks(gateway, GROUP, "nothing", EXPIRY_MS);
  },
);

kernelTest("of two LANs each gets what its own hosts want, and nothing else", [], async (lab) => {
  const lan = new Lan(lab, 1);
  const far = lab.namespace("far");
  lan.connect("lan1", "eth0", far, "10.8.0.9/24");
  const gateway = await lan.start("--downstream", LAN_DEVICE, "--downstream", "lan1");
  const listener = await lan.join(0, GROUP);
  await lan.network.send(GROUP);
  await goesOn(listener, 1_000);
  assert.ok(lan.gateway.counter("lan1", "tx_packets") < 100, "only the querier's there");
  assert.deepEqual(
    (await interfaces(gateway)).map(({ name, state, groups }) => [name, state, groups]),
    [
      [LAN_DEVICE, "up", 1],
      ["lan1", "up", 0],
    ],
  );
  assertWhole(await listener.leave());
});

kernelTest(
  "an interface that goes down, or vanishes and comes back, gets its groups again",
  [],
  async (lab) => {
    const lan = new Lan(lab, 1);
    const gateway = await lan.start("--downstream", LAN_DEVICE);
    const listener = await lan.join(0, GROUP);
    await lan.network.send(GROUP);
    await goesOn(listener);
    const isDown = async (): Promise<boolean> => (await interfaces(gateway))[0]!.state === "down";

    lan.gateway.ip("link", "set", LAN_DEVICE, "down");
    await eventually("the interface down", PATIENCE_MS, isDown);
    await asks(gateway, GROUP, "nothing", PATIENCE_MS);
    lan.gateway.up(LAN_DEVICE);
    await goesOn(listener);

    // No carrier is no way to the hosts either.
    lan.bridge.ip("link", "set", "p0", "down");
    await eventually("no carrier", PATIENCE_MS, isDown);
    lan.bridge.up("p0");
    await goesOn(listener);

    lan.gateway.ip("link", "del", LAN_DEVICE);
    await eventually("the interface gone", PATIENCE_MS, isDown);
    lan.connect(LAN_DEVICE, "p0", lan.bridge, `${LAN_ADDRESS}/24`);
    lan.bridge.ip("link", "set", "p0", "master", "br0");
    await goesOn(listener);
    assert.equal((await interfaces(gateway))[0]!.igmpQuerier, "self");
  },
);

kernelTest(
  "hosts of a bridge that has the gateway's TAP device as a port: one's leave does not cut off another",
  [],
  async (lab) => {
    const lan = new Lan(lab, 0);
    const gateway = await lan.start("--tap", DEVICE);
    lan.gateway.bridge("br1", DEVICE);
    const hosts = [0, 1, 2].map((i) => {
      const host = lab.namespace(`bridged${i}`);
      lab.connect(host, "eth0", lan.gateway, `q${i}`);
      lan.gateway.ip("link", "set", `q${i}`, "master", "br1");
      host.address("eth0", `${lan.addressOf(i)}/24`);
      return host;
    });
    const bridged = Object.assign(Object.create(Lan.prototype) as Lan, { hosts });
    for (const group of [GROUP, GROUP_6]) {
      const listeners = [];
      for (const i of [0, 1, 2]) listeners.push(await bridged.join(i, group));
      const source = await lan.network.send(
        group,
        group === GROUP_6 ? { source: SOURCES_6[0] } : {},
      );
      await Promise.all(listeners.map((listener) => goesOn(listener)));
      for (const [i, listener] of listeners.entries()) {
        assertWhole(await listener.leave());
        await Promise.all(listeners.slice(i + 1).map((other) => goesOn(other, 2_000)));
      }
      await asks(gateway, group, "nothing", EXPIRY_MS);
      await source.stop();
    }
  },
);

kernelTest(
  "datagrams that are too large for a LAN reach it in fragments, where they may",
  [],
  async (lab) => {
    const lan = new Lan(lab, 1);
    lan.gateway.ip("link", "set", LAN_DEVICE, "mtu", "1000");
    lan.network.tree.source.sysctl("net/ipv4/ip_no_pmtu_disc", 1); // without DF
    const gateway = await lan.start("--downstream", LAN_DEVICE);
    const listener = await lan.join(0, GROUP);
    await lan.network.send(GROUP, { size: 1_300, rate: 200 });
    await begins(listener);
    await goesOn(listener, 200);
    assert.ok((await gateway.status()).counters["datagrams_fragmented"]! >= 200);
    assertWhole(await listener.leave());
  },
);

kernelTest(
  "an IPv6 source is told of what is too large for a LAN (RFC 4443 §3.2)",
  [],
  async (lab) => {
    const lan = new Lan(lab, 1);
    lan.gateway.ip("link", "set", LAN_DEVICE, "mtu", "1280");
    const gateway = await lan.start("--downstream", LAN_DEVICE);
    lan.gateway.ip("-6", "route", "replace", "2001:db8:1::/64", "dev", "eth0");
    await lan.join(0, GROUP_6);
    await lan.network.send(GROUP_6, { source: SOURCES_6[0], size: 1_300, rate: 100 });
    await eventually("the message", PATIENCE_MS, async () => {
      return ((await gateway.status()).counters["icmp_too_big_sent"] ?? 0) > 0;
    });
    assert.ok((await gateway.status()).drops["egress"]!["link-mtu"]! > 0);
  },
);
