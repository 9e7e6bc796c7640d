/**
 * A running AMT relay: joins the machine, the lanes, the sockets and the ingress.
 *
 * It has any number of endpoints, of either family. Each has lanes of its own, since a lane sends
 * from one socket; every lane sees every packet of the ingress.
 */
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
import { familyOf, sameEndpoint, type Address, type Endpoint } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import { LaneSet } from "../lanes/lane-set.ts";
import { monotonic } from "../os/clock.ts";
import { SystemEntropy } from "../os/entropy.ts";
import type { RouteChange } from "../protocols/amt/forwarding.ts";
import {
  AmtRelay,
  type RelayInput,
  type RelayOutput,
  type TunnelUp,
} from "../protocols/amt/relay.ts";
import { AmtSocket, tunnelMtu } from "./amt-socket.ts";
import { Driver } from "./driver.ts";
import { warnOfRobustness } from "./listeners.ts";
import { openIngress, type Ingress } from "./ingress.ts";
import type { Service, ServiceStatus } from "./service.ts";
import { readSharedSecret } from "./shared-secret.ts";
import { Tale } from "./tale.ts";

/** Starts a relay; settles when it serves. Throws ConfigError or OsError. */
export async function startRelay(name: string, config: RelayConfig): Promise<Service> {
  const relay = new RunningRelay(name, config);
  await relay.start();
  return relay;
}

/** One of the relay's endpoints: its sockets, and what of a datagram fits a tunnel from there. */
interface Place {
  readonly socket: AmtSocket;
  readonly mtu: number;
}

