import assert from "node:assert/strict";
import { L2TP_PROTOCOL } from "../../assembly/layout/l2tp.ts";
import { IPV4_HEADER } from "../../assembly/layout/ip.ts";
import type { Family } from "../../src/core/address.ts";
import { OsError } from "../../src/core/errors.ts";
import { EAGAIN, EMSGSIZE } from "../../src/os/errno.ts";
import { close, recvmmsg, sendTo } from "../../src/os/libc.ts";
import { setMtu } from "../../src/os/link.ts";
import { openRawIp, type RawIpOptions } from "../../src/os/raw-ip.ts";
import { encodeSockaddr } from "../../src/os/sockaddr.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";
import { addLoopback, enterNamespace, kernelTest } from "./namespace.ts";

enterNamespace();

const ENDS: Record<Family, [string, string]> = {
  4: ["127.0.0.1", "127.0.0.2"],
  6: ["2001:db8::1", "2001:db8::2"],
};

async function pair(
  family: Family,
  options: Partial<RawIpOptions> = {},
): Promise<[number, number]> {
  if (family === 6) await addLoopback(ENDS[6]);
  const [one, two] = ENDS[family].map(
    (local) => openRawIp({ local, protocol: L2TP_PROTOCOL, ...options }).fd,
  );
  return [one!, two!];
}

for (const family of [4, 6] as const) {
  const [, to] = ENDS[family];
  const header = family === 4 ? IPV4_HEADER : 0;

  kernelTest(
    `a message over IPv${family} arrives at the address it is for, and at no other`,
    async () => {
      const [one, two] = await pair(family, { ttl: 7, tos: 0xb8, receiveBuffer: 1 << 20 });
      const payload = Buffer.from("\0\0\0\u0007frame");
      assert.equal(sendTo(one, payload, encodeSockaddr(to, 0)), payload.length);
      const room = new Messages().expect();
      assert.equal(recvmmsg(one, room.headers, 8), -EAGAIN);
      assert.equal(recvmmsg(two, room.headers, 8), 1);
      const got = Buffer.from(room.octets.subarray(room.slot(0), room.slot(0) + 64));
      assert.deepEqual(got.subarray(header, header + payload.length), payload);
      if (family === 4) {
        assert.deepEqual([got[0], got[1], got[8], got[9]], [0x45, 0xb8, 7, L2TP_PROTOCOL]);
        assert.deepEqual([...got.subarray(12, 16)], [127, 0, 0, 1]);
      }
      for (const fd of [one, two]) close(fd);
    },
  );

  kernelTest(`over IPv${family} what is too long is refused with DF and cut without`, async () => {
    setMtu("lo", 1_500);
    const name = encodeSockaddr(to, 0);
    const long = Buffer.alloc(3_000, 7);
    for (const dontFragment of [true, false]) {
      const [one, two] = await pair(family, { dontFragment });
      const sent = sendTo(one, long, name);
      const room = new Messages().expect();
      assert.equal(sent, dontFragment ? -EMSGSIZE : long.length);
      assert.equal(recvmmsg(two, room.headers, 8), dontFragment ? -EAGAIN : 1);
      for (const fd of [one, two]) close(fd);
    }
    setMtu("lo", 65_536);
  });
}

kernelTest("an address that is not this host's is refused with a mend", () => {
  assert.throws(
    () => openRawIp({ local: "192.0.2.200", protocol: L2TP_PROTOCOL }),
    (error: unknown) =>
      error instanceof OsError && error.errno === "EADDRNOTAVAIL" && error.mend !== undefined,
  );
});

for (const family of [4, 6] as const)
  kernelTest(
    `datagrams over UDP/IPv${family} go without a checksum, with TTL and TOS, when asked`,
    async () => {
      const [from, to] = ENDS[family];
      if (family === 6) await addLoopback(ENDS[6]);
      // A raw socket sees the datagram as it is on the wire.
      const seen = openRawIp({ local: to, protocol: 17 });
      const open = (sendZeroChecksum: boolean) =>
        openUdp({ local: { address: from, port: 0 }, sendZeroChecksum, ttl: 9, tos: 0x28 });
      const taker = openUdp({ local: { address: to, port: 0 }, zeroChecksum: true });
      for (const zero of [true, false]) {
        const socket = open(zero);
        const name = encodeSockaddr(to, taker.local.port);
        assert.equal(sendTo(socket.fd, Buffer.from("payload"), name), 7);
        const room = new Messages().expect();
        assert.equal(recvmmsg(seen.fd, room.headers, 8), 1);
        const got = Buffer.from(room.octets.subarray(room.slot(0), room.slot(0) + 64));
        const udp = family === 4 ? IPV4_HEADER : 0;
        assert.equal(got.readUInt16BE(udp + 6) === 0, zero);
        if (family === 4) assert.deepEqual([got[1], got[8]], [0x28, 9]);
        assert.equal(recvmmsg(taker.fd, room.headers, 8), 1);
        close(socket.fd);
      }
      for (const { fd } of [seen, taker]) close(fd);
    },
  );
