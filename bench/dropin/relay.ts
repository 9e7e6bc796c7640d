/**
 * A small AMT relay as somebody writes it on Node with Culvert as a library: the protocol is
 * `AmtRelay`'s, the packets are the engine's, sockets and time are its own. IPv4; it relays one UDP
 * port, since `node:dgram` does not receive groups whole.
 *
 *     relay.js INGRESS_ADDRESS PORT LOCAL
 *
 * Prints "ready" once it serves on LOCAL. Which engine it runs on is the last import's line.
 */
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import {
  AMT_OVERHEAD,
  AmtRelay,
  type Endpoint,
  type GroupFilter,
  type RelayInput,
  type RelayOutput,
} from "../../src/index.ts";
import { createWasmEngine as createEngine } from "../../src/index.ts";

const [ingress, port, local] = process.argv.slice(2);
if (!ingress || !port || !local)
  throw new Error("arguments: see the head of bench/dropin/relay.ts");

const AMT_PORT = 2268;
const IP = 20;
const UDP = 8;
const PROTOCOL = 17;
/** Of the source's TTL `node:dgram` tells nothing. */
const TTL = 64;
/** Octets queued in the socket above which packets are dropped: the network is behind. */
const QUEUE_LIMIT = 8 << 20;
const ANY = "*";

const engine = createEngine();
const machine = new AmtRelay({
  relayAddresses: [local],
  maxTunnels: 10_000,
  maxTunnelsPerAddress: 2_000,
  maxGroups: 100,
  maxSources: 100,
  queryInterval: 125_000,
  queryResponseInterval: 10_000,
  robustness: 2,
  secretInterval: 7_200_000,
  requireRouterAlert: true,
  entropy: { u32: () => randomInt(2 ** 32), fraction: () => randomInt(2 ** 32) / 2 ** 32 },
});

const gateways = new Map<number, Endpoint>();
/** Tunnels by `SOURCE,GROUP`, or by `*,GROUP` where no gateway names the source. */
const routes = new Map<string, Set<number>>();
/** Sockets by the same, one for each membership. */
const streams = new Map<string, Socket>();
const relay: Endpoint = { address: local, port: AMT_PORT };
let timer: NodeJS.Timeout | undefined;

/** Addresses are numbers: nothing to look up, and no turn of the event loop for it. */
const tunnels = createSocket({
  type: "udp4",
  recvBufferSize: 4 << 20,
  sendBufferSize: 4 << 20,
  lookup: (address, _options, done) => done(null, address, 4),
});
tunnels.on("message", (octets, { address, port }) =>
  advance({ kind: "datagram", octets, from: { address, port }, to: relay }),
);

/** Hands the machine an input, does what it says, and comes back when it wants to. */
function advance(input: RelayInput): void {
  machine.handle(input, performance.now());
  for (let output = machine.poll(); output !== undefined; output = machine.poll()) obey(output);
  clearTimeout(timer);
  const deadline = machine.deadline();
  if (deadline !== undefined)
    timer = setTimeout(advance, Math.max(0, deadline - performance.now()), { kind: "timeout" });
}

function obey(output: RelayOutput): void {
  switch (output.kind) {
    case "send":
      return tunnels.send(output.octets, output.to.port, output.to.address);
    case "tunnel-up":
      return void gateways.set(output.tunnel, output.gateway);
    case "tunnel-down":
      return void gateways.delete(output.tunnel);
    case "route": {
      const key = `${output.source ?? ANY},${output.group}`;
      if (output.change === "add") routes.set(key, new Set());
      else routes.delete(key);
      return;
    }
    case "member": {
      const route = routes.get(`${output.source ?? ANY},${output.group}`);
      if (output.change === "add") route?.add(output.tunnel);
      else route?.delete(output.tunnel);
      return;
    }
    case "upstream":
      return join(output.group, output.filter);
    // News, for those who log or count.
    case "accepted":
    case "dropped":
    case "path-mtu":
    case "quirk":
      return;
  }
}

/** Receives of a group what the gateways together want. */
function join(group: string, { mode, sources }: GroupFilter): void {
  const wanted = new Set(
    (mode === "include" ? sources : [ANY]).map((source) => `${source},${group}`),
  );
  for (const [key, socket] of streams)
    if (key.endsWith(`,${group}`) && !wanted.has(key)) {
      socket.close();
      streams.delete(key);
    }
  for (const key of wanted)
    if (!streams.has(key)) streams.set(key, receive(group, key.split(",")[0]!));
}

function receive(group: string, source: string): Socket {
  const socket = createSocket({ type: "udp4", reuseAddr: true, recvBufferSize: 4 << 20 });
  socket.on("message", (payload, from) => forward(payload, from, group));
  socket.bind(Number(port), group, () => {
    if (source === ANY) socket.addMembership(group, ingress);
    else socket.addSourceSpecificMembership(source, group, ingress);
  });
  return socket;
}

/** Sends a datagram to every gateway that wants it. */
function forward(payload: Uint8Array, from: Endpoint, group: string): void {
  const route = routes.get(`${from.address},${group}`) ?? routes.get(`${ANY},${group}`);
  if (route === undefined) return;
  const datagram = rebuild(payload, from, group);
  const message = Buffer.allocUnsafe(AMT_OVERHEAD + datagram.length);
  if (engine.amtEncapsulate(datagram, message) < 0) return;
  for (const tunnel of route) {
    const gateway = gateways.get(tunnel);
    if (gateway && tunnels.getSendQueueSize() < QUEUE_LIMIT)
      tunnels.send(message, gateway.port, gateway.address);
  }
}

/** What the source had sent, whose headers the socket kept. */
function rebuild(payload: Uint8Array, from: Endpoint, group: string): Buffer {
  const datagram = Buffer.allocUnsafe(IP + UDP + payload.length);
  const udp = datagram.subarray(IP);
  datagram.set([0x45, 0, 0, 0, 0, 0, 0x40, 0, TTL, PROTOCOL, 0, 0]);
  datagram.writeUInt16BE(datagram.length, 2);
  datagram.set(octetsOf(from.address), 12);
  datagram.set(octetsOf(group), 16);
  datagram.writeUInt16BE(engine.checksum(datagram.subarray(0, IP)), 10);
  udp.writeUInt16BE(from.port, 0);
  udp.writeUInt16BE(Number(port), 2);
  udp.writeUInt16BE(udp.length, 4);
  udp.writeUInt16BE(0, 6);
  udp.set(payload, UDP);
  // The pseudo-header (RFC 768): addresses, protocol, length.
  const addresses = ~engine.checksum(datagram.subarray(12, IP)) & 0xffff;
  const sum = addresses + PROTOCOL + udp.length;
  udp.writeUInt16BE(engine.checksum(udp, (sum & 0xffff) + (sum >>> 16)) || 0xffff, 6);
  return datagram;
}

function octetsOf(address: string): number[] {
  return address.split(".").map(Number);
}

const bound = once(tunnels, "listening");
tunnels.bind(AMT_PORT, local);
await bound;
console.error("ready");
