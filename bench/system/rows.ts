/** The rows of the fan-out: who replicates, how it is set up on its path, how it is given load. */
import path from "node:path";
import { AMT_PORT } from "../../assembly/layout/amt.ts";
import type { ServiceStatus } from "../../src/runtime/service.ts";
import type { Host, Program } from "../../src/lab/program.ts";
import { ROOT } from "../places.ts";
import { offSource, SOURCE_CORE } from "./cores.ts";
import type { Native } from "./native.ts";
import { CROWD, INGRESS, INGRESS_ADDRESS, RELAY, SOURCE, WITNESS, type Path } from "./path.ts";

export const GROUP = "232.1.1.1";
export const GROUP_PORT = 5000;
/** Octets of payload in the source's datagrams. */
export const PAYLOAD = 1316;
export const FIRST_GATEWAY = 20_000;

/** Octets before the payload in what a gateway receives. */
const AMT_HEADERS = 2 + 20 + 8;
const VXLAN_HEADERS = 8 + 14 + 20 + 8;

/** Before anything else that runs on the machine, so that it disturbs little. */
export const FIRST = ["nice", "-n", "-20"];

/** For what stands before the rest of its own process by itself, as Culvert's lanes do, to come first. */
export const NEARLY_FIRST = ["nice", "-n", "-15"];

/** Lanes that sleep as soon as they find nothing, for who counts what packets cost and not the looking. */
export const SLEEPING = ["--busy-poll", "0"];

/** What `culvert` runs. */
export const COMMAND = path.join(ROOT, "dist/src/cli/main.js");

/** Milliseconds that a program which ends by itself may take. */
const PATIENCE = 60_000;

/** Starts a program by its command line. */
export function launch(host: Host, [program = "", ...args]: readonly string[]): Program {
  return host.start(program, args);
}

/** What a program printed by its end; rejects unless it ended well. */
export async function outcome(program: Program): Promise<string> {
  const { code, signal } = await program.finish(PATIENCE);
  if (code !== 0)
    throw new Error(`${program.name} ended with ${signal ?? code}: ${program.stderr.trim()}`);
  return program.stdout;
}

/** How a relay's messages were filled: means over the time they were counted. */
export interface Shape {
  readonly segments: number;
  readonly messages: number;
}

export interface Copies {
  readonly arriving: number;
  readonly leaving: number;
}

/** One way to replicate a stream to `gateways` gateways. */
export abstract class Row {
  abstract readonly name: string;
  /** Octets before the payload in what a gateway receives. */
  readonly headers: number = AMT_HEADERS;
  /**
   * How often an octet is copied once it is on the ingress: for each datagram that arrives, and for
   * each that leaves. The source's own copy into its kernel is left out; it is the same for all.
   */
  abstract readonly copies: Copies;

  constructor(
    readonly path: Path,
    readonly gateways: number,
    readonly programs: Record<Native, string>,
  ) {}

  /** Sets everything up, so that load alone is missing. */
  abstract start(): Promise<void>;

  /** Replicates `count` datagrams, `rate` of them a second, and no more; ends when they are sent. */
  paced(count: number, rate: number): Program {
    return this.#source(String(count), String(rate));
  }

  /** Replicates as fast as it goes until SIGTERM: a source and whatever else gives load. */
  saturated(): Program[] {
    return [this.#source("3600")];
  }

  #source(...load: string[]): Program {
    const stream = [SOURCE, GROUP, String(GROUP_PORT), String(PAYLOAD)];
    const command = [this.programs.source, String(SOURCE_CORE), ...stream, ...load];
    return launch(this.path.source, [...FIRST, ...command]);
  }

  /** Gateways as the programs take them: the last one is the witness. */
  protected get places(): string[] {
    const crowd = `${CROWD}:${FIRST_GATEWAY}:${this.gateways - 1}`;
    return [...(this.gateways > 1 ? [crowd] : []), `${WITNESS}:${FIRST_GATEWAY}:1`];
  }

  /** `command` on the cores that are not the source's. */
  protected pinned(command: readonly string[], place = FIRST): string[] {
    return [...place, ...offSource(command)];
  }
}

/** The path of one of the programs beside this file. */
function programOf(name: string): string {
  return path.join(ROOT, "dist/bench/system", name);
}

/** Joins the stream for gateways at these places by AMT's handshake with a relay at RELAY. */
export async function joinCrowd(road: Path, places: readonly string[]): Promise<void> {
  const words = [programOf("join.js"), RELAY, String(AMT_PORT), SOURCE, GROUP, ...places];
  await outcome(launch(road.far, [process.execPath, ...words]));
}

/** What `culvert status --json` says of a service, as far as it matters here. */
type Status = Pick<ServiceStatus, "tunnels" | "counters" | "drops">;

/** Packets of a stream that a relay lost, in all, by where. */
export interface RelayLoss {
  /** The kernel had no room for them until they were read. */
  readonly ingress: number;
  /** Copies and packets that it dropped itself, by reason, or that the kernel refused to send. */
  readonly dropped: number;
}

/** Culvert's relay, its tunnels made by AMT gateways that then fall silent. */
export class CulvertRow extends Row {
  readonly name: string = "culvert";
  /** Into the ring or by recvmmsg, and into the train; then by each sendmmsg. */
  readonly copies = { arriving: 2, leaving: 1 };
  /** Whether it reads its ingress by a packet ring. */
  protected readonly ring: "on" | "off" = "on";
  readonly #control = path.join(this.path.folder, "relay.sock");
  /** Flags of Node for the relay. */
  flags: readonly string[] = [];
  /** More words of its command. */
  words: readonly string[] = [];
  #relay: Program | undefined;

