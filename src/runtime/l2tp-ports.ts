/**
 * What L2TP has open: the sockets of tunnels, the places of sessions. Each is a port of all lanes that
 * use it, and is closed once they have left it. A socket that a lane loses is opened anew.
 */
import { PORT_NONE } from "../../assembly/layout/l2tp.ts";
import { endpointText } from "../core/address.ts";
import type { CommandWriter } from "../engine/arena.ts";
import type { LaneSet } from "../lanes/lane-set.ts";
import type { PortPlan } from "../lanes/plan.ts";
import { monotonic } from "../os/clock.ts";
import type { SystemEntropy } from "../os/entropy.ts";
import type { Session, SocketEntry } from "../protocols/l2tp/registry.ts";
import { closeDevices, DeviceNumbers, type DeviceEnd } from "./l2tp-devices.ts";
import { openPlace, type OpenPlace, type PortBody } from "./l2tp-place.ts";
import { turn } from "./l2tp-reload.ts";
import { L2tpSocket } from "./l2tp-socket.ts";

/** A place, its sessions, and the lanes that know its port: the one that reads it, and those that write to it. */
export interface PlacePorts extends OpenPlace {
  readonly sessions: Set<Session>;
  readonly lanes: Set<number>;
  /** How lanes are told of a device. */
  readonly body: PortBody | undefined;
}

export interface PortCalls {
  /** No lane knows the number of this port any more. */
  released(port: number): void;
  /** A place is gone by itself; it is yet to be closed. */
  gone(place: PlacePorts, reason: string): void;
  /** A line for the operator. */
  warn(text: string): void;
  count(name: "l2tp_sockets_lost" | "l2tp_sockets_reopened"): void;
}

/** What a port has open, of which its lanes are done. */
interface LeftPort {
  readonly port: number;
  readonly open: { close(): DeviceEnd | undefined | void };
}

/** A socket that is lost, or was. */
interface Loss {
  /** Settles when what was lost is closed. */
  closed: Promise<void>;
  /** True until it is open again. */
  lasts: boolean;
  /** Milliseconds before it is tried again. */
  wait: number;
  /** When it was last opened. */
  openedAt: number;
  /** Why it could not be opened, as the operator was told. */
  complaint: string;
  timer: NodeJS.Timeout | undefined;
}

/** Ports that are closed before other events get their turn; of devices that takes some 0.1 s. */
const CLOSED_AT_ONCE = 256;
/** Milliseconds before a lost socket is opened again, doubling from try to try. */
const REOPEN_FIRST = 100;
const REOPEN_LONGEST = 10_000;
/** A socket that was open for so many milliseconds was a good one. */
const GOOD_AFTER = 60_000;

export class L2tpPorts {
  readonly lanes: LaneSet;
  readonly #calls: PortCalls;
  readonly #entropy: SystemEntropy;
  /** By the number of their port. */
  readonly #sockets = new Map<number, L2tpSocket>();
  readonly #losses = new Map<number, Loss>();
  readonly #places = new Map<number, PlacePorts>();
  readonly #numbers = new DeviceNumbers();
  /** Ports that are closed once their lanes have left them. */
  readonly #closings = new Set<Promise<void>>();
  /** Those that lanes have left, until they are closed together. */
  readonly #left: LeftPort[] = [];
  #closes: Promise<void> | undefined;
  /** True while the lanes are about to be told what waits for them. */
  #telling = false;

  constructor(lanes: LaneSet, entropy: SystemEntropy, calls: PortCalls) {
    this.lanes = lanes;
    this.#entropy = entropy;
    this.#calls = calls;
  }

  /** Where commands for a lane are written; it gets those of one turn together. */
  commands(lane: number): CommandWriter {
    const commands = this.lanes.commands(lane);
    commands.hold();
    this.#tellLanes();
    return commands;
  }

  /** The sockets of all endpoints, by the number of their port; also one that is lost for now. */
  get sockets(): ReadonlyMap<number, L2tpSocket> {
    return this.#sockets;
  }

  /** True while a port's socket is lost. */
  isLost(port: number): boolean {
    return this.#losses.get(port)?.lasts === true;
  }

  place(port: number): PlacePorts | undefined {
    return this.#places.get(port);
  }

  /** Throws OsError. */
  openSocket(entry: SocketEntry): void {
    this.#serve(new L2tpSocket(entry, this.lanes.count));
  }

  closeSocket(port: number): void {
    const socket = this.#sockets.get(port);
    if (!socket) return this.#calls.released(port); // it did not come to be
    this.#sockets.delete(port);
    const loss = this.#losses.get(port);
    this.#losses.delete(port);
    clearTimeout(loss?.timer);
    if (!loss?.lasts) return this.#closeLater(socket.fds.keys(), port, socket);
    for (const lane of socket.fds.keys()) this.commands(lane).port(port, PORT_NONE);
    const closing = loss.closed.then(() => {
      this.#calls.released(port);
      this.#closings.delete(closing);
    });
    this.#closings.add(closing);
  }

