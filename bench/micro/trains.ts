/**
 * Super-packets in the core: messages that UDP_GRO joined on their way to a device, and what a device
 * gives on its way into a tunnel. Everything that the core does between two system calls.
 */
import {
  ARENA_COMMANDS,
  ARENA_RX,
  ARENA_TX,
  CONFIG_SEGMENTS,
  CONFIG_SINK,
  CONFIG_SINK_USO,
  COMMAND_MEMBER_ADD,
  FRAME_IP,
  FRAME_VNET,
  RX_BATCH,
  RX_HEADROOM,
  RX_SLOT,
  RX_SLOTS,
  SINK_TUN,
  TRAIN_SEGMENTS_MAX,
  TX_STAGING,
} from "../../assembly/layout/arena.ts";
import * as ip from "../../assembly/layout/ip.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import * as system from "../../assembly/layout/system.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { CommandWriter } from "../../src/engine/arena.ts";
import { createArena, startCore, type Core } from "../../src/engine/core.ts";
import { checksum } from "../../src/engine/reference/checksum.ts";
import { cut, type SuperPacket } from "../../src/engine/reference/offload.ts";
import { prepareHeader } from "../../src/engine/session.ts";
import { ArenaMessages } from "../../src/ports/messages.ts";
import { viewArena } from "../../src/ports/port.ts";
import type { Case } from "../harness.ts";
import { noise } from "./packets.ts";

/** Segments of a super-packet, and octets of payload in each. */
const SEGMENTS = 44;
const PAYLOAD = 1_316;
const MESSAGES = Math.floor(RX_BATCH / (SEGMENTS * PAYLOAD));

const PEER = { address: "192.0.2.1", port: 2_268 };
const AMT_HEADER = Uint8Array.of(6, 0);
const SOCKET = 1;
const DEVICE = 2;
const SESSION = 1;
const NOTHING = new Uint8Array(0);

/** A seed that is the same for every run. */
const entropy: Entropy = { u32: () => 0x1234_5678, fraction: () => 0.5 };

/** The cases of one build of the core. */
export function trains(module: WebAssembly.Module): Case[] {
  return [
    fromRelay(module),
    intoTunnels(module),
    ...([false, true] as const).flatMap((isTcp) => [
      fromTunnel(module, isTcp),
      intoTunnel(module, isTcp),
    ]),
  ];
}

/** A core with a batch in its receive region, and how to have it do that batch again and again. */
class Bench {
  readonly core: Core;
  readonly commands: CommandWriter;
  readonly octets: Uint8Array;
  readonly messages: ArenaMessages;
  /** The first octets of each message: the core writes there. */
  readonly #heads: Uint8Array[] = [];

  constructor(module: WebAssembly.Module) {
    const arena = createArena();
    this.core = startCore(module, arena, 0, entropy);
    this.commands = new CommandWriter(arena, () => undefined);
    this.octets = new Uint8Array(arena.buffer);
    this.messages = new ArenaMessages(viewArena(arena, 0));
    this.core.rxPrepare(ARENA_RX, FRAME_IP);
  }

  apply(): void {
    while (this.core.ringWaiting(ARENA_COMMANDS) > 0) this.core.applyCommands(4_096);
  }

  /** Puts one message; `header` octets of it stand before the packet. */
  put(octets: Uint8Array, header: number, segment?: number): void {
    const i = this.#heads.length;
    const arrival = { octets, from: PEER, ...(segment !== undefined && { segment }) };
    this.messages.put(ARENA_RX, i, header, arrival);
    const at = packetAt(i);
    this.#heads.push(this.octets.slice(at, at + 128));
  }

