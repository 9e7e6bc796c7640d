/** Every exchange that is captured here: who takes part, and how it is brought about. */
import { AMT_QUERY_FLAGS } from "../../assembly/layout/amt.ts";
import type { Address } from "../../src/core/address.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { GATEWAYS, GATEWAYS_6, RELAY, RELAY_6, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import type { RelayOptions } from "../../src/protocols/amt/relay-options.ts";
import { DriverGateway, DriverRelay } from "../driver/network.ts";
import type { DriverImage } from "../driver/image.ts";
import { Capture } from "../kernel/capture.ts";
import { Network, counted, eventually } from "../kernel/culvert.ts";
import { SECRET, captureFile } from "./capture-file.ts";
import { ASK, INNER, JOIN, LEAVE, MALFORMED, routerAlert } from "./messages.ts";
import type { Plan, Step } from "./speaker.ts";
import { startSpeaker } from "./start-speaker.ts";

/** Culvert; Linux's driver; or a program that says what it is told to. */
export type Party = "culvert" | "linux" | "speaker";

export interface Scenario {
  /** The name of its files. */
  readonly name: string;
  /** What is to be seen, in a line. */
  readonly title: string;
  readonly relay: Party;
  readonly gateway: Party;
  /** The gateway that is played again, where it is Culvert. */
  readonly at?: Address;
  /** Settings of the relay that are not the default. */
  readonly options?: Partial<Pick<RelayOptions, "maxTunnels">>;
  /** False where messages are wrong on purpose, so that tshark is to say so. */
  readonly sound?: false;
  record(bench: Bench): Promise<void>;
}

/** Where a scenario is recorded. */
export interface Bench {
  readonly lab: Lab;
  readonly name: string;
  /** The guest's kernel, made when it is asked for. */
  readonly image: () => DriverImage;
}

const FILTER = "udp port 2268";
const JOIN_MS = 90_000;
/** Few packets, so that files stay small. */
const SLOW = { rate: 5, size: 32 };

const OVER = [
  { over: "ipv4", relay: RELAY, gateways: GATEWAYS },
  { over: "ipv6", relay: RELAY_6, gateways: GATEWAYS_6 },
] as const;

/** A relay with the secret that replays know, and the capture of all that it sends and hears. */
async function begin(bench: Bench, ...options: string[]) {
  const network = new Network(bench.lab);
  network.withoutOffload();
  const ingress = ["--ingress", "up0", "--secret-file", SECRET, ...options];
  const relay = await network.relay(ingress, [RELAY, RELAY_6]);
  const capture = await capturing(bench, network.tree.relay, "br0");
  return { network, relay, capture };
}

function capturing({ lab, name }: Bench, at: Namespace, device: string): Promise<Capture> {
  return Capture.start(lab, at, device, FILTER, captureFile(name));
}

/** Runs a program that speaks to the relay, to its end. */
async function speak(host: Namespace, plan: Plan): Promise<void> {
  const program: Program = await startSpeaker(host, plan);
  await program.line(/^done/, "stdout", 20_000);
  await program.stop();
}

/** A gateway's whole life: it finds the relay, joins, gets data, leaves, and tears down. */
const lives = OVER.flatMap(({ over, relay: relayAt, gateways }) =>
  (
    [
      ["IGMPv3", "232.1.1.1", SOURCES[0]],
      ["MLDv2", "ff3e::1:1", SOURCES_6[0]],
    ] as const
  ).map(([protocol, group, source]): Scenario => ({
    name: `${protocol.toLowerCase()}-over-${over}`,
    title: `Discovery, ${protocol} join, data, leave and teardown, over ${spelled(over)}`,
    relay: "culvert",
    gateway: "culvert",
    at: gateways[0],
    async record(bench) {
      const { network, relay, capture } = await begin(bench);
      const gateway = await network.gateway(0, "--discovery", relayAt);
      await eventually(
        "the gateway's relay",
        20_000,
        async () => (await gateway.status()).state === "connected",
      );
      const sending = await network.send(group, { ...SLOW, source });
      const listener = await network.join(0, group, source);
      await counted(listener, 3);
      await listener.leave();
      await eventually(
        "no tunnel",
        20_000,
        async () => (await relay.status()).tunnels.length === 0,
      );
      await sending.stop();
      await gateway.program.stop();
      await capture.stop();
    },
  })),
);

