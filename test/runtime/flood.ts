/**
 * Random, mutated and cut datagrams at the sockets of a running relay and a running gateway, and
 * what became of each one. As a program: `node dist/test/runtime/flood.js COUNT [SEED]`, in a
 * network namespace or on a host where nothing else uses AMT's port.
 */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { ARENA_TX, TX_CAPACITY } from "../../assembly/layout/arena.ts";
import * as system from "../../assembly/layout/system.ts";
import { check } from "../../src/config/check.ts";
import type { ConfigOf, Role } from "../../src/config/systems.ts";
import { endpointText } from "../../src/core/address.ts";
import { createArena } from "../../src/engine/core.ts";
import { baseAddress, close, sendmmsg } from "../../src/os/libc.ts";
import { encodeSockaddr } from "../../src/os/sockaddr.ts";
import { openUdp } from "../../src/os/udp.ts";
import { startGateway, startRelay } from "../../src/runtime/index.ts";
import type { Service, ServiceStatus } from "../../src/runtime/service.ts";
import { AMT_VECTORS } from "../vectors/amt.ts";
import { enterNamespace } from "../os/namespace.ts";

/** The relay under test, and the endpoint that the gateway under test takes for its relay. */
const RELAY = { address: "127.0.0.1", port: 2268 };
const SENDER = { address: "127.0.0.2", port: 2268 };

const BATCH = 512;
const ROOM = 2048;

export interface Outcome {
  readonly sent: number;
  readonly relay: ServiceStatus;
  readonly gateway: ServiceStatus;
  /** RSS when a tenth was sent, and at the end, in octets. */
  readonly memory: readonly [number, number];
}

/** The settings of a role as a file would have them, all others at their defaults. */
function settings<R extends Role>(role: R, raw: Record<string, unknown>): ConfigOf[R] {
  const checked = check(role, raw);
  assert.ok("value" in checked);
  return checked.value;
}

/** Sends `count` datagrams to each of the two; settles when all of them are accounted for. */
export async function flood(count: number, seed: number): Promise<Outcome> {
  const relay = await startRelay(
    "relay",
    settings("relay", {
      local: endpointText(RELAY),
      ingress: "lo",
      maxTunnels: 64,
      maxTunnelsPerAddress: 16,
      maxGroups: 16,
      maxSources: 16,
    }),
  );
  const gateway = await startGateway(
    "gateway",
    settings("gateway", {
      local: "127.0.0.1:0",
      relay: endpointText(SENDER),
      tun: "cvflood%d",
    }),
  );
  const sender = new Sender(seed);
  let early = 0;
  try {
    for (let sent = 0; sent < count; sent += BATCH) {
      for (const service of [relay, gateway]) {
        sender.send(service.status().local[0]!);
        await taken(service, sent + BATCH);
      }
      if (early === 0 && sent * 10 >= count) early = process.memoryUsage.rss();
    }
    const sent = sender.sent / 2;
    const memory = [early, process.memoryUsage.rss()] as const;
    return { sent, relay: relay.status(), gateway: gateway.status(), memory };
  } finally {
    sender.close();
    await gateway.stop();
    await relay.stop();
  }
}

