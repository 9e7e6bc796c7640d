/**
 * Random trains through running daemons and the kernel's own devices and sockets: what a packet socket
 * takes from the far device is what another gave to the near one, octet for octet and in order for
 * each flow. As a program:
 *
 *     node dist/test/kernel/trains.js TRAINS [SEED [WAY]]
 *
 * WAY is a part of a way's name; all are gone without it.
 * Never more is on its way than every queue of the road holds, so a frame that does not come is a
 * failure.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import {
  VNET_FLAGS,
  VNET_HEADER_LENGTH,
  VNET_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "../../assembly/layout/system.ts";
import { cut, headersOf, sign, unfold } from "../../src/engine/reference/offload.ts";
import { Lab } from "../../src/lab/lab.ts";
import { watch } from "../../src/os/poll.ts";
import { SeededEntropy } from "../fuzz/mutate.ts";
import { ipOf } from "../offload/link.ts";
import { Flow, randomTrains } from "../offload/trains.ts";
import { counted, DEVICE, heard, Network } from "./culvert.ts";
import { FrameSocket } from "./frame-socket.ts";
import { Pair, UNDERLAY } from "./l2tp-pair.ts";
import { finished, unfinished, type Sending } from "./sending.ts";
import { randomPackets, Stream } from "./streams.ts";

/** What is on its way at most: frames, and octets. */
const WINDOW = { frames: 500, octets: 400_000 };
/** Milliseconds without a frame after which the rest is lost. */
const PATIENCE_MS = 60_000;

/** A way from a device to another. */
interface Road {
  readonly from: FrameSocket;
  readonly to: FrameSocket;
  /** Octets of link header in what is written to the far device, up to the IP header. */
  ip(frame: Uint8Array): number;
  /** Which of the flows a frame belongs to; undefined for the kernel's own. */
  flow(frame: Uint8Array): string | undefined;
}

export interface Carried {
  readonly frames: number;
  /** How many were written to the far device: fewer, where segments were made one. */
  readonly messages: number;
}

/** Sends what `make` makes until there were so many trains, and compares what comes. */
async function carry(road: Road, trains: number, make: () => Sending): Promise<Carried> {
  const queues = new Map<string, Uint8Array[]>();
  const way = { frames: 0, octets: 0 };
  const carried = { frames: 0, messages: 0 };
  let moved = performance.now();
  let wake: () => void = () => {};
  const take = (octets: Uint8Array): void => {
    if (road.flow(octets.subarray(VNET_LENGTH)) === undefined) return;
    carried.messages++;
    for (const frame of unfolded(octets, road.ip(octets.subarray(VNET_LENGTH)))) {
      const name = road.flow(frame)!;
      const wanted = queues.get(name)?.shift();
      const at = `frame ${carried.frames}, flow ${name}`;
      assert.ok(wanted, `${at}: nothing more was sent, ${hex(frame)} came`);
      if (Buffer.compare(frame, wanted) !== 0)
        assert.fail(`${at}: ${hex(wanted)} was sent, ${hex(frame)} came`);
      carried.frames++;
      way.frames--;
      way.octets -= frame.length;
    }
  };
  let failure: unknown;
  const watching = watch(road.to.fd, { readable: true }, () => {
    try {
      road.to.receive(take);
      moved = performance.now();
    } catch (error) {
      failure ??= error;
    }
    wake();
  });
  /** Settles when no more than this share of the window is on its way. */
  const room = async (share: number): Promise<void> => {
    while (way.frames > share * WINDOW.frames || way.octets > share * WINDOW.octets) {
      const timer = setTimeout(() => wake(), PATIENCE_MS);
      await new Promise<void>((resolve) => (wake = resolve));
      clearTimeout(timer);
      if (failure) throw failure as Error;
      if (performance.now() - moved >= PATIENCE_MS)
        assert.fail(`${way.frames} frames did not come after the first ${carried.frames}`);
    }
  };
  try {
    for (let done = 0; done < trains;) {
      const { trains: some, sent, wanted } = make();
      done += some;
      for (const frame of wanted) {
        const name = road.flow(frame)!;
        const queue = queues.get(name) ?? [];
        queues.set(name, queue);
        queue.push(frame);
        way.frames++;
        way.octets += frame.length;
      }
      for (const octets of sent) road.from.send(octets);
      moved = performance.now();
      await room(0.5);
    }
    await room(0);
  } finally {
    watching.close();
    road.from.close();
    road.to.close();
  }
  return carried;
}

/** The frames of what the host was given, as its stack has them once it has finished checksums. */
function unfolded(octets: Uint8Array, ip: number): Uint8Array[] {
  const vnet = new DataView(octets.buffer, octets.byteOffset);
  const headers = headersOf(octets.subarray(VNET_LENGTH), ip);
  // What stands in the first part of the kernel's buffer, of which the virtio_net_hdr tells.
  if (headers) vnet.setUint16(VNET_HEADER_LENGTH, headers.payload, true);
  const frames = unfold(octets, ip);
  const open = vnet.getUint8(VNET_FLAGS) & VNET_NEEDS_CHECKSUM;
  if (frames.length === 1 && open && headers) sign(frames[0]!, ip, headers);
  return frames;
}

