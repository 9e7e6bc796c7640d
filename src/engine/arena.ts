/**
 * The control thread's side of an arena: commands in, punts out, counters. The lane's side is in
 * `assembly/`; who may write what stands in `assembly/layout/arena.ts`.
 */
import {
  ARENA_COMMANDS,
  ARENA_COUNTERS,
  ARENA_HEARD,
  ARENA_PUNTS,
  ARENA_TALLIES,
  COMMAND_CONFIG,
  COMMAND_KEY,
  COMMAND_OP,
  COMMAND_PORT_SET,
  COMMAND_PUT_MOST,
  COMMAND_RELAY,
  COMMAND_ROUTE_RELAY,
  COMMAND_SESSION_ADD,
  COMMAND_SESSION_PUT,
  COMMAND_SESSION_READY,
  COMMAND_SESSION_REMOVE,
  COMMAND_SINK_NAME,
  COMMAND_SLOTS,
  COMMAND_SLOT_SHIFT,
  COMMAND_TUNNEL,
  COMMAND_TUNNEL_SET,
  KEY_ANY_SOURCE,
  KEY_GROUP,
  KEY_SOURCE,
  LINK_MTU,
  PUNT_KIND,
  PUNT_LENGTH,
  PUNT_NAME,
  PUNT_PACKET,
  PUNT_PORT,
  PUNT_SLOTS,
  PUNT_SLOT_SHIFT,
  RELAY_SLOTS,
  RING_DOORBELL,
  RING_HEAD,
  RING_SLOTS,
  RING_TAIL,
  STAGE_COUNT,
  STAGE_SHIFT,
  TALLY_COUNT,
  TUNNEL_ECN,
  TUNNEL_MTU_SHIFT,
} from "../../assembly/layout/arena.ts";
import {
  AF_INET,
  AF_INET6,
  AF_PACKET,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_LENGTH,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_LL_ADDRESS,
  SOCKADDR_LL_ADDRESS_LENGTH,
  SOCKADDR_LL_INDEX,
  SOCKADDR_LL_LENGTH,
  SOCKADDR_LL_PROTOCOL,
  SOCKADDR_PORT,
} from "../../assembly/layout/system.ts";
import { VERDICT_ROOM } from "../../assembly/layout/verdict.ts";
import {
  familyOf,
  formatAddress,
  type Address,
  type Endpoint,
  type Family,
} from "../core/address.ts";
import { writeAddress } from "../wire/octets.ts";
import { writeSockaddr } from "./sockaddr.ts";
import { sessionKey, sessionParts, type SessionKey, type SessionPlan } from "./session.ts";

const COMMAND_LENGTH = 1 << COMMAND_SLOT_SHIFT;

/** A link that a gateway forwards to, as the core knows it. */
export interface LinkRecord {
  readonly family: Family;
  /** The interface's index. */
  readonly index: number;
  /** Its link-layer address, 6 octets. */
  readonly station: Uint8Array;
  /** The largest datagram that goes there. */
  readonly mtu: number;
}

/** Writes commands to a lane, in order. What the ring has no room for waits here. */
export class CommandWriter {
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  readonly #words: Int32Array;
  /** Commands that found no room, from `#first` on; those before it are in the ring by now. */
  #waiting: Uint8Array[] = [];
  #first = 0;
  /** Slots written behind RING_TAIL, which the lane does not see yet. */
  #unseen = 0;
  #held = false;

  /** `ring` is called when the lane must be told to look; after that not until it has looked. */
  constructor(
    arena: WebAssembly.Memory,
    readonly ring: () => void,
  ) {
    this.#octets = new Uint8Array(arena.buffer);
    this.#view = new DataView(arena.buffer);
    this.#words = new Int32Array(arena.buffer);
  }

  /** Commands that still wait for room; call `flush` again later. */
  get backlog(): number {
    return this.#waiting.length - this.#first;
  }

