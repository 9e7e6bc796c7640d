/**
 * L2TP sessions of the WASM engine: one frame or datagram at a time through the lanes' own code, by
 * way of the first slot of a receive region.
 */
import {
  ARENA_COUNTERS,
  ARENA_RX,
  ARENA_TX,
  RX_HEADERS,
  RX_HEADROOM,
  RX_NAMES,
  RX_ROOM,
  RX_SLOTS,
  STAGE_CONTROL,
  STAGE_DEVICE,
  STAGE_RECEIVED,
  STAGE_SHIFT,
  TX_IOVECS,
} from "../../../assembly/layout/arena.ts";
import * as l2tp from "../../../assembly/layout/l2tp.ts";
import {
  AF_INET6,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IOVEC_SHIFT,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME_LENGTH,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_LENGTH,
  SOCKADDR_PORT,
} from "../../../assembly/layout/system.ts";
import {
  VERDICT_FORWARDED,
  VERDICT_ROOM,
  VERDICT_TOO_BIG,
} from "../../../assembly/layout/verdict.ts";
import { parseAddress } from "../../core/address.ts";
import { BugError } from "../../core/errors.ts";
import { CommandWriter, PuntReader } from "../arena.ts";
import type { Core } from "../core.ts";
import {
  hasNumbers,
  L2TP_DATAGRAM_MAX,
  l2tpTerms,
  needRoom,
  type L2tpSession,
  type L2tpSessionOptions,
  type L2tpTerms,
} from "../l2tp-session.ts";
import { prepareHeader, type SessionKey, type SessionPlan } from "../session.ts";

/** The one peer of all sessions; each has a socket of its own to be told apart by. */
const PEER = { address: "2001:db8::1", port: l2tp.L2TP_PORT };
const MESSAGE = ARENA_RX + RX_HEADERS;
const PACKET = ARENA_RX + RX_SLOTS + RX_HEADROOM;
const COMMANDS_MOST = 4_096;

