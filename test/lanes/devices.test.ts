/** Real TAP devices by the hundred, which come and go while others carry frames both ways. */
import assert from "node:assert/strict";
import { ARENA_SESSION_TABLE } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import type { CommandWriter } from "../../src/engine/arena.ts";
import { readSession } from "../../src/engine/session.ts";
import { LaneSet } from "../../src/lanes/lane-set.ts";
import { SOCK_RAW, close, recv, sendTo, socket } from "../../src/os/libc.ts";
import { readLink, setSysctl, setUp } from "../../src/os/link.ts";
import { encodeSockaddr } from "../../src/os/sockaddr.ts";
import { closeTuns, openTun } from "../../src/os/tun.ts";
import { openUdp } from "../../src/os/udp.ts";
import { planOf } from "../l2tp/desk.ts";
import { enterNamespace, kernelTest, removeLink } from "../os/namespace.ts";

enterNamespace();

const AF_PACKET = 17;
const SOCKET = 1;
const HOST = "127.0.0.1";
/** Frames of one device that are under way at once, at most. */
const BURST = 4;
/** Devices that come, go or carry frames at once. */
const AT_ONCE = 98;
/** Of the devices, that they may end together. */
const GROUP = 1;

/** One device; its number is that of its port, its session and, plus BASE_ID, of its identifier. */
interface Device {
  readonly number: number;
  readonly fd: number;
  readonly name: string;
  /** The sockaddr_ll that a frame is sent into it with. */
  readonly link: Uint8Array;
  /** Frames that left by the tunnel, as the peer counts them. */
  outward: number;
  sentOutward: number;
  sentInward: number;
}

const BASE_ID = 0x10000;
const frame = Buffer.alloc(80, 0x5a);
frame.fill(0xff, 0, 6);
frame.writeUInt16BE(0x88b5, 12);

/** A lane with a tunnel to a peer that the test plays, and `count` devices, all in use. */
class Bed {
  readonly set: LaneSet;
  readonly devices: readonly Device[];
  readonly lost: number[] = [];
  readonly failures: Error[] = [];
  readonly #open: Set<Device>;
  readonly #tunnel = openUdp({ local: { address: HOST, port: 0 }, receiveBuffer: 4 << 20 });
  readonly #peer = openUdp({ local: { address: HOST, port: 0 }, receiveBuffer: 4 << 20 });
  readonly #raw = socket(AF_PACKET, SOCK_RAW, 0, "frames of the test");
  readonly #room = new Uint8Array(2_000);

  private constructor(set: LaneSet, devices: Device[]) {
    this.set = set;
    this.devices = devices;
    this.#open = new Set();
  }

