import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
  ETHERNET_LENGTH,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IPPROTO_IP,
  IPPROTO_UDP,
  UDP_SEGMENT,
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_NONE,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
  VNET_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../../assembly/layout/system.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import {
  SOCK_RAW,
  bind,
  close,
  recvmmsg,
  send,
  sendmmsg,
  setsockopt,
  socket,
  write,
} from "../../src/os/libc.ts";
import { addAddress, readLink, setSysctl, setUp } from "../../src/os/link.ts";
import { openPacket, readPacketDrops } from "../../src/os/packet.ts";
import { openTun } from "../../src/os/tun.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";
import { ethernet, ipv4, ipv4Udp, ipv6 } from "./packets.ts";

enterNamespace();

const AF_PACKET = 17;
const IP_MULTICAST_IF = 32;
const IP_MULTICAST_TTL = 33;

/** A wire with our end `cv-os-p0`, which has an address and is quiet, and the far end `cv-os-p1`. */
async function withWire(body: () => void | Promise<void>): Promise<void> {
  makeVeth("cv-os-p0", "cv-os-p1");
  try {
    for (const name of ["cv-os-p0", "cv-os-p1"]) setSysctl(6, name, "disable_ipv6", 1);
    addAddress("cv-os-p0", "192.0.2.1", 24);
    await body();
  } finally {
    removeLink("cv-os-p0");
  }
}