class RunningRelay implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #tale: Tale;
  readonly #config: RelayConfig;
  readonly #places: readonly Place[];
  readonly #ingress: Ingress;
  readonly #machine: AmtRelay;
  readonly #driver: Driver<RelayInput, RelayOutput>;
  /** The lane that sends to each tunnel, by the tunnel's number. */
  readonly #laneOf: number[] = [];
  /** The command ring of each lane, as soon as it has one. */
  readonly #commands: CommandWriter[] = [];
  #lanes: LaneSet | undefined;
  #stopping: Promise<void> | undefined;
  #draining = false;
  /** Ends the wait of a drain. */
  #drained: () => void = () => undefined;

  constructor(name: string, config: RelayConfig) {
    this.#tale = new Tale(name, "relay");
    this.ended = this.#tale.ended;
    this.#config = config;
    const { secretFile } = config;
    const sharedSecret =
      secretFile === undefined ? undefined : readSharedSecret(secretFile, `${name}.secretFile`);
    this.#places = openPlaces(config);
    try {
      const mtu = Math.max(...this.#places.map((place) => place.mtu));
      this.#ingress = openIngress(config, config.lanes * this.#places.length, mtu);
    } catch (error) {
      closePlaces(this.#places);
      throw error;
    }
    this.#machine = new AmtRelay({
      relayAddresses: advertised(config),
      maxTunnels: config.maxTunnels,
      resumeTunnels: config.resumeTunnels,
      maxTunnelsPerAddress: config.maxTunnelsPerAddress,
      maxGroups: config.maxGroups,
      maxSources: config.maxSources,
      queryInterval: config.queryInterval,
      queryResponseInterval: config.queryResponseInterval,
      robustness: config.robustness,
      secretInterval: config.secretInterval,
      sharedSecret,
      rates: {
        discovery: { perAddress: config.discoveryRatePerAddress, strangers: config.discoveryRate },
        request: { perAddress: config.requestRatePerAddress, strangers: config.requestRate },
        update: { perAddress: config.updateRatePerAddress, strangers: config.updateRate },
      },
      access: config,
      requireRouterAlert: true,
      quirks: config.quirks,
      entropy: new SystemEntropy(),
    });
    this.#driver = new Driver<RelayInput, RelayOutput>(
      this.#machine,
      { kind: "timeout" },
      (output) => this.#take(output),
      () => this.#lanes?.flush(),
    );
  }

  async start(): Promise<void> {
    const sockets = this.#places.flatMap(({ socket }) => socket.sockets);
    try {
      this.#lanes = await LaneSet.start({
        replace: true,
        lanes: sockets.map(({ fd }, lane) => ({
          role: "relay",
          inlets: [{ kind: "socket", fd, frame: FRAME_IP }, ...this.#ingress.inlets[lane]!],
          outlet: "socket",
        })),
        prime: (lane, commands) => this.#prime(lane, commands),
        punt: (lane, punt) => this.#punt(lane, punt),
        failed: (reason) => void this.#end(reason),
      });
      warnOfRobustness(this.#config.robustness, this.#tale);
      // Tunnels may have come while some lanes were still on their way.
      this.#lanes.flush();
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
      local: this.#places.map(({ socket }) => socket.local),
      tunnels: Array.from(this.#machine.tunnels(), ({ gateway, local, since, groups }) => ({
        gateway,
        local,
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
    if (this.#config.drain > 0 && !this.#isEmpty) {
      this.#driver.handle({ kind: "drain" });
      await this.#wait(this.#config.drain);
    }
    this.#driver.handle({ kind: "stop" });
    await this.#end(undefined);
  }

  /** Waits so long, or until no tunnel is left, or the relay has failed. */
  async #wait(time: Millis): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, time);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  get #isEmpty(): boolean {
    return this.#machine.tunnels().next().done === true;
  }

  async #end(reason: Error | undefined): Promise<void> {
    this.#drained();
    this.#driver.close();
    await this.#lanes?.stop();
    this.#close();
    this.#tale.end(reason);
  }

  #close(): void {
    this.#driver.close();
    this.#ingress.close();
    closePlaces(this.#places);
  }

  /** The endpoint whose gateways a lane serves: each endpoint has a run of lanes of its own. */
  #placeOf(lane: number): Place {
    return this.#places[Math.floor(lane / this.#config.lanes)]!;
  }

  #punt(lane: number, punt: Punt): void {
    if (punt.kind !== PUNT_FROM_SOCKET) return this.#ingress.membership(punt.octets);
    if (!punt.from) return;
    this.#driver.handle({
      kind: "datagram",
      octets: punt.octets,
      from: punt.from,
      to: this.#placeOf(lane).socket.local,
    });
  }

  #take(output: RelayOutput): void {
    switch (output.kind) {
      case "send":
        return this.#at(output.from).socket.send(output.octets, output.to);
      case "upstream":
        return this.#want(output);
      case "accepted":
        return this.#tale.accepted(output.type);
      case "quirk":
        return this.#tale.quirk(output.quirk);
      case "dropped":
        return this.#tale.dropped(output.drop);
      case "tunnel-down":
        if (this.#draining && this.#isEmpty) this.#drained();
        return;
      case "tunnel-up":
        this.#laneOf[output.tunnel] = this.#homeOf(output);
        return this.#tell(this.#laneOf[output.tunnel]!, output);
      case "member":
        return this.#tell(this.#laneOf[output.tunnel]!, output);
      case "route":
        for (const lane of this.#commands.keys()) this.#tell(lane, output);
    }
  }

  /** The part of the relay at one of its endpoints. */
  #at(local: Endpoint): Place {
    return this.#places.find(({ socket }) => sameEndpoint(socket.local, local))!;
  }

  /**
   * The lane that sends to a tunnel: one of the endpoint that the gateway speaks to, so that data
   * comes from there (RFC 7450 §5.3.3.6).
   */
  #homeOf({ tunnel, local }: TunnelUp): number {
    const { lanes } = this.#config;
    return this.#places.indexOf(this.#at(local)) * lanes + (tunnel % lanes);
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
    const { socket, mtu } = this.#placeOf(lane);
    commands.config(CONFIG_TUNNEL_MTU, mtu);
    commands.config(CONFIG_SEGMENTS, socket.gso ? TRAIN_SEGMENTS_MAX : 1);
    this.#commands[lane] = commands;
    for (const output of this.#machine.replay())
      if (output.kind === "route" || this.#laneOf[output.tunnel] === lane) this.#tell(lane, output);
  }

  /** Passes a change of the tables on to a lane. */
  #tell(lane: number, output: TunnelUp | RouteChange): void {
    const commands = this.#commands[lane]!;
    commands.hold();
    if (output.kind === "tunnel-up") {
      commands.tunnel(output.tunnel, output.gateway, output.ecn);
    } else if (output.kind === "route") {
      const op = output.change === "add" ? COMMAND_ROUTE_ADD : COMMAND_ROUTE_REMOVE;
      commands.route(op, output.group, output.source);
    } else {
      const op = output.change === "add" ? COMMAND_MEMBER_ADD : COMMAND_MEMBER_REMOVE;
      commands.route(op, output.group, output.source, output.tunnel);
    }
  }
}

/** What Advertisements tell: the given addresses, and our own of a family that none is given for. */
function advertised({ advertise = [], local }: RelayConfig): Address[] {
  const families = new Set(advertise.map(familyOf));
  const own = local.map(({ address }) => address);
  return [...advertise, ...own.filter((address) => !families.has(familyOf(address)))];
}

/** Opens the sockets of all endpoints. */
function openPlaces({ local, lanes, mtu }: RelayConfig): Place[] {
  const places: Place[] = [];
  try {
    for (const endpoint of local) {
      const socket = new AmtSocket(endpoint, lanes, false);
      places.push({ socket, mtu: tunnelMtu(socket.local, mtu) });
    }
    return places;
  } catch (error) {
    closePlaces(places);
    throw error;
  }
}

function closePlaces(places: readonly Place[]): void {
  for (const { socket } of places) socket.close();
}