  /** The relay, once it is started. */
  get relay(): Program {
    if (this.#relay === undefined) throw new Error("the relay is not started");
    return this.#relay;
  }

  async start(): Promise<void> {
    const relay = launch(
      this.path.relay,
      this.pinned(
        [
          ...[process.execPath, ...this.flags, COMMAND, "relay", "--control", this.#control],
          ...["--local", RELAY, "--ingress", INGRESS, "--ingress-ring", this.ring],
          ...["--max-tunnels", "200000", "--max-tunnels-per-address", "2000"],
          // Longer than a run, since the silent gateways renew nothing.
          ...["--query-interval", "3600", ...this.words],
        ],
        NEARLY_FIRST,
      ),
    );
    this.#relay = relay;
    await relay.ready();
    await joinCrowd(this.path, this.places);
    for (let tries = 0; (await this.#status()).tunnels.length < this.gateways; tries++)
      if (tries === 10) throw new Error(`culvert made fewer than ${this.gateways} tunnels`);
  }

  /** Datagrams, messages and calls since the relay began. */
  async sent(): Promise<{ datagrams: number; messages: number; calls: number }> {
    const { counters } = await this.#status();
    const read = (name: string): number => {
      const value = counters[name];
      if (value === undefined) throw new Error(`culvert status has no counter ${name}`);
      return value;
    };
    return {
      datagrams: read("egress_sent"),
      messages: read("egress_messages"),
      calls: read("egress_calls"),
    };
  }

  /** What has been lost of packets of the stream since the relay began. */
  async lost(): Promise<RelayLoss> {
    const { counters, drops } = await this.#status();
    const stages = [drops["ingest"], drops["egress"]].flatMap((stage) =>
      Object.values(stage ?? {}),
    );
    const dropped = stages.reduce((sum, count) => sum + count, 0);
    return { ingress: counters["ingress_lost"] ?? 0, dropped };
  }

  /** The relay's own address. */
  get address(): string {
    return RELAY;
  }

  /** How many gateways it holds now. */
  async tunnels(): Promise<number> {
    return (await this.#status()).tunnels.length;
  }

  async #status(): Promise<Status> {
    const command = [process.execPath, COMMAND, "status", "--json", "--control", this.#control];
    // It is asked under load, when there is time for those that come first alone.
    const text = await outcome(launch(this.path.relay, [...FIRST, ...command]));
    const [service] = JSON.parse(text) as Status[];
    if (service === undefined) throw new Error("culvert status shows no service");
    return service;
  }
}

/** The same, but it reads its ingress by recvmmsg. */
export class CallsRow extends CulvertRow {
  override readonly name = "recvmmsg";
  protected override readonly ring = "off";
}

/** A plain relay loop on `node:dgram`. */
export class DgramRow extends Row {
  readonly name = "node:dgram";
  /** By recvmsg and into the message; then by each sendmsg. */
  readonly copies = { arriving: 2, leaving: 1 };

  async start(): Promise<void> {
    const relay = launch(
      this.path.relay,
      this.pinned([
        ...[process.execPath, programOf("dgram-relay.js"), INGRESS_ADDRESS],
        ...[SOURCE, GROUP, String(GROUP_PORT), RELAY, String(AMT_PORT), ...this.places],
      ]),
    );
    await relay.ready();
  }
}

/** The kernel's VXLAN driver, flooding what a bridge port receives to every remote. */
export class VxlanRow extends Row {
  readonly name = "vxlan";
  override readonly headers = VXLAN_HEADERS;
  /** All copies share one buffer. */
  readonly copies = { arriving: 0, leaving: 0 };

  start(): Promise<void> {
    this.path.relay.ipBatch([
      "link add br0 type bridge mcast_snooping 0",
      `link add vx0 type vxlan id 7 local ${RELAY} dstport 4789 nolearning`,
      `link set ${INGRESS} master br0`,
      "link set vx0 master br0",
      "link set vx0 up",
      "link set br0 up",
    ]);
    const remotes = this.places.flatMap((place) => {
      const [address, first, count] = place.split(":");
      return Array.from(
        { length: Number(count) },
        (_, i) => `fdb append 00:00:00:00:00:00 dev vx0 dst ${address} port ${Number(first) + i}`,
      );
    });
    this.path.bridge(remotes);
    return Promise.resolve();
  }
}

/**
 * The native limit: sends trains of its own making, of the shape that Culvert's had. At saturation
 * the source runs beside it, as for the others, though nobody takes what it sends.
 */
export class TrainsRow extends Row {
  readonly name = "native";
  readonly copies = { arriving: 0, leaving: 1 };
  /** What to send until Culvert's row has shown its own: full trains, to all gateways in a call. */
  shape: Shape = { segments: 48, messages: Math.min(1024, this.gateways) };

  start(): Promise<void> {
    return Promise.resolve();
  }

  override paced(count: number): Program {
    return this.#trains(1, count);
  }

  override saturated(): Program[] {
    return [...super.saturated(), this.#trains(this.shape.segments, 0)];
  }

  #trains(segments: number, trains: number): Program {
    const numbers = [AMT_PORT, PAYLOAD, segments, Math.round(this.shape.messages), trains];
    return launch(
      this.path.relay,
      this.pinned([this.programs.trains, RELAY, ...numbers.map(String), ...this.places]),
    );
  }
}
