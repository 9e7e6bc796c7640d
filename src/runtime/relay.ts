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
  CONFIG_BURST,
  CONFIG_LEAST_MTU,
  CONFIG_NOTED,
  CONFIG_NOTED_TUNNELS,
  CONFIG_RATE,
  CONFIG_SEGMENTS,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  PUNT_FROM_SOCKET,
  PUNT_TOO_BIG,
  PUNT_UNSENT,
  TRAIN_SEGMENTS_MAX,
} from "../../assembly/layout/arena.ts";
import type { RelayConfig } from "../config/relay.ts";
import { familyOf, sameEndpoint, type Address, type Endpoint } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import { LaneSet } from "../lanes/lane-set.ts";
import { monotonic } from "../os/clock.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { readPathMtu } from "../os/udp.ts";
import type { RouteChange } from "../protocols/amt/forwarding.ts";
import {
  AmtRelay,
  type RelayInput,
  type RelayOutput,
  type TunnelUp,
} from "../protocols/amt/relay.ts";
import { readHead } from "../wire/icmp.ts";
import { AmtSocket, innerMtu, tunnelMtu } from "./amt-socket.ts";
import { failureOf } from "./device-gone.ts";
import { Driver } from "./driver.ts";
import { IcmpWatch } from "./icmp.ts";
import { checkPin, laneCount } from "./lane-plan.ts";
import { warnOfRobustness } from "./listeners.ts";
import { openIngress, type Ingress } from "./ingress.ts";
import type { Service, ServiceStatus } from "./service.ts";
import { readSharedSecret } from "./shared-secret.ts";
import { Tale } from "./tale.ts";
import { TunnelMtus } from "./tunnel-mtus.ts";

/** Milliseconds of its rate that a gateway is sent at once. */
const BURST = 50;
/** Octets of the largest headers around a datagram: IPv6, UDP, AMT. */
const OUTER_MOST = 50;

