/**
 * All tunnels and sessions of a daemon: which there are, what they share, what cannot be. It opens
 * nothing; it says what is to be opened first and closed last, and hands out the numbers by which
 * lanes know ports and sessions.
 */
import { endpointText, familyOf, type Endpoint } from "../../core/address.ts";
import { CulvertError } from "../../core/errors.ts";
import { peerKey, spread, type Spread } from "../../core/spread.ts";
import { sequenceUse, wireId } from "./plan.ts";
import type { SessionSettings, TunnelSettings } from "./settings.ts";

/** What was asked for cannot be. `errno` is what Linux answers in its place. */
export class L2tpRefusal extends CulvertError {
  readonly code = "CULVERT_L2TP";
  constructor(
    readonly errno: "EEXIST" | "ENOENT" | "EINVAL" | "EBUSY",
    message: string,
  ) {
    super(message);
  }
}

/** The sockets of one local endpoint, one in each lane, which all its tunnels share. */
export interface SocketEntry {
  /** Their number in their lanes. */
  readonly port: number;
  readonly spread: Spread;
  readonly udp: boolean;
  readonly local: Endpoint;
  readonly checksumSent: boolean;
  readonly checksumWanted: boolean;
  readonly ttl: number | undefined;
  readonly dontFragment: boolean;
}

export interface Tunnel {
  readonly settings: TunnelSettings;
  readonly socket: SocketEntry;
  readonly peer: Endpoint;
  readonly sessions: ReadonlyMap<number, Session>;
}

/** Where frames come and go: a port that is one session's, or a trunk's. */
export interface PlaceEntry {
  /** Its number in all lanes that know it. */
  readonly port: number;
  /** The lane that reads it. */
  readonly lane: number;
}

export interface Session {
  readonly settings: SessionSettings;
  readonly tunnel: Tunnel;
  /** Its number in its lanes: the one that it arrives in, and the one that reads its place. */
  readonly number: number;
  /** The lane that its packets arrive in. */
  readonly lane: number;
  readonly place: PlaceEntry;
}

/** What came of an addition: `opens` is true for the first that uses a socket or a trunk. */
export interface TunnelAdded {
  readonly tunnel: Tunnel;
  readonly opens: boolean;
}
export interface SessionAdded {
  readonly session: Session;
  readonly opens: boolean;
}
/** What came of a removal: `closes` is true for the last that used a socket or a trunk. */
export interface SessionRemoved {
  readonly session: Session;
  readonly closes: boolean;
}

interface Shared<T> {
  readonly entry: T;
  users: number;
}

interface OpenTunnel extends Tunnel {
  readonly sessions: Map<number, OpenSession>;
}
interface OpenSession extends Session {
  settings: SessionSettings;
}

/** Small numbers, each given out again once it is given back. */
class Numbers {
  readonly #free: number[] = [];
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  give(number: number): void {
    this.#free.push(number);
  }
}

export class L2tpRegistry {
  readonly #lanes: number;
  readonly #tunnels = new Map<number, OpenTunnel>();
  readonly #sockets = new Map<string, Shared<SocketEntry>>();
  /** Devices, trunks, paths: what two sessions cannot both have. */
  readonly #places = new Map<string, Shared<PlaceEntry>>();
  /** Sessions by what a lane finds them by. */
  readonly #keys = new Map<string, Session>();
  readonly #ports = new Numbers(1);
  readonly #numbers = new Numbers(1);
  /** Places that each lane reads. */
  readonly #readers: number[];

  constructor(lanes: number) {
    this.#lanes = lanes;
    this.#readers = Array.from({ length: lanes }, () => 0);
  }

  get tunnels(): ReadonlyMap<number, Tunnel> {
    return this.#tunnels;
  }

