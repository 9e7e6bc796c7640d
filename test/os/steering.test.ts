import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { L2TP_CONTROL, L2TP_LENGTH, L2TP_PROTOCOL } from "../../assembly/layout/l2tp.ts";
import type { Address, Endpoint, Family } from "../../src/core/address.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { OsError } from "../../src/core/errors.ts";
import { peerKey, spread, type Spread } from "../../src/core/spread.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { close, recv } from "../../src/os/libc.ts";
import { openRawIp } from "../../src/os/raw-ip.ts";
import { chooseLane, takeLane } from "../../src/os/steering.ts";
import { openUdp, openUdpGroup, sendDatagram } from "../../src/os/udp.ts";
import { seededEntropy } from "../sim/entropy.ts";
import { addLoopback, enterNamespace, kernelTest } from "./namespace.ts";

enterNamespace();

const LOCAL: Readonly<Record<Family, Address>> = { 4: "127.0.0.1", 6: "2001:db8::1" };
const SESSIONS = 400;
const PEERS = 24;

function below(random: Entropy, limit: number): number {
  return random.u32() % limit;
}

/** Identifiers of every kind: small ones, round ones, large ones, any. */
function identifier(random: Entropy, i: number): number {
  if (i < 40) return i + 1;
  if (i < 80) return (i - 39) * 100;
  if (i < 84) return 0xffff_ffff - (i - 80);
  return Math.max(1, random.u32());
}

function seeded(t: TestContext): Entropy {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`SEED=${seed}`);
  return seededEntropy(seed);
}

/** Places of the sockets that have a datagram; loopback delivers within the sender's call. */
function takers(fds: readonly number[]): number[] {
  const room = new Uint8Array(256);
  return fds.flatMap((fd, i) => {
    const lanes: number[] = [];
    for (;;) {
      const length = recv(fd, room);
      if (length === -EAGAIN) return lanes;
      assert.ok(length >= 0, `recv: ${length}`);
      lanes.push(i);
    }
  });
}

/** Addresses of peers, which this host has. */
async function peers(family: Family, random: Entropy, count: number): Promise<Address[]> {
  if (family === 4)
    return Array.from(
      { length: count },
      (_, i): Address => `127.${below(random, 256)}.${below(random, 256)}.${2 + i}`,
    );
  const all = Array.from(
    { length: count },
    (_, i): Address =>
      `2001:db8:${(1 + below(random, 65_535)).toString(16)}::${(2 + i).toString(16)}`,
  );
  await addLoopback([LOCAL[6], ...all]);
  return all;
}

function words(...values: readonly number[]): Buffer {
  const octets = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) octets.writeUInt32BE(value >>> 0, 4 * i);
  return octets;
}

/** A data header of version 2, with a Length or without. */
function version2(id: number, length: boolean): Buffer {
  const octets = Buffer.alloc(12);
  octets.writeUInt16BE(2 | (length ? L2TP_LENGTH : 0), 0);
  octets.writeUInt32BE(id, length ? 4 : 2);
  return octets;
}

for (const family of [4, 6] as const)
  for (const by of ["sessions", "tunnels"] as const satisfies Spread[]) {
    kernelTest(`the kernel spreads ${by} of UDP over IPv${family} as we do`, async (t) => {
      const random = seeded(t);
      const all = await peers(family, random, PEERS);
      for (const lanes of [2, 3, 4, 7]) {
        const group = openUdpGroup(
          { local: { address: LOCAL[family], port: 0 }, gro: true },
          lanes,
          chooseLane(family, by, lanes),
        );
        const to = group[0]!.local;
        const fds = group.map(({ fd }) => fd);
        const used = new Set<number>();
        const arrives = (from: Endpoint, fd: number, octets: Uint8Array, id: number) => {
          const key = by === "sessions" ? id : peerKey(from.address, from.port);
          const lane = spread(key, lanes);
          used.add(lane);
          assert.equal(sendDatagram(fd, octets, to), octets.length);
          assert.deepEqual(takers(fds), [lane], `${id} of ${from.address} ${from.port}`);
        };
        for (const address of all) {
          const { fd, local } = openUdp({ local: { address, port: 0 } });
          for (let i = 0; i < SESSIONS / 8; i++) {
            const id = identifier(random, below(random, 120));
            arrives(local, fd, words(3 << 16, id, 7), id);
            arrives(local, fd, version2(id, i % 2 > 0), id);
          }
          for (const octets of [words((L2TP_CONTROL | 3) << 16, 5), Buffer.alloc(1)]) {
            assert.equal(sendDatagram(fd, octets, to), octets.length);
            assert.deepEqual(takers(fds), [0], "control, and what is short, come to the first");
          }
          close(fd);
        }
        assert.ok(used.size > 1, "more than one lane has a part");
        for (const fd of fds) close(fd);
      }
    });

    kernelTest(`raw sockets divide ${by} of IPv${family} among themselves as we do`, async (t) => {
      const random = seeded(t);
      const local = LOCAL[family];
      const all = await peers(family, random, PEERS);
      for (const lanes of [2, 5]) {
        const fds = Array.from({ length: lanes }, (_, lane) => {
          const filter = takeLane(family, by, lanes, lane);
          return openRawIp({ local, protocol: L2TP_PROTOCOL, filter }).fd;
        });
        const to = { address: local, port: 0 };
        for (const address of all) {
          const { fd } = openRawIp({ local: address, protocol: L2TP_PROTOCOL });
          for (let i = 0; i < SESSIONS / 8; i++) {
            const id = identifier(random, below(random, 120));
            const lane = spread(by === "sessions" ? id : peerKey(address, 0), lanes);
            sendDatagram(fd, words(id, 7), to);
            assert.deepEqual(takers(fds), [lane], `${id} of ${address}`);
          }
          for (const octets of [words(0, 5), Buffer.alloc(3)]) {
            sendDatagram(fd, octets, to);
            assert.deepEqual(takers(fds), [0], "control, and what is short, come to the first");
          }
          close(fd);
        }
        for (const fd of fds) close(fd);
      }
    });
  }

kernelTest("sockets that share an endpoint take none that another program shares", () => {
  const local = { address: "127.0.0.1", port: 0 } as const;
  const group = openUdpGroup({ local }, 2);
  assert.throws(
    () => openUdpGroup({ local: group[0]!.local }, 2),
    (error) => error instanceof OsError && error.errno === "EADDRINUSE",
  );
  for (const { fd } of group) close(fd);
});
