/**
 * L2TP's tunnels and sessions while they run: joins the registry, the keepalives, the lanes, sockets
 * and devices. Commands, of which there may be thousands, are served one after another in the
 * control thread alone; what works already is not disturbed by them.
 */
import { PORT_NONE } from "../../assembly/layout/l2tp.ts";
import { VERDICT_UNKNOWN_TUNNEL } from "../../assembly/layout/verdict.ts";
import type {
  L2tpChange,
  L2tpConfig,
  L2tpSessionConfig,
  L2tpTunnelConfig,
} from "../config/l2tp.ts";
import { fine, spellWord, type L2tpCommand } from "../config/l2tp-command.ts";
import { checkSession, sessionFaults } from "../config/l2tp-rules.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import {
  readSession,
  type SessionCounters,
  type SessionKey,
  type SessionPlan,
} from "../engine/session.ts";
import { LaneSet } from "../lanes/lane-set.ts";
import type { PortPlan } from "../lanes/plan.ts";
import { SystemEntropy } from "../os/entropy.ts";
import {
  Keepalive,
  type KeepaliveInput,
  type KeepaliveOutput,
} from "../protocols/l2tp/keepalive.ts";
import { deviceMtu } from "../protocols/l2tp/overhead.ts";
import { wireId } from "../protocols/l2tp/plan.ts";
import { L2tpRegistry, type Session, type Tunnel } from "../protocols/l2tp/registry.ts";
import { parseL2tpControl } from "../wire/l2tp-control.ts";
import { Driver } from "./driver.ts";
import { closeDevices, DeviceNumbers, type DeviceEnd } from "./l2tp-devices.ts";
import { openPlace, type OpenPlace, type PortBody } from "./l2tp-place.ts";
import { sessionPlan, sessionSettings, tunnelSettings } from "./l2tp-settings.ts";
import { sessionStatus, tunnelStatus } from "./l2tp-show.ts";
import {
  followFile,
  ITEMS_AT_ONCE,
  turn,
  type FiledSession,
  type FiledTunnel,
  type L2tpReloaded,
} from "./l2tp-reload.ts";
import { NO_COUNTERS, sumCounters } from "./l2tp-counters.ts";
import { L2tpSocket, pathMtu } from "./l2tp-socket.ts";
import type { L2tpSessionStatus, L2tpTunnelStatus, Service, ServiceStatus } from "./service.ts";
import { Tale } from "./tale.ts";

/** Starts L2TP with the tunnels of a file; settles when they work. Throws what keeps one from it. */
export async function startL2tp(name: string, config: L2tpConfig): Promise<L2tpService> {
  const service = new RunningL2tp(name, config.lanes);
  try {
    await service.begin(config);
  } catch (error) {
    await service.stop();
    throw error;
  }
  return service;
}

/** L2TP as it runs: a service that takes commands. */
export interface L2tpService extends Service {
  /** Serves a command; throws what is wrong with it, or what the system refuses. */
  command(command: L2tpCommand): Promise<unknown>;
  /** Makes what runs as a new file has it; what is unchanged, or came by command, is left alone. */
  reload(config: L2tpConfig): Promise<L2tpReloaded>;
}

interface OpenTunnel extends FiledTunnel {
  readonly mtu: number;
  readonly machine: Keepalive;
  readonly driver: Driver<KeepaliveInput, KeepaliveOutput>;
}

interface OpenSession extends FiledSession {
  readonly place: PlacePorts;
  /** What it had counted in lanes that died. */
  past: SessionCounters;
}

/** A place, and the lanes that know its port: the one that reads it, and those that write to it. */
interface PlacePorts extends OpenPlace {
  readonly lanes: Set<number>;
  /** How lanes are told of a device. */
  readonly body: PortBody | undefined;
}

/** What a port has open, of which its lane is done. */
interface LeftPort {
  readonly port: number;
  readonly open: { close(): DeviceEnd | undefined | void };
}

/** Ports that are closed before other events get their turn; of devices that takes some 0.1 s. */
const CLOSED_AT_ONCE = 256;