  /**
   * Gives tunnel number `tunnel` its endpoint; `ecn` if its data bears the inner ECN field, `mtu` if
   * its largest inner datagram is less than the lane's, 0 to 65,535.
   */
  tunnel(tunnel: number, endpoint: Endpoint, ecn = false, mtu = 0): void {
    const flags = (ecn ? TUNNEL_ECN : 0) + mtu * 2 ** TUNNEL_MTU_SHIFT;
    this.#push(COMMAND_TUNNEL_SET, tunnel, (place) => putSockaddr(place, endpoint, flags));
  }

  /**
   * Says which link, for one family, route member `number` is: 1 to CONFIG_LINKS.
   */
  link(number: number, link: LinkRecord): void {
    this.#push(COMMAND_TUNNEL_SET, number, ({ view, octets, at }) => {
      view.setUint16(at + SOCKADDR_FAMILY, AF_PACKET, true);
      const protocol = link.family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
      view.setUint16(at + SOCKADDR_LL_PROTOCOL, protocol);
      view.setInt32(at + SOCKADDR_LL_INDEX, link.index, true);
      octets[at + SOCKADDR_LL_ADDRESS_LENGTH] = link.station.length;
      octets.set(link.station, at + SOCKADDR_LL_ADDRESS);
      view.setUint32(at + LINK_MTU, link.mtu, true);
      view.setUint32(at + SOCKADDR_IN6_LENGTH, SOCKADDR_LL_LENGTH, true);
    });
  }

  /** One of COMMAND_ROUTE_* or COMMAND_MEMBER_*; without a source it is about (*,G). */
  route(op: number, group: Address, source: Address | undefined, tunnel = 0): void {
    this.#push(op, tunnel, (place) => putKey(place, group, source));
  }

  /** Sets a CONFIG_* value. */
  config(field: number, value: number): void {
    this.#push(COMMAND_CONFIG, field, ({ view, at }) => view.setUint32(at, value, true));
  }

  /** Where data of relay number `relay` is accepted from; undefined: from nowhere. */
  relay(endpoint: Endpoint | undefined, relay = 0): void {
    this.#push(COMMAND_RELAY, relay, (place) => putSockaddr(place, endpoint));
  }

  /** Which relay sends the packets of a gateway's route; number 0 until that is said. */
  routeRelay(group: Address, source: Address | undefined, relay: number): void {
    this.#push(COMMAND_ROUTE_RELAY, relay, (place) => putKey(place, group, source));
  }

  /** Where a receiver's payloads go. */
  sinkName(endpoint: Endpoint): void {
    this.#push(COMMAND_SINK_NAME, 0, (place) => putSockaddr(place, endpoint));
  }

  /** Says what the port of this number is: PORT_*. */
  port(port: number, kind: number): void {
    this.#push(COMMAND_PORT_SET, port, ({ view, at }) => view.setUint32(at, kind, true));
  }

  /** Makes session number `session`; no frame of its device goes through before `sessionReady`. */
  sessionAdd(session: number, key: SessionKey, plan: SessionPlan): void {
    this.#push(COMMAND_SESSION_ADD, session, ({ octets, at }) => octets.set(sessionKey(key), at));
    this.sessionChange(session, key, plan);
    this.#push(COMMAND_SESSION_READY, session, () => undefined);
  }

  /** Changes all but the key and the device of a session; its numbers and counters go on. */
  sessionChange(session: number, key: SessionKey, plan: SessionPlan): void {
    for (const { offset, octets: all } of sessionParts(key.peer, plan))
      for (let start = 0; start < all.length; start += COMMAND_PUT_MOST) {
        const some = all.subarray(start, start + COMMAND_PUT_MOST);
        this.#push(COMMAND_SESSION_PUT, session, ({ octets, view, at }) => {
          view.setUint32(at, offset + start, true);
          view.setUint32(at + 4, some.length, true);
          octets.set(some, at + 8);
        });
      }
  }

  sessionRemove(session: number): void {
    this.#push(COMMAND_SESSION_REMOVE, session, () => undefined);
  }

  /** Writes a command into the ring, or where it waits for room there. */
  #push(op: number, tunnel: number, fill: (place: Place) => void): void {
    if (this.backlog === 0 && this.#room() > 0) {
      write({ octets: this.#octets, view: this.#view, at: slotAt(this.#tail) }, op, tunnel, fill);
      this.#unseen++;
      if (!this.#held) this.#publish();
      return;
    }
    const octets = new Uint8Array(COMMAND_LENGTH);
    write({ octets, view: new DataView(octets.buffer), at: 0 }, op, tunnel, fill);
    this.#waiting.push(octets);
  }

  /**
   * Shows the lane nothing of what is written from now on until `flush`, so that it gets it at once: a
   * route, for one, with its members.
   */
  hold(): void {
    this.#held = true;
  }

  /** Moves what waits into the ring, as far as there is room. */
  flush(): void {
    this.#held = false;
    for (let room = Math.min(this.#room(), this.backlog); room > 0; room--) {
      this.#octets.set(this.#waiting[this.#first++]!, slotAt(this.#tail));
      this.#unseen++;
    }
    // What is done with goes when it is the larger part, so that a long queue is not moved often.
    if (2 * this.#first > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    this.#publish();
  }

  /** Where the next command goes. */
  get #tail(): number {
    return (this.#words[TAIL]! + this.#unseen) | 0;
  }

  /** Free slots of the ring. */
  #room(): number {
    return COMMAND_SLOTS - ((this.#tail - Atomics.load(this.#words, HEAD)) | 0);
  }

  /** Lets the lane see all that is written. */
  #publish(): void {
    const tail = this.#tail;
    this.#unseen = 0;
    Atomics.store(this.#words, TAIL, tail);
    if (tail !== Atomics.load(this.#words, HEAD))
      if (Atomics.exchange(this.#words, DOORBELL, 1) === 0) this.ring();
  }
}

// Words of the command ring.
const TAIL = (ARENA_COMMANDS + RING_TAIL) >> 2;
const HEAD = (ARENA_COMMANDS + RING_HEAD) >> 2;
const DOORBELL = (ARENA_COMMANDS + RING_DOORBELL) >> 2;

/** Where something is written. */
interface Place {
  readonly octets: Uint8Array;
  readonly view: DataView;
  readonly at: number;
}

/** Where the command numbered `tail` lies. */
function slotAt(tail: number): number {
  return ARENA_COMMANDS + RING_SLOTS + ((tail & (COMMAND_SLOTS - 1)) << COMMAND_SLOT_SHIFT);
}

/** Writes a whole command; `fill` writes its key over zeros. */
function write(place: Place, op: number, tunnel: number, fill: (place: Place) => void): void {
  const { octets, view, at } = place;
  view.setUint32(at + COMMAND_OP, op, true);
  view.setUint32(at + COMMAND_TUNNEL, tunnel, true);
  octets.fill(0, at + COMMAND_KEY, at + COMMAND_LENGTH);
  fill({ octets, view, at: at + COMMAND_KEY });
}

/** A packet that a lane left to the control thread. */
export interface Punt {
  /** PUNT_FROM_*. */
  readonly kind: number;
  /** Number of the port it came from, where ports have numbers. */
  readonly port: number;
  /** The sender, of what came from a socket. */
  readonly from: Endpoint | undefined;
  readonly octets: Uint8Array;
}

/** Reads a lane's punts. */
export class PuntReader {
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  readonly #words: Int32Array;

  constructor(arena: WebAssembly.Memory) {
    this.#octets = new Uint8Array(arena.buffer);
    this.#view = new DataView(arena.buffer);
    this.#words = new Int32Array(arena.buffer);
  }

  /** Says that the lane must ring again for what comes from now on; look once more after that. */
  answer(): void {
    Atomics.store(this.#words, (ARENA_PUNTS + RING_DOORBELL) >> 2, 0);
  }

  /** The oldest punt, copied; undefined when there is none. */
  next(): Punt | undefined {
    const headAt = (ARENA_PUNTS + RING_HEAD) >> 2;
    const head = this.#words[headAt]!;
    if (Atomics.load(this.#words, (ARENA_PUNTS + RING_TAIL) >> 2) === head) return undefined;
    const slot = ARENA_PUNTS + RING_SLOTS + ((head & (PUNT_SLOTS - 1)) << PUNT_SLOT_SHIFT);
    const length = this.#view.getUint32(slot + PUNT_LENGTH, true);
    const punt = {
      kind: this.#view.getUint32(slot + PUNT_KIND, true),
      port: this.#view.getUint32(slot + PUNT_PORT, true),
      from: getSockaddr(this.#view, this.#octets, slot + PUNT_NAME),
      octets: this.#octets.slice(slot + PUNT_PACKET, slot + PUNT_PACKET + length),
    };
    Atomics.store(this.#words, headAt, (head + 1) | 0);
    return punt;
  }
}

/** A lane's counters, read at any time; they only grow. */
export interface Ledger {
  /** By stage (STAGE_*), then by verdict; STAGE_RECEIVED stands among the verdicts. */
  readonly stages: readonly (readonly number[])[];
  /** By TALLY_*. */
  readonly tallies: readonly number[];
}

export function readLedger(arena: WebAssembly.Memory): Ledger {
  const read = (at: number, count: number): number[] =>
    Array.from(new BigUint64Array(arena.buffer, at, count), Number);
  return {
    stages: Array.from({ length: STAGE_COUNT }, (_, stage) =>
      read(ARENA_COUNTERS + (stage << STAGE_SHIFT), VERDICT_ROOM),
    ),
    tallies: read(ARENA_TALLIES, TALLY_COUNT),
  };
}

/** Datagrams that a gateway's lane accepted from each relay, modulo 2^32; a view that follows. */
export function heardOf(arena: WebAssembly.Memory): Uint32Array {
  return new Uint32Array(arena.buffer, ARENA_HEARD, RELAY_SLOTS);
}

/** The sum of several ledgers, such as those of all lanes and of lanes that died. */
export function addLedgers(ledgers: readonly Ledger[]): Ledger {
  const sum = (rows: readonly (readonly number[])[], length: number): number[] =>
    Array.from({ length }, (_, i) => rows.reduce((total, row) => total + (row[i] ?? 0), 0));
  return {
    stages: Array.from({ length: STAGE_COUNT }, (_, stage) =>
      sum(
        ledgers.map((ledger) => ledger.stages[stage]!),
        VERDICT_ROOM,
      ),
    ),
    tallies: sum(
      ledgers.map((ledger) => ledger.tallies),
      TALLY_COUNT,
    ),
  };
}

/** Writes an endpoint as a sockaddr, its length and flags behind it; nothing for none. */
function putSockaddr({ octets, view, at }: Place, endpoint: Endpoint | undefined, flags = 0): void {
  if (!endpoint) return;
  const length = writeSockaddr(octets, view, at, endpoint);
  view.setUint32(at + SOCKADDR_IN6_LENGTH, length | flags, true);
}

/** The endpoint of a sockaddr at `at`, or undefined for another family. */
function getSockaddr(view: DataView, octets: Uint8Array, at: number): Endpoint | undefined {
  const family = view.getUint16(at + SOCKADDR_FAMILY, true);
  const port = view.getUint16(at + SOCKADDR_PORT);
  if (family === AF_INET)
    return { address: formatAddress(octets, at + SOCKADDR_IN_ADDRESS, 4), port };
  if (family === AF_INET6)
    return { address: formatAddress(octets, at + SOCKADDR_IN6_ADDRESS, 6), port };
  return undefined;
}

/** Writes a route's key. */
function putKey({ octets, view, at }: Place, group: Address, source?: Address): void {
  const family = familyOf(group);
  const kind = source === undefined ? family | KEY_ANY_SOURCE : family;
  view.setUint32(at, kind, true);
  writeAddress(octets, at + KEY_GROUP, group, family);
  if (source !== undefined) writeAddress(octets, at + KEY_SOURCE, source, family);
}
