/** The two stages of the demonstration: network namespaces for root, loopback for anyone. */
import dgram from "node:dgram";
import { Lab, type Namespace } from "../lab/lab.ts";
import type { Host } from "../lab/program.ts";
import { startListener, type Listener, type SourcePlan } from "../lab/stream.ts";
import { Daemon } from "./daemon.ts";

/** Where the demonstration plays. */
export interface Stage {
  /** What stands where, a line each. */
  readonly picture: readonly string[];
  readonly sourceHost: Host;
  readonly source: Pick<SourcePlan, "group" | "port" | "source" | "device" | "ttl">;
  /** What each listener is, in the order of their numbers. */
  readonly listeners: readonly string[];
  /** Makes a listener join; at most once each. */
  join(listener: number): Promise<Joined>;
  /** The daemons by name, in the order of their start. */
  readonly daemons: ReadonlyMap<string, Daemon>;
}

export interface Joined {
  readonly listener: Listener;
  /** Milliseconds from the join to the first packet. */
  readonly latency: Promise<number>;
}

const GROUP = "232.1.1.1";
const PORT = 5000;
/** How long the first packet may take: a receiver has to start first. */
const FIRST_MS = 10_000;

/**
 * A source, a relay and two gateways, each in a network namespace; on each gateway's device a
 * listener joins through the kernel (IGMPv3).
 */
export async function namespaceStage(lab: Lab): Promise<Stage> {
  const source = lab.namespace("source");
  const relay = lab.namespace("relay");
  const gateways = [lab.namespace("gateway1"), lab.namespace("gateway2")];
  lab.connect(source, "eth0", relay, "up0");
  source.address("eth0", "198.51.100.1/24");
  source.multicastRoute("eth0");
  relay.address("up0", "198.51.100.2/24");
  for (const [i, gateway] of gateways.entries()) {
    lab.connect(gateway, "eth0", relay, `down${i}`);
    gateway.address("eth0", `192.0.2.1${i + 1}/24`);
  }
  relay.bridge("br0", "down0", "down1");
  relay.address("br0", "192.0.2.1/24");

  const daemons = new Map<string, Daemon>();
  const start = async (host: Namespace, name: string, ...args: string[]) =>
    daemons.set(name, await Daemon.start(host, lab.folder, name.replace(" ", ""), args));
  await start(relay, "relay", "relay", "--local", "192.0.2.1", "--ingress", "up0");
  for (const [i, gateway] of gateways.entries()) {
    const ends = ["--local", `192.0.2.1${i + 1}`, "--relay", "192.0.2.1"];
    const device = ["--tun", "culvert0", "--address", addressOf(i)];
    await start(gateway, `gateway ${i + 1}`, "gateway", ...ends, ...device);
  }
  return {
    picture: [
      "source 198.51.100.1 ── relay 192.0.2.1 ──┬── gateway 1, 192.0.2.11, device culvert0",
      "                                         └── gateway 2, 192.0.2.12, device culvert0",
      "each in a network namespace of its own; the listeners join on culvert0 (IGMPv3)",
    ],
    sourceHost: source,
    source: { group: GROUP, port: PORT, source: "198.51.100.1", device: "eth0", ttl: 16 },
    listeners: ["on gateway 1", "on gateway 2"],
    daemons,
    async join(i) {
      const listener = await startListener(gateways[i]!, {
        group: GROUP,
        port: PORT,
        device: "culvert0",
        address: addressOf(i).split("/")[0]!,
        sources: ["198.51.100.1"],
      });
      return { listener, latency: listener.first(FIRST_MS).then((first) => first.milliseconds) };
    },
  };
}

function addressOf(gateway: number): string {
  return `203.0.113.${gateway + 1}/32`;
}

/** A source, a relay and two receivers on the loopback interface, without privilege or device. */
export async function loopbackStage(lab: Lab): Promise<Stage> {
  const [relayPort, port, ...outputs] = await freePorts(4);
  const relay = `127.0.0.1:${relayPort}`;
  const daemons = new Map<string, Daemon>();
  const ingress = ["--ingress", "lo", "--ingress-ports", `${port}`];
  const args = ["relay", "--local", relay, ...ingress];
  daemons.set("relay", await Daemon.start(lab, lab.folder, "relay", args));
  return {
    picture: [
      `source 127.0.0.1 ── relay ${relay} ──┬── culvert receive 1`,
      `                                       └── culvert receive 2`,
      "all on the loopback interface: without root there are no namespaces and no devices",
    ],
    sourceHost: lab,
    source: { group: GROUP, port: port!, source: "127.0.0.1", device: "lo", ttl: 16 },
    listeners: ["behind receive 1", "behind receive 2"],
    daemons,
    async join(i) {
      const output = { group: "127.0.0.1", port: outputs[i]!, device: "lo" };
      const listener = await startListener(lab, output);
      const stream = `amt://127.0.0.1@${GROUP}:${port}`;
      const to = ["-o", `udp://127.0.0.1:${output.port}`];
      const started = performance.now();
      const latency = listener.first(FIRST_MS).then(() => performance.now() - started);
      // Whoever waits for the latency learns of a failure; the start itself may fail before that.
      latency.catch(() => {});
      const name = `receive ${i + 1}`;
      const receive = ["receive", stream, "--relay", relay, ...to];
      daemons.set(name, await Daemon.start(lab, lab.folder, name.replace(" ", ""), receive));
      return { listener, latency };
    },
  };
}

/** UDP ports of the loopback address that nobody has; all different. */
async function freePorts(count: number): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => dgram.createSocket("udp4"));
  const ports: number[] = [];
  for (const socket of sockets) {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject).bind({ address: "127.0.0.1", port: 0 }, resolve);
    });
    ports.push(socket.address().port);
  }
  for (const socket of sockets) socket.close();
  return ports;
}