/** A gateway that passes on the reports of older hosts. */
const older = OVER.flatMap(({ over, relay: relayAt, gateways }) =>
  (
    [
      ["IGMPv2", 4, "239.1.1.1", SOURCES[0]],
      ["MLDv1", 6, "ff1e::1:1", SOURCES_6[0]],
    ] as const
  ).map(([protocol, family, group, source]): Scenario => ({
    name: `${protocol.toLowerCase()}-over-${over}`,
    title: `${protocol} report, data and leave, then Teardown of a tunnel in use, over ${spelled(over)}`,
    relay: "culvert",
    gateway: "speaker",
    async record(bench) {
      const { network, capture } = await begin(bench);
      const sending = await network.send(group, { ...SLOW, source });
      await speak(network.tree.gateways[0], {
        role: "gateway",
        local: { address: gateways[0], port: 40_123 },
        relay: { address: relayAt, port: 2268 },
        steps: [
          { say: "request", nonce: 0x5eed0001, family },
          { say: "update", message: { kind: "join", generation: 2, group } },
          { say: "nothing", data: 3 },
          { say: "update", message: { kind: "leave", generation: 2, group } },
          { say: "request", nonce: 0x5eed0002, family },
          { say: "update", message: { kind: "join", generation: 2, group } },
          { say: "nothing", data: 2 },
          { say: "teardown" },
        ],
      });
      await sending.stop();
      await capture.stop();
    },
  })),
);

/** Datagrams that come in fragments, or are cut because a tunnel has less room than the link. */
const fragments = OVER.map(({ over, relay: relayAt, gateways }): Scenario => ({
  name: `fragments-over-${over}`,
  title: `Datagrams of both families in fragments, over ${spelled(over)}`,
  relay: "culvert",
  gateway: "culvert",
  at: gateways[0],
  async record(bench) {
    const { network, capture } = await begin(bench);
    const { source } = network.tree;
    source.sysctl("net/ipv4/ip_no_pmtu_disc", 1);
    // Nobody but the source cuts IPv6's datagrams; its fragments must fit the tunnel.
    source.ip("link", "set", "eth0", "mtu", "1400");
    const gateway = await network.gateway(0, "--relay", relayAt);
    const one = await network.join(0, "232.1.1.1", SOURCES[0]);
    const other = await network.join(0, "ff3e::1:1", SOURCES_6[0]);
    await network.send("232.1.1.1", { rate: 2, size: 1_600 });
    await network.send("ff3e::1:1", { rate: 2, size: 1_600, source: SOURCES_6[0] });
    for (const listener of [one, other]) await counted(listener, 1);
    await capture.stop();
    await gateway.program.stop();
  },
}));

const limit: Scenario = {
  name: "limit",
  title: "A relay for one gateway refuses the second with L",
  relay: "culvert",
  gateway: "culvert",
  at: GATEWAYS[1],
  options: { maxTunnels: 1 },
  async record(bench) {
    const { network, relay, capture } = await begin(bench, "--max-tunnels", "1");
    await network.gateway(0);
    await network.join(0, "232.1.1.1", SOURCES[0]);
    await eventually("a tunnel", 20_000, async () => (await relay.status()).tunnels.length === 1);
    await network.gateway(1);
    const refused = async () => ((await relay.status()).counters["amt_request_accepted"] ?? 0) >= 4;
    await eventually("two refusals", 20_000, refused);
    await capture.stop();
  },
};

const GATEWAY = { address: GATEWAYS[0], port: 40_123 };

/** A gateway that is not Culvert's, at the relay's IPv4 address. */
function spoken(
  name: string,
  title: string,
  steps: readonly Step[],
  more: Partial<Scenario> & { readonly port?: number } = {},
): Scenario {
  const { port = GATEWAY.port, ...rest } = more;
  return {
    name,
    title,
    relay: "culvert",
    gateway: "speaker",
    ...rest,
    async record(bench) {
      const { network, capture } = await begin(bench);
      const sending = await network.send("232.1.1.1", SLOW);
      const relay = { address: RELAY, port: 2268 };
      const local = { ...GATEWAY, port };
      await speak(network.tree.gateways[0], { role: "gateway", local, relay, steps });
      await sending.stop();
      await capture.stop();
    },
  };
}