/** No IPv6 link has a smaller MTU (RFC 8200 §5). */
const IPV6_LEAST_MTU = 1_280;

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
  /** Of each endpoint. */
  readonly #laneCount: number;
  readonly #icmp: IcmpWatch;
  readonly #places: readonly Place[];
  readonly #ingress: Ingress;
  readonly #machine: AmtRelay;
  readonly #driver: Driver<RelayInput, RelayOutput>;
  /** The lane that sends to each tunnel, by the tunnel's number. */
  readonly #laneOf: number[] = [];
  readonly #mtus = new TunnelMtus((lane) => this.#tellLeastMtu(lane));
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
    // Of a device one lane alone is the reader; each other one takes copies.
    const isAuto = config.lanes === "auto" && config.tun !== undefined;
    this.#laneCount = isAuto ? 1 : laneCount(config.lanes, config.local.length);
    checkPin(config.pin);
    const { secretFile } = config;
    const sharedSecret =
      secretFile === undefined ? undefined : readSharedSecret(secretFile, `${name}.secretFile`);
    this.#icmp = new IcmpWatch(this.#tale, {
      tooBig: ({ from, to, mtu, payload }) =>
        this.#driver.handle({ kind: "too-big", gateway: to, local: from, mtu, payload }),
      look: () => this.#look(),
    });
    try {
      this.#places = openPlaces(config, this.#laneCount, this.#icmp);
    } catch (error) {
      this.#icmp.close();
      throw error;
    }
    try {
      const mtu = Math.max(...this.#places.map((place) => place.mtu));
      this.#ingress = openIngress(config, this.#laneCount * this.#places.length, mtu, (text) =>
        this.#tale.warn(text),
      );
    } catch (error) {
      this.#icmp.close();
      closePlaces(this.#places);
      throw error;
    }
    const { leastPathMtu } = config;
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
      leastPathMtu: config.pathMtuDiscovery
        ? { 4: leastPathMtu, 6: Math.max(leastPathMtu, IPV6_LEAST_MTU) }
        : undefined,
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
        threads: this.#config,
        prime: (lane, commands) => this.#prime(lane, commands),
        punt: (lane, punt) => this.#punt(lane, punt),
        failed: (reason) => void this.#end(failureOf(reason, this.#config.tun)),
      });
      warnOfRobustness(this.#config.robustness, this.#tale);
      // Tunnels may have come while some lanes were still on their way.
      this.#lanes.flush();
      if (this.#config.pathMtuDiscovery) this.#icmp.listen();
    } catch (error) {
      await this.#lanes?.stop();
      this.#close();
      throw error;
    }
  }

  status(): ServiceStatus {
    const now = monotonic();
    const told = this.#tale.status(this.#lanes);
    return {
      ...told,
      counters: {
        ...told.counters,
        control_unsent: this.#places.reduce((sum, { socket }) => sum + socket.refused, 0),
        ingress_lost: this.#ingress.lost,
        upstream_joins_waiting: this.#ingress.waiting,
      },
      state: this.#draining ? "draining" : "serving",
      local: this.#places.map(({ socket }) => socket.local),
      tunnels: Array.from(
        this.#machine.tunnels(),
        ({ gateway, local, since, groups, pathMtu }) => ({
          gateway,
          local,
          sinceSeconds: Math.round((now - since) / 1_000),
          groups,
          ...(pathMtu === undefined ? {} : { pathMtu }),
        }),
      ),
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
    this.#icmp.close();
    this.#ingress.close();
    closePlaces(this.#places);
  }

  /** The endpoint whose gateways a lane serves: each endpoint has a run of lanes of its own. */
  #placeOf(lane: number): Place {
    return this.#places[Math.floor(lane / this.#laneCount)]!;
  }

  #punt(lane: number, punt: Punt): void {
    if (punt.kind === PUNT_TOO_BIG) return this.#tooBig(punt.octets);
    if (punt.kind === PUNT_UNSENT) return this.#unsent(lane, punt.from);
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
        return this.#ingress.want(output.group, output.filter);
      case "accepted":
        return this.#tale.accepted(output.type);
      case "quirk":
        return this.#tale.quirk(output.quirk);
      case "dropped":
        return this.#tale.dropped(output.drop);
      case "path-mtu":
        return this.#tale.count(`amt_path_mtu_${output.change}`);
      case "tunnel-down":
        this.#mtus.set(output.tunnel, this.#laneOf[output.tunnel]!, undefined);
        if (this.#draining && this.#isEmpty) this.#drained();
        return;
      case "tunnel-up":
        this.#laneOf[output.tunnel] = this.#homeOf(output);
        this.#mtus.set(output.tunnel, this.#laneOf[output.tunnel]!, this.#reducedMtu(output));
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
    return this.#places.indexOf(this.#at(local)) * this.#laneCount + (tunnel % this.#laneCount);
  }

  /** A tunnel's largest inner datagram, if that is smaller than its endpoint's. */
  #reducedMtu({ local, pathMtu }: TunnelUp): number | undefined {
    const inner = innerMtu(local, pathMtu ?? Number.POSITIVE_INFINITY);
    return inner < this.#at(local).mtu ? inner : undefined;
  }

  /** Tells the source of a datagram that is too big for a tunnel that is to get it. */
  #tooBig(octets: Uint8Array): void {
    const head = readHead(octets);
    if (head === undefined) return;
    let least = Number.POSITIVE_INFINITY;
    for (const tunnel of this.#machine.receivers(head.destination, head.source))
      least = Math.min(least, this.#mtus.get(tunnel) ?? this.#placeOf(this.#laneOf[tunnel]!).mtu);
    this.#icmp.shown(octets, head, least);
  }

  /** The system found a message to a gateway too big: it knows the MTU. */
  #unsent(lane: number, gateway: Endpoint | undefined): void {
    this.#icmp.noted();
    if (gateway === undefined) return;
    const { local } = this.#placeOf(lane).socket;
    const mtu = readPathMtu(local.address, gateway);
    const payload = new Uint8Array(0);
    if (mtu !== undefined) this.#driver.handle({ kind: "too-big", gateway, local, mtu, payload });
  }

  /** Lets all lanes show once more what is too big. */
  #look(): void {
    for (const commands of this.#commands) {
      commands.config(CONFIG_NOTED, 0);
      commands.config(CONFIG_NOTED_TUNNELS, 0);
    }
    this.#lanes?.flush();
  }

  #tellLeastMtu(lane: number): void {
    const least = this.#mtus.least(lane) ?? this.#placeOf(lane).mtu;
    this.#commands[lane]!.config(CONFIG_LEAST_MTU, least);
  }

  /** Everything a lane that starts must know. */
  #prime(lane: number, commands: CommandWriter): void {
    const { socket, mtu } = this.#placeOf(lane);
    commands.config(CONFIG_TUNNEL_MTU, mtu);
    commands.config(CONFIG_LEAST_MTU, this.#mtus.least(lane) ?? mtu);
    const { maxTrain = TRAIN_SEGMENTS_MAX, tunnelRate } = this.#config;
    commands.config(CONFIG_SEGMENTS, socket.gso ? maxTrain : 1);
    if (tunnelRate !== undefined) {
      const rate = Math.round(tunnelRate / 8); // octets a millisecond
      commands.config(CONFIG_RATE, rate);
      commands.config(CONFIG_BURST, Math.max(BURST * rate, maxTrain * (mtu + OUTER_MOST)));
    }
    this.#commands[lane] = commands;
    for (const output of this.#machine.replay())
      if (output.kind === "route" || this.#laneOf[output.tunnel] === lane) this.#tell(lane, output);
  }

  /** Passes a change of the tables on to a lane. */
  #tell(lane: number, output: TunnelUp | RouteChange): void {
    const commands = this.#commands[lane]!;
    commands.hold();
    if (output.kind === "tunnel-up") {
      const { tunnel, gateway, ecn } = output;
      commands.tunnel(tunnel, gateway, ecn, this.#mtus.get(tunnel));
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
function openPlaces(config: RelayConfig, lanes: number, icmp: IcmpWatch): Place[] {
  const { local, mtu, pathMtuDiscovery } = config;
  const places: Place[] = [];
  try {
    for (const endpoint of local) {
      // The system does its own discovery, without a floor, where ours hears nothing.
      const ours = !pathMtuDiscovery || icmp.hears(familyOf(endpoint.address));
      const socket = new AmtSocket(endpoint, lanes, false, ours);
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
