import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { PROTOCOL_UDP } from "../../assembly/layout/ip.ts";
import {
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
  VNET_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../../assembly/layout/system.ts";
import { OsError } from "../../src/core/errors.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { close, read, writev, write } from "../../src/os/libc.ts";
import { addAddress, findLink, readLink, setMtu, setSysctl, setUp } from "../../src/os/link.ts";
import { openTun } from "../../src/os/tun.ts";
import type { TunDevice } from "../../src/os/tun.ts";
import { Messages } from "./messages.ts";
import { enterNamespace, kernelTest, lacking, makeVeth, removeLink } from "./namespace.ts";
import { ipv4Udp } from "./packets.ts";

enterNamespace();

const all = { checksum: true, uso: true, tso: true };

/** Sets a device up with an address, quietly. */
function configure(device: TunDevice): void {
  setSysctl(6, device.name, "disable_ipv6", 1);
  addAddress(device.name, "192.0.2.1", 24);
  setUp(device.name, true);
}

/** Packets that wait in a device. */
function drain(device: TunDevice): Buffer[] {
  const room = new Messages();
  const found: Buffer[] = [];
  for (;;) {
    const got = read(device.fd, room.base, 65_700);
    if (got === -EAGAIN) return found;
    assert.ok(got > 0, `read: ${got}`);
    found.push(Buffer.from(room.octets.slice(0, got)));
  }
}

kernelTest("a device appears under a name of its own and goes with its descriptor", () => {
  const one = openTun({ name: "cv-os-t%d", kind: "tun", vnetHeader: true, offloads: all });
  const two = openTun({ name: "cv-os-t%d", kind: "tap", vnetHeader: false });
  assert.deepEqual([one.name, two.name], ["cv-os-t0", "cv-os-t1"]);
  assert.equal(one.vnetHeader, true);
  assert.deepEqual([one.offloads.checksum, one.offloads.tso], [true, true]);
  assert.equal(two.vnetHeader, false);
  assert.deepEqual(two.offloads, { checksum: false, uso: false, tso: false });
  assert.deepEqual([readLink(one.name).kind, readLink(one.name).up], ["tun", false]);
  assert.equal(readLink(two.name).hardwareType, 1);
  close(one.fd);
  close(two.fd);
  assert.equal(findLink("cv-os-t0"), undefined);
  assert.equal(findLink("cv-os-t1"), undefined);
});

kernelTest("an interface that is no TUN device is left alone", () => {
  makeVeth("cv-os-v0", "cv-os-v1");
  try {
    assert.throws(
      () => openTun({ name: "cv-os-v0", kind: "tun", vnetHeader: true }),
      (error: unknown) =>
        error instanceof OsError && error.errno === "EEXIST" && /veth/.test(error.mend ?? ""),
    );
    assert.equal(readLink("cv-os-v0").kind, "veth");
  } finally {
    removeLink("cv-os-v0");
  }
});

kernelTest("a device that is taken, of another kind or badly named is refused with a mend", () => {
  const device = openTun({ name: "cv-os-t", kind: "tun", vnetHeader: true });
  const refused = (name: string, kind: "tun" | "tap", errno: string): void =>
    assert.throws(
      () => openTun({ name, kind, vnetHeader: true }),
      (error: unknown) =>
        error instanceof OsError && error.errno === errno && error.mend !== undefined,
    );
  refused("cv-os-t", "tun", "EBUSY");
  refused("cv-os-t", "tap", "EINVAL");
  refused("cv-os-%d%d", "tun", "EINVAL");
  refused("a name", "tun", "EINVAL");
  close(device.fd);
});

kernelTest("several descriptors serve one device when each asks for that", () => {
  const options = { name: "cv-os-m", kind: "tun", vnetHeader: true, multiQueue: true } as const;
  const queues = [openTun(options), openTun(options), openTun(options)];
  assert.deepEqual(
    queues.map(({ name }) => name),
    ["cv-os-m", "cv-os-m", "cv-os-m"],
  );
  for (const { fd } of queues) close(fd);
  assert.equal(findLink("cv-os-m"), undefined);
});

kernelTest("what the host sends comes with a virtio_net_hdr and a partial checksum", async () => {
  const device = openTun({ name: "cv-os-t", kind: "tun", vnetHeader: true, offloads: all });
  configure(device);
  const socket = createSocket("udp4");
  socket.bind(0, "192.0.2.1");
  await once(socket, "listening");
  await new Promise((sent) => socket.send("hello", 5_000, "192.0.2.2", sent));
  const [packet, ...others] = drain(device);
  assert.deepEqual(others, []);
  assert.equal(packet!.length, VNET_LENGTH + 33);
  assert.equal(packet![VNET_FLAGS], VNET_NEEDS_CHECKSUM);
  assert.equal(packet!.readUInt16LE(VNET_CHECKSUM_START), 20);
  assert.equal(packet!.readUInt16LE(VNET_CHECKSUM_OFFSET), 6);
  assert.equal(packet![VNET_LENGTH], 0x45);
  assert.equal(packet![VNET_LENGTH + 9], PROTOCOL_UDP);
  assert.equal(packet!.subarray(VNET_LENGTH + 28).toString(), "hello");
  socket.close();
  close(device.fd);
});

kernelTest("without a virtio_net_hdr packets come bare and complete", async () => {
  const device = openTun({ name: "cv-os-t", kind: "tun", vnetHeader: false });
  configure(device);
  const socket = createSocket("udp4");
  await new Promise((sent) => socket.send("hello", 5_000, "192.0.2.2", sent));
  const [packet] = drain(device);
  assert.equal(packet!.length, 33);
  const sum = ipv4Udp(
    "192.0.2.1",
    "192.0.2.2",
    packet!.readUInt16BE(20),
    5_000,
    Buffer.from("hello"),
  );
  assert.equal(packet!.readUInt16BE(26), sum.readUInt16BE(26));
  socket.close();
  close(device.fd);
});

kernelTest(
  "one write of a UDP super-packet reaches the host as all its datagrams",
  async (context) => {
    const device = openTun({ name: "cv-os-t", kind: "tun", vnetHeader: true, offloads: all });
    if (!device.offloads.uso) {
      close(device.fd);
      return lacking(context, "UDP super-packets on TUN (Linux 6.2)");
    }
    configure(device);
    setMtu(device.name, 1_500);
    const socket = createSocket("udp4");
    socket.bind(5_000, "192.0.2.1");
    await once(socket, "listening");
    const payload = Buffer.from(Array.from({ length: 39 * 1_316 + 100 }, (_, i) => (i * 7) & 0xff));
    const header = Buffer.alloc(VNET_LENGTH);
    header[VNET_FLAGS] = VNET_NEEDS_CHECKSUM;
    header[VNET_GSO_TYPE] = VNET_GSO_UDP_L4;
    header.writeUInt16LE(1_316, VNET_GSO_SIZE);
    header.writeUInt16LE(20, VNET_CHECKSUM_START);
    header.writeUInt16LE(6, VNET_CHECKSUM_OFFSET);
    const packet = ipv4Udp("192.0.2.2", "192.0.2.1", 6_000, 5_000, payload, true);
    const got: Buffer[] = [];
    const done = new Promise<void>((resolve) =>
      socket.on("message", (message) => {
        got.push(message);
        if (got.length === 40) resolve();
      }),
    );
    const out = new Messages().put(0, header).put(1, packet);
    assert.equal(writev(device.fd, out.iovecs, 2), VNET_LENGTH + packet.length);
    await done;
    assert.deepEqual(Buffer.concat(got), payload);
    assert.deepEqual([got[0]!.length, got[39]!.length], [1_316, 100]);
    socket.close();
    close(device.fd);
  },
);

kernelTest("a write to a device that is down is refused and harms nothing", () => {
  const device = openTun({ name: "cv-os-t", kind: "tun", vnetHeader: false });
  const out = new Messages().put(0, ipv4Udp("192.0.2.2", "192.0.2.1", 1, 2, Buffer.from("x")));
  assert.equal(write(device.fd, out.base + out.slot(0), 29), -5);
  close(device.fd);
});
