/**
 * L2TP's tunnels and sessions while they run: joins the registry, the keepalives, the lanes, sockets
 * and devices. Commands, of which there may be thousands, are served one after another in the
 * control thread alone; what works already is not disturbed by them.
 */
import { VERDICT_UNKNOWN_TUNNEL } from "../../assembly/layout/verdict.ts";
import type {
  L2tpChange,
  L2tpConfig,
  L2tpLaneConfig,
  L2tpSessionConfig,
  L2tpTunnelConfig,
} from "../config/l2tp.ts";
import { fine, spellWord, type L2tpCommand } from "../config/l2tp-command.ts";
import { fitSession, sessionFaults } from "../config/l2tp-rules.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import {
  readSession,
  type SessionCounters,
  type SessionKey,
  type SessionPlan,
} from "../engine/session.ts";
import { LaneSet } from "../lanes/lane-set.ts";
import type { LaneThreads } from "../lanes/plan.ts";
import { nameTotals } from "../metrics/l2tp.ts";
import { SystemEntropy } from "../os/entropy.ts";
import {
  Keepalive,
  type KeepaliveInput,
  type KeepaliveOutput,
} from "../protocols/l2tp/keepalive.ts";
import { deviceMtu } from "../protocols/l2tp/overhead.ts";
import { wireId } from "../protocols/l2tp/plan.ts";
import {
  L2tpRefusal,
  L2tpRegistry,
  type Session,
  type Tunnel,
} from "../protocols/l2tp/registry.ts";
import { parseL2tpControl } from "../wire/l2tp-control.ts";
import { Driver } from "./driver.ts";
import { L2tpPorts, type PlacePorts } from "./l2tp-ports.ts";
import { checkPin, laneCount } from "./lane-plan.ts";
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
import { pathMtu } from "./l2tp-socket.ts";
import type { L2tpSessionStatus, L2tpTunnelStatus, Service, ServiceStatus } from "./service.ts";
import { Tale } from "./tale.ts";

/** Starts L2TP with the tunnels of a file; settles when they work. Throws what keeps one from it. */
export async function startL2tp(name: string, config: L2tpConfig): Promise<L2tpService> {
  const service = new RunningL2tp(name, config);
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
  /** What sessions of it counted that are deleted. */
  past: SessionCounters;
  readonly driver: Driver<KeepaliveInput, KeepaliveOutput>;
}

interface OpenSession extends FiledSession {
  readonly place: PlacePorts;
  /** What it had counted in lanes that died. */
  past: SessionCounters;
}