/** The sessions of one engine. */
export class WasmL2tp {
  readonly #core: Core;
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  readonly #commands: CommandWriter;
  readonly #punts: PuntReader;
  /** Numbers that were given back. */
  readonly #free: number[] = [];
  #next = 0;
  /** The counters of each stage as they were last seen. */
  readonly #stages = new Map(
    [STAGE_CONTROL, STAGE_DEVICE].map((stage) => [stage, new Float64Array(VERDICT_ROOM)]),
  );

  constructor(core: Core, arena: WebAssembly.Memory) {
    this.#core = core;
    this.#octets = new Uint8Array(arena.buffer);
    this.#view = new DataView(arena.buffer);
    this.#commands = new CommandWriter(arena, () => undefined);
    this.#punts = new PuntReader(arena);
  }

  session(options: L2tpSessionOptions): L2tpSession {
    const terms = l2tpTerms(options);
    const number = this.#free.pop() ?? this.#next++;
    const socket = 2 * number;
    const device = socket + 1;
    this.#commands.port(socket, terms.encapsulation === "ip" ? l2tp.PORT_IPV6 : l2tp.PORT_UDP);
    this.#commands.port(device, deviceKind(terms));
    this.#commands.sessionAdd(number, keyOf(socket, terms), planOf(device, terms));
    this.#apply();
    let closed = false;
    return {
      overhead: terms.overhead,
      encapsulate: (frame, datagram) => {
        needRoom("datagram", datagram, frame.length + terms.overhead);
        this.#put(frame);
        this.#core.l2tpSend(ARENA_RX, 1, device, 0);
        if (this.#core.l2tpSendFill() === 0) return -this.#verdict(STAGE_DEVICE);
        return this.#take(0, datagram, 0);
      },
      decapsulate: (datagram, frame) => {
        needRoom("frame", frame, datagram.length);
        if (datagram.length > L2TP_DATAGRAM_MAX) return -VERDICT_TOO_BIG;
        this.#put(datagram);
        this.#core.l2tpReceive(ARENA_RX, 1, socket, 0);
        if (this.#core.l2tpReceiveFill() === 0) {
          this.#punts.next();
          return -this.#verdict(STAGE_CONTROL);
        }
        return this.#take(1, frame, this.#take(0, frame, 0));
      },
      close: () => {
        if (closed) return;
        closed = true;
        this.#commands.sessionRemove(number);
        for (const port of [socket, device]) this.#commands.port(port, l2tp.PORT_NONE);
        this.#apply();
        this.#free.push(number);
      },
    };
  }

  #apply(): void {
    do {
      this.#commands.flush();
      this.#core.applyCommands(COMMANDS_MOST);
    } while (this.#commands.backlog > 0);
  }

  /** Writes what arrives; the core looks at no more than its headers where a slot has no room. */
  #put(octets: Uint8Array): void {
    this.#octets.set(octets.length > RX_ROOM ? octets.subarray(0, RX_ROOM) : octets, PACKET);
    this.#view.setUint32(MESSAGE + MMSGHDR_LENGTH, octets.length, true);
    this.#view.setUint32(MESSAGE + MMSGHDR_CONTROL_LENGTH, 0, true);
    const name = ARENA_RX + RX_NAMES;
    this.#view.setUint32(MESSAGE + MMSGHDR_NAME_LENGTH, SOCKADDR_IN6_LENGTH, true);
    this.#view.setUint16(name + SOCKADDR_FAMILY, AF_INET6, true);
    this.#view.setUint16(name + SOCKADDR_PORT, PEER.port);
    this.#octets.set(PEER_OCTETS, name + SOCKADDR_IN6_ADDRESS);
  }

  /** Copies iovec `i` of the transmit region to `to` from `at` on; returns where it ends. */
  #take(i: number, to: Uint8Array, at: number): number {
    const iovec = ARENA_TX + TX_IOVECS + (i << IOVEC_SHIFT);
    const base = this.#view.getUint32(iovec + IOVEC_BASE, true); // the arena's own address is 0
    const length = this.#view.getUint32(iovec + IOVEC_LENGTH, true);
    to.set(this.#octets.subarray(base, base + length), at);
    return at + length;
  }

  /** The verdict that has been counted since this was last asked. */
  #verdict(stage: number): number {
    const seen = this.#stages.get(stage)!;
    const counters = ARENA_COUNTERS + (stage << STAGE_SHIFT);
    for (let verdict = VERDICT_FORWARDED + 1; verdict < STAGE_RECEIVED; verdict++) {
      const count = Number(this.#view.getBigUint64(counters + verdict * 8, true));
      if (count === seen[verdict]) continue;
      seen[verdict] = count;
      return verdict;
    }
    throw new BugError(`stage ${stage} lost a packet`);
  }
}

const PEER_OCTETS = parseAddress(PEER.address)!;

function deviceKind({ marked, vlan }: L2tpTerms): number {
  if (vlan !== undefined) return l2tp.PORT_TRUNK;
  return marked ? l2tp.PORT_MARKED : l2tp.PORT_FRAMES;
}

function keyOf(port: number, terms: L2tpTerms): SessionKey {
  const { version, encapsulation, tunnelId, sessionId } = terms;
  const peer = encapsulation === "ip" ? { ...PEER, port: 0 } : PEER;
  return { port, version, peer, id: identifier(terms, tunnelId, sessionId) };
}

function planOf(device: number, terms: L2tpTerms): SessionPlan {
  const { pseudowire, vlan, sequence, frameMax, offset } = terms;
  const [cookie, cookie2] = terms.peerCookies;
  return {
    pseudowire,
    device,
    ...(vlan === undefined ? {} : { vlan }),
    cookie,
    cookie2,
    sublayer: terms.peerSublayer,
    sequence: terms.peerSequence,
    hold: 0,
    restartAfter: terms.restartAfter,
    header: prepareHeader({
      version: terms.version,
      udp: terms.encapsulation === "udp",
      id: identifier(terms, terms.peerTunnelId, terms.peerSessionId),
      cookie: terms.cookie,
      sublayer: terms.sublayer,
      numbers: hasNumbers(terms),
      length: terms.length,
      ...(offset === undefined ? {} : { offset }),
    }),
    numbered: sequence,
    frameMax,
    segmentMax: 0,
    trafficClass: 0,
    inheritDscp: false,
    inheritEcn: false,
  };
}

/** A session as the core names it: version 2 has the tunnel in the upper half. */
function identifier({ version }: L2tpTerms, tunnel: number, session: number): number {
  return version === 2 ? ((tunnel << 16) | session) >>> 0 : session;
}
