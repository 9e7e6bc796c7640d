/** Relays found through a real DNS server, and what becomes of a stream whose relay dies. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { statSync } from "node:fs";
import path from "node:path";
import type { Family } from "../../src/core/address.ts";
import { Daemon } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { startSource } from "../../src/lab/stream.ts";
import { SystemEntropy } from "../../src/os/entropy.ts";
import type { Candidate } from "../../src/protocols/driad/candidates.ts";
import { reverseName } from "../../src/protocols/driad/record.ts";
import { RelayDirectory } from "../../src/runtime/discovery.ts";
import { eventually } from "./culvert.ts";
import { startNamed } from "./named.ts";
import { kernelTest } from "./needs.ts";

const SOURCE_6 = "2001:db8:1::7";

/** Sources of 198.51.100.0/24 by their last octet. */
const ZONES = {
  "100.51.198.in-addr.arpa": [
    "7 AMTRELAY 20 1 3 relays.example.",
    "7 AMTRELAY 10 0 1 203.0.113.15",
    "7 AMTRELAY 30 0 2 2001:db8::15",
    "8 AMTRELAY 0 0 0 .",
    "9 CNAME 9.0/25",
    "9.0/25 AMTRELAY 10 0 1 203.0.113.9",
    "10 A 192.0.2.1",
    ...Array.from({ length: 90 }, (_, i) => `11 AMTRELAY ${i} 0 1 203.0.113.${i + 1}`),
    "12 AMTRELAY 1 0 3 nobody.example.",
    "13 CNAME 13.elsewhere.test.",
  ],
  "0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [
    `${reverseName(SOURCE_6)}. AMTRELAY 10 1 2 2001:db8::16`,
  ],
  "203.in-addr.arpa": ["113.0 DNAME 100.51.198.in-addr.arpa."],
  example: ["relays A 192.0.2.20", "relays AAAA 2001:db8::20"],
};

const text = ({ endpoint, precedence, discoveryOptional }: Candidate) =>
  `${precedence} ${discoveryOptional ? 1 : 0} ${endpoint.address}`;

kernelTest(
  "BIND's AMTRELAY records of all types lead to relays in order of precedence (RFC 8777 §4)",
  ["named"],
  async (lab) => {
    const port = await freePort();
    await startNamed(lab, lab.folder, port, ZONES);
    const found = async (source: string, families: readonly Family[]) => {
      const directory = new RelayDirectory({
        servers: [{ address: "127.0.0.1", port }],
        families,
        entropy: new SystemEntropy(),
      });
      let last: readonly Candidate[] = [];
      const hindrance = await directory.find(source, (candidates) => (last = candidates));
      directory.close();
      return [...last.map(text), ...(hindrance === undefined ? [] : [hindrance])];
    };
    assert.deepEqual(await found("198.51.100.7", [6, 4]), [
      "10 0 203.0.113.15",
      "20 1 2001:db8::20",
      "20 1 192.0.2.20",
      "30 0 2001:db8::15",
    ]);
    assert.deepEqual(await found("198.51.100.7", [4]), ["10 0 203.0.113.15", "20 1 192.0.2.20"]);
    assert.deepEqual(await found(SOURCE_6, [6]), ["10 1 2001:db8::16"]);
    assert.deepEqual(await found("198.51.100.8", [4]), [
      "DNS: no AMTRELAY record of 198.51.100.8 names a relay that can be used",
    ]);
    assert.deepEqual(await found("198.51.100.9", [4]), ["10 0 203.0.113.9"], "CNAME");
    assert.deepEqual(await found("203.0.113.9", [4]), ["10 0 203.0.113.9"], "DNAME, then CNAME");
    assert.deepEqual(await found("198.51.100.10", [4]), [
      "DNS: 198.51.100.10 has no AMTRELAY record",
    ]);
    assert.equal((await found("198.51.100.11", [4])).length, 90, "over TCP");
    assert.deepEqual(await found("198.51.100.12", [4]), [
      "DNS: no AMTRELAY record of 198.51.100.12 names a relay that can be used",
    ]);
    assert.deepEqual(await found("198.51.100.200", [4]), [
      "DNS: 198.51.100.200 has no AMTRELAY record",
    ]);
    assert.match((await found("198.51.100.13", [4]))[0]!, /refuses to answer/);
  },
);