/** Puts frames on the wire at the far end. */
function inject(...frames: Buffer[]): void {
  const fd = socket(AF_PACKET, SOCK_RAW, 0, "test");
  const name = new Uint8Array(20);
  const view = new DataView(name.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setInt32(4, readLink("cv-os-p1").index, true);
  bind(fd, name, "cv-os-p1");
  for (const frame of frames) assert.equal(send(fd, frame), frame.length);
  close(fd);
}

/** Frames that wait in a packet socket. veth delivers within the sender's call. */
function drain(fd: number): Buffer[] {
  const into = new Messages().expect();
  const count = recvmmsg(fd, into.headers, 64);
  if (count === -EAGAIN) return [];
  assert.ok(count > 0, `recvmmsg: ${count}`);
  return Array.from({ length: count }, (_, i) => into.payload(i));
}

const V4_MAC = "01:00:5e:01:02:03";
const V6_MAC = "33:33:00:00:00:01";
const body = Buffer.from("payload-payload-payload");
const v4 = (destination: string, protocol = 17): Buffer =>
  ethernet(V4_MAC, ETHERTYPE_IPV4, ipv4("198.51.100.1", destination, protocol, body));
const v6 = (destination: string, next = 17, payload: Uint8Array = body): Buffer =>
  ethernet(V6_MAC, ETHERTYPE_IPV6, ipv6("2001:db8::1", destination, next, payload));
const tagged = (frame: Buffer): Buffer =>
  Buffer.concat([frame.subarray(0, 12), Buffer.from([0x81, 0, 0, 7]), frame.subarray(12)]);
/** A Hop-by-Hop header of 8 octets and what follows it. */
const hop = (next: number, type: number, units = 0): Buffer => {
  const header = Buffer.alloc(8 * (units + 1));
  header[0] = next;
  header[1] = units;
  return Buffer.concat([header, Buffer.from([type]), body]);
};

const taken: Record<string, Buffer> = {
  "IPv4 multicast": v4("232.1.2.3"),
  "first group beyond link scope": v4("224.0.1.0"),
  "last IPv4 group": v4("239.255.255.255"),
  "IPv4 multicast of another protocol": v4("239.1.1.1", 50),
  "IPv6 of global scope": v6("ff3e::8000:1"),
  "IPv6 of realm scope": v6("ff03::1"),
  "ICMPv6 that is not MLD": v6("ff0e::1", 58, Buffer.concat([Buffer.from([128]), body])),
  "Hop-by-Hop before UDP": v6("ff0e::1", 0, hop(17, 143)),
  "Hop-by-Hop before ICMPv6 that is not MLD": v6("ff0e::1", 0, hop(58, 128)),
  "long Hop-by-Hop before ICMPv6 that is not MLD": v6("ff0e::1", 0, hop(58, 129, 2)),
};
const left: Record<string, Buffer> = {
  "IPv4 unicast": v4("192.0.2.9"),
  "IPv4 below multicast": v4("223.255.255.255"),
  "IPv4 above multicast": v4("240.0.0.1"),
  "IPv4 of link scope": v4("224.0.0.251"),
  IGMP: v4("239.1.1.1", 2),
  "IPv6 unicast": v6("2001:db8::2"),
  "IPv6 of interface scope": v6("ff01::1"),
  "IPv6 of link scope": v6("ff02::fb"),
  "source-specific IPv6 of link scope": v6("ff32::1"),
  "MLD query": v6("ff0e::1", 0, hop(58, 130)),
  "MLDv1 report": v6("ff0e::1", 0, hop(58, 131)),
  "MLDv1 done": v6("ff0e::1", 0, hop(58, 132)),
  "MLDv2 report": v6("ff0e::1", 0, hop(58, 143)),
  "MLDv2 report after a long Hop-by-Hop header": v6("ff0e::1", 0, hop(58, 143, 3)),
  "MLD without Hop-by-Hop": v6("ff0e::1", 58, Buffer.concat([Buffer.from([131]), body])),
  ARP: ethernet("ff:ff:ff:ff:ff:ff", 0x0806, Buffer.alloc(46)),
  "IPv4 multicast in a frame to another host": ethernet(
    "02:aa:bb:cc:dd:ee",
    ETHERTYPE_IPV4,
    ipv4("198.51.100.1", "239.1.1.1", 17, body),
  ),
  "a frame cut before the end of the IPv4 destination": v4("239.1.1.1").subarray(0, 33),
  "a frame cut before the IPv6 destination": v6("ff0e::1").subarray(0, 38),
  "tagged IPv4 multicast": tagged(v4("239.1.1.1")),
  "tagged IPv6 multicast": tagged(v6("ff0e::1")),
};

for (const vnetHeader of [true, false])
  kernelTest(
    `the filter takes routable multicast and nothing else, ${vnetHeader ? "with" : "without"} virtio_net_hdr`,
    async () => {
      await withWire(() => {
        const packets = openPacket({ interface: "cv-os-p0", families: [4, 6], vnetHeader });
        assert.deepEqual([packets.vnetHeader, packets.linkHeader], [vnetHeader, ETHERNET_LENGTH]);
        for (const [what, frame] of Object.entries(taken)) {
          inject(frame);
          const got = drain(packets.fd);
          assert.equal(got.length, 1, `${what} is left`);
          assert.deepEqual(got[0]!.subarray(vnetHeader ? VNET_LENGTH : 0), frame, what);
          if (vnetHeader) assert.equal(got[0]![VNET_GSO_TYPE], VNET_GSO_NONE);
        }
        for (const [what, frame] of Object.entries(left)) {
          inject(frame);
          assert.deepEqual(drain(packets.fd), [], `${what} is taken`);
        }
        close(packets.fd);
      });
    },
  );

for (const family of [4, 6] as const)
  kernelTest(`a socket for IPv${family} leaves the other family`, async () => {
    await withWire(() => {
      const packets = openPacket({ interface: "cv-os-p0", families: [family], vnetHeader: true });
      inject(v4("239.1.1.1"), v6("ff0e::1"));
      const got = drain(packets.fd);
      assert.deepEqual(
        got.map((frame) => frame[VNET_LENGTH + ETHERNET_LENGTH]! >> 4),
        [family],
      );
      close(packets.fd);
    });
  });

kernelTest("what a local application sends on the interface is taken, once", async () => {
  await withWire(async () => {
    const packets = openPacket({ interface: "cv-os-p0", families: [4], vnetHeader: true });
    const application = createSocket("udp4");
    application.bind(0, "192.0.2.1");
    await once(application, "listening");
    application.addMembership("239.1.1.1", "192.0.2.1");
    application.setMulticastInterface("192.0.2.1");
    application.setMulticastTTL(9);
    await new Promise((sent) => application.send("hello", 5_000, "239.1.1.1", sent));
    const got = drain(packets.fd);
    assert.equal(got.length, 1);
    const frame = got[0]!.subarray(VNET_LENGTH);
    assert.equal(frame.subarray(ETHERNET_LENGTH + 28).toString(), "hello");
    // veth sums at its far end only, so the checksum is partial; it starts after link and IP header.
    assert.equal(got[0]![VNET_FLAGS], VNET_NEEDS_CHECKSUM);
    assert.equal(got[0]!.readUInt16LE(VNET_CHECKSUM_START), ETHERNET_LENGTH + 20);
    assert.equal(got[0]!.readUInt16LE(VNET_CHECKSUM_OFFSET), 6);
    application.close();
    close(packets.fd);
  });
});

for (const side of ["cv-os-p0", "cv-os-p1"])
  kernelTest(`a train is one frame with its segment size at ${side}`, async () => {
    await withWire(() => {
      const packets = openPacket({ interface: side, families: [4], vnetHeader: true });
      const application = openUdp({ local: { address: "192.0.2.1", port: 0 } });
      const address = Uint8Array.of(192, 0, 2, 1);
      setsockopt(application.fd, IPPROTO_IP, IP_MULTICAST_IF, address, "test");
      setsockopt(application.fd, IPPROTO_IP, IP_MULTICAST_TTL, 9, "test");
      const payload = Buffer.alloc(13_160 + 7, 5);
      const out = new Messages().put(
        0,
        payload,
        { address: "239.1.1.1", port: 5_000 },
        {
          level: IPPROTO_UDP,
          type: UDP_SEGMENT,
          data: new Uint8Array(new Uint16Array([1_316]).buffer),
        },
      );
      assert.equal(sendmmsg(application.fd, out.headers, 1), 1);
      const got = drain(packets.fd);
      assert.equal(got.length, 1);
      assert.equal(got[0]!.length, VNET_LENGTH + ETHERNET_LENGTH + 28 + payload.length);
      assert.equal(got[0]![VNET_GSO_TYPE], VNET_GSO_UDP_L4);
      assert.equal(got[0]!.readUInt16LE(VNET_GSO_SIZE), 1_316);
      assert.equal(got[0]![VNET_FLAGS]! & VNET_NEEDS_CHECKSUM, VNET_NEEDS_CHECKSUM);
      assert.equal(got[0]!.readUInt16LE(VNET_CHECKSUM_START), ETHERNET_LENGTH + 20);
      close(application.fd);
      close(packets.fd);
    });
  });

kernelTest("on loopback a datagram is taken once", async () => {
  const packets = openPacket({ interface: "lo", families: [4], vnetHeader: true });
  assert.equal(packets.linkHeader, ETHERNET_LENGTH);
  const application = createSocket("udp4");
  application.bind(0, "127.0.0.1");
  await once(application, "listening");
  application.setMulticastInterface("127.0.0.1");
  await new Promise((sent) => application.send("hello", 5_000, "239.1.1.1", sent));
  assert.equal(drain(packets.fd).length, 1);
  application.close();
  close(packets.fd);
});

kernelTest("on a TUN device nothing precedes the IP header but the virtio_net_hdr", async () => {
  const device = openTun({ name: "cv-os-pt", kind: "tun", vnetHeader: true });
  setSysctl(6, device.name, "disable_ipv6", 1);
  addAddress(device.name, "192.0.2.9", 24);
  setUp(device.name, true);
  const packets = openPacket({ interface: device.name, families: [4, 6], vnetHeader: true });
  assert.equal(packets.linkHeader, 0);
  const datagram = ipv4Udp("198.51.100.1", "239.1.1.1", 1, 2, body);
  const out = new Messages().put(0, Buffer.concat([Buffer.alloc(VNET_LENGTH), datagram]));
  const length = VNET_LENGTH + datagram.length;
  assert.equal(write(device.fd, out.base + out.slot(0), length), length);
  assert.deepEqual(
    drain(packets.fd).map((frame) => frame.subarray(VNET_LENGTH)),
    [datagram],
  );
  const application = createSocket("udp4");
  application.bind(0, "192.0.2.9");
  await once(application, "listening");
  application.setMulticastInterface("192.0.2.9");
  await new Promise((sent) => application.send("hello", 5_000, "239.1.1.1", sent));
  assert.equal(
    drain(packets.fd)[0]!
      .subarray(VNET_LENGTH + 28)
      .toString(),
    "hello",
  );
  assert.ok(out.octets.length > 0);
  application.close();
  close(packets.fd);
  close(device.fd);
});

kernelTest("frames that found no room are counted once", async () => {
  await withWire(() => {
    const options = { interface: "cv-os-p0", families: [4], vnetHeader: true } as const;
    const packets = openPacket({ ...options, receiveBuffer: 4_096 });
    const large = openPacket({ ...options, receiveBuffer: 1 << 20 });
    assert.ok(large.receiveBuffer > packets.receiveBuffer);
    inject(...Array.from({ length: 50 }, () => v4("239.1.1.1")));
    const kept = drain(packets.fd).length;
    assert.ok(kept < 50);
    assert.equal(readPacketDrops(packets.fd), 50 - kept);
    assert.equal(readPacketDrops(packets.fd), 0);
    assert.equal(drain(large.fd).length, 50);
    assert.equal(readPacketDrops(large.fd), 0);
    close(packets.fd);
    close(large.fd);
  });
});
