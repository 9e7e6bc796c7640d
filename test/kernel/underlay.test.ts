/**
 * What carries the tunnels: IPv4 and IPv6, both at one relay, at several of its addresses.
 *
 *     sources ──── relay ──┬── IPv4 ── gateway 1
 *     IPv4 and IPv6        └── IPv6 ── gateway 2
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { endpointText } from "../../src/core/address.ts";
import { startCulvert } from "../../src/demo/daemon.ts";
import {
  GATEWAYS,
  GATEWAYS_6,
  RELAY,
  RELAY_6,
  RELAY_SECOND,
  RELAY_SECOND_6,
  SOURCES,
  SOURCES_6,
} from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { DEVICE, Network, PORT, eventually, heard } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
const GROUP_6 = "ff3e::1:1";
const COUNT = 500;
const AMT_PORT = 2269;

/** A UDP payload whose datagram fits a tunnel over IPv4 (1,470 octets) but not one over IPv6. */
const LARGE = 1_440;
/** Octets of UDP header, AMT header and the largest inner datagram over IPv6. */
const LONGEST_6 = 8 + 2 + 1_450;

kernelTest(
  "one relay serves both families at once, from the address and port asked (RFC 7450 §5.3.3.6)",
  ["dumpcap", "tshark", "ethtool"],
  async (lab) => {
    const network = new Network(lab);
    network.withoutOffload();
    // Without DF, so that the relay may fragment.
    network.tree.source.sysctl("net/ipv4/ip_no_pmtu_disc", 1);
    const asked = [`${RELAY_SECOND}:${AMT_PORT}`, `[${RELAY_SECOND_6}]:${AMT_PORT}`] as const;
    const relay = await network.relay(
      ["--ingress", "up0", "--lanes", "2"],
      [RELAY, ...asked, RELAY_6],
    );
    const captures = await Promise.all(
      network.tree.gateways.map((gateway) =>
        Capture.start(lab, gateway, "eth0", `udp port ${AMT_PORT} or ip6 protochain 44`),
      ),
    );
    // The second one's own address is left to the system, in the family of the relay.
    await Promise.all([
      network.gateway(0, "--discovery", asked[0]),
      network.gateway(1, "--discovery", asked[1], "0.0.0.0:40001"),
    ]);
    const listeners = await Promise.all([
      network.join(0, GROUP, SOURCES[0]),
      network.join(1, GROUP, SOURCES[0]),
      network.join(0, GROUP_6, SOURCES_6[0]),
      network.join(1, GROUP_6, SOURCES_6[0]),
    ]);
    await eventually("all memberships", 5_000, async () =>
      (await relay.status()).groups.every(({ members }) => members === 2),
    );
    const sources = await Promise.all([
      network.send(GROUP, { count: COUNT, size: LARGE }),
      network.send(GROUP_6, { count: COUNT, source: SOURCES_6[0] }),
    ]);
    for (const source of sources) await source.report(10_000);
    for (const listener of listeners) await heard(listener, COUNT - 1);
    const { tunnels } = await relay.status();
    const reports = await Promise.all(listeners.map((listener) => listener.leave()));
    for (const capture of captures) await capture.stop();

    assert.deepEqual(
      reports.map(({ streams, foreign }) => [
        foreign,
        ...streams.map((stream) => [stream.source, stream.received]),
      ]),
      [SOURCES[0], SOURCES[0], SOURCES_6[0], SOURCES_6[0]].map((from) => [0, [from, COUNT]]),
    );
    const ends = new Map(
      tunnels.map(({ gateway, local }) => [gateway.address, endpointText(local)]),
    );
    assert.deepEqual(
      ends,
      new Map([
        [GATEWAYS[0], asked[0]],
        [GATEWAYS_6[1], asked[1]],
      ]),
    );
    const [over4, over6] = captures as [Capture, Capture];
    const answers = `udp.srcport == ${AMT_PORT}`;
    assert.deepEqual(new Set(over4.values("ip.src", answers)), new Set([RELAY_SECOND]));
    assert.deepEqual(new Set(over6.values("ipv6.src", answers)), new Set([RELAY_SECOND_6]));
    // Every message has a good checksum, which is never left out, and none is fragmented outside.
    for (const capture of captures) {
      const bad = 'udp.checksum == 0 || udp.checksum.status == "Bad"';
      assert.deepEqual(capture.values("udp.checksum", bad), []);
    }
    assert.deepEqual(over6.values("ipv6.src", "ipv6.fraghdr"), []);
    const lengths = over6.values("udp.length", answers).map(Number);
    assert.ok(Math.max(...lengths) <= LONGEST_6, `${Math.max(...lengths)}`);
    assert.ok(
      over4
        .values("udp.length", answers)
        .map(Number)
        .includes(8 + 2 + 28 + LARGE),
    );
  },
);

