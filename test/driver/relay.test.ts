/**
 * Linux's own driver as relay, our gateway. What the driver does not do: it keeps no
 * sources apart, and after an IGMPv3 leave it sends on until its timers end; so it is the gateway
 * that has to keep away what is not wanted.
 */
import assert from "node:assert/strict";
import { SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "../kernel/capture.ts";
import { DEVICE, heard, silence } from "../kernel/culvert.ts";
import { bedTests } from "./needs.ts";
import { DriverRelay } from "./network.ts";

const driverTest = bedTests((lab, image) => DriverRelay.boot(lab, image));

const COUNT = 1_000;
/** Octets of payload in what a source sends if not told otherwise. */
const SIZE = 500;
/** A few tries of a Request: the gateway has to find out what the driver understands. */
const JOIN_MS = 30_000;
/** The Last Member Query Time of the gateway (RFC 3376 §8.8: 2 s), on a busy machine. */
const LEAVE_MS = 5_000;

const FAMILIES = [
  { inner: "IPv4", group: "232.1.1.1", sources: SOURCES, field: "ip.src" },
  { inner: "IPv6", group: "ff3e::1:1", sources: SOURCES_6, field: "ipv6.src" },
] as const;

for (const { inner, group, sources, field } of FAMILIES) {
  driverTest(
    `from Linux's relay an ${inner} listener gets its source, whole, until it leaves`,
    async (bed, lab) => {
      const host = bed.network.tree.gateways[0];
      await bed.up(group);
      await bed.gateway(0);
      const device = await Capture.start(lab, host, DEVICE, "udp");
      const listener = await bed.join(0, group, sources[0]);
      await bed.send(group, { source: sources[1] });
      const source = await bed.send(group, { source: sources[0] });
      await listener.first(JOIN_MS);
      await heard(listener, source.sent() + COUNT);
      const { streams } = await listener.leave();
      await silence(() => host.counter(DEVICE, "rx_packets"), LEAVE_MS);
      await device.stop();

      assert.deepEqual(
        streams.map((stream) => [stream.source, stream.lost, stream.duplicated, stream.outOfOrder]),
        [[sources[0], 0, 0, 0]],
      );
      // Not the listener's socket but the gateway kept the other source away.
      assert.deepEqual([...new Set(device.values(field, "udp"))], [sources[0]]);
      // The checksum of a super-packet is completed only where the host cuts it.
      assert.deepEqual(device.faults(`udp.length <= ${8 + SIZE}`).slice(0, 5), []);
    },
  );

  driverTest(`large ${inner} datagrams come from Linux's relay`, async (bed) => {
    // IPv6 has nobody but the source to cut datagrams; its fragments must fit the tunnel.
    bed.network.tree.source.ip("link", "set", "eth0", "mtu", inner === "IPv6" ? "1400" : "1500");
    await bed.up(group);
    await bed.gateway(0);
    const listener = await bed.join(0, group, sources[0]);
    const source = await bed.send(group, { source: sources[0], size: 8_000, rate: 50 });
    await listener.first(JOIN_MS);
    await heard(listener, source.sent() + 100);
    const { streams } = await listener.leave();
    assert.deepEqual(
      streams.map((stream) => [stream.source, stream.lost, stream.duplicated]),
      [[sources[0], 0, 0]],
    );
  });
}

driverTest("groups of both families come through one tunnel of Linux's relay", async (bed) => {
  await bed.up("232.1.1.1", "ff3e::1:1", "232.1.1.2");
  await bed.gateway(0);
  const plan = { source: SOURCES_6[0] };
  await bed.send("232.1.1.1");
  await bed.send("ff3e::1:1", plan);
  await bed.send("232.1.1.2");
  const first = await bed.join(0, "232.1.1.1", SOURCES[0]);
  await first.first(JOIN_MS);
  const second = await bed.join(0, "ff3e::1:1", SOURCES_6[0]);
  await second.first(JOIN_MS);
  // The driver has forgotten the nonce of IPv4's Request by now, and knows only the last.
  const third = await bed.join(0, "232.1.1.2", SOURCES[0]);
  await third.first(JOIN_MS);
});

driverTest("two gateways share Linux's relay", async (bed) => {
  await bed.up("239.1.1.1");
  const source = await bed.send("239.1.1.1");
  const listeners = [];
  for (const i of [0, 1] as const) {
    await bed.gateway(i);
    listeners.push(await bed.join(i, "239.1.1.1"));
  }
  for (const listener of listeners) await listener.first(JOIN_MS);
  for (const listener of listeners) await heard(listener, source.sent() + 100);
});

driverTest("a killed gateway that is started again is served by Linux's relay", async (bed) => {
  await bed.up("232.1.1.1");
  const gateway = await bed.gateway(0);
  const source = await bed.send("232.1.1.1");
  const listener = await bed.join(0, "232.1.1.1", SOURCES[0]);
  await listener.first(JOIN_MS);
  gateway.program.kill("SIGKILL");
  await gateway.program.finish(5_000);
  await bed.gateway(0);
  const after = await bed.join(0, "232.1.1.1", SOURCES[0]);
  await after.first(JOIN_MS);
  await heard(after, source.sent() + 100);
});