  /** Throws L2tpRefusal. */
  addTunnel(settings: TunnelSettings): TunnelAdded {
    if (this.#tunnels.has(settings.id))
      throw new L2tpRefusal(
        "EEXIST",
        `tunnel_id: expected a free one, got ${settings.id}, which exists`,
      );
    const name = socketName(settings);
    let shared = this.#sockets.get(name);
    const opens = shared === undefined;
    if (shared) agree(shared.entry, settings);
    else this.#sockets.set(name, (shared = { entry: this.#newSocket(settings), users: 0 }));
    shared.users++;
    const peer = { address: settings.remote, port: settings.remotePort };
    const tunnel = { settings, socket: shared.entry, peer, sessions: new Map() };
    this.#tunnels.set(settings.id, tunnel);
    return { tunnel, opens };
  }

  /** Removes a tunnel whose sessions are gone; true if its socket is not needed any more. */
  removeTunnel(tunnel: Tunnel): boolean {
    this.#tunnels.delete(tunnel.settings.id);
    const name = socketName(tunnel.settings);
    const shared = this.#sockets.get(name)!;
    if (--shared.users > 0) return false;
    this.#sockets.delete(name);
    return true;
  }

  /** Throws L2tpRefusal. */
  addSession(tunnelId: number, settings: SessionSettings): SessionAdded {
    const tunnel = this.#tunnel(tunnelId);
    if (tunnel.sessions.has(settings.id))
      throw new L2tpRefusal(
        "EEXIST",
        `session_id: expected a free one, got ${settings.id}, which exists in tunnel ${tunnelId}`,
      );
    const key = sessionName(tunnel, settings);
    const other = this.#keys.get(key);
    if (other)
      throw new L2tpRefusal(
        "EEXIST",
        `session_id: expected one that no other tunnel to the same peer has, got ${settings.id}, which tunnel ${other.tunnel.settings.id} has`,
      );
    const lane = spread(steeringKey(tunnel, settings), this.#lanes);
    const { shared, opens } = this.#place(tunnel, settings, lane);
    shared.users++;
    const number = this.#numbers.take();
    const session = { settings, tunnel, number, lane, place: shared.entry };
    tunnel.sessions.set(settings.id, session);
    this.#keys.set(key, session);
    return { session, opens };
  }

  /** Forgets a session, but not its numbers: `release` does, once lanes have let go of them. */
  removeSession(session: Session): SessionRemoved {
    const tunnel = this.#tunnels.get(session.tunnel.settings.id)!;
    tunnel.sessions.delete(session.settings.id);
    this.#keys.delete(sessionName(tunnel, session.settings));
    for (const name of placeNames(session)) {
      const shared = this.#places.get(name);
      if (shared && --shared.users === 0) this.#places.delete(name);
    }
    const { place } = session.settings;
    const stays = place.kind === "trunk" && this.#places.has(trunkName(place.name, place.netns));
    if (!stays) this.#readers[session.place.lane]!--;
    return { session, closes: !stays };
  }

  /** Throws L2tpRefusal. */
  changeSession(tunnelId: number, sessionId: number, settings: SessionSettings): Session {
    const session = this.session(tunnelId, sessionId) as OpenSession;
    session.settings = settings;
    return session;
  }

  /** Gives a session's number back, which its lane has forgotten. */
  releaseSession(number: number): void {
    this.#numbers.give(number);
  }

  /** Gives a port's number back, which its lane has closed. */
  releasePort(port: number): void {
    this.#ports.give(port);
  }

  /** Throws L2tpRefusal. */
  tunnel(tunnelId: number): Tunnel {
    return this.#tunnel(tunnelId);
  }

  /** A session; the only one of a keyed tunnel needs no number. Throws L2tpRefusal. */
  session(tunnelId: number, sessionId: number | undefined): Session {
    const { settings, sessions } = this.#tunnel(tunnelId);
    const expected = `session_id: expected a session of tunnel ${tunnelId}`;
    if (sessionId === undefined && !settings.keyed)
      throw new L2tpRefusal("EINVAL", `${expected}, got nothing`);
    const [only] = sessions.values();
    const session = sessionId === undefined ? only : sessions.get(sessionId);
    if (session) return session;
    const got =
      sessionId === undefined ? "which has none" : `got ${sessionId}, which does not exist`;
    throw new L2tpRefusal("ENOENT", `${expected}, ${got}`);
  }

  #tunnel(tunnelId: number): OpenTunnel {
    const tunnel = this.#tunnels.get(tunnelId);
    if (tunnel) return tunnel;
    throw new L2tpRefusal(
      "ENOENT",
      `tunnel_id: expected a tunnel that exists, got ${tunnelId}, which does not`,
    );
  }

  #newSocket(settings: TunnelSettings): SocketEntry {
    const { udp, local, localPort, checksumSent, checksumWanted, ttl, dontFragment } = settings;
    return {
      port: this.#ports.take(),
      spread: settings.spread,
      udp,
      local: { address: local, port: localPort },
      checksumSent,
      checksumWanted,
      ttl,
      dontFragment,
    };
  }

