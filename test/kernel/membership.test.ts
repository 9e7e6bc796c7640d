/**
 * Listeners that join through the kernel of a gateway's host, on the gateway's device:
 *
 *     two sources ──── relay ──┬── gateway 1: the listener that is tried
 *                              └── gateway 2: a listener of the second source, all the while
 */
import assert from "node:assert/strict";
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

interface Trial {
  readonly name: string;
  readonly group: string;
  /** The addresses of the two sources. */
  readonly sources: readonly [string, string];
  /** What the listener asks for; left out, any source. */
  readonly include?: string;
  /** A setting of the device before the join: key and value. */
  readonly sysctl?: readonly [string, number];
  /** The field by which tshark tells the packets' source. */
  readonly field: string;
}

const TRIALS: readonly Trial[] = [
  {
    name: "an IGMPv3 listener of one source gets exactly that source (RFC 3376 §4.2.12)",
    group: "232.1.1.1",
    sources: SOURCES,
    include: SOURCES[0],
    field: "ip.src",
  },
  {
    name: "an IGMPv2 listener gets every source of its group (RFC 2236 §3)",
    group: "239.1.1.1",
    sources: SOURCES,
    sysctl: [`net/ipv4/conf/${DEVICE}/force_igmp_version`, 2],
    field: "ip.src",
  },
  {
    name: "an MLDv2 listener of one source gets exactly that source (RFC 3810 §5.2.12)",
    group: "ff3e::1:1",
    sources: SOURCES_6,
    include: SOURCES_6[0],
    field: "ipv6.src",
  },
];

/** Each kind of listener, over each family that carries the tunnel. */
const OVER = TRIALS.flatMap((trial) => [
  { trial, relayAt: RELAY, over: "IPv4" },
  { trial, relayAt: RELAY_6, over: "IPv6" },
]);

for (const { trial, relayAt, over } of OVER)
  kernelTest(`${trial.name}, over ${over}, until it leaves`, ["dumpcap", "tshark"], async (lab) => {
    const { group, sources, include, sysctl, field } = trial;
    const network = new Network(lab);
    const [gateway1, gateway2] = network.tree.gateways;
    await network.relay(undefined, [RELAY, RELAY_6]);
    await Promise.all([
      network.gateway(0, "--relay", relayAt),
      network.gateway(1, "--relay", relayAt),
    ]);
    if (sysctl) gateway1.sysctl(...sysctl);
    const filter = `udp port ${PORT}`;
    const captures = await Promise.all([
      Capture.start(lab, gateway1, DEVICE, filter),
      Capture.start(lab, gateway2, DEVICE, filter),
    ]);

    const other = await network.join(1, group, sources[1]);
    const [, second] = await Promise.all(sources.map((source) => network.send(group, { source })));
    await other.first(5_000);
    const listener = await network.join(0, group, ...(include === undefined ? [] : [include]));
    await counted(listener, COUNT);
    const got = await listener.leave();
    const took = await silence(() => gateway1.counter(DEVICE, "rx_packets"), LEAVE_MS);

    const { sent } = await second!.stop();
    await heard(other, sent - 1);
    const undisturbed = await other.leave();
    for (const capture of captures) await capture.stop();

    const wanted = include === undefined ? [...sources] : [include];
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
    const seen = captures.map((capture) => [...new Set(capture.values(field, "udp"))].sort());
    assert.deepEqual(seen, [wanted, [sources[1]]]);
    assert.ok(took < LEAVE_MS, `${took} ms at ${DEVICES[0]}`);
  });
