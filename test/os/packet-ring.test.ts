import assert from "node:assert/strict";
import {
  ETHERNET_LENGTH,
  ETHERTYPE_IPV4,
  IPPROTO_IP,
  IPPROTO_UDP,
  TPACKET2_MAC,
  TPACKET2_SNAPLEN,
  TPACKET2_STATUS,
  TP_STATUS_COPY,
  TP_STATUS_KERNEL,
  TP_STATUS_USER,
  UDP_SEGMENT,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_GSO_UDP_L4,
  VNET_LENGTH,
} from "../../assembly/layout/system.ts";
import {
  SOCK_RAW,
  baseAddress,
  bind,
  close,
  recvmmsg,
  send,
  sendmmsg,
  setsockopt,
  socket,
} from "../../src/os/libc.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { addAddress, readLink, setSysctl, setUp } from "../../src/os/link.ts";
import { openPacket, readPacketDrops } from "../../src/os/packet.ts";
import {
  closeRing,
  openRing,
  ringLength,
  ringShape,
  tryRing,
  type RingShape,
} from "../../src/os/packet-ring.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "./namespace.ts";
import { ethernet, ipv4 } from "./packets.ts";

enterNamespace();

const NEAR = "cv-os-r0";
const FAR = "cv-os-r1";
const AF_PACKET = 17;
const IP_MULTICAST_IF = 32;
const PAGE = 65_536;
const SHAPE: RingShape = { frames: 6, shift: 11 };
const ADDRESS = 2 * PAGE;

interface Desk {
  readonly fd: number;
  readonly memory: WebAssembly.Memory;
  readonly base: number;
  /** Puts frames on the wire at the far end. */
  readonly inject: (...frames: readonly Uint8Array[]) => void;
}

/** A wire, and a packet socket at its near end with a ring in a shared memory's third page. */
async function withRing(body: (desk: Desk) => void | Promise<void>): Promise<void> {
  makeVeth(NEAR, FAR);
  const { fd } = openPacket({ interface: NEAR, families: [4], vnetHeader: true });
  const out = socket(AF_PACKET, SOCK_RAW, 0, "test");
  try {
    for (const name of [NEAR, FAR]) setSysctl(6, name, "disable_ipv6", 1);
    addAddress(NEAR, "192.0.2.1", 24);
    const name = new Uint8Array(20);
    new DataView(name.buffer).setUint16(0, AF_PACKET, true);
    new DataView(name.buffer).setInt32(4, readLink(FAR).index, true);
    bind(out, name, FAR);
    const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
    const base = baseAddress(memory);
    new Uint8Array(memory.buffer).fill(7);
    assert.equal(openRing(fd, SHAPE, base + ADDRESS), 0);
    await body({
      fd,
      memory,
      base,
      inject(...frames) {
        for (const frame of frames) assert.equal(send(out, frame), frame.length);
      },
    });
  } finally {
    close(out);
    close(fd);
    removeLink(NEAR);
  }
}

const packet = (i: number): Buffer =>
  ethernet(
    "01:00:5e:01:02:03",
    ETHERTYPE_IPV4,
    ipv4("198.51.100.1", "239.1.2.3", 17, Buffer.alloc(100 + i, i)),
  );

/** Status, virtio_net_hdr and packet of frame `i`. */
function frameOf(memory: WebAssembly.Memory, i: number) {
  const at = ADDRESS + ((i & (2 ** SHAPE.frames - 1)) << SHAPE.shift);
  const octets = Buffer.from(new Uint8Array(memory.buffer, at, 2 ** SHAPE.shift));
  const mac = octets.readUInt16LE(TPACKET2_MAC);
  return {
    at,
    status: octets.readUInt32LE(TPACKET2_STATUS),
    vnet: octets.subarray(mac - VNET_LENGTH, mac),
    packet: octets.subarray(mac, mac + octets.readUInt32LE(TPACKET2_SNAPLEN)),
  };
}

function giveBack(memory: WebAssembly.Memory, at: number): void {
  Atomics.store(new Int32Array(memory.buffer), (at + TPACKET2_STATUS) >> 2, TP_STATUS_KERNEL);
}

kernelTest("the kernel writes packets into the arena, in order, round and round", async () => {
  await withRing(({ memory, inject }) => {
    for (let i = 0; i < 150; i++) {
      inject(packet(i));
      const frame = frameOf(memory, i);
      assert.equal(frame.status & (TP_STATUS_USER | TP_STATUS_COPY), TP_STATUS_USER);
      assert.deepEqual(frame.packet, packet(i));
      assert.equal(frame.vnet[VNET_GSO_TYPE], 0);
      giveBack(memory, frame.at);
    }
  });
});

