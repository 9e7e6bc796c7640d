/** Settings of a relay that only its lanes obey, seen in what a whole relay does. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { IPPROTO_IP, IPPROTO_UDP, UDP_SEGMENT } from "../../assembly/layout/system.ts";
import { close, sendmmsg, setsockopt } from "../../src/os/libc.ts";
import { addAddress } from "../../src/os/link.ts";
import { openUdp } from "../../src/os/udp.ts";
import { startRelay } from "../../src/runtime/index.ts";
import type { Service } from "../../src/runtime/service.ts";
import { Messages } from "../os/messages.ts";
import { enterNamespace, kernelTest, makeVeth, removeLink } from "../os/namespace.ts";
import { GROUP, Peer, configOf } from "./relay-peer.ts";

enterNamespace();

const [FAR, NEAR] = ["cv-rs-0", "cv-rs-1"];
const SOURCE = "192.0.2.1";
const TO = { address: GROUP, port: 5_000 };
const IP_MULTICAST_IF = 32;
const IP_MULTICAST_TTL = 33;
/** Octets of payload in each datagram, and of what AMT and IP and UDP put before it. */
const SIZE = 500;
const INNER = 28;
const AMT_AND_INNER = 2 + INNER;
const OUTER = 28;

/** What a test does with a relay that serves one gateway one group. */
interface Bed {
  readonly relay: Service;
  readonly peer: Peer;
  /** The threads that the relay has started. */
  readonly threads: readonly string[];
  /** Sends so many datagrams as one super-packet. */
  readonly send: (count: number) => void;
  readonly counter: (name: string) => number;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; !condition(); await sleep(2))
    assert.ok(Date.now() < deadline, what);
}

async function withRelay(
  raw: Record<string, unknown>,
  body: (bed: Bed) => Promise<void>,
): Promise<void> {
  makeVeth(FAR, NEAR);
  addAddress(FAR, SOURCE, 24);
  const source = openUdp({ local: { address: SOURCE, port: 0 } });
  setsockopt(source.fd, IPPROTO_IP, IP_MULTICAST_IF, Uint8Array.of(192, 0, 2, 1), FAR);
  setsockopt(source.fd, IPPROTO_IP, IP_MULTICAST_TTL, 2, FAR);
  const messages = new Messages();
  const data = new Uint8Array(new Uint16Array([SIZE]).buffer);
  const send = (count: number): void => {
    const train = { level: IPPROTO_UDP, type: UDP_SEGMENT, data };
    messages.put(0, new Uint8Array(count * SIZE), TO, count > 1 ? train : undefined);
    assert.equal(sendmmsg(source.fd, messages.headers, 1), 1);
  };
  const before = readdirSync("/proc/self/task");
  const relay = await startRelay("relay", configOf({ ingress: NEAR, lanes: 1, ...raw }));
  const threads = readdirSync("/proc/self/task").filter((id) => !before.includes(id));
  const peer = await new Peer().open();
  try {
    await peer.report("allow", SOURCE);
    await until(() => {
      send(1);
      return peer.data > 0;
    }, "nothing came");
    const counter = (name: string) => relay.status().counters[name] ?? 0;
    await until(() => peer.data === counter("egress_sent"), "the first did not all come");
    await body({ relay, peer, threads, send, counter });
  } finally {
    peer.close();
    await relay.stop();
    close(source.fd);
    removeLink(FAR);
  }
}

kernelTest("maxTrain bounds what a relay gives the system at once for one gateway", async () => {
  for (const [maxTrain, expected] of [
    [undefined, 1],
    [4, 4],
  ] as const)
    await withRelay({ maxTrain }, async ({ peer, send, counter }) => {
      let least = Number.POSITIVE_INFINITY;
      // The kernel may have taken one apart before the relay gets it.
      for (let run = 0; run < 5; run++) {
        const [sent, messages] = [counter("egress_sent"), counter("egress_messages")];
        send(16);
        await until(() => counter("egress_sent") >= sent + 16, "16 datagrams were not sent");
        least = Math.min(least, counter("egress_messages") - messages);
      }
      assert.equal(least, expected, `maxTrain ${maxTrain}`);
      await until(() => peer.data >= 80, "not all came");
    });
});

kernelTest("tunnelRate bounds what a gateway gets, and what is beyond is counted", async () => {
  const [maxTrain, mtu, kilobits] = [2, 1_400, 64];
  await withRelay(
    { tunnelRate: kilobits, maxTrain, mtu },
    async ({ relay, peer, send, counter }) => {
      const started = performance.now();
      const before = { data: peer.data, octets: peer.dataOctets };
      for (let run = 0; run < 20; run++) send(16);
      const dropped = () => relay.status().drops["egress"]?.["tunnel-rate"] ?? 0;
      const sent = () => counter("egress_sent") - before.data;
      await until(() => dropped() + sent() >= 320, "what became of some is not known");
      await until(() => peer.data - before.data === sent(), "not all that was sent came");
      const octets = peer.dataOctets - before.octets + OUTER * sent();
      // A burst is a train of the largest packets over IPv6.
      const most = maxTrain * (mtu + 50) + (kilobits / 8) * (performance.now() - started);
      assert.ok(octets <= most, `${octets} octets, at most ${most}`);
      assert.ok(dropped() > 0);
      // Afterwards the rate allows more again.
      const { data } = peer;
      await until(() => {
        send(1);
        return peer.data > data;
      }, "the gateway gets nothing any more");
      assert.equal(SIZE + AMT_AND_INNER, peer.dataOctets / peer.data);
    },
  );
});

/** Nanoseconds that a thread ran, or would have if it had had a processor; never asleep. */
function awake(thread: string): number {
  const [running, waiting] = readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ");
  return Number(running) + Number(waiting);
}

kernelTest(
  "with busyPoll a lane stays awake for a while after a packet, else it sleeps",
  async () => {
    const measure = async (busyPoll: number | undefined): Promise<number> => {
      let spent = Number.NaN;
      await withRelay({ busyPoll }, async ({ peer, threads, send }) => {
        const times = (): number[] => threads.map(awake);
        const before = times();
        for (let run = 0; run < 20; run++) {
          const { data } = peer;
          send(1);
          await until(() => peer.data > data, "a packet did not come");
          await sleep(12);
        }
        const after = times();
        spent = Math.max(...after.map((time, i) => time - before[i]!)) / 20 / 1e6;
      });
      return spent;
    };
    const [asleep, busy] = [await measure(undefined), await measure(8_000)];
    assert.ok(busy > asleep + 1.5, `${busy} ms for each packet, without busyPoll ${asleep} ms`);
  },
);
