/** A running AMT relay: joins the machine, the lanes, the socket and the ingress. */
import {
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  PUNT_FROM_SOCKET,
  TRAIN_SEGMENTS_MAX,
} from "../../assembly/layout/arena.ts";
import type { RelayConfig } from "../config/relay.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import { LaneSet } from "../lanes/lane-set.ts";
import { monotonic } from "../os/clock.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { AmtRelay, type RelayInput, type RelayOutput } from "../protocols/amt/relay.ts";
import { AmtSocket, tunnelMtu } from "./amt-socket.ts";
import { Driver } from "./driver.ts";
import { openIngress, type Ingress } from "./ingress.ts";
import type { Service, ServiceStatus } from "./service.ts";
import { Tale } from "./tale.ts";

/** Starts a relay; settles when it serves. Throws ConfigError or OsError. */
export async function startRelay(name: string, config: RelayConfig): Promise<Service> {
  const relay = new RunningRelay(name, config);
  await relay.start();
  return relay;
}

class RunningRelay implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #tale: Tale;
  readonly #config: RelayConfig;
  readonly #mtu: number;
  readonly #socket: AmtSocket;
  readonly #ingress: Ingress;
  readonly #machine: AmtRelay;
  readonly #driver: Driver<RelayInput, RelayOutput>;
  #lanes: LaneSet | undefined;
  #stopping: Promise<void> | undefined;
  #draining = false;

  constructor(name: string, config: RelayConfig) {
    this.#tale = new Tale(name, "relay");
    this.ended = this.#tale.ended;
    this.#config = config;
    this.#mtu = tunnelMtu(config.local, config.mtu);
    this.#socket = new AmtSocket(config.local, config.lanes, false);
    try {
      this.#ingress = openIngress(config, config.lanes, this.#mtu);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    this.#machine = new AmtRelay({
      relayAddresses: [config.local.address],
      maxTunnels: config.maxTunnels,
      maxTunnelsPerAddress: config.maxTunnelsPerAddress,
      maxGroups: config.maxGroups,
      maxSources: config.maxSources,
      queryInterval: config.queryInterval,
      queryResponseInterval: config.queryResponseInterval,
      robustness: config.robustness,
      secretInterval: config.secretInterval,
      requireRouterAlert: true,
      quirks: config.quirks,
      entropy: new SystemEntropy(),
    });
    this.#driver = new Driver<RelayInput, RelayOutput>(
      this.#machine,
      { kind: "timeout" },
      (output) => this.#take(output),
    );
  }

  async start(): Promise<void> {
    try {
      this.#lanes = await LaneSet.start({
        replace: true,
        lanes: this.#socket.sockets.map(({ fd }, lane) => ({
          role: "relay",
          inlets: [{ kind: "socket", fd, frame: FRAME_IP }, ...this.#ingress.inlets[lane]!],
          outlet: "socket",
        })),
        prime: (lane, commands) => this.#prime(lane, commands),
        punt: (_lane, punt) => this.#punt(punt),
        failed: (reason) => void this.#end(reason),
      });
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  status(): ServiceStatus {
    const now = monotonic();
    return {
      ...this.#tale.status(this.#lanes),
      state: this.#draining ? "draining" : "serving",
      local: this.#socket.local,
      tunnels: Array.from(this.#machine.tunnels(), ({ gateway, since, groups }) => ({
        gateway,
        sinceSeconds: Math.round((now - since) / 1_000),
        groups,
      })),
      groups: Array.from(this.#machine.groups(), ({ group, filter, members }) => ({
        group,
        ...filter,
        members,
      })),
    };
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#drain());
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    this.#driver.handle({ kind: "drain" });
    await this.#end(undefined);
  }

  async #end(reason: Error | undefined): Promise<void> {
    this.#driver.close();
    await this.#lanes?.stop();
    this.#close();
    this.#tale.end(reason);
  }

  #close(): void {
    this.#driver.close();
    this.#ingress.close();
    this.#socket.close();
  }

  #punt(punt: Punt): void {
    if (punt.kind !== PUNT_FROM_SOCKET) return this.#ingress.membership(punt.octets);
    if (!punt.from) return;
    this.#driver.handle({
      kind: "datagram",
      octets: punt.octets,
      from: punt.from,
      to: this.#socket.local,
    });
  }

  #take(output: RelayOutput): void {
    switch (output.kind) {
      case "send":
        return this.#socket.send(output.octets, output.to);
      case "upstream":
        return this.#want(output);
      case "accepted":
        return this.#tale.accepted(output.type);
      case "quirk":
        return this.#tale.quirk(output.quirk);
      case "dropped":
        return this.#tale.dropped(output.drop);
      case "tunnel-down":
        return;
      case "tunnel-up":
      case "route":
      case "member":
        for (let lane = 0; lane < (this.#lanes?.count ?? 0); lane++)
          this.#tell(lane, this.#lanes!.commands(lane), output);
        this.#lanes?.flush();
    }
  }

  /** Asks upstream; a refusal, such as a limit of the kernel, is told but does not end the relay. */
  #want({ group, filter }: Extract<RelayOutput, { kind: "upstream" }>): void {
    try {
      this.#ingress.want(group, filter);
    } catch (error) {
      this.#tale.warn(`joining ${group}: ${(error as Error).message}`);
    }
  }

  /** Everything a lane that starts must know. */
  #prime(lane: number, commands: CommandWriter): void {
    commands.config(CONFIG_TUNNEL_MTU, this.#mtu);
    commands.config(CONFIG_SEGMENTS, this.#socket.gso ? TRAIN_SEGMENTS_MAX : 1);
    for (const output of this.#machine.replay()) this.#tell(lane, commands, output);
  }

  /**
   * Whether a lane sends to a tunnel. An interface shows every packet to every lane, so each lane
   * has tunnels of its own; a device gives a packet to one lane only, which must know all tunnels.
   */
  #serves(lane: number, tunnel: number): boolean {
    return this.#config.tun !== undefined || tunnel % this.#config.lanes === lane;
  }

  /** Passes a change of the tables on to a lane, as far as it concerns it. */
  #tell(lane: number, commands: CommandWriter, output: RelayOutput): void {
    if (output.kind === "tunnel-up") {
      if (this.#serves(lane, output.tunnel)) commands.tunnel(output.tunnel, output.gateway);
    } else if (output.kind === "route") {
      const op = output.change === "add" ? COMMAND_ROUTE_ADD : COMMAND_ROUTE_REMOVE;
      commands.route(op, output.group, output.source);
    } else if (output.kind === "member" && this.#serves(lane, output.tunnel)) {
      const op = output.change === "add" ? COMMAND_MEMBER_ADD : COMMAND_MEMBER_REMOVE;
      commands.route(op, output.group, output.source, output.tunnel);
    }
  }
}
