/**
 * Listeners that join through the kernel of a gateway's host, on the gateway's device:
 *
 *     two sources ──── relay ──┬── gateway 1: the listener that is tried
 *                              └── gateway 2: a listener of the second source, all the while
 */
import assert from "node:assert/strict";
import type { Family } from "../../src/core/address.ts";
import { DEVICES, RELAY, RELAY_6, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "./capture.ts";
import { DEVICE, Network, PORT, counted, heard, silence } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

/**
 * The longest that packets may come after a leave: the Last Member Query Time of the gateway's
 * querier on its device, then that of the relay (RFC 3376 §8.8: 2 s each), and a second for the way.
 */
const LEAVE_MS = 5_000;
/** Packets that a listener takes before it leaves. */
const COUNT = 1_500;

/** Packets of the sources, and all that hosts and querier say to each other. */
const FILTER = `udp port ${PORT} or igmp or (ip6 and ip6[6] == 0)`;

/** What differs between the families inside, in the words of tshark. */
const INNER = {
  4: {
    sources: SOURCES,
    source: "ip.src",
    type: "igmp.type",
    query: "0x11",
    groups: ["igmp.maddr"],
  },
  6: {
    sources: SOURCES_6,
    source: "ipv6.src",
    type: "icmpv6.type",
    query: "130",
    groups: ["icmpv6.mld.multicast_address", "icmpv6.mldr.mar.multicast_address"],
  },
} as const;

interface Trial {
  readonly name: string;
  readonly family: Family;
  readonly group: string;
  /** The listener asks for the first source alone; otherwise for any. */
  readonly oneSource: boolean;
  /** The version that the listener's kernel is held to, from the making of its device on: key and value. */
  readonly version?: readonly [string, number];
  /** The types of all that the listener's kernel reports, as tshark writes them. */
  readonly reports: readonly string[];
}

const TRIALS: readonly Trial[] = [
  {
    name: "an IGMPv3 listener of one source gets exactly that source (RFC 3376 §4.2.12)",
    family: 4,
    group: "232.1.1.1",
    oneSource: true,
    reports: ["0x22"],
  },
  {
    name: "an IGMPv2 listener gets every source of its group (RFC 2236 §3)",
    family: 4,
    group: "239.1.1.1",
    oneSource: false,
    version: ["net/ipv4/conf/default/force_igmp_version", 2],
    reports: ["0x16", "0x17"],
  },
  {
    name: "an MLDv2 listener of one source gets exactly that source (RFC 3810 §5.2.12)",
    family: 6,
    group: "ff3e::1:1",
    oneSource: true,
    reports: ["143"],
  },
  {
    name: "an MLDv1 listener gets every source of its group (RFC 2710 §4)",
    family: 6,
    group: "ff1e::1:1",
    oneSource: false,
    version: ["net/ipv6/conf/default/force_mld_version", 1],
    reports: ["131", "132"],
  },
];

/** Each kind of listener, over each family that carries the tunnel. */
const OVER = TRIALS.flatMap((trial) => [
  { trial, relayAt: RELAY, over: "IPv4" },
  { trial, relayAt: RELAY_6, over: "IPv6" },
]);

for (const { trial, relayAt, over } of OVER)
  kernelTest(`${trial.name}, over ${over}, until it leaves`, ["dumpcap", "tshark"], async (lab) => {
    const { family, group, oneSource, version, reports } = trial;
    const { sources, source, type, query, groups: fields } = INNER[family];
    const network = new Network(lab);
    const [gateway1, gateway2] = network.tree.gateways;
    if (version) gateway1.sysctl(...version);
    const relay = await network.relay(undefined, [RELAY, RELAY_6]);
    await Promise.all([
      network.gateway(0, "--relay", relayAt),
      network.gateway(1, "--relay", relayAt),
    ]);
    const captures = await Promise.all([
      Capture.start(lab, gateway1, DEVICE, FILTER),
      Capture.start(lab, gateway2, DEVICE, FILTER),
    ]);

    const other = await network.join(1, group, sources[1]);
    const [, second] = await Promise.all(
      sources.map((from) => network.send(group, { source: from })),
    );
    await other.first(5_000);
    const listener = await network.join(0, group, ...(oneSource ? [sources[0]] : []));
    await counted(listener, COUNT);
    const got = await listener.leave();
    const took = await silence(() => gateway1.counter(DEVICE, "rx_packets"), LEAVE_MS);
    const { groups } = await relay.status();

    const { sent } = await second!.stop();
    await heard(other, sent - 1);
    const undisturbed = await other.leave();
    for (const capture of captures) await capture.stop();

    const wanted = oneSource ? [sources[0]] : [...sources];
    assert.deepEqual(got.streams.map((stream) => stream.source).sort(), wanted);
    for (const stream of [...got.streams, ...undisturbed.streams])
      assert.deepEqual(
        [stream.lost, stream.duplicated, stream.outOfOrder],
        [0, 0, 0],
        JSON.stringify(stream),
      );
    assert.deepEqual(
      undisturbed.streams.map((stream) => stream.source),
      [sources[1]],
    );
    // Not the listener's socket but the tunnel kept the others away.
    const seen = captures.map((capture) => [...new Set(capture.values(source, "udp"))].sort());
    assert.deepEqual(seen, [wanted, [sources[1]]]);
    assert.ok(took < LEAVE_MS, `${took} ms at ${DEVICES[0]}`);
    // What was left is left at the relay too.
    const left = groups.filter((one) => one.group === group);
    assert.deepEqual(left, [{ group, mode: "include", sources: [sources[1]], members: 1 }]);
    // The kernel spoke the version that is tried, and no other.
    const about = fields.map((field) => `${field} == ${group}`).join(" || ");
    const said = captures[0]!.values(type, `(${about}) && ${type} != ${query}`);
    assert.deepEqual([...new Set(said)].sort(), reports);
  });