  static async make(count: number): Promise<Bed> {
    for (const scope of ["all", "default"]) setSysctl(6, scope, "disable_ipv6", 1);
    const devices = Array.from({ length: count }, (_, i): Device => {
      const { fd, name } = openTun({ name: `cv-l${i}`, kind: "tap", vnetHeader: true });
      setUp(name, true);
      const link = new Uint8Array(20);
      const view = new DataView(link.buffer);
      view.setUint16(0, AF_PACKET, true);
      view.setInt32(4, readLink(name).index, true);
      const counters = { outward: 0, sentOutward: 0, sentInward: 0 };
      return { number: 2 + i, fd, name, link, ...counters };
    });
    const ears: { bed?: Bed } = {};
    const set = await LaneSet.start({
      replace: true,
      lanes: [{ role: "l2tp" }],
      prime: (_lane, commands) => ears.bed?.prime(commands),
      punt() {},
      lost: (_lane, port) => void ears.bed?.lost.push(port),
      failed: (reason) => void ears.bed?.failures.push(reason),
    });
    const bed = (ears.bed = new Bed(set, devices));
    set.openPort(0, { port: SOCKET, kind: "udp", fd: bed.#tunnel.fd, header: 0 });
    set.commands(0).port(SOCKET, l2tp.PORT_UDP);
    for (const device of devices) bed.open(device);
    return bed;
  }

  prime(commands: CommandWriter): void {
    commands.port(SOCKET, l2tp.PORT_UDP);
    for (const device of this.#open) this.#tell(commands, device);
  }

  open(device: Device): void {
    this.#open.add(device);
    const { number: port, fd } = device;
    this.set.openPort(0, { port, kind: "device", fd, header: VNET_LENGTH });
    this.#tell(this.set.commands(0), device);
    this.set.flush();
  }

  async close(device: Device): Promise<void> {
    this.#open.delete(device);
    const commands = this.set.commands(0);
    commands.sessionRemove(device.number);
    commands.port(device.number, l2tp.PORT_NONE);
    this.set.flush();
    await this.set.closePort(0, device.number);
  }

  #tell(commands: CommandWriter, { number }: Device): void {
    commands.port(number, l2tp.PORT_FRAMES | l2tp.PORT_VNET);
    const key = { port: SOCKET, version: 3, peer: this.#peer.local, id: BASE_ID + number } as const;
    commands.sessionAdd(number, key, planOf(number, { id: BASE_ID + number }));
  }

  /** Sends a burst both ways through a device. */
  push(device: Device): void {
    const datagram = Buffer.alloc(8 + frame.length);
    datagram.writeUInt16BE(l2tp.L2TP_V3);
    datagram.writeUInt32BE(BASE_ID + device.number, 4);
    frame.copy(datagram, 8);
    const to = encodeSockaddr(HOST, this.#tunnel.local.port);
    for (let i = 0; i < BURST; i++) {
      assert.equal(sendTo(this.#raw, frame, device.link), frame.length);
      assert.equal(sendTo(this.#peer.fd, datagram, to), datagram.length);
    }
    device.sentOutward += BURST;
    device.sentInward += BURST;
  }

  /** Takes what the peer has. */
  take(): void {
    const { buffer } = this.#room;
    for (let length = recv(this.#peer.fd, this.#room); length > 0;) {
      assert.equal(length, 8 + frame.length);
      this.devices[new DataView(buffer).getUint32(4) - BASE_ID - 2]!.outward++;
      length = recv(this.#peer.fd, this.#room);
    }
  }

  /** Waits until all that was pushed through devices has come out on both sides. */
  async arrived(...devices: readonly Device[]): Promise<void> {
    for (const device of devices) while (!this.#isThrough(device)) await pause();
  }

  #isThrough(device: Device): boolean {
    this.take();
    const inward = readSession(this.set.arena(0), device.number)?.rxPackets;
    return device.outward === device.sentOutward && inward === device.sentInward;
  }

  async end(): Promise<void> {
    await this.set.stop();
    for (const fd of [this.#tunnel.fd, this.#peer.fd, this.#raw]) close(fd);
    // Closed one by one, each would take the kernel some 20 ms.
    closeTuns(
      this.devices.map(({ fd }) => fd),
      GROUP,
    );
  }
}

/** Lets the lane have the processor. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

kernelTest("a thousand TAPs in a lane: many come and go, and the others lose nothing", async () => {
  const bed = await Bed.make(1_000);
  const [steady, others] = [bed.devices.slice(0, 20), bed.devices.slice(20)];
  for (const device of steady) bed.push(device);
  await bed.arrived(...steady);
  for (let at = 0; at < others.length; at += AT_ONCE) {
    const some = others.slice(at, at + AT_ONCE);
    for (const device of steady) bed.push(device);
    const closed = Promise.all(some.map((device) => bed.close(device)));
    await bed.arrived(...steady);
    await closed;
    for (const device of some) bed.open(device);
  }
  // Each that came back carries frames, as one that never left.
  for (let at = 0; at < bed.devices.length; at += AT_ONCE) {
    const some = bed.devices.slice(at, at + AT_ONCE);
    for (const device of some) bed.push(device);
    await bed.arrived(...some);
  }
  assert.deepEqual(bed.set.status(), [{ lane: 0, state: "running", restarts: 0 }]);
  assert.deepEqual([bed.lost, bed.failures], [[], []]);
  await bed.end();
});

kernelTest("devices that somebody deletes are told of, and all others go on", async () => {
  const bed = await Bed.make(30);
  const [gone, left] = [bed.devices.slice(0, 3), bed.devices.slice(3)];
  for (const { name } of gone) removeLink(name);
  while (bed.lost.length < gone.length) await pause();
  assert.deepEqual(
    bed.lost.sort((a, b) => a - b),
    gone.map(({ number }) => number),
  );
  for (const device of left) {
    bed.push(device);
    await bed.arrived(device);
  }
  for (const device of gone) await bed.close(device);
  assert.deepEqual(bed.failures, []);
  assert.equal(bed.set.status()[0]!.restarts, 0);
  await bed.end();
});

kernelTest("a lane that is replaced has the ports that were open, and no other", async () => {
  const bed = await Bed.make(20);
  await bed.close(bed.devices[0]!);
  const left = bed.devices.slice(1);
  // The core traps on the next datagram, since its table lies outside the arena.
  new DataView(bed.set.arena(0).buffer).setUint32(ARENA_SESSION_TABLE, 0x7fff_ff00, true);
  const last = left.pop()!;
  while (bed.set.status()[0]!.restarts === 0) {
    bed.push(last);
    await pause();
  }
  for (const device of left) {
    bed.push(device);
    await bed.arrived(device);
  }
  bed.open(bed.devices[0]!);
  bed.push(bed.devices[0]!);
  await bed.arrived(bed.devices[0]!);
  assert.deepEqual([bed.lost, bed.failures], [[], []]);
  await bed.end();
});
