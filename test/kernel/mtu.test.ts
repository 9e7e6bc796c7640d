/**
 * A gateway behind a link of smaller MTU, of which the router before it tells the relay:
 *
 *     source ──── relay ──┬── gateway 1
 *                         └── router ──1400── far gateway
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Daemon } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { startListener, type Listener } from "../../src/lab/stream.ts";
import { RELAY, RELAY_6, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { DEVICE, Network, PORT, counted, eventually } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const GROUP_6 = "ff3e::1:1";
/** Of the far link; the tunnel through it has 30 octets less over IPv4, 50 over IPv6. */
const SMALL = 1_400;
/** Octets of UDP payload that fit the near tunnel and not the far one. */
const LARGE = 1_390;
const FAR = "10.9.0.2";
const FAR_6 = "2001:db8:9::2";
const FAR_DEVICE = "203.0.113.3";
/** What the relay has towards the source. */
const INGRESS = "198.51.100.2";
const INGRESS_6 = "2001:db8:1::2";

/** The network with a far gateway that is joined to the group. */
class Far {
  readonly network: Network;
  readonly far: Namespace;
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.network = new Network(lab);
    const { relay } = this.network.tree;
    const router = lab.namespace("router");
    this.far = lab.namespace("far");
    lab.connect(router, "up0", relay, "down2");
    relay.ip("link", "set", "down2", "master", "br0");
    lab.connect(router, "down0", this.far, "eth0", SMALL);
    router.address("up0", "192.0.2.20/24", "2001:db8:2::20/64");
    router.address("down0", "10.9.0.1/24", "2001:db8:9::1/64");
    for (const key of ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"])
      router.sysctl(key, 1);
    this.far.address("eth0", `${FAR}/24`, `${FAR_6}/64`);
    this.far.route("default", "eth0", "10.9.0.1");
    this.far.ip("-6", "route", "add", "default", "via", "2001:db8:9::1");
    relay.route("10.9.0.0/24", "br0", "192.0.2.20");
    relay.ip("-6", "route", "add", "2001:db8:9::/64", "via", "2001:db8:2::20");
    this.network.withoutOffload();
    relay.withoutOffload("down2");
  }

