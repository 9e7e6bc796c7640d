/**
 * Linux's own driver as gateway, our relay. The driver's device is the port of a bridge, so that
 * listeners on a LAN report through it.
 */
import assert from "node:assert/strict";
import { SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Capture } from "../kernel/capture.ts";
import { eventually, heard, silence } from "../kernel/culvert.ts";
import { bedTests } from "./needs.ts";
import { DriverGateway } from "./network.ts";

const driverTest = bedTests((lab, image) => DriverGateway.boot(lab, image));

const COUNT = 1_000;
/** The driver asks every 2 s, and every answer makes the LAN's hosts report within a second. */
const JOIN_MS = 60_000;
/** The Last Member Query Time of the relay (RFC 3376 §8.8: 2 s), on a busy machine. */
const LEAVE_MS = 5_000;

const FAMILIES = [
  { inner: "IPv4", group: "232.1.1.1", sources: SOURCES, field: "ip.src" },
  { inner: "IPv6", group: "ff3e::1:1", sources: SOURCES_6, field: "ipv6.src" },
] as const;

for (const { inner, group, sources, field } of FAMILIES) {
  driverTest(
    `through Linux's gateway an ${inner} listener gets its source, whole, until it leaves`,
    async (bed, lab) => {
      const at = bed.network.tree.gateways[0];
      const relay = await bed.relay();
      await bed.up();
      const tunnel = await Capture.start(lab, at, "br0", "udp port 2268");
      await bed.send(group, { source: sources[1] });
      const listener = await bed.join(group, sources[0]);
      const source = await bed.send(group, { source: sources[0] });
      await listener.first(JOIN_MS);
      await heard(listener, source.sent() + COUNT);
      const { streams } = await listener.leave();
      await silence(() => at.counter("lan0", "tx_packets"), LEAVE_MS);
      await tunnel.stop();
      const { groups } = await relay.status();

      assert.deepEqual(
        streams.map((stream) => [stream.source, stream.lost, stream.duplicated, stream.outOfOrder]),
        [[sources[0], 0, 0, 0]],
      );
      assert.ok(groups.every((held) => held.group !== group));
      // The driver forwards all of a group: the relay must have kept the other source away.
      const seen = tunnel.values(field, "amt.type == 6");
      assert.deepEqual([...new Set(seen.map((both) => both.split(",").at(-1)))], [sources[0]]);
      assert.deepEqual(tunnel.faults().slice(0, 5), []);
    },
  );

  driverTest(`large ${inner} datagrams reach a listener behind Linux's gateway`, async (bed) => {
    // IPv6 has nobody but the source to cut datagrams; its fragments must fit the tunnel.
    bed.network.tree.source.ip("link", "set", "eth0", "mtu", inner === "IPv6" ? "1400" : "1500");
    await bed.relay();
    await bed.up();
    const listener = await bed.join(group, sources[0]);
    const source = await bed.send(group, { source: sources[0], size: 8_000, rate: 50 });
    await listener.first(JOIN_MS);
    const from = source.sent();
    await heard(listener, from + 100);
    const { streams } = await listener.leave();
    assert.deepEqual(
      streams.map((stream) => [stream.source, stream.lost, stream.duplicated]),
      [[sources[0], 0, 0]],
    );
  });
}

driverTest("groups of both families come through one tunnel to Linux's gateway", async (bed) => {
  const relay = await bed.relay();
  await bed.up();
  for (const { group, sources } of FAMILIES) await bed.send(group, { source: sources[0] });
  const joins = FAMILIES.map(({ group, sources }) => bed.join(group, sources[0]));
  const listeners = await Promise.all(joins);
  for (const listener of listeners) await listener.first(JOIN_MS);
  assert.equal((await relay.status()).tunnels.length, 1);
});

driverTest("a group of any source reaches hosts of Linux's gateway from all", async (bed) => {
  await bed.relay();
  await bed.up();
  const listener = await bed.join("239.1.1.1");
  for (const source of SOURCES) await bed.send("239.1.1.1", { source });
  const both = () => (listener.progress()?.streams.length ?? 0) === SOURCES.length;
  await eventually("both sources at the listener", JOIN_MS, both);
});