function hex(octets: Uint8Array): string {
  return `${octets.length} octets ${Buffer.from(octets.subarray(0, 80)).toString("hex")}`;
}

/** L2TP's sessions that trains go through: the words of the tunnel, and of the session. */
const SESSIONS = {
  "L2TPv3 over UDP": ["encap udp", ""],
  "L2TPv3 over IP": ["encap ip", "seq both cookie 0011223344556677 peer_cookie 0011223344556677"],
} as const;

/** Trains from one host's device through a pseudowire to the other's. */
async function throughPseudowire(
  lab: Lab,
  words: readonly [tunnel: string, session: string],
  trains: number,
  seed: number,
): Promise<Carried> {
  const random = new SeededEntropy(seed);
  const pair = await Pair.start(lab);
  for (const host of pair.hosts) {
    host.ip("link", "set", "eth0", "mtu", "9000");
    // The hosts say nothing of their own on the new devices.
    host.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
  }
  await pair.connect(words[0], words[1], UNDERLAY);
  const [a, b] = pair.hosts;
  const road = {
    from: new FrameSocket(a, "l2tpeth0", false),
    to: new FrameSocket(b, "l2tpeth0", true),
    ip: ipOf,
    flow: linkFlow,
  };
  let flows: Flow[] = [];
  return carry(road, trains, () => {
    if (random.below(4) === 0 || flows.length === 0)
      flows = Array.from({ length: 1 + random.below(4) }, (_, i) => new Flow(random, i));
    if (random.below(2)) {
      const wanted = randomTrains(random, flows, 8);
      return { trains: 8, wanted, sent: wanted.map(finished) };
    }
    const flow = flows[random.below(flows.length)]!;
    // A host's kernel makes no more than 128 datagrams of a super-packet of UDP.
    const size = flow.isTcp ? 200 + random.below(1_300) : 500 + random.below(1_000);
    const length = 1 + random.below(random.below(2) ? 60_000 : 5_000);
    const one = flow.superPacket(length, size, random.below(2) * 8);
    return { trains: 1, wanted: cut(one), sent: [unfinished(one)] };
  });
}

/** Flows are told apart by their last octets of both link addresses. */
function linkFlow(frame: Uint8Array): string | undefined {
  const ours = frame[0] === 2 && frame[6] === 2 && frame[10] === 1 && frame[4] === 0;
  return ours ? `${frame[5]}` : undefined;
}

/** Trains from a source through a relay and a gateway to the gateway's device. */
async function throughRelay(lab: Lab, trains: number, seed: number): Promise<Carried> {
  const random = new SeededEntropy(seed);
  const network = new Network(lab);
  await network.relay();
  await network.gateway(0);
  const streams = [false, true].flatMap((isV4) => [0, 1].map((i) => new Stream(random, isV4, i)));
  for (const stream of streams) await establish(network, stream);
  const road = {
    from: new FrameSocket(network.tree.source, "eth0", false),
    to: new FrameSocket(network.tree.gateways[0], DEVICE, true),
    ip: () => 0,
    flow: (packet: Uint8Array) => streams.find((stream) => stream.owns(packet))?.group,
  };
  return carry(road, trains, () => randomPackets(random, streams));
}

/** Joins a stream, and waits until it comes; who joined reads no more after that. */
async function establish(network: Network, { group, source: from }: Stream): Promise<void> {
  const listener = await network.join(0, group, from);
  const source = await network.send(group, { source: from, rate: 100 });
  await counted(listener, 5);
  const { sent } = await source.stop();
  await heard(listener, sent - 1);
  listener.program.kill("SIGSTOP");
}

/** Every way that trains go, by its name. */
export const WAYS: Readonly<
  Record<string, (lab: Lab, trains: number, seed: number) => Promise<Carried>>
> = {
  ...Object.fromEntries(
    Object.entries(SESSIONS).map(([name, words]) => [
      name,
      (lab: Lab, trains: number, seed: number) => throughPseudowire(lab, words, trains, seed),
    ]),
  ),
  "a relay and a gateway": throughRelay,
};

/** Sends so many trains on each way and says what came of them. */
async function main(trains: number, seed: number, way: string): Promise<void> {
  for (const [name, run] of Object.entries(WAYS).filter(([name]) => name.includes(way))) {
    const lab = new Lab("trains");
    const began = performance.now();
    try {
      const carried = await run(lab, trains, seed);
      const seconds = Math.round((performance.now() - began) / 1_000);
      console.log(JSON.stringify({ name, trains, seed, ...carried, seconds }));
    } finally {
      lab.close();
    }
  }
}

const [count, seed = "1", way = ""] = process.argv.slice(2);
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href && count !== undefined)
  await main(Number(count), Number(seed), way);
