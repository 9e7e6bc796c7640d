/** The two stages of the demonstration: network namespaces for root, loopback for anyone. */
import dgram from "node:dgram";
import { Lab, type Namespace } from "../lab/lab.ts";
import type { Host } from "../lab/program.ts";
import { startListener, type Listener, type SourcePlan } from "../lab/stream.ts";
import { DEVICES, GATEWAYS, RELAY, SOURCES, buildTree } from "../lab/tree.ts";
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
  const { source, relay, gateways } = buildTree(lab);
  const daemons = new Map<string, Daemon>();
  const start = async (host: Namespace, name: string, ...args: string[]) =>
    daemons.set(name, await Daemon.start(host, lab.folder, name.replace(" ", ""), args));
  await start(relay, "relay", "relay", "--local", RELAY, "--ingress", "up0");
  for (const [i, gateway] of gateways.entries()) {
    const ends = ["--local", GATEWAYS[i]!, "--relay", RELAY];
    const device = ["--tun", "culvert0", "--address", `${DEVICES[i]}/32`];
    await start(gateway, `gateway ${i + 1}`, "gateway", ...ends, ...device);
  }
  return {
    picture: [
      ...fork(
        `source ${SOURCES[0]} ── relay ${RELAY}`,
        GATEWAYS.map((address, i) => `gateway ${i + 1}, ${address}, device culvert0`),
      ),
      "each in a network namespace of its own; the listeners join on culvert0 (IGMPv3)",
    ],
    sourceHost: source,
    source: { group: GROUP, port: PORT, source: SOURCES[0], device: "eth0", ttl: 16 },
    listeners: ["on gateway 1", "on gateway 2"],
    daemons,
    async join(i) {
      const listener = await startListener(gateways[i]!, {
        group: GROUP,
        port: PORT,
        device: "culvert0",
        address: DEVICES[i]!,
        sources: [SOURCES[0]],
      });
      return { listener, latency: listener.first(FIRST_MS).then((first) => first.milliseconds) };
    },
  };
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
      ...fork(`source 127.0.0.1 ── relay ${relay}`, ["culvert receive 1", "culvert receive 2"]),
      "all on the loopback interface, without namespaces, devices or privilege;",
      "join latency counts from the start of the culvert receive process",
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

/** A picture of one thing that leads to two. */
function fork(stem: string, [first, second]: readonly string[]): string[] {
  return [`${stem} ──┬── ${first}`, `${" ".repeat(stem.length)}   └── ${second}`];
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