kernelTest(
  "a full ring loses packets, which are counted, and goes on when it has room",
  async () => {
    await withRing(({ fd, memory, inject }) => {
      const frames = 2 ** SHAPE.frames;
      inject(...Array.from({ length: frames + 9 }, (_, i) => packet(i)));
      assert.equal(readPacketDrops(fd), 9);
      assert.equal(readPacketDrops(fd), 0);
      giveBack(memory, frameOf(memory, 0).at);
      inject(packet(99));
      assert.deepEqual(frameOf(memory, frames).packet, packet(99));
      assert.deepEqual(frameOf(memory, 1).packet, packet(1));
    });
  },
);

kernelTest("a super-packet longer than a frame waits whole in the queue", async () => {
  await withRing(({ fd, memory, inject }) => {
    const application = openUdp({ local: { address: "192.0.2.1", port: 0 } });
    setsockopt(application.fd, IPPROTO_IP, IP_MULTICAST_IF, Uint8Array.of(192, 0, 2, 1), "test");
    const payload = Buffer.alloc(64_000 - (64_000 % 1_316), 5);
    const data = new Uint8Array(new Uint16Array([1_316]).buffer);
    const to = { address: "239.1.1.1", port: 5_000 };
    const train = { level: IPPROTO_UDP, type: UDP_SEGMENT, data };
    const out = new Messages().put(0, payload, to, train);
    assert.equal(sendmmsg(application.fd, out.headers, 1), 1);
    inject(packet(1));
    const [first, second] = [frameOf(memory, 0), frameOf(memory, 1)];
    assert.equal(first.status & (TP_STATUS_USER | TP_STATUS_COPY), TP_STATUS_USER | TP_STATUS_COPY);
    assert.equal(second.status & (TP_STATUS_USER | TP_STATUS_COPY), TP_STATUS_USER);
    const into = new Messages().expect();
    assert.equal(recvmmsg(fd, into.headers, 64), 1);
    const got = into.payload(0);
    assert.equal(got.length, VNET_LENGTH + ETHERNET_LENGTH + 28 + payload.length);
    assert.equal(got[VNET_GSO_TYPE], VNET_GSO_UDP_L4);
    assert.equal(got.readUInt16LE(VNET_GSO_SIZE), 1_316);
    close(application.fd);
  });
});

kernelTest("a closed ring leaves the memory usable and the socket as it was", async () => {
  await withRing(({ fd, memory, base, inject }) => {
    inject(packet(1));
    closeRing(fd, SHAPE, base + ADDRESS);
    const octets = new Uint8Array(memory.buffer);
    const end = ADDRESS + ringLength(SHAPE);
    for (const at of [ADDRESS - 1, end]) assert.equal(octets[at], 7);
    assert.ok(octets.subarray(ADDRESS, end).every((octet) => octet === 0));
    octets.fill(9, ADDRESS, end);
    assert.equal(octets[end - 1], 9);
    inject(packet(2));
    const into = new Messages().expect();
    assert.equal(recvmmsg(fd, into.headers, 64), 1);
    assert.deepEqual(into.payload(0).subarray(VNET_LENGTH), packet(2));
    // And it can have a ring again.
    assert.equal(openRing(fd, SHAPE, base + ADDRESS), 0);
    inject(packet(3));
    assert.deepEqual(frameOf(memory, 0).packet, packet(3));
  });
});

kernelTest("an interface that goes down is told of once, beside the ring", async () => {
  await withRing(async ({ fd, memory, inject }) => {
    const into = new Messages().expect();
    assert.equal(recvmmsg(fd, into.headers, 64), -EAGAIN);
    setUp(NEAR, false);
    assert.ok(recvmmsg(fd, into.headers, 64) < -EAGAIN);
    assert.equal(recvmmsg(fd, into.headers, 64), -EAGAIN);
    setUp(NEAR, true);
    // The far end notices the carrier in its own time, and loses what is sent before.
    while (frameOf(memory, 0).status === TP_STATUS_KERNEL) {
      inject(packet(4));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(frameOf(memory, 0).packet, packet(4));
  });
});

kernelTest("a socket that can have no ring says so, and the memory stays", () => {
  const application = openUdp({ local: { address: "127.0.0.1", port: 0 } });
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
  const octets = new Uint8Array(memory.buffer).fill(7);
  assert.ok(openRing(application.fd, SHAPE, baseAddress(memory) + ADDRESS) < 0);
  assert.ok(tryRing(application.fd) < 0);
  assert.ok(octets.every((octet) => octet === 7));
  close(application.fd);
});

kernelTest("a ring has as many frames as it may have octets, each for the interface's MTU", () => {
  const octets = 32 << 20;
  assert.deepEqual(ringShape(1_500, octets), { shift: 11, frames: 14 });
  assert.deepEqual(ringShape(9_000, octets), { shift: 14, frames: 11 });
  assert.deepEqual(ringShape(65_536, octets), { shift: 11, frames: 14 });
  for (const mtu of [68, 1_500, 1_952, 1_953, 9_216, 65_536])
    assert.equal(ringLength(ringShape(mtu, octets)), octets);
});