  gateway(over: 4 | 6): Promise<Daemon> {
    const [local, relay] = over === 4 ? [`${FAR}:40003`, RELAY] : [`[${FAR_6}]:40003`, RELAY_6];
    const ends = ["--local", local, "--relay", relay];
    const args = ["gateway", ...ends, "--tun", DEVICE, "--address", `${FAR_DEVICE}/32`];
    return Daemon.start(this.far, this.#lab.folder, "far", args);
  }

  /** Starts a program on the relay's host without CAP_NET_RAW. */
  withoutRaw(command: string, args: readonly string[]): Program {
    const words = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", command, ...args];
    return this.network.tree.relay.start("setpriv", words);
  }

  join(group: string, source: string): Promise<Listener> {
    const at = { port: PORT, device: DEVICE, address: FAR_DEVICE };
    return startListener(this.far, { group, sources: [source], ...at });
  }
}

/** The sum of a counter of a daemon. */
async function counter(daemon: Daemon, name: string): Promise<number> {
  return (await daemon.status()).counters[name] ?? 0;
}

/** What both gateways of a stream without DF get, and what the relay says of it in the end. */
async function streamed(bed: Far, relay: Daemon, over: 4 | 6) {
  const { network } = bed;
  network.tree.source.sysctl("net/ipv4/ip_no_pmtu_disc", 1); // without DF
  await Promise.all([network.gateway(0), bed.gateway(over)]);
  const near = await network.join(0, GROUP, SOURCES[0]);
  const far = await bed.join(GROUP, SOURCES[0]);
  await eventually("both memberships", 20_000, async () =>
    (await relay.status()).groups.some(({ members }) => members === 2),
  );
  const source = await network.send(GROUP, { size: LARGE, rate: 100 });
  await counted(far, 100);
  await source.stop();
  const reports = await Promise.all([near.leave(), far.leave()]);
  const [ours, theirs] = reports.map(({ streams }) => streams[0]!);
  return { ours: ours!, theirs: theirs!, ...(await relay.status()) };
}

for (const over of [4, 6] as const)
  kernelTest(
    `over IPv${over}, datagrams for a path of smaller MTU are cut for it alone once its router has told (RFC 7450 §5.3.3.6.1)`,
    ["ethtool"],
    async (lab) => {
      const bed = new Far(lab);
      const relay = await bed.network.relay(["--ingress", "up0"], [RELAY, RELAY_6]);
      const { ours, theirs, counters, drops } = await streamed(bed, relay, over);
      assert.equal(ours.lost, 0);
      assert.equal(theirs.lost, 0, "no gap once the first has come");
      assert.equal(counters["amt_path_mtu_reduced"], 1);
      assert.equal(counters["datagrams_fragmented"], 0);
      assert.ok(counters["datagrams_fragmented_for_path"]! >= theirs.received);
      assert.equal(counters["icmp_too_big_sent"] ?? 0, 0);
      assert.equal(drops["egress"], undefined);
    },
  );

kernelTest(
  "without CAP_NET_RAW the system learns of the path's MTU, and the relay from the system",
  ["ethtool"],
  async (lab) => {
    const bed = new Far(lab);
    const relay = await Daemon.start(
      { start: (command, args) => bed.withoutRaw(command, args) },
      lab.folder,
      "relay",
      ["relay", "--local", RELAY, "--ingress", "up0", "--ingress-ports", `${PORT}`],
    );
    const { ours, theirs, counters, drops } = await streamed(bed, relay, 4);
    assert.equal(ours.lost, 0);
    assert.equal(theirs.lost, 0);
    assert.equal(counters["amt_path_mtu_reduced"], 1);
    assert.ok(drops["egress"]!["send-too-big"]! >= 1, "the one by which it was learnt");
  },
);

kernelTest(
  "a forged word of a path's MTU moves no tunnel but the one that got what it quotes, and that to the floor alone (RFC 7450 §5.3.3.6.1)",
  [],
  async (lab) => {
    const network = new Network(lab);
    const relay = await network.relay(["--ingress", "up0", "--least-path-mtu", "900"]);
    await network.gateway(0);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await network.send(GROUP, { size: 500 });
    await counted(listener, 10);
    const forger = network.tree.gateways[1];
    const program = fileURLToPath(new URL("programs/forge-too-big.js", import.meta.url));
    const { gateway } = (await relay.status()).tunnels[0]!;
    const forge = async (port: number, source: string, group: string): Promise<void> => {
      const words = [RELAY, gateway.address, `${port}`, source, group, "68"];
      const sent = forger.start(process.execPath, [program, ...words]);
      assert.deepEqual(await sent.finish(20_000), { code: 0, signal: null });
    };
    type Reason = "unknown-tunnel" | "unexpected";
    const dropped = async (reason: Reason): Promise<number> =>
      (await relay.status()).drops["machine"]?.[reason] ?? 0;
    const told = async (reason: Reason): Promise<void> =>
      eventually(`a drop as ${reason}`, 20_000, async () => (await dropped(reason)) === 1);
    await forge(gateway.port - 1, SOURCES[0], GROUP);
    await told("unknown-tunnel");
    await forge(gateway.port, SOURCES[1], GROUP);
    await told("unexpected");
    assert.equal((await relay.status()).tunnels[0]!.pathMtu, undefined);
    await forge(gateway.port, SOURCES[0], GROUP);
    await eventually("the floor", 20_000, async () => {
      return (await relay.status()).tunnels[0]!.pathMtu === 900;
    });
    await counted(listener, listener.progress()!.streams[0]!.received + 500);
    assert.equal(listener.progress()!.streams[0]!.lost, 0);
  },
);

kernelTest(
  "a gateway by another device of smaller MTU is served by that one's",
  ["ethtool"],
  async (lab) => {
    const bed = new Far(lab);
    const { relay: host } = bed.network.tree;
    // Straight to the far gateway, from an address of the large device.
    lab.connect(bed.far, "eth1", host, "down3", SMALL);
    bed.far.address("eth1", "10.8.0.2/24");
    host.address("down3", "10.8.0.1/24");
    host.ip("route", "replace", `${FAR}/32`, "via", "10.8.0.2", "dev", "down3");
    bed.far.ip("route", "replace", "default", "via", "10.8.0.1", "dev", "eth1");
    for (const scope of ["all", "eth0", "eth1"])
      bed.far.sysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
    const relay = await bed.network.relay();
    const { theirs, counters, drops } = await streamed(bed, relay, 4);
    assert.equal(theirs.lost, 0);
    assert.equal(counters["amt_path_mtu_reduced"], 1);
    assert.ok(drops["egress"]!["send-too-big"]! >= 1, "the one by which it was learnt");
  },
);

for (const [inner, group, source, from, least] of [
  [4, GROUP, SOURCES[0], INGRESS, SMALL - 30],
  [6, GROUP_6, SOURCES_6[0], INGRESS_6, SMALL - 30],
] as const)
  kernelTest(
    `an IPv${inner} source whose datagrams must not be cut is told once, of the smallest MTU (RFC 7450 §5.3.3.6.2)`,
    ["dumpcap", "tshark", "ethtool"],
    async (lab) => {
      const bed = new Far(lab);
      const { network } = bed;
      const relay = await network.relay(["--ingress", "up0", "--lanes", "2"], [RELAY, RELAY_6]);
      await Promise.all([network.gateway(0), bed.gateway(4)]);
      await Promise.all([network.join(0, group, source), bed.join(group, source)]);
      await eventually("both memberships", 20_000, async () =>
        (await relay.status()).groups.some(({ members }) => members === 2),
      );
      const host = network.tree.source;
      const capture = await Capture.start(lab, host, "eth0", "icmp or icmp6");
      const program = fileURLToPath(new URL("programs/df-source.js", import.meta.url));
      const words = [program, source, group, `${PORT}`, `${LARGE}`, "eth0"];
      const sender = host.start(process.execPath, words);
      // The source's kernel took the message for one about this very socket.
      await sender.line(/^EMSGSIZE$/, "stdout", 20_000);
      await eventually(
        "the relay's count",
        20_000,
        async () => (await counter(relay, "icmp_too_big_sent")) === 1,
      );
      sender.endInput();
      await sender.finish(10_000);
      await capture.stop();
      assert.deepEqual(capture.faults(), []);
      const [filter, mtu, address] =
        inner === 4
          ? ["icmp.type == 3 && icmp.code == 4", "icmp.mtu", "ip.src"]
          : ["icmpv6.type == 2", "icmpv6.mtu", "ipv6.src"];
      assert.deepEqual(capture.values(mtu, filter), [`${least}`]);
      assert.equal(capture.values(address, filter)[0]!.split(",")[0], from);
      const { drops } = await relay.status();
      assert.ok(drops["egress"]!["too-big"]! >= 1, "what the far gateway did not get");
    },
  );

kernelTest(
  "behind the host's multicast routing, too, a source is told (RFC 7450 §5.3.3.6.2)",
  ["dumpcap", "tshark"],
  async (lab) => {
    const network = new Network(lab);
    const { relay: host, source } = network.tree;
    host.sysctl("net/ipv4/ip_forward", 1);
    const relay = await network.relay(["--tun", "amt0"]);
    const mroute = fileURLToPath(new URL("programs/mroute.js", import.meta.url));
    const router = host.start(process.execPath, [mroute, SOURCES[0], GROUP, "up0", "amt0"]);
    await router.line(/^routing$/, "stdout", 10_000);
    await network.gateway(0);
    await network.join(0, GROUP, SOURCES[0]);
    await eventually("the membership", 20_000, async () =>
      (await relay.status()).groups.some(({ members }) => members === 1),
    );
    const capture = await Capture.start(lab, source, "eth0", "icmp");
    const program = fileURLToPath(new URL("programs/df-source.js", import.meta.url));
    // 1,488 octets with headers, where tunnels take 1,470 and the source's link 1,500.
    const words = [program, SOURCES[0], GROUP, `${PORT}`, "1460", "eth0"];
    const sender = source.start(process.execPath, words);
    await sender.line(/^EMSGSIZE$/, "stdout", 20_000);
    await capture.stop();
    assert.deepEqual(capture.values("icmp.mtu", "icmp.type == 3 && icmp.code == 4"), ["1470"]);
    assert.equal(await counter(relay, "icmp_too_big_sent"), 1);
  },
);