  /** The case of taking the batch once: `begin` shows it to the core, `fill` makes messages of it. */
  taking(name: string, begin: () => void, fill: () => number, output: () => Uint8Array): Case {
    return {
      name,
      unit: "ns/packet",
      operations: MESSAGES * SEGMENTS,
      octets: PAYLOAD,
      run: () => {
        for (const [i, head] of this.#heads.entries()) this.octets.set(head, packetAt(i));
        begin();
        let made = 0;
        for (let count = fill(); count > 0; count = fill()) {
          this.core.sent(0, count);
          made += count;
        }
        return made;
      },
      output,
    };
  }
}

function packetAt(i: number): number {
  return ARENA_RX + RX_SLOTS + i * RX_SLOT + RX_HEADROOM;
}

/** A relay's trains, which a gateway writes to a TUN device that takes super-packets. */
function fromRelay(module: WebAssembly.Module): Case {
  const bench = new Bench(module);
  const { core, commands } = bench;
  commands.config(CONFIG_SINK, SINK_TUN);
  commands.config(CONFIG_SINK_USO, 1);
  commands.relay(PEER);
  commands.route(COMMAND_MEMBER_ADD, "232.1.1.1", "192.0.2.1", 0);
  bench.apply();
  const segments = cut(superPacket(0, false)).map((one) => Buffer.concat([AMT_HEADER, one]));
  for (let i = 0; i < MESSAGES; i++) bench.put(Buffer.concat(segments), 0, segments[0]!.length);
  return bench.taking(
    "trains: relay to device",
    () => core.gatewayReceive(ARENA_RX, MESSAGES),
    () => core.gatewayFill(),
    () => bench.messages.gather(0),
  );
}

/** Super-packets from an ingress, which a relay sends to two tunnels. */
function intoTunnels(module: WebAssembly.Module): Case {
  const bench = new Bench(module);
  const { core, commands, octets } = bench;
  commands.config(CONFIG_SEGMENTS, TRAIN_SEGMENTS_MAX);
  for (const tunnel of [0, 1]) {
    commands.tunnel(tunnel, { address: "198.51.100.1", port: 20_000 + tunnel });
    commands.route(COMMAND_MEMBER_ADD, "232.1.1.1", "192.0.2.1", tunnel);
  }
  bench.apply();
  putSuperPackets(bench, superPacket(0, false));
  return bench.taking(
    "trains: ingress to two tunnels",
    () => core.ingest(ARENA_RX, MESSAGES, FRAME_VNET, 0, 0),
    () => core.relayFill(),
    () => octets.slice(ARENA_TX + TX_STAGING, ARENA_TX + TX_STAGING + SEGMENTS * PAYLOAD),
  );
}

/** Trains of an L2TPv3 session, which go to a TAP device that takes super-packets. */
function fromTunnel(module: WebAssembly.Module, isTcp: boolean): Case {
  const bench = pseudowire(module);
  const { core } = bench;
  const header = Uint8Array.of(0, 3, 0, 0, 0, 0, 0, SESSION);
  const frames = cut(superPacket(system.ETHERNET_LENGTH, isTcp));
  const segments = frames.map((frame) => Buffer.concat([header, frame]));
  for (let i = 0; i < MESSAGES; i++) bench.put(Buffer.concat(segments), 0, segments[0]!.length);
  return bench.taking(
    `trains: L2TP to device, ${isTcp ? "TCP" : "UDP"}`,
    () => core.l2tpReceive(ARENA_RX, MESSAGES, SOCKET, 0),
    () => core.l2tpReceiveFill(),
    () => bench.messages.gather(0),
  );
}

/** Super-packets from a TAP device, which go into an L2TPv3 session. */
function intoTunnel(module: WebAssembly.Module, isTcp: boolean): Case {
  const bench = pseudowire(module);
  const { core } = bench;
  putSuperPackets(bench, superPacket(system.ETHERNET_LENGTH, isTcp));
  return bench.taking(
    `trains: device to L2TP, ${isTcp ? "TCP" : "UDP"}`,
    () => core.l2tpSend(ARENA_RX, MESSAGES, DEVICE, 0),
    () => core.l2tpSendFill(),
    () => bench.messages.gather(0),
  );
}

function pseudowire(module: WebAssembly.Module): Bench {
  const bench = new Bench(module);
  const { commands } = bench;
  commands.port(SOCKET, l2tp.PORT_UDP);
  commands.port(DEVICE, l2tp.PORT_FRAMES | l2tp.PORT_VNET | l2tp.PORT_TSO | l2tp.PORT_USO);
  const none = { cookie: NOTHING, sublayer: l2tp.SUBLAYER_NONE };
  commands.sessionAdd(
    SESSION,
    { port: SOCKET, version: 3, peer: PEER, id: SESSION },
    {
      ...none,
      pseudowire: l2tp.PW_ETHERNET,
      device: DEVICE,
      sequence: "accept",
      hold: 0,
      restartAfter: 0,
      header: prepareHeader({ ...none, version: 3, udp: true, id: SESSION }),
      numbered: false,
      frameMax: 65_000,
      segmentMax: 1_472,
      trafficClass: 0,
      inheritDscp: false,
      inheritEcn: true,
    },
  );
  bench.apply();
  return bench;
}

/** A multicast datagram of UDP, or a segment of TCP, that is SEGMENTS of them, after `at` octets. */
function superPacket(at: number, isTcp: boolean): SuperPacket {
  const transport = at + ip.IPV4_HEADER;
  const payload = transport + (isTcp ? ip.TCP_HEADER : ip.UDP_HEADER);
  const octets = noise(payload + SEGMENTS * PAYLOAD);
  const view = new DataView(octets.buffer);
  octets.fill(0, 0, payload);
  if (at > 0) view.setUint16(system.ETHERNET_TYPE, system.ETHERTYPE_IPV4);
  view.setUint8(at, 0x45);
  view.setUint16(at + ip.IPV4_TOTAL_LENGTH, octets.length - at);
  view.setUint8(at + ip.IPV4_TTL, 8);
  view.setUint8(at + ip.IPV4_PROTOCOL, isTcp ? ip.PROTOCOL_TCP : ip.PROTOCOL_UDP);
  octets.set([192, 0, 2, 1], at + ip.IPV4_SOURCE);
  octets.set([232, 1, 1, 1], at + ip.IPV4_DESTINATION);
  view.setUint16(at + ip.IPV4_CHECKSUM, checksum(octets.subarray(at, transport)));
  view.setUint16(transport + ip.UDP_SOURCE_PORT, 5_000);
  view.setUint16(transport + ip.UDP_DESTINATION_PORT, 5_000);
  if (isTcp) view.setUint8(transport + ip.TCP_DATA_OFFSET, (ip.TCP_HEADER / 4) << 4);
  else view.setUint16(transport + ip.UDP_LENGTH, octets.length - transport);
  return { octets, ip: at, size: PAYLOAD };
}

/** Puts MESSAGES super-packets as a device or a packet socket gives them. */
function putSuperPackets(bench: Bench, { octets, ip: at, size }: SuperPacket): void {
  const isTcp = octets[at + ip.IPV4_PROTOCOL] === ip.PROTOCOL_TCP;
  const vnet = new Uint8Array(system.VNET_LENGTH);
  const view = new DataView(vnet.buffer);
  view.setUint8(system.VNET_FLAGS, system.VNET_NEEDS_CHECKSUM);
  view.setUint8(system.VNET_GSO_TYPE, isTcp ? system.VNET_GSO_TCPV4 : system.VNET_GSO_UDP_L4);
  view.setUint16(system.VNET_GSO_SIZE, size, true);
  const message = Buffer.concat([vnet, octets]);
  for (let i = 0; i < MESSAGES; i++) bench.put(message, system.VNET_LENGTH);
}