/** Settles when the service has received so many datagrams and its machine has seen its part. */
async function taken(service: Service, count: number): Promise<void> {
  for (;;) {
    const { counters, drops } = service.status();
    const machine = Object.values(drops["machine"] ?? {}).reduce((sum, n) => sum + n, 0);
    const accepted = Object.entries(counters)
      .filter(([name]) => name.endsWith("_accepted"))
      .reduce((sum, [, n]) => sum + n, 0);
    const punted = (counters["socket_punted"] ?? 0) + (counters["device_punted"] ?? 0);
    const received = (counters["socket_received"] ?? 0) >= count;
    if (received && machine + accepted >= punted - membershipPunts(service)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Punts that are not AMT messages: reports of the gateway's own host. */
function membershipPunts(service: Service): number {
  return service.status().counters["device_punted"] ?? 0;
}

/** Asserts what must hold of an outcome. */
export function judge({ sent, relay, gateway, memory }: Outcome): void {
  for (const { name, counters, drops } of [relay, gateway]) {
    const dropped = Object.values(drops["socket"] ?? {}).reduce((sum, n) => sum + n, 0);
    assert.equal(counters["socket_received"], sent, `${name}: every datagram was received`);
    assert.equal(
      counters["socket_forwarded"]! + counters["socket_punted"]! + dropped,
      sent,
      `${name}: every datagram was forwarded, punted or dropped`,
    );
  }
  assert.deepEqual(relay.tunnels, [], "no tunnel came of it");
  const lanes = [...relay.lanes, ...gateway.lanes];
  assert.ok(
    lanes.every(({ state, restarts }) => state === "running" && restarts === 0),
    "no lane died",
  );
  assert.ok(memory[1] - memory[0] < 64 << 20, `memory grew from ${memory[0]} to ${memory[1]}`);
}

/** Makes bad datagrams of good ones and sends them, a batch at a time. */
class Sender {
  sent = 0;
  readonly #fd = openUdp({ local: SENDER, sendBuffer: 16 << 20 }).fd;
  readonly #arena = createArena();
  readonly #base = baseAddress(this.#arena);
  readonly #octets = new Uint8Array(this.#arena.buffer);
  readonly #view = new DataView(this.#arena.buffer);
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Sends a batch of BATCH datagrams. */
  send(to: { readonly address: string; readonly port: number }): void {
    const slots = ARENA_TX + 0x100000;
    const name = slots - 64;
    const sockaddr = encodeSockaddr(to.address, to.port);
    this.#octets.set(sockaddr, name);
    for (let i = 0; i < BATCH; i++) {
      const slot = slots + i * ROOM;
      const length = this.#fill(slot);
      const iovec = ARENA_TX + 0x80000 + (i << system.IOVEC_SHIFT);
      this.#pointer(iovec + system.IOVEC_BASE, slot);
      this.#view.setBigUint64(iovec + system.IOVEC_LENGTH, BigInt(length), true);
      const header = ARENA_TX + (i << system.MMSGHDR_SHIFT);
      this.#pointer(header + system.MMSGHDR_NAME, name);
      this.#view.setUint32(header + system.MMSGHDR_NAME_LENGTH, sockaddr.length, true);
      this.#pointer(header + system.MMSGHDR_IOV, iovec);
      this.#view.setBigUint64(header + system.MMSGHDR_IOV_COUNT, 1n, true);
    }
    for (let done = 0; done < BATCH;) {
      const at = this.#base + ARENA_TX + (done << system.MMSGHDR_SHIFT);
      const taken = sendmmsg(this.#fd, at, BATCH - done);
      assert.ok(taken > 0, `sendmmsg: ${taken}`);
      done += taken;
    }
    this.sent += BATCH;
  }

  close(): void {
    close(this.#fd);
  }

  #pointer(at: number, address: number): void {
    this.#view.setBigUint64(at, BigInt(this.#base + address), true);
  }

  /** xorshift32. */
  #random(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  /** Writes one datagram: noise, or a worked example cut, stretched or with octets changed. */
  #fill(at: number): number {
    if (this.#random(8) === 0) {
      const length = this.#random(200);
      for (let i = 0; i < length; i++) this.#octets[at + i] = this.#random(256);
      return length;
    }
    const example = AMT_VECTORS[this.#random(AMT_VECTORS.length)]!.octets;
    this.#octets.set(example, at);
    let { length } = example;
    for (let changes = this.#random(4); changes > 0 && length > 0; changes--)
      this.#octets[at + this.#random(length)] = this.#random(256);
    if (this.#random(4) === 0) length = this.#random(length + 1);
    if (this.#random(16) === 0) {
      for (let i = 0; i < 64; i++) this.#octets[at + length + i] = this.#random(256);
      length += this.#random(64);
    }
    return length;
  }
}

assert.ok(BATCH <= TX_CAPACITY);

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const count = Number(process.argv[2] ?? 10_000_000);
  const seed = Number(process.argv[3] ?? 0x5eed);
  enterNamespace();
  const outcome = await flood(count, seed);
  console.log(JSON.stringify(outcome, undefined, 2));
  judge(outcome);
  console.log(`seed ${seed}: ${outcome.sent} datagrams to each, all accounted for`);
}