kernelTest(
  "a gateway that turns to another endpoint of the relay is served from there (RFC 7450 §5.3.3.6)",
  ["dumpcap", "tshark"],
  async (lab) => {
    const network = new Network(lab);
    const relay = await network.relay(["--ingress", "up0", "--lanes", "2"], [RELAY, RELAY_SECOND]);
    const before = await network.gateway(0);
    await network.send(GROUP);
    await (await network.join(0, GROUP, SOURCES[0])).first(5_000);
    // Its membership stays, since it can no more leave; it comes back at the same port.
    before.program.kill("SIGKILL");
    await before.program.ended;
    await network.gateway(0, "--relay", RELAY_SECOND);
    const listener = await network.join(0, GROUP, SOURCES[0]);
    await listener.first(5_000);
    await eventually("the new endpoint", 5_000, async () => {
      const { tunnels } = await relay.status();
      return tunnels.length === 1 && tunnels[0]!.local.address === RELAY_SECOND;
    });
    // From now on, nothing may come from where the gateway was before.
    const capture = await Capture.start(lab, network.tree.gateways[0], "eth0", "udp port 2268");
    await eventually("progress", 2_000, () => listener.progress() !== undefined);
    await heard(listener, listener.progress()!.streams[0]!.last + COUNT);
    await capture.stop();
    const from = capture.values("ip.src", "amt.type == 6").map((values) => values.split(",")[0]);
    assert.deepEqual(new Set(from), new Set([RELAY_SECOND]));
    assert.ok(from.length >= COUNT / 2, `${from.length} packets`);
  },
);

kernelTest(
  "a relay without privilege takes the named ports of both families, however many",
  [],
  async (lab) => {
    const network = new Network(lab);
    const ports = `${PORT + 1},${PORT + 2},${PORT + 3},${PORT}`;
    await network.relay(
      ["--ingress", "up0", "--ingress-ports", ports, "--lanes", "2"],
      [RELAY, RELAY_6],
    );
    await Promise.all([network.gateway(0), network.gateway(1, "--relay", RELAY_6)]);
    const listeners = await Promise.all([
      network.join(0, GROUP, SOURCES[0]),
      network.join(1, GROUP_6, SOURCES_6[0]),
    ]);
    const sources = await Promise.all([
      network.send(GROUP, { count: 2 * COUNT }),
      network.send(GROUP_6, { count: 2 * COUNT, source: SOURCES_6[0] }),
      network.send(GROUP, { count: 2 * COUNT, port: PORT + 2 }),
    ]);
    for (const listener of listeners) await listener.first(5_000);
    for (const source of sources) await source.report(10_000);
    for (const listener of listeners) await heard(listener, 2 * COUNT - 1);
    const reports = await Promise.all(listeners.map((listener) => listener.leave()));
    assert.deepEqual(
      reports.map(({ streams }) =>
        streams.map(({ source, lost, duplicated }) => [source, lost, duplicated]),
      ),
      [[[SOURCES[0], 0, 0]], [[SOURCES_6[0], 0, 0]]],
    );
  },
);

kernelTest("a receiver needs not be told its own address for an IPv6 relay", [], async (lab) => {
  const network = new Network(lab);
  await network.relay(undefined, [RELAY_6]);
  await network.send(GROUP);
  const file = path.join(lab.folder, "stream");
  const url = `amt://${SOURCES[0]}@${GROUP}:${PORT}`;
  const limits = ["--count", "100", "--timeout", "10", "-o", file];
  const [host] = network.tree.gateways;
  const receive = startCulvert(host, "receive", url, "--relay", RELAY_6, ...limits);
  const end = await receive.finish(15_000);
  assert.deepEqual(end, { code: 0, signal: null }, receive.stderr);
  assert.equal(readFileSync(file).length, 100 * 500);
});

kernelTest("an address on the loopback device does not make tunnels large", [], async (lab) => {
  const network = new Network(lab);
  const [host] = network.tree.gateways;
  for (const [address, mtu] of [
    ["192.0.2.99", 1_470],
    ["2001:db8:2::99", 1_450],
  ] as const) {
    host.address("lo", `${address}/${address.includes(":") ? 128 : 32}`);
    const relay = address.includes(":") ? RELAY_6 : RELAY;
    const gateway = await network.gateway(0, "--relay", relay, address);
    assert.match(host.ip("link", "show", DEVICE), new RegExp(`mtu ${mtu} `));
    await gateway.program.stop();
  }
});