  /** Opens a session's place, whose device gets this MTU. Throws OsError. */
  openPlace({ settings, place: { port, lane } }: Session, mtu: number): PlacePorts {
    const bodies: PortBody[] = [];
    let known = false;
    const open = (body: PortBody) => this.#openPort(lane, { ...body, port });
    const opened = (body: PortBody) => (known ? open(body) : void bodies.push(body));
    const opening = openPlace(settings, mtu, { opened, numbers: this.#numbers });
    const body = bodies.find(({ kind }) => kind === "device");
    const place = { ...opening, sessions: new Set<Session>(), body, lanes: new Set([lane]) };
    this.#places.set(port, place);
    this.commands(lane).port(port, place.kind);
    known = true;
    bodies.forEach(open);
    return place;
  }

  /** Lets a lane write to a place that another one may be reading. */
  writeFrom(lane: number, port: number): void {
    const { kind, body, lanes } = this.#places.get(port)!;
    if (lanes.has(lane) || !body) return;
    lanes.add(lane);
    this.commands(lane).port(port, kind);
    this.#openPort(lane, { ...body, port, writeOnly: true });
  }

  closePlace(port: number): void {
    const place = this.#places.get(port)!;
    this.#places.delete(port);
    this.#closeLater(place.lanes, port, place);
  }

  /** Settles when nothing waits to be closed. */
  async closed(): Promise<void> {
    while (this.#closings.size > 0) await Promise.all(this.#closings);
  }

  /** Tells a lane that starts of its ports. */
  prime(lane: number, commands: CommandWriter): void {
    for (const [port, { kind }] of this.#sockets) commands.port(port, kind);
    for (const [port, { kind, lanes }] of this.#places)
      if (lanes.has(lane)) commands.port(port, kind);
  }

  /** A lane has left a port by itself. */
  lost(lane: number, port: number, reason: string): void {
    const socket = this.#sockets.get(port);
    if (socket) return this.#lostSocket(lane, socket, reason);
    const place = this.#places.get(port);
    if (place && !place.lost()) this.#calls.gone(place, reason);
  }

  /** Ends the lanes, then closes everything. */
  async end(): Promise<void> {
    for (const { timer } of this.#losses.values()) clearTimeout(timer);
    await this.lanes.stop();
    await this.closed();
    for (const [port, { closed, lasts }] of this.#losses) {
      await closed;
      if (lasts) this.#sockets.delete(port);
    }
    for (const [port, open] of [...this.#places, ...this.#sockets]) this.#left.push({ port, open });
    await this.#closeLeft();
  }

  /** Gives all lanes a socket. */
  #serve(socket: L2tpSocket): void {
    const { port, udp } = socket.entry;
    this.#sockets.set(port, socket);
    for (const [lane, fd] of socket.fds.entries()) {
      this.commands(lane).port(port, socket.kind);
      this.#openPort(lane, { port, kind: udp ? "udp" : "raw", fd, header: 0 });
    }
  }

  /** All sockets of the endpoint are opened anew: the kernel chooses among them by their order. */
  #lostSocket(lane: number, socket: L2tpSocket, reason: string): void {
    const { port } = socket.entry;
    const before = this.#losses.get(port);
    if (before?.lasts) return;
    const now = monotonic();
    const wasGood = !before || now - before.openedAt > GOOD_AFTER;
    const others = [...socket.fds.keys()].filter((other) => other !== lane);
    const left = Promise.all(others.map((other) => this.lanes.closePort(other, port)));
    const loss: Loss = {
      closed: left.then(() => socket.close()),
      lasts: true,
      wait: wasGood ? REOPEN_FIRST : before.wait,
      openedAt: now,
      complaint: "",
      timer: undefined,
    };
    this.#losses.set(port, loss);
    this.#calls.count("l2tp_sockets_lost");
    this.#calls.warn(`${nameOf(socket)} is lost and will be opened again: ${reason}`);
    void loss.closed.then(() => this.#reopenLater(socket, loss));
  }

  #reopenLater(socket: L2tpSocket, loss: Loss): void {
    const { port } = socket.entry;
    if (this.#losses.get(port) !== loss) return; // its last tunnel is gone
    loss.timer = setTimeout(() => this.#reopen(socket, loss), loss.wait);
    loss.wait = Math.min(2 * loss.wait, REOPEN_LONGEST);
  }

  #reopen(socket: L2tpSocket, loss: Loss): void {
    try {
      this.openSocket(socket.entry);
    } catch (error) {
      const { message } = error as Error;
      if (message !== loss.complaint)
        this.#calls.warn(`${nameOf(socket)} is still lost: ${message}`);
      loss.complaint = message;
      return this.#reopenLater(socket, loss);
    }
    loss.lasts = false;
    loss.openedAt = monotonic();
    this.#calls.count("l2tp_sockets_reopened");
    this.#calls.warn(`${nameOf(socket)} is open again`);
  }

  /** Closes what a port has open, as soon as all its lanes have left it. */
  #closeLater(lanes: Iterable<number>, port: number, open: LeftPort["open"]): void {
    const leaving = Array.from(lanes, (lane) => {
      this.commands(lane).port(port, PORT_NONE);
      return this.lanes.closePort(lane, port);
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
      for (const { port } of some) this.#calls.released(port);
    }
    this.#closes = undefined;
  }

  #openPort(lane: number, plan: PortPlan): void {
    this.lanes.openPort(lane, plan);
    this.#tellLanes();
  }

  #tellLanes(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      this.lanes.flush();
    });
  }
}

function nameOf({ entry: { udp, local } }: L2tpSocket): string {
  return `the socket of ${udp ? endpointText(local) : local.address}`;
}
