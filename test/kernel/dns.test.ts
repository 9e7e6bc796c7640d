/** Relays found through a real DNS server, and what becomes of streams whose relay dies. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { statSync } from "node:fs";
import path from "node:path";
import type { Family } from "../../src/core/address.ts";
import { Daemon } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { startListener, startSource, type Listener } from "../../src/lab/stream.ts";
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
/** Of each family: the relays, the receiver, an address without a relay, and `--local`. */
const UNDERLAYS = {
  4: {
    relays: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    receiver: "192.0.2.11",
    nobody: "192.0.2.99",
    any: "0.0.0.0",
  },
  6: {
    relays: ["2001:db8:2::1", "2001:db8:2::2", "2001:db8:2::3"],
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
      const boxes = build(lab, [family], 2);
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
      const started = relays
        .slice(0, 2)
        .map((address, i) =>
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

/** Sources of a gateway's applications, each with relays of its own. */
const GROUP = STREAM.group;
const OTHER = { source: "198.51.100.4", group: "232.1.1.2", port: 5000 };
const DEVICE = { name: "culvert0", address: "203.0.113.1" };

//   source eth0 ── br0 ──┬── up0 relay1 down0 ──┬── br1 ── eth0 gateway, with the DNS server
//                        ├── up0 relay2 down0 ──┤
//                        └── up0 relay3 down0 ──┘
kernelTest(
  "a gateway has a tunnel for each relay of its sources, and moves one without disturbing the other (RFC 8777 §2.5)",
  ["named"],
  async (lab) => {
    const boxes = build(lab, [4, 6], 3);
    const [first, second] = UNDERLAYS[4].relays;
    await startNamed(boxes.receiver, lab.folder, 53, {
      "100.51.198.in-addr.arpa": [
        `1 AMTRELAY 10 0 1 ${first}`,
        "1 AMTRELAY 20 1 3 second.example.",
        `4 AMTRELAY 10 1 2 ${UNDERLAYS[6].relays[2]}`,
        `4 AMTRELAY 20 0 1 ${first}`,
      ],
      example: [`second A ${second}`],
    });
    const relays = await Promise.all(
      boxes.relays.map((relay, i) => {
        const ends = UNDERLAYS[4].relays[i]!;
        const local = ["--local", ends, "--local", UNDERLAYS[6].relays[i]!];
        return Daemon.start(relay, lab.folder, `relay${i}`, [
          ...["relay", ...local, "--ingress", "up0", "--query-interval", "10"],
          ...["--query-response-interval", "2", "--drain", "60"],
        ]);
      }),
    );
    const pace = { size: 500, rate: 200, ttl: 8, device: "eth0" };
    for (const stream of [STREAM, OTHER]) await startSource(boxes.source, { ...stream, ...pace });
    const gateway = await Daemon.start(boxes.receiver, lab.folder, "gateway", [
      ...["gateway", "--dns", "127.0.0.1", "--tun", DEVICE.name],
      ...["--address", `${DEVICE.address}/32`],
    ]);
    const listen = ({ source, group, port }: typeof STREAM) =>
      startListener(boxes.receiver, {
        ...{ group, port, sources: [source] },
        ...{ device: DEVICE.name, address: DEVICE.address },
      });
    const listeners = [await listen(STREAM), await listen(OTHER)] as const;
    for (const listener of listeners) await hears(listener, 20_000);
    assert.deepEqual(await sourcesByRelay(gateway), {
      [first]: [STREAM.source],
      [UNDERLAYS[6].relays[2]]: [OTHER.source],
    });
    assert.equal((await relays[1]!.status()).tunnels.length, 0, "reports go to winners alone");

    // The relay of one source dies.
    const before = gaps(listeners[1]);
    relays[0]!.program.kill("SIGKILL");
    await relays[0]!.program.finish(5_000);
    await hears(listeners[0], RESUMED_MS);
    assert.deepEqual(await sourcesByRelay(gateway), {
      [second]: [STREAM.source],
      [UNDERLAYS[6].relays[2]]: [OTHER.source],
    });
    await hears(listeners[1], 5_000);
    assert.deepEqual(gaps(listeners[1]), before, "the other source is undisturbed");

    // The relay of the other one drains, so it sets L; the next one by precedence is dead.
    const revived = await Daemon.start(boxes.relays[0]!, lab.folder, "revived", [
      ...["relay", "--local", first, "--ingress", "up0"],
    ]);
    relays[2]!.program.kill("SIGTERM");
    await eventually("the source at another relay than the one with L", 30_000, async () => {
      return (await sourcesByRelay(gateway))[first]?.includes(OTHER.source) ?? false;
    });
    await hears(listeners[1], 10_000);

    // Each source that is left closes its tunnel.
    await listeners[1].leave();
    await eventually("no tunnel at the relay that is left", 15_000, async () => {
      return (await revived.status()).tunnels.length === 0;
    });
    await hears(listeners[0], 5_000);
    await listeners[0].leave();
    await eventually("no tunnel at all", 15_000, async () => {
      const { relays: used = [] } = await gateway.status();
      return used.length === 0 && (await relays[1]!.status()).tunnels.length === 0;
    });
    assert.deepEqual(await gateway.program.stop(), { code: 0, signal: null });
  },
);

//   source eth0 ── br0 ──┬── up0 relay1 down0 ──┬── br1 ── eth0 gateway lan0 ── eth0 host
//                        └── up0 relay2 down0 ──┘
kernelTest(
  "hosts behind a gateway get each source by the relay of its records (RFC 8777 §2.3)",
  ["named"],
  async (lab) => {
    const boxes = build(lab, [4], 2);
    const { relays } = UNDERLAYS[4];
    const host = lab.namespace("host");
    lab.connect(boxes.receiver, "lan0", host, "eth0");
    boxes.receiver.address("lan0", "10.9.0.1/24");
    host.address("eth0", "10.9.0.2/24");
    for (const scope of ["all", "eth0"]) host.sysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
    await startNamed(boxes.receiver, lab.folder, 53, {
      "100.51.198.in-addr.arpa": [
        `1 AMTRELAY 10 0 1 ${relays[0]}`,
        `1 AMTRELAY 20 0 1 ${relays[1]}`,
        `4 AMTRELAY 10 0 1 ${relays[1]}`,
      ],
    });
    const [first] = await Promise.all(
      boxes.relays.map((relay, i) =>
        Daemon.start(relay, lab.folder, `relay${i}`, [
          ...["relay", "--local", relays[i]!, "--ingress", "up0"],
        ]),
      ),
    );
    const pace = { size: 500, rate: 200, ttl: 8, device: "eth0" };
    for (const stream of [STREAM, OTHER]) await startSource(boxes.source, { ...stream, ...pace });
    const gateway = await Daemon.start(boxes.receiver, lab.folder, "gateway", [
      ...["gateway", "--dns", "127.0.0.1", "--downstream", "lan0"],
    ]);
    const listeners = await Promise.all(
      [STREAM, OTHER].map(({ source, group, port }) =>
        startListener(host, {
          ...{ group, port, sources: [source] },
          ...{ device: "eth0", address: "10.9.0.2" },
        }),
      ),
    );
    for (const listener of listeners) await hears(listener, 20_000);
    assert.deepEqual(await sourcesByRelay(gateway), {
      [relays[0]]: [STREAM.source],
      [relays[1]]: [OTHER.source],
    });
    first!.program.kill("SIGKILL");
    await first!.program.finish(5_000);
    await hears(listeners[0]!, RESUMED_MS);
    assert.deepEqual(
      (await sourcesByRelay(gateway))[relays[1]]?.toSorted(),
      [STREAM.source, OTHER.source].toSorted(),
    );
    for (const listener of listeners) await listener.leave();
    await eventually("no tunnel at all", 30_000, async () => {
      return ((await gateway.status()).relays ?? []).length === 0;
    });
  },
);

kernelTest(
  "a list of relays of both families is used in order, the next one when the first is lost",
  [],
  async (lab) => {
    const boxes = build(lab, [4, 6], 2);
    const [first, second] = [UNDERLAYS[4].relays[0], UNDERLAYS[6].relays[1]];
    const started = [first, second].map((address, i) =>
      Daemon.start(boxes.relays[i]!, lab.folder, `relay${i}`, [
        ...["relay", "--local", address, "--ingress", "up0"],
      ]),
    );
    const relays = await Promise.all(started);
    const pace = { size: 500, rate: 200, ttl: 8, device: "eth0" };
    await startSource(boxes.source, { ...STREAM, ...pace });
    const gateway = await Daemon.start(boxes.receiver, lab.folder, "gateway", [
      ...["gateway", "--relay", `${UNDERLAYS[4].nobody},${first}`, "--relay", second],
      ...["--tun", DEVICE.name, "--address", `${DEVICE.address}/32`],
    ]);
    const listener = await startListener(boxes.receiver, {
      ...{ group: GROUP, port: STREAM.port, sources: [STREAM.source] },
      ...{ device: DEVICE.name, address: DEVICE.address },
    });
    await hears(listener, 20_000);
    assert.equal((await gateway.status()).relay?.address, first);
    relays[0]!.program.kill("SIGKILL");
    await relays[0]!.program.finish(5_000);
    await hears(listener, RESUMED_MS);
    assert.equal((await gateway.status()).relay?.address, second);
    assert.deepEqual(await gateway.program.stop(), { code: 0, signal: null });
  },
);

kernelTest(
  "without a relay or the DNS, the anycast addresses of AMT lead to one (RFC 7450 §7.1)",
  [],
  async (lab) => {
    const { source, relays, receiver } = build(lab, [4], 1);
    const [anycast, own] = ["192.52.193.1", UNDERLAYS[4].relays[0]];
    relays[0]!.address("down0", `${anycast}/32`);
    receiver.route(`${anycast}/32`, "eth0", own);
    await Daemon.start(relays[0]!, lab.folder, "relay", [
      ...["relay", "--local", anycast, "--local", own, "--advertise", own, "--ingress", "up0"],
    ]);
    await startSource(source, { ...STREAM, size: 500, rate: 200, ttl: 8, device: "eth0" });
    const gateway = await Daemon.start(receiver, lab.folder, "gateway", [
      ...["gateway", "--tun", DEVICE.name, "--address", `${DEVICE.address}/32`],
    ]);
    const listener = await startListener(receiver, {
      ...{ group: GROUP, port: STREAM.port, sources: [STREAM.source] },
      ...{ device: DEVICE.name, address: DEVICE.address },
    });
    await hears(listener, 20_000);
    assert.equal((await gateway.status()).relay?.address, own);
    assert.match(gateway.program.stderr, /discovers a relay at 2001:3::1 or 192\.52\.193\.1/);
    assert.deepEqual(await gateway.program.stop(), { code: 0, signal: null });
  },
);

/** The sources that come from each relay, by the relay's address. */
async function sourcesByRelay(gateway: Daemon): Promise<Record<string, readonly string[]>> {
  const { relays = [] } = await gateway.status();
  return Object.fromEntries(relays.map(({ relay, sources }) => [relay.address, sources]));
}

/** Waits until a listener has got more of its stream, and each packet once. */
async function hears(listener: Listener, milliseconds: number): Promise<void> {
  const received = () => listener.progress()?.streams[0]?.received ?? 0;
  const before = received();
  await eventually("more at a listener", milliseconds, () => received() > before + 100);
  assert.equal(listener.progress()?.streams[0]?.duplicated, 0);
}

/** What has been lost on the way to a listener. */
function gaps(listener: Listener): number | undefined {
  return listener.progress()?.streams[0]?.lost;
}

/** Waits until a file has become longer by a few datagrams. */
async function grows(file: string, milliseconds: number): Promise<void> {
  const before = length(file);
  await eventually(`more in ${file}`, milliseconds, () => length(file) > before + 5_000);
}

function length(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

interface Boxes {
  readonly source: Namespace;
  readonly relays: readonly Namespace[];
  readonly receiver: Namespace;
}

/** The network above, with so many relays, over an underlay of these families. */
function build(lab: Lab, families: readonly Family[], count: number): Boxes {
  const [source, receiver, net] = ["source", "receiver", "net"].map((name) => lab.namespace(name));
  const numbers = Array.from({ length: count }, (_, i) => i);
  const relays = numbers.map((i) => lab.namespace(`relay${i + 1}`));
  lab.connect(source!, "eth0", net!, "source");
  lab.connect(receiver!, "eth0", net!, "receiver");
  source!.address("eth0", `${STREAM.source}/24`, `${OTHER.source}/24`);
  source!.multicastRoute("eth0");
  for (const family of families)
    receiver!.address("eth0", `${UNDERLAYS[family].receiver}/${family === 4 ? 24 : 64}`);
  for (const [i, relay] of relays.entries()) {
    lab.connect(relay, "up0", net!, `up${i}`);
    lab.connect(relay, "down0", net!, `down${i}`);
    relay.address("up0", `198.51.100.${i + 20}/24`);
    for (const family of families)
      relay.address("down0", `${UNDERLAYS[family].relays[i]}/${family === 4 ? 24 : 64}`);
  }
  net!.bridge("br0", "source", ...numbers.map((i) => `up${i}`));
  net!.bridge("br1", "receiver", ...numbers.map((i) => `down${i}`));
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