class RunningL2tp implements L2tpService {
  readonly ended: Promise<Error | undefined>;
  readonly #tale: Tale;
  readonly #laneCount: number;
  readonly #threads: LaneThreads;
  readonly #registry: L2tpRegistry;
  readonly #entropy = new SystemEntropy();
  readonly #tunnels = new Map<Tunnel, OpenTunnel>();
  readonly #sessions = new Map<Session, OpenSession>();
  readonly #arenas: WebAssembly.Memory[] = [];
  #ports: L2tpPorts | undefined;
  /** What sessions counted that are deleted. */
  #past = NO_COUNTERS;
  /** The last of the commands, which are served in their order. */
  #queue: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  constructor(name: string, { lanes: asked, pin, busyPoll }: L2tpLaneConfig) {
    checkPin(pin);
    const lanes = laneCount(asked);
    this.#threads = { pin, busyPoll };
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
      await this.#ports?.closed();
      return answer;
    });
  }

  reload(config: L2tpConfig): Promise<L2tpReloaded> {
    return this.#inTurn(async () => {
      if (config.tunnels.length > 0) await this.#ready();
      return followFile(config, {
        lanes: this.#ports && this.#laneCount,
        threads: this.#threads,
        registry: this.#registry,
        tunnels: this.#tunnels,
        sessions: this.#sessions,
        addTunnel: (tunnel) => this.#addTunnel(tunnel, true),
        deleteTunnel: (tunnel) => this.#deleteTunnel(tunnel),
        addSession: (tunnelId, session) => void this.#addSession(tunnelId, session, true),
        deleteSession: (session) => this.#deleteSession(session),
        change: (session, change) => this.#change(this.#sessions.get(session)!, change),
        closed: async () => this.#ports?.closed(),
      });
    });
  }

  status(): ServiceStatus {
    const isIdle = this.#tunnels.size === 0;
    const tale = this.#tale.status(this.#ports?.lanes);
    const total = [...this.#tunnels.values()].map((open) => this.#count(open));
    return {
      ...tale,
      counters: {
        ...tale.counters,
        ...nameTotals(
          this.#tunnels.size,
          this.#sessions.size,
          total.reduce(sumCounters, this.#past),
        ),
      },
      state: isIdle ? "idle" : "serving",
      local: Array.from(this.#ports?.sockets.values() ?? [], ({ entry }) => entry.local),
      tunnels: [],
      groups: [],
      l2tp: { tunnels: this.#showTunnels(undefined), sessions: this.#showSessions({}) },
    };
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end(undefined));
  }

  async #end(reason: Error | undefined): Promise<void> {
    await this.#queue;
    for (const { driver } of this.#tunnels.values()) driver.close();
    await this.#ports?.end();
    this.#tale.end(reason);
  }

  /** Runs `body` once all that was asked before is done; never when the end has begun. */
  async #inTurn<T>(body: () => Promise<T>): Promise<T> {
    if (this.#stopping) throw new L2tpRefusal("EBUSY", "L2TP is ending");
    const result = this.#queue.then(body);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** Starts the lanes, when the first tunnel wants them. */
  async #ready(): Promise<void> {
    if (this.#ports) return;
    const lanes = await LaneSet.start({
      replace: true,
      lanes: Array.from({ length: this.#laneCount }, () => ({ role: "l2tp" as const })),
      threads: this.#threads,
      prime: (lane, commands) => this.#prime(lane, commands),
      punt: (_, punt) => this.#punt(punt),
      lost: (lane, port, reason) => this.#ports?.lost(lane, port, reason),
      failed: (reason) => void (this.#stopping ??= this.#end(reason)),
    });
    for (let lane = 0; lane < this.#laneCount; lane++) this.#arenas[lane] = lanes.arena(lane);
    this.#ports = new L2tpPorts(lanes, this.#entropy, {
      released: (port) => this.#registry.releasePort(port),
      gone: (place, reason) => this.#gone(place, reason),
      warn: (text) => this.#tale.warn(text),
      count: (name) => this.#tale.count(name),
    });
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
        const session = fine(fitSession(config, command.session, spellWord));
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
      if (opens) this.#ports!.openSocket(tunnel.socket);
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
      const past = NO_COUNTERS;
      this.#tunnels.set(tunnel, { config, tunnel, mtu, machine, driver, past, fromFile });
      driver.handle({ kind: "start" });
    } catch (error) {
      if (this.#registry.removeTunnel(tunnel)) this.#ports!.closeSocket(tunnel.socket.port);
      throw error;
    }
  }

  #deleteTunnel(tunnel: Tunnel): void {
    for (const session of [...tunnel.sessions.values()]) this.#deleteSession(session);
    const { driver, past } = this.#tunnels.get(tunnel)!;
    driver.close();
    this.#past = sumCounters(this.#past, past);
    this.#tunnels.delete(tunnel);
    if (this.#registry.removeTunnel(tunnel)) this.#ports!.closeSocket(tunnel.socket.port);
  }

  #addSession(tunnelId: number, config: L2tpSessionConfig, fromFile: boolean): object {
    const open = this.#tunnels.get(this.#registry.tunnel(tunnelId))!;
    const settings = sessionSettings(open.config, config);
    const { session, opens } = this.#registry.addSession(tunnelId, settings);
    const { port } = session.place;
    let place = this.#ports!.place(port);
    try {
      if (opens) place = this.#ports!.openPlace(session, this.#mtuOf(open, session, config));
    } catch (error) {
      this.#registry.removeSession(session);
      this.#registry.releaseSession(session.number);
      this.#registry.releasePort(port);
      throw error;
    }
    this.#sessions.set(session, { config, session, place: place!, past: NO_COUNTERS, fromFile });
    place!.sessions.add(session);
    this.#ports!.writeFrom(session.lane, port);
    for (const lane of lanesOf(session))
      this.#commands(lane).sessionAdd(session.number, this.#key(session), this.#plan(session));
    if (!open.machine.alive) place!.setCarrier(false);
    const { device } = place!;
    return device === undefined ? {} : { interface: device };
  }

  #deleteSession(session: Session): void {
    const { closes } = this.#registry.removeSession(session);
    const { place, past } = this.#sessions.get(session)!;
    const open = this.#tunnels.get(session.tunnel)!;
    open.past = [past, this.#read(session)].reduce(sumCounters, open.past);
    place.sessions.delete(session);
    this.#sessions.delete(session);
    for (const lane of lanesOf(session)) this.#commands(lane).sessionRemove(session.number);
    this.#registry.releaseSession(session.number);
    if (closes) this.#ports!.closePlace(session.place.port);
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

  /** As with the Linux driver, a session goes with its device. */
  #gone({ device = "its place", sessions }: PlacePorts, reason: string): void {
    for (const session of [...sessions]) {
      const { settings, tunnel } = session;
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
        return this.#control(tunnel, output.octets);
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

  #control({ socket: { port }, peer }: Tunnel, octets: Uint8Array): void {
    const ports = this.#ports!;
    if (!ports.isLost(port)) ports.sockets.get(port)?.sendControl(octets, peer);
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
    this.#arenas[lane] = this.#ports!.lanes.arena(lane);
    this.#ports!.prime(lane, commands);
    for (const { session } of this.#sessions.values())
      if (lanesOf(session).includes(lane))
        commands.sessionAdd(session.number, this.#key(session), this.#plan(session));
  }

  #commands(lane: number): CommandWriter {
    return this.#ports!.commands(lane);
  }

  /** What all sessions of a tunnel have counted. */
  #count({ tunnel, past }: OpenTunnel): SessionCounters {
    return [...tunnel.sessions.values()]
      .flatMap((session) => [this.#sessions.get(session)!.past, this.#read(session)])
      .reduce(sumCounters, past);
  }

  #key(session: Session): SessionKey {
    const { socket, peer, settings } = session.tunnel;
    return { port: socket.port, version: settings.version, peer, id: wireId(session) };
  }

  #plan(session: Session): SessionPlan {
    const { mtu } = this.#tunnels.get(session.tunnel)!;
    const { trains } = this.#ports!.sockets.get(session.tunnel.socket.port)!;
    return sessionPlan(session, mtu, trains);
  }

  #mtuOf({ mtu }: OpenTunnel, session: Session, config: L2tpSessionConfig): number {
    return config.mtu ?? deviceMtu(mtu, session.tunnel.settings, session.settings);
  }

  #showTunnels(tunnelId: number | undefined): L2tpTunnelStatus[] {
    const wanted =
      tunnelId === undefined ? this.#registry.tunnels.values() : [this.#registry.tunnel(tunnelId)];
    return Array.from(wanted, (tunnel) => {
      const open = this.#tunnels.get(tunnel)!;
      const alive = tunnel.settings.keepalive === undefined ? undefined : open.machine.alive;
      const isLost = this.#ports!.isLost(tunnel.socket.port);
      return tunnelStatus(tunnel, open.mtu, alive, isLost, this.#count(open));
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