  #place(
    tunnel: Tunnel,
    settings: SessionSettings,
    arrives: number,
  ): { readonly shared: Shared<PlaceEntry>; readonly opens: boolean } {
    const { place } = settings;
    if (place.kind === "trunk") {
      const name = trunkName(place.name, place.netns);
      const vlan = vlanName(place.name, place.netns, place.vlan);
      let trunk = this.#places.get(name);
      if (this.#places.has(vlan))
        throw new L2tpRefusal(
          "EEXIST",
          `vlan: expected one that is free on trunk ${place.name}, got ${place.vlan}, which another session has`,
        );
      if (this.#places.has(deviceName(place.name, place.netns))) throw taken("trunk", place.name);
      const opens = trunk === undefined;
      if (!trunk) this.#places.set(name, (trunk = this.#newPlace(this.#leastReader(arrives))));
      this.#places.set(vlan, { entry: trunk.entry, users: 1 });
      return { shared: trunk, opens };
    }
    const stays = place.kind !== "device" || sequenceUse({ settings, tunnel }) === "mirror";
    const shared = this.#newPlace(stays ? arrives : this.#leastReader(arrives));
    const name = placeName(settings);
    if (name !== undefined) {
      const isTrunk =
        place.kind === "device" && this.#places.has(trunkName(place.name, place.netns));
      if (isTrunk || this.#places.has(name)) {
        this.#ports.give(shared.entry.port);
        this.#readers[shared.entry.lane]!--;
        if (place.kind === "device") throw taken("name", place.name);
        throw taken(place.kind === "frames" ? "frames" : "pcap", place.path);
      }
      this.#places.set(name, shared);
    }
    return { shared, opens: true };
  }

  /** The lane that reads the fewest places; `lane` if it is one of them. */
  #leastReader(lane: number): number {
    const least = Math.min(...this.#readers);
    return this.#readers[lane] === least ? lane : this.#readers.indexOf(least);
  }

  #newPlace(lane: number): Shared<PlaceEntry> {
    this.#readers[lane]!++;
    return { entry: { port: this.#ports.take(), lane }, users: 0 };
  }
}

function taken(word: string, name: string): L2tpRefusal {
  return new L2tpRefusal(
    "EEXIST",
    `${word}: expected a free one, got ${name}, which another session has`,
  );
}

/** Tunnels of one endpoint share its socket, so what is the socket's must be alike. */
function agree(socket: SocketEntry, settings: TunnelSettings): void {
  const at = settings.udp ? endpointText(socket.local) : socket.local.address;
  const same = (word: string, has: unknown, wants: unknown) => {
    if (has === wants) return;
    const text = (value: unknown) =>
      typeof value === "boolean" ? (value ? "on" : "off") : String(value);
    throw new L2tpRefusal(
      "EINVAL",
      `${word}: expected ${text(has ?? "none")}, as other tunnels at ${at} have, got ${text(wants ?? "none")}`,
    );
  };
  const isV4 = familyOf(settings.local) === 4;
  if (settings.udp)
    same(isV4 ? "udp_csum" : "udp6_csum_tx", socket.checksumSent, settings.checksumSent);
  if (settings.udp && !isV4) same("udp6_csum_rx", socket.checksumWanted, settings.checksumWanted);
  same("spread", socket.spread, settings.spread);
  same("ttl", socket.ttl, settings.ttl);
  same("df", socket.dontFragment, settings.dontFragment);
}

function socketName({ udp, local, localPort }: TunnelSettings): string {
  return udp ? `udp ${local} ${localPort}` : `ip ${local}`;
}

/** What tells the lane that a session's packets arrive in. */
function steeringKey(tunnel: Tunnel, settings: SessionSettings): number {
  const { peer, socket } = tunnel;
  if (socket.spread === "sessions") return wireId({ settings, tunnel });
  return peerKey(peer.address, peer.port);
}

/** The key of a session's datagrams: socket, version, peer, identifier. */
function sessionName({ settings, socket, peer }: Tunnel, { id }: SessionSettings): string {
  const scope = settings.version === 2 ? `${settings.id} ${id}` : settings.keyed ? "keyed" : id;
  return `${socket.port} ${settings.version} ${peer.address} ${peer.port} ${scope}`;
}

function deviceName(name: string, netns: string | undefined): string {
  return `device ${netns ?? ""}/${name}`;
}

function trunkName(name: string, netns: string | undefined): string {
  return `trunk ${netns ?? ""}/${name}`;
}

function vlanName(name: string, netns: string | undefined, vlan: number): string {
  return `vlan ${vlan} ${netns ?? ""}/${name}`;
}

/** What nobody else can have; undefined for a device whose name the system is yet to choose. */
function placeName({ place }: SessionSettings): string | undefined {
  if (place.kind === "frames" || place.kind === "capture") return `path ${place.path}`;
  return place.name.includes("%") ? undefined : deviceName(place.name, place.netns);
}

function placeNames({ settings }: Session): string[] {
  const { place } = settings;
  if (place.kind === "trunk")
    return [trunkName(place.name, place.netns), vlanName(place.name, place.netns, place.vlan)];
  const name = placeName(settings);
  return name === undefined ? [] : [name];
}