class RunningL2tp implements L2tpService {
  readonly ended: Promise<Error | undefined>;
  readonly #tale: Tale;
  readonly #laneCount: number;
  readonly #registry: L2tpRegistry;
  readonly #entropy = new SystemEntropy();
  readonly #tunnels = new Map<Tunnel, OpenTunnel>();
  readonly #sessions = new Map<Session, OpenSession>();
  /** By the number of their port. */
  readonly #sockets = new Map<number, L2tpSocket>();
  readonly #places = new Map<number, PlacePorts>();
  readonly #arenas: WebAssembly.Memory[] = [];
  #lanes: LaneSet | undefined;
  readonly #numbers = new DeviceNumbers();
  /** Ports that are closed once their lanes have left them. */
  readonly #closings = new Set<Promise<void>>();
  /** Those that lanes have left, until they are closed together. */
  readonly #left: LeftPort[] = [];
  #closes: Promise<void> | undefined;
  /** True while the lanes are about to be told what waits for them. */
  #telling = false;
  /** The last of the commands, which are served in their order. */
  #queue: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  constructor(name: string, lanes: number) {
    this.#tale = new Tale(name, "l2tp");
    this.ended = this.#tale.ended;
    this.#laneCount = lanes;
    this.#registry = new L2tpRegistry(lanes);
  }

  /** Opens all that a file has, and ends with the first refusal. */
  async begin(config: L2tpConfig): Promise<void> {
    if (config.tunnels.length === 0) return;
    let items = 0;
    await this.#ready();
    for (const { tunnel, sessions } of config.tunnels) {
      this.#addTunnel(tunnel, true);
      for (const session of sessions) {
        this.#addSession(tunnel.tunnelId, session, true);
        if (++items % ITEMS_AT_ONCE === 0) await turn();
      }
    }
  }

  command(command: L2tpCommand): Promise<unknown> {
    return this.#inTurn(async () => {
      if (command.op.startsWith("add")) await this.#ready();
      const answer = this.#serve(command);
      // What is deleted is gone once the command is done: its names may be wanted at once.
      await this.#closed();
      return answer;
    });
  }

  reload(config: L2tpConfig): Promise<L2tpReloaded> {
    return this.#inTurn(async () => {
      if (config.tunnels.length > 0) await this.#ready();
      return followFile(config, {
        lanes: this.#lanes && this.#laneCount,
        registry: this.#registry,
        tunnels: this.#tunnels,
        sessions: this.#sessions,
        addTunnel: (tunnel) => this.#addTunnel(tunnel, true),
        deleteTunnel: (tunnel) => this.#deleteTunnel(tunnel),
        addSession: (tunnelId, session) => void this.#addSession(tunnelId, session, true),
        deleteSession: (session) => this.#deleteSession(session),
        change: (session, change) => this.#change(this.#sessions.get(session)!, change),
        closed: () => this.#closed(),
      });
    });
  }

  status(): ServiceStatus {
    const isIdle = this.#tunnels.size === 0;
    return {
      ...this.#tale.status(this.#lanes),
      state: isIdle ? "idle" : "serving",
      local: Array.from(this.#sockets.values(), ({ entry }) => entry.local),
      tunnels: [],
      groups: [],
      l2tp: { tunnels: this.#showTunnels(undefined), sessions: this.#showSessions({}) },
    };
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end(undefined));
  }

  async #end(reason: Error | undefined): Promise<void> {
    for (const { driver } of this.#tunnels.values()) driver.close();
    await this.#queue;
    await this.#lanes?.stop();
    await this.#closed();
    for (const [port, open] of [...this.#places, ...this.#sockets]) this.#left.push({ port, open });
    await this.#closeLeft();
    this.#tale.end(reason);
  }

  /** Runs `body` once all that was asked before is done. */
  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(body);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** Starts the lanes, when the first tunnel wants them. */
  async #ready(): Promise<void> {
    this.#lanes ??= await LaneSet.start({
      replace: true,
      lanes: Array.from({ length: this.#laneCount }, () => ({ role: "l2tp" as const })),
      prime: (lane, commands) => this.#prime(lane, commands),
      punt: (_, punt) => this.#punt(punt),
      lost: (_, port, reason) => this.#lost(port, reason),
      failed: (reason) => void (this.#stopping ??= this.#end(reason)),
    });
    for (let lane = 0; lane < this.#laneCount; lane++) this.#arenas[lane] = this.#lanes.arena(lane);
  }

  #serve(command: L2tpCommand): unknown {
    switch (command.op) {
      case "add-tunnel":
        return this.#addTunnel(command.tunnel, false);
      case "delete-tunnel":
        return this.#deleteTunnel(this.#registry.tunnel(command.tunnelId));
      case "show-tunnel":
        return this.#showTunnels(command.tunnelId);
      case "add-session": {
        const { config } = this.#tunnels.get(this.#registry.tunnel(command.tunnelId))!;
        const session = fine(checkSession(config, command.settings, spellWord));
        return this.#addSession(command.tunnelId, session, false);
      }
      case "delete-session":
        return this.#deleteSession(this.#registry.session(command.tunnelId, command.sessionId));
      case "set-session":
        return this.#change(
          this.#sessions.get(this.#registry.session(command.tunnelId, command.sessionId))!,
          command.change,
        );
      case "show-session":
        return this.#showSessions(command);
    }
  }

  #addTunnel(config: L2tpTunnelConfig, fromFile: boolean): void {
    const settings = tunnelSettings(config);
    const { tunnel, opens } = this.#registry.addTunnel(settings);
    try {
      if (opens) this.#openSocket(tunnel);
      const mtu = pathMtu(settings);
      const machine = new Keepalive({
        version: settings.version,
        peerConnection: settings.peerId,
        interval: settings.keepalive,
        retries: settings.keepaliveRetries,
        heard: () => this.#heard(tunnel),
        entropy: this.#entropy,
      });
      const driver = new Driver<KeepaliveInput, KeepaliveOutput>(
        machine,
        { kind: "timeout" },
        (output) => this.#take(tunnel, output),
      );
      this.#tunnels.set(tunnel, { config, tunnel, mtu, machine, driver, fromFile });
      driver.handle({ kind: "start" });
    } catch (error) {
      if (this.#registry.removeTunnel(tunnel)) this.#closeSocket(tunnel);
      throw error;
    }
  }

  #deleteTunnel(tunnel: Tunnel): void {
    for (const session of [...tunnel.sessions.values()]) this.#deleteSession(session);
    this.#tunnels.get(tunnel)!.driver.close();
    this.#tunnels.delete(tunnel);
    if (this.#registry.removeTunnel(tunnel)) this.#closeSocket(tunnel);
  }

  #addSession(tunnelId: number, config: L2tpSessionConfig, fromFile: boolean): object {
    const open = this.#tunnels.get(this.#registry.tunnel(tunnelId))!;
    const settings = sessionSettings(open.config, config);
    const { session, opens } = this.#registry.addSession(tunnelId, settings);
    const { port } = session.place;
    let place = this.#places.get(port);
    try {
      if (opens) place = this.#openPlace(session, this.#mtuOf(open, session, config));
    } catch (error) {
      this.#registry.removeSession(session);
      this.#registry.releaseSession(session.number);
      this.#registry.releasePort(port);
      throw error;
    }
    this.#sessions.set(session, { config, session, place: place!, past: NO_COUNTERS, fromFile });
    this.#writeFrom(session.lane, port, place!);
    for (const lane of lanesOf(session))
      this.#commands(lane).sessionAdd(session.number, this.#key(session), this.#plan(session));
    if (!open.machine.alive) place!.setCarrier(false);
    const { device } = place!;
    return device === undefined ? {} : { interface: device };
  }

  #deleteSession(session: Session): void {
    const { closes } = this.#registry.removeSession(session);
    this.#sessions.delete(session);
    for (const lane of lanesOf(session)) this.#commands(lane).sessionRemove(session.number);
    this.#registry.releaseSession(session.number);
    if (closes) this.#closePlace(session.place.port);
  }

  #change(open: OpenSession, change: L2tpChange): void {
    const { session } = open;
    const { config: tunnel } = this.#tunnels.get(session.tunnel)!;
    const config = { ...open.config, ...change } as L2tpSessionConfig;
    const faults = sessionFaults(tunnel, config, spellWord);
    if (faults.length > 0) fine({ faults });
    const { id } = session.settings;
    this.#registry.changeSession(tunnel.tunnelId, id, sessionSettings(tunnel, config));
    open.config = config;
    for (const lane of lanesOf(session))
      this.#commands(lane).sessionChange(session.number, this.#key(session), this.#plan(session));
    if ("mtu" in change || "cookie" in change)
      open.place.setMtu(this.#mtuOf(this.#tunnels.get(session.tunnel)!, session, config));
  }

  #openSocket({ socket: entry }: Tunnel): void {
    const socket = new L2tpSocket(entry, this.#laneCount);
    const { port } = entry;
    this.#sockets.set(port, socket);
    const kind = entry.udp ? "udp" : "raw";
    for (const [lane, fd] of socket.fds.entries()) {
      this.#commands(lane).port(port, socket.kind);
      this.#openPort(lane, { port, kind, fd, header: 0 });
    }
  }

  #closeSocket({ socket: { port } }: Tunnel): void {
    const socket = this.#sockets.get(port);
    if (!socket) return this.#registry.releasePort(port); // it did not come to be
    this.#sockets.delete(port);
    this.#closeLater(socket.fds.keys(), port, socket);
  }

  #openPlace(session: Session, mtu: number): PlacePorts {
    const { port, lane } = session.place;
    const bodies: PortBody[] = [];
    let known = false;
    const open = (body: PortBody) => this.#openPort(lane, { ...body, port });
    const opened = (body: PortBody) => (known ? open(body) : void bodies.push(body));
    const opening = openPlace(session.settings, mtu, { opened, numbers: this.#numbers });
    const body = bodies.find(({ kind }) => kind === "device");
    const place = { ...opening, body, lanes: new Set([lane]) };
    this.#places.set(port, place);
    this.#commands(lane).port(port, place.kind);
    known = true;
    bodies.forEach(open);
    return place;
  }

  /** Lets a lane write to a place that another one may be reading. */
  #writeFrom(lane: number, port: number, { kind, body, lanes }: PlacePorts): void {
    if (lanes.has(lane) || !body) return;
    lanes.add(lane);
    this.#commands(lane).port(port, kind);
    this.#openPort(lane, { ...body, port, writeOnly: true });
  }

  #closePlace(port: number): void {
    const place = this.#places.get(port)!;
    this.#places.delete(port);
    this.#closeLater(place.lanes, port, place);
  }

  /** Closes what a port has open, as soon as all its lanes have left it. */
  #closeLater(lanes: Iterable<number>, port: number, open: LeftPort["open"]): void {
    const leaving = Array.from(lanes, (lane) => {
      this.#commands(lane).port(port, PORT_NONE);
      return this.#lanes!.closePort(lane, port);
    });
    const closing = Promise.all(leaving).then(async () => {
      this.#left.push({ port, open });
      await (this.#closes ??= this.#closeLeft());
      this.#closings.delete(closing);
    });
    this.#closings.add(closing);
  }

  /** Closes all that lanes have left, also meanwhile. */
  async #closeLeft(): Promise<void> {
    while (this.#left.length > 0) {
      await turn();
      const some = this.#left.splice(0, CLOSED_AT_ONCE);
      const ends = some.map(({ open }) => open.close()).filter((end) => end !== undefined);
      closeDevices(ends as DeviceEnd[], this.#entropy);
      for (const { port } of some) this.#registry.releasePort(port);
    }
    this.#closes = undefined;
  }

  /** Settles when nothing waits to be closed. */
  async #closed(): Promise<void> {
    while (this.#closings.size > 0) await Promise.all(this.#closings);
  }

  /** A lane has left a port by itself. */
  #lost(port: number, reason: string): void {
    const place = this.#places.get(port);
    if (!place || place.lost()) return;
    // As with the Linux driver, a session goes with its device.
    const gone = [...this.#sessions.values()].filter(({ session }) => session.place.port === port);
    for (const { session } of gone) {
      const { settings, tunnel } = session;
      const { device = "its place" } = place;
      this.#tale.warn(
        `session ${settings.id} of tunnel ${tunnel.settings.id} ends with ${device}: ${reason}`,
      );
      this.#deleteSession(session);
    }
  }

  #punt({ port, from, octets }: Punt): void {
    const parsed = parseL2tpControl(octets);
    if ("drop" in parsed) return this.#tale.dropped(parsed.drop);
    const { connection, version } = parsed.message;
    const tunnel = this.#registry.tunnels.get(connection);
    const isOurs =
      tunnel?.settings.version === version &&
      !tunnel.settings.keyed &&
      tunnel.socket.port === port &&
      from?.address === tunnel.peer.address &&
      from.port === tunnel.peer.port;
    if (!isOurs) return this.#tale.dropped(VERDICT_UNKNOWN_TUNNEL);
    this.#tunnels.get(tunnel)?.driver.handle({ kind: "message", message: parsed.message });
  }

  #take(tunnel: Tunnel, output: KeepaliveOutput): void {
    switch (output.kind) {
      case "send":
        return this.#sockets.get(tunnel.socket.port)?.sendControl(output.octets, tunnel.peer);
      case "dropped":
        return this.#tale.dropped(output.drop);
      case "alive":
      case "dead": {
        const what = output.kind === "dead" ? "does not answer" : "answers again";
        this.#tale.warn(`tunnel ${tunnel.settings.id}: ${tunnel.peer.address} ${what}`);
        return this.#carry(tunnel, output.kind === "alive");
      }
    }
  }

  /** Sets the carrier of the devices that are a tunnel's alone. */
  #carry(tunnel: Tunnel, on: boolean): void {
    for (const session of tunnel.sessions.values()) {
      if (session.settings.place.kind !== "device") continue;
      try {
        this.#sessions.get(session)?.place.setCarrier(on);
      } catch (error) {
        this.#tale.warn(`carrier: ${(error as Error).message}`);
      }
    }
  }

  /** Data packets that have come from a tunnel's peer. */
  #heard(tunnel: Tunnel): number {
    let heard = 0;
    for (const session of tunnel.sessions.values()) heard += this.#read(session).heard;
    return heard;
  }

  #read(session: Session): SessionCounters {
    return lanesOf(session)
      .map((lane) => this.#readIn(lane, session))
      .reduce(sumCounters);
  }

  #readIn(lane: number, { number }: Session): SessionCounters {
    return readSession(this.#arenas[lane]!, number) ?? NO_COUNTERS;
  }

  /** Everything a lane that starts must know. */
  #prime(lane: number, commands: CommandWriter): void {
    if (this.#arenas[lane] === undefined) return;
    for (const open of this.#sessions.values())
      if (lanesOf(open.session).includes(lane))
        open.past = sumCounters(open.past, this.#readIn(lane, open.session));
    this.#arenas[lane] = this.#lanes!.arena(lane);
    for (const [port, { kind }] of this.#sockets) commands.port(port, kind);
    for (const [port, { kind, lanes }] of this.#places)
      if (lanes.has(lane)) commands.port(port, kind);
    for (const { session } of this.#sessions.values())
      if (lanesOf(session).includes(lane))
        commands.sessionAdd(session.number, this.#key(session), this.#plan(session));
  }

  #openPort(lane: number, plan: PortPlan): void {
    this.#lanes!.openPort(lane, plan);
    this.#tellLanes();
  }

  /** Where commands for a lane are written; it gets those of one turn together. */
  #commands(lane: number): CommandWriter {
    const commands = this.#lanes!.commands(lane);
    commands.hold();
    this.#tellLanes();
    return commands;
  }

  #tellLanes(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      this.#lanes!.flush();
    });
  }

  #key(session: Session): SessionKey {
    const { socket, peer, settings } = session.tunnel;
    return { port: socket.port, version: settings.version, peer, id: wireId(session) };
  }

  #plan(session: Session): SessionPlan {
    const { mtu } = this.#tunnels.get(session.tunnel)!;
    return sessionPlan(session, mtu, this.#sockets.get(session.tunnel.socket.port)!.trains);
  }

  #mtuOf({ mtu }: OpenTunnel, session: Session, config: L2tpSessionConfig): number {
    return config.mtu ?? deviceMtu(mtu, session.tunnel.settings, session.settings);
  }

  #showTunnels(tunnelId: number | undefined): L2tpTunnelStatus[] {
    const wanted =
      tunnelId === undefined ? this.#registry.tunnels.values() : [this.#registry.tunnel(tunnelId)];
    return Array.from(wanted, (tunnel) => {
      const { mtu, machine } = this.#tunnels.get(tunnel)!;
      const alive = tunnel.settings.keepalive === undefined ? undefined : machine.alive;
      return tunnelStatus(tunnel, mtu, alive);
    });
  }

  #showSessions(wanted: { tunnelId?: number | undefined; sessionId?: number | undefined }) {
    const { tunnelId, sessionId } = wanted;
    const tunnels =
      tunnelId === undefined ? this.#registry.tunnels.values() : [this.#registry.tunnel(tunnelId)];
    const sessions =
      tunnelId !== undefined && sessionId !== undefined
        ? [this.#registry.session(tunnelId, sessionId)]
        : Array.from(tunnels, (tunnel) => [...tunnel.sessions.values()]).flat();
    return sessions.map((session): L2tpSessionStatus => {
      const { place, config, past } = this.#sessions.get(session)!;
      const mtu = this.#mtuOf(this.#tunnels.get(session.tunnel)!, session, config);
      const counters = sumCounters(past, this.#read(session));
      return sessionStatus(session, place.device, mtu, counters, this.#laneCount);
    });
  }
}

/** The lanes that know a session: the one it arrives in, and the one that reads its place. */
function lanesOf({ lane, place }: Session): readonly number[] {
  return lane === place.lane ? [lane] : [lane, place.lane];
}