const quirks = [
  spoken(
    "legacy-driver",
    "P at 0x80 and port 2268, as drivers write them: a Query without G",
    [
      { say: "request", nonce: 0x5eed0004, family: 6, misplacedP: true },
      ASK,
      { say: "update", message: JOIN },
      { say: "nothing", data: 2 },
      { say: "update", message: LEAVE },
    ],
    { port: 2268 },
  ),
  spoken(
    "legacy-player",
    "A Request of nine octets, zeros for Router Alert, as players send them",
    [
      { say: "discovery", nonce: 0x1badcafe, length: 9 },
      { ...ASK, length: 9 },
      {
        say: "update",
        message: JOIN,
        set: routerAlert(0),
        mend: INNER,
      },
      { say: "nothing", data: 2 },
    ],
  ),
];

const malformed = spoken(
  "malformed-to-relay",
  "Messages that a relay must refuse, each for a reason of its own",
  MALFORMED,
  { sound: false },
);

const misled: Scenario = {
  name: "malformed-to-gateway",
  title: "Messages that a gateway must refuse, before the ones that it takes",
  relay: "speaker",
  gateway: "culvert",
  at: GATEWAYS[0],
  sound: false,
  async record(bench) {
    const network = new Network(bench.lab);
    network.withoutOffload();
    const speaker = await startSpeaker(network.tree.relay, {
      role: "relay",
      local: { address: RELAY, port: 2268 },
      advertisements: [
        { length: 11 },
        { set: [[0, 0x12]] },
        {
          set: [
            [7, 0xff],
            [6, 0xff],
            [5, 0xff],
            [4, 0xff],
          ],
        },
        { relay: "224.0.0.1" },
        { relay: RELAY_6 },
        {},
      ],
      queries: [
        { length: 11 },
        { length: 40 },
        { nonceOff: 1 },
        { set: [[INNER + 10, 0]] },
        { set: [[INNER + 24 + 4, 239]], mend: INNER },
        { set: [[AMT_QUERY_FLAGS, 0x80]] },
        {},
      ],
    });
    const capture = await capturing(bench, network.tree.relay, "br0");
    const gateway = await network.gateway(0, "--discovery");
    await eventually("a relay", 20_000, async () => (await gateway.status()).state === "connected");
    await network.join(0, "232.1.1.1", SOURCES[0]);
    await eventually(
      "an Update in the tunnel",
      20_000,
      async () => (await gateway.status()).groups.length === 1,
    );
    await capture.stop();
    await speaker.stop();
  },
};

const driver: readonly Scenario[] = [
  {
    name: "linux-gateway",
    title: "Linux's driver as gateway, with groups of both families",
    relay: "culvert",
    gateway: "linux",
    async record(bench) {
      const bed = await DriverGateway.boot(bench.lab, bench.image());
      await bed.relay("--secret-file", SECRET);
      const capture = await capturing(bench, bed.network.tree.gateways[0], "br0");
      await bed.up();
      await bed.send("232.1.1.1", SLOW);
      await bed.send("ff3e::1:1", { ...SLOW, source: SOURCES_6[0] });
      const one = await bed.join("232.1.1.1", SOURCES[0]);
      await one.first(JOIN_MS);
      await one.leave();
      const other = await bed.join("ff3e::1:1", SOURCES_6[0]);
      await other.first(JOIN_MS);
      await other.leave();
      await capture.stop();
    },
  },
  {
    name: "linux-relay",
    title: "Linux's driver as relay, with groups of both families",
    relay: "linux",
    gateway: "culvert",
    at: GATEWAYS[0],
    async record(bench) {
      const bed = await DriverRelay.boot(bench.lab, bench.image());
      bed.network.withoutOffload();
      await bed.up("232.1.1.1", "ff3e::1:1");
      const capture = await capturing(bench, bed.network.tree.gateways[0], "eth0");
      await bed.gateway(0);
      await bed.send("232.1.1.1", SLOW);
      await bed.send("ff3e::1:1", { ...SLOW, source: SOURCES_6[0] });
      const one = await bed.join(0, "232.1.1.1", SOURCES[0]);
      await one.first(JOIN_MS);
      const other = await bed.join(0, "ff3e::1:1", SOURCES_6[0]);
      await other.first(JOIN_MS);
      await capture.stop();
    },
  },
];

export const SCENARIOS: readonly Scenario[] = [
  ...lives,
  ...older,
  ...fragments,
  limit,
  ...quirks,
  malformed,
  misled,
  ...driver,
];

function spelled(over: "ipv4" | "ipv6"): string {
  return over === "ipv4" ? "IPv4" : "IPv6";
}