const STREAM = { source: "198.51.100.1", group: "232.1.1.1", port: 5000 };
/** Of each family: the two relays, the receiver, an address without a relay, and `--local`. */
const UNDERLAYS = {
  4: {
    relays: ["192.0.2.1", "192.0.2.2"],
    receiver: "192.0.2.11",
    nobody: "192.0.2.99",
    any: "0.0.0.0",
  },
  6: {
    relays: ["2001:db8:2::1", "2001:db8:2::2"],
    receiver: "2001:db8:2::11",
    nobody: "2001:db8:2::99",
    any: "::",
  },
} as const;
/** How long a relay's death may interrupt the stream. */
const RESUMED_MS = 10_000;

//   source eth0 ── br0 ──┬── up0 relay1 down0 ──┬── br1 ── eth0 receiver, with the DNS server
//                        └── up0 relay2 down0 ──┘
for (const family of [4, 6] as const)
  kernelTest(
    `a receiver finds its relay by the source's records, and the next when it dies, over IPv${family} (RFC 8777 §2.5)`,
    ["named"],
    async (lab) => {
      const { relays, nobody, any } = UNDERLAYS[family];
      const boxes = build(lab, family);
      const type = family === 4 ? 1 : 2;
      await startNamed(boxes.receiver, lab.folder, 53, {
        "100.51.198.in-addr.arpa": [
          `1 AMTRELAY 10 0 ${type} ${relays[0]}`,
          "1 AMTRELAY 20 1 3 second.example.",
          // Tried first, in vain.
          `1 AMTRELAY 5 1 ${type} ${nobody}`,
        ],
        example: [`second ${family === 4 ? "A" : "AAAA"} ${relays[1]}`],
      });
      const started = relays.map((address, i) =>
        Daemon.start(boxes.relays[i]!, lab.folder, `relay${i}`, [
          ...["relay", "--local", address, "--ingress", "up0"],
        ]),
      );
      const [first, second] = await Promise.all(started);
      const pace = { size: 500, rate: 500, ttl: 8, count: 100_000 };
      await startSource(boxes.source, { ...STREAM, ...pace, device: "eth0" });
      const file = path.join(lab.folder, "stream");
      const receive = await Daemon.start(boxes.receiver, lab.folder, "receive", [
        ...["receive", `amt://${STREAM.source}@${STREAM.group}:${STREAM.port}`],
        ...["--dns", "127.0.0.1", "--local", any, "-o", file],
      ]);
      await grows(file, 5_000);
      assert.equal((await receive.status()).relay?.address, relays[0]);
      assert.equal((await second!.status()).tunnels.length, 0, "reports go to the winner alone");

      first!.program.kill("SIGKILL");
      await first!.program.finish(5_000);
      await grows(file, RESUMED_MS);
      assert.equal((await receive.status()).relay?.address, relays[1]);

      assert.deepEqual(await receive.program.stop(), { code: 0, signal: null });
      await eventually("the relay without tunnels", 2_000, async () => {
        return (await second!.status()).tunnels.length === 0;
      });
    },
  );

/** Waits until a file has become longer by a few datagrams. */
async function grows(file: string, milliseconds: number): Promise<void> {
  const before = length(file);
  await eventually(`more in ${file}`, milliseconds, () => length(file) > before + 5_000);
}

function length(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function build(
  lab: Lab,
  family: Family,
): {
  readonly source: Namespace;
  readonly relays: readonly [Namespace, Namespace];
  readonly receiver: Namespace;
} {
  const [source, receiver, net] = ["source", "receiver", "net"].map((name) => lab.namespace(name));
  const relays = [lab.namespace("relay1"), lab.namespace("relay2")] as const;
  lab.connect(source!, "eth0", net!, "source");
  lab.connect(receiver!, "eth0", net!, "receiver");
  source!.address("eth0", `${STREAM.source}/24`);
  source!.multicastRoute("eth0");
  const ends = UNDERLAYS[family];
  const length = family === 4 ? 24 : 64;
  receiver!.address("eth0", `${ends.receiver}/${length}`);
  for (const [i, relay] of relays.entries()) {
    lab.connect(relay, "up0", net!, `up${i}`);
    lab.connect(relay, "down0", net!, `down${i}`);
    relay.address("up0", `198.51.100.${i + 2}/24`);
    relay.address("down0", `${ends.relays[i]}/${length}`);
  }
  net!.bridge("br0", "source", "up0", "up1");
  net!.bridge("br1", "receiver", "down0", "down1");
  return { source: source!, relays, receiver: receiver! };
}

/** A port of this host that was free a moment ago. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  socket.close();
  return port;
}
