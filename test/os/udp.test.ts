import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IP_PKTINFO,
  IP_TTL,
  UDP_GRO,
  UDP_SEGMENT,
} from "../../assembly/layout/system.ts";
import type { Family } from "../../src/core/address.ts";
import { OsError } from "../../src/core/errors.ts";
import { EAGAIN, EFAULT, EINVAL } from "../../src/os/errno.ts";
import {
  baseAddress,
  close,
  read,
  readv,
  recv,
  recvmmsg,
  sendmmsg,
  trySetsockopt,
  write,
  writev,
} from "../../src/os/libc.ts";
import { watch } from "../../src/os/poll.ts";
import { openUdp, sendDatagram } from "../../src/os/udp.ts";
import type { UdpOptions, UdpSocket } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";

/** A sender's option to leave the checksum out. */
const UDP_NO_CHECK6_TX = 101;

const LOOPBACK: Record<Family, string> = { 4: "127.0.0.1", 6: "::1" };

/** Opens sockets on loopback for the length of `body`. */
async function withSockets(
  family: Family,
  options: readonly Partial<UdpOptions>[],
  body: (...sockets: UdpSocket[]) => void | Promise<void>,
): Promise<void> {
  const sockets = options.map((more) =>
    openUdp({ local: { address: LOOPBACK[family], port: 0 }, ...more }),
  );
  try {
    await body(...sockets);
  } finally {
    for (const { fd } of sockets) close(fd);
  }
}

/** The reason why a family can't be tried here; false when it can. */
const MISSING: Record<Family, string | false> = { 4: missing(4), 6: missing(6) };

function missing(family: Family): string | false {
  try {
    close(openUdp({ local: { address: LOOPBACK[family], port: 0 } }).fd);
    return false;
  } catch (error) {
    if (process.env["CULVERT_REQUIRE_ALL"] === "1") throw error;
    return `this host has no ${LOOPBACK[family]} (${String(error)})`;
  }
}

const readable = (fd: number): Promise<void> =>
  new Promise((resolve) => {
    const watching = watch(fd, { readable: true }, () => {
      watching.close();
      resolve();
    });
  });

for (const family of [4, 6] as const) {
  const skip = MISSING[family];

  void test(
    `a batch of IPv${family} datagrams arrives with octets, sender and order`,
    { skip },
    async () => {
      await withSockets(family, [{}, {}], async (from, to) => {
        const out = new Messages();
        for (let i = 0; i < 32; i++) out.put(i, Buffer.alloc(100 + i, i), to!.local);
        assert.equal(sendmmsg(from!.fd, out.headers, 32), 32);
        await readable(to!.fd);
        const into = new Messages().expect();
        assert.equal(recvmmsg(to!.fd, into.headers, 64), 32);
        for (let i = 0; i < 32; i++) {
          assert.deepEqual(into.payload(i), Buffer.alloc(100 + i, i));
          assert.deepEqual(into.sender(i), from!.local);
        }
        assert.equal(recvmmsg(to!.fd, into.headers, 64), -EAGAIN);
      });
    },
  );

  void test(
    `an IPv${family} train sent as one message arrives as one with its segment size`,
    { skip },
    async () => {
      await withSockets(family, [{}, { gro: true, receiveBuffer: 1 << 20 }], async (from, to) => {
        assert.ok(from!.gso && to!.gro, "this kernel has no UDP_SEGMENT or UDP_GRO");
        const train = Buffer.from(Array.from({ length: 9_500 }, (_, i) => i & 0xff));
        const size = new Uint8Array(new Uint16Array([1_000]).buffer);
        const out = new Messages();
        out.put(0, train, to!.local, { level: IPPROTO_UDP, type: UDP_SEGMENT, data: size });
        assert.equal(sendmmsg(from!.fd, out.headers, 1), 1);
        await readable(to!.fd);
        const into = new Messages().expect();
        assert.equal(recvmmsg(to!.fd, into.headers, 64), 1);
        assert.deepEqual(into.payload(0), train);
        const [segment, ...others] = into.ancillary(0);
        assert.deepEqual(others, []);
        assert.deepEqual([segment!.level, segment!.type], [IPPROTO_UDP, UDP_GRO]);
        assert.deepEqual(Array.from(segment!.data), [1_000 & 0xff, 1_000 >> 8, 0, 0]);
      });
    },
  );

  void test(
    `an IPv${family} train reaches a socket without receive offload as datagrams`,
    { skip },
    async () => {
      await withSockets(family, [{}, {}], async (from, to) => {
        const size = new Uint8Array(new Uint16Array([1_000]).buffer);
        const out = new Messages();
        const cmsg = { level: IPPROTO_UDP, type: UDP_SEGMENT, data: size };
        out.put(0, Buffer.alloc(2_500, 7), to!.local, cmsg);
        assert.equal(sendmmsg(from!.fd, out.headers, 1), 1);
        await readable(to!.fd);
        const into = new Messages().expect();
        assert.equal(recvmmsg(to!.fd, into.headers, 64), 3);
        assert.deepEqual(
          [0, 1, 2].map((i) => into.payload(i).length),
          [1_000, 1_000, 500],
        );
      });
    },
  );

  void test(
    `IPv${family} messages tell their destination and hop limit when asked`,
    { skip },
    async () => {
      await withSockets(family, [{}, { destination: true, hopLimit: true }], async (from, to) => {
        const out = new Messages().put(0, Buffer.from("x"), to!.local);
        assert.equal(sendmmsg(from!.fd, out.headers, 1), 1);
        await readable(to!.fd);
        const into = new Messages().expect();
        assert.equal(recvmmsg(to!.fd, into.headers, 1), 1);
        const kinds = into
          .ancillary(0)
          .map(({ level, type, data }) => `${level} ${type} ${data.length}`);
        const expected =
          family === 4
            ? [`${IPPROTO_IP} ${IP_PKTINFO} 12`, `${IPPROTO_IP} ${IP_TTL} 4`]
            : [`${IPPROTO_IPV6} ${IPV6_PKTINFO} 20`, `${IPPROTO_IPV6} ${IPV6_HOPLIMIT} 4`];
        assert.deepEqual(kinds.toSorted(), expected.toSorted());
      });
    },
  );
}

void test("sockets with reusePort share an endpoint, others get EADDRINUSE with a mend", async () => {
  await withSockets(4, [{ reusePort: true }], (first) => {
    const second = openUdp({ local: first!.local, reusePort: true });
    assert.deepEqual(second.local, first!.local);
    close(second.fd);
    assert.throws(
      () => openUdp({ local: first!.local }),
      (error: unknown) =>
        error instanceof OsError &&
        error.errno === "EADDRINUSE" &&
        error.subject === `127.0.0.1:${first!.local.port}` &&
        error.mend !== undefined,
    );
  });
});

void test("an address that this host lacks is refused with a mend", () => {
  assert.throws(
    () => openUdp({ local: { address: "192.0.2.1", port: 0 } }),
    (error: unknown) =>
      error instanceof OsError && error.errno === "EADDRNOTAVAIL" && error.mend !== undefined,
  );
});

void test("a wanted buffer is granted or cut to the host's limit, never less than before", async () => {
  await withSockets(4, [{}, { receiveBuffer: 300_000, sendBuffer: 300_000 }], (plain, large) => {
    assert.ok(plain!.receiveBuffer > 0 && plain!.sendBuffer > 0);
    assert.ok(large!.receiveBuffer >= 212_992, `${large!.receiveBuffer}`);
    assert.ok(large!.sendBuffer >= 212_992, `${large!.sendBuffer}`);
  });
});

void test("the hot calls answer a negated errno to what koffi would bend", async () => {
  const { headers } = new Messages();
  await withSockets(4, [{}], ({ fd } = { fd: -1 } as UdpSocket) => {
    for (const call of [recvmmsg, sendmmsg, read, write, readv, writev]) {
      assert.equal(call(Number.NaN, headers, 1), -EINVAL);
      assert.equal(call(-1, headers, 1), -EINVAL);
      assert.equal(call(fd, headers, 1.5), -EINVAL);
      assert.equal(call(fd, headers, -1), -EINVAL);
      assert.equal(call(fd, Number.NaN, 1), -EFAULT);
      assert.equal(call(fd, 0, 1), -EFAULT);
      assert.equal(call(fd, 2 ** 53, 1), -EFAULT);
      assert.equal(call(0x7ffffff0, headers, 1), -constants.errno.EBADF);
    }
  });
  assert.throws(() => close(Number.NaN), { code: "CULVERT_BUG" });
});

void test("a shared memory keeps its address when it grows, any other is refused", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4_096, shared: true });
  const before = baseAddress(memory);
  memory.grow(2_000);
  assert.equal(baseAddress(memory), before);
  assert.equal(before % 65_536, 0);
  assert.throws(() => baseAddress(new WebAssembly.Memory({ initial: 1 })), { code: "CULVERT_BUG" });
});

void test(
  "datagrams over IPv6 without UDP checksum are taken where asked for, and only there (RFC 6935 §5)",
  { skip: MISSING[6] },
  async () => {
    await withSockets(6, [{}, { zeroChecksum: true }, {}], async (strict, lax, from) => {
      assert.equal(trySetsockopt(from!.fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, 1), 0);
      for (const to of [strict, lax])
        assert.equal(sendDatagram(from!.fd, Uint8Array.of(1, 2, 3), to!.local), 3);
      await readable(lax!.fd);
      const octets = new Uint8Array(8);
      assert.equal(recv(lax!.fd, octets), 3);
      assert.deepEqual([...octets.subarray(0, 3)], [1, 2, 3]);
      // Loopback delivers in the call that sends, so what has not come will not.
      assert.equal(recv(strict!.fd, octets), -EAGAIN);
    });
  },
);
