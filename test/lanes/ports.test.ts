import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ARENA_CURSOR,
  ARENA_PAGES,
  CURSOR_PORT,
  RX_CAPACITY,
  TALLY_BACK_PRESSURE,
} from "../../assembly/layout/arena.ts";
import { VERDICT_SEND_FAILED, VERDICT_STOPPED } from "../../assembly/layout/verdict.ts";
import { BugError } from "../../src/core/errors.ts";
import { createArena, type Core } from "../../src/engine/core.ts";
import { Lane, type Stage } from "../../src/lanes/lane.ts";
import { l2tpHolding, l2tpStages } from "../../src/lanes/stages.ts";
import { EAGAIN, EBADFD, EINVAL, ENODEV, EPIPE } from "../../src/os/errno.ts";
import { DevicePort } from "../../src/ports/device.ts";
import { viewArena, type Port, type Readiness } from "../../src/ports/port.ts";

/** A port that counts: batches wait in `arrivals`, `answers` are what `send` returns, then all. */
class DeskPort implements Port {
  arrivals: number[] = [];
  answers: number[] = [];
  readonly sent: number[] = [];
  wanted: Readiness = { readable: true, writable: false };
  wants = 0;
  closed = false;
  tell: (ready: Readiness) => void = () => {};

  receive(): number {
    assert.equal(this.closed, false);
    return this.arrivals.shift() ?? 0;
  }
  send(first: number, count: number): number {
    assert.equal(this.closed, false);
    const taken = Math.min(this.answers.shift() ?? count, count);
    for (let i = first; i < first + taken; i++) this.sent.push(i);
    return taken;
  }
  watch(callback: (ready: Readiness) => void): void {
    this.tell = callback;
  }
  want(readable: boolean, writable: boolean): void {
    this.wants++;
    this.wanted = { readable, writable };
  }
  close(): void {
    this.closed = true;
  }
  /** Rings as the event loop does: for what is both ready and wanted. */
  ring(readable: boolean, writable: boolean): void {
    const ready = {
      readable: readable && this.wanted.readable,
      writable: writable && this.wanted.writable,
    };
    if (!this.closed && (ready.readable || ready.writable)) this.tell(ready);
  }
}

/** A lane over a core that sends on what it is told, and writes down what happens. */
class Desk {
  readonly arena = createArena();
  readonly ports = new Map<number, DeskPort>();
  /** Batches to be made of what is received next: port and messages. */
  batches: [port: number, messages: number][] = [];
  held = 0;
  readonly log: string[] = [];
  readonly tallies = new Map<number, number>();
  readonly failures: Error[] = [];
  readonly lane: Lane;
  readonly #stages: ReturnType<typeof l2tpStages>;

  constructor(loses = true) {
    const words = new Uint32Array(this.arena.buffer);
    const fill = (): number => {
      const [port, messages] = this.batches.shift() ?? [0, 0];
      words[(ARENA_CURSOR + CURSOR_PORT) >> 2] = port;
      return messages;
    };
    const core = {
      rxPrepare: () => undefined,
      rxArm: () => RX_CAPACITY,
      applyCommands: () => 0,
      tally: (which, amount) => {
        this.tallies.set(which, (this.tallies.get(which) ?? 0) + amount);
      },
      sent: (first, messages) => this.log.push(`sent ${first}+${messages}`),
      unsent: (first, messages, verdict) => this.log.push(`unsent ${first}+${messages} ${verdict}`),
      l2tpReceive: (_region, messages, port) => this.log.push(`receive ${messages} of ${port}`),
      l2tpReceiveFill: fill,
      l2tpSend: (_region, messages, port) => this.log.push(`send ${messages} of ${port}`),
      l2tpSendFill: fill,
      l2tpExpire: () => this.log.push("expire"),
      l2tpHeld: () => this.held,
    } satisfies Partial<Core> as unknown as Core;
    this.#stages = l2tpStages(core);
    const failed = (error: Error): void => void this.failures.push(error);
    const lost = (port: number, reason: Error): void =>
      void this.log.push(`lost ${port}: ${reason.message}`);
    const calls = { punts: () => undefined, failed, ...(loses ? { lost } : {}) };
    this.lane = new Lane(core, this.arena, calls, l2tpHolding(core));
  }

  open(number: number, kind: keyof ReturnType<typeof l2tpStages>): DeskPort {
    const port = new DeskPort();
    this.ports.set(number, port);
    this.lane.open(number, port, this.#stages[kind]);
    return port;
  }
}

test("what the core makes goes to the port that it names, batch by batch", () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const devices = [desk.open(2, "device"), desk.open(300, "device")];
  desk.batches = [
    [2, 3],
    [300, 1],
    [2, 1],
  ];
  socket.arrivals = [5];
  socket.ring(true, false);
  assert.deepEqual(desk.log, ["receive 5 of 1", "sent 0+3", "sent 0+1", "sent 0+1"]);
  assert.deepEqual(
    devices.map(({ sent }) => sent),
    [[0, 1, 2, 0], [0]],
  );
  desk.log.length = 0;
  desk.batches = [[1, 1]];
  devices[1]!.arrivals = [1];
  devices[1]!.ring(true, false);
  assert.deepEqual(desk.log, ["send 1 of 300", "sent 0+1"]);
  assert.deepEqual(socket.sent, [0]);
});

test("while one outlet is full nothing is read, and quiet ports are left alone", () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const devices = Array.from({ length: 100 }, (_, i) => desk.open(2 + i, "device"));
  const quiet = devices.slice(2);
  const before = quiet.map(({ wants }) => wants);
  socket.answers = [2, -EAGAIN];
  desk.batches = [
    [1, 5],
    [1, 2],
  ];
  devices[0]!.arrivals = [7, 3];
  devices[0]!.ring(true, false);
  assert.equal(desk.lane.idle, false);
  assert.deepEqual(socket.wanted, { readable: false, writable: true });
  assert.deepEqual(desk.log, ["send 7 of 2", "sent 0+2"]);
  // Each that has something is asked once, and then no more.
  for (const device of [devices[0]!, devices[1]!]) {
    device.arrivals = [3];
    device.ring(true, false);
    assert.deepEqual(device.wanted, { readable: false, writable: false });
    assert.equal(device.arrivals.length, 1);
  }
  socket.answers = [-EAGAIN];
  socket.ring(false, true);
  assert.equal(desk.lane.idle, false);
  socket.ring(false, true);
  assert.equal(desk.lane.idle, true);
  assert.deepEqual(desk.log.slice(2), ["sent 2+3", "sent 0+2"]);
  assert.equal(desk.tallies.get(TALLY_BACK_PRESSURE), 2);
  for (const port of [socket, ...devices])
    assert.deepEqual(port.wanted, { readable: true, writable: false });
  assert.deepEqual(
    quiet.map(({ wants }) => wants),
    before,
  );
  devices[1]!.ring(true, false);
  assert.equal(desk.log.at(-1), "send 3 of 3");
});

test("a port that is shut while a batch waits for it drops the batch, and all others go on", () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const devices = [desk.open(2, "device"), desk.open(3, "device")];
  devices[0]!.answers = [1, -EAGAIN];
  desk.batches = [
    [2, 4],
    [3, 2],
    [2, 1],
  ];
  socket.arrivals = [6];
  socket.ring(true, false);
  assert.equal(desk.lane.idle, false);
  desk.lane.shut(2);
  assert.equal(desk.lane.idle, true);
  assert.ok(devices[0]!.closed);
  assert.deepEqual(desk.log.slice(1), [
    "sent 0+1",
    `unsent 1+3 ${VERDICT_STOPPED}`,
    "sent 0+2",
    `unsent 0+1 ${VERDICT_STOPPED}`,
  ]);
  desk.lane.shut(2); // safe to do twice
  assert.deepEqual(socket.wanted, { readable: true, writable: false });
  assert.throws(() => desk.lane.pump(2), BugError);
  assert.throws(() => desk.open(3, "device"), BugError);
  desk.open(2, "device");
  assert.deepEqual(desk.failures, []);
});

test("a device that is gone is told of and the lane goes on; without an ear for it the lane ends", () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const [one, two] = [desk.open(2, "device"), desk.open(3, "device")];
  one.arrivals = [-EBADFD];
  one.ring(true, false);
  assert.match(desk.log.join(), /^lost 2: receive .*EBADFD/);
  assert.ok(one.closed);
  // Found out while sending: what was for it is dropped, what is for others is not.
  desk.log.length = 0;
  two.answers = [1, -EBADFD];
  const three = desk.open(4, "frames");
  desk.batches = [
    [3, 3],
    [4, 1],
  ];
  socket.arrivals = [4];
  socket.ring(true, false);
  assert.equal(desk.log[1], "sent 0+1");
  assert.match(desk.log[2]!, /^lost 3: write .*EBADFD/);
  assert.deepEqual(desk.log.slice(3), [`unsent 1+2 ${VERDICT_STOPPED}`, "sent 0+1"]);
  three.answers = [-EINVAL];
  desk.batches = [[4, 1]];
  socket.arrivals = [1];
  socket.ring(true, false);
  assert.equal(desk.log.at(-1), `unsent 0+1 ${VERDICT_SEND_FAILED}`);
  three.arrivals = [-EPIPE];
  three.ring(true, false);
  assert.match(desk.log.at(-1)!, /^lost 4: receive .*EPIPE/);
  assert.deepEqual(desk.failures, []);

  const strict = new Desk(false);
  const device = strict.open(2, "device");
  device.arrivals = [-ENODEV];
  device.ring(true, false);
  assert.match(strict.failures[0]!.message, /receive .*ENODEV/);
});

test("what is held is looked at until nothing is, and not while a batch waits", async () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const device = desk.open(2, "device");
  const expired = (): number => desk.log.filter((line) => line === "expire").length;
  socket.arrivals = [1];
  socket.ring(true, false);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(expired(), 0, "no timer while nothing is held");
  desk.held = 1;
  socket.arrivals = [1];
  socket.ring(true, false);
  while (expired() < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  device.answers = [-EAGAIN];
  desk.batches = [[2, 1]];
  while (desk.lane.idle) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = expired();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(expired(), before);
  device.ring(false, true);
  while (expired() === before) await new Promise((resolve) => setTimeout(resolve, 1));
  desk.held = 0;
  desk.lane.stop();
  const after = expired();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(expired(), after);
  assert.deepEqual(desk.failures, []);
});

test("a lane that stops drops what waits, whatever port it is for", () => {
  const desk = new Desk();
  const socket = desk.open(1, "udp");
  const device = desk.open(2, "device");
  device.answers = [-EAGAIN];
  desk.batches = [
    [2, 4],
    [1, 2],
  ];
  socket.arrivals = [6];
  socket.ring(true, false);
  desk.lane.stop();
  assert.deepEqual(desk.log.slice(1), [
    `unsent 0+4 ${VERDICT_STOPPED}`,
    `unsent 0+2 ${VERDICT_STOPPED}`,
  ]);
  assert.ok(socket.closed && device.closed);
});

test("ten thousand device ports of one arena share their lists of addresses", () => {
  const arena = viewArena(
    new WebAssembly.Memory({ initial: ARENA_PAGES, maximum: ARENA_PAGES, shared: true }),
    0x7f12_3456_7000,
  );
  const lane = new Lane({} as Core, arena.memory, { punts() {}, failed() {} });
  const stage: Stage = { region: 0, frame: 0, begin() {} };
  const gc = globalThis.gc ?? (() => undefined);
  class Quiet extends DevicePort {
    override watch(): void {}
    override want(): void {}
  }
  lane.open(0, new Quiet(arena, 3, 0, 10), stage);
  gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 1; i <= 10_000; i++) lane.open(i, new Quiet(arena, 3, 0, 10), stage);
  gc();
  const each = (process.memoryUsage().heapUsed - before) / 10_000;
  assert.ok(each < 2_000, `${Math.round(each)} octets for each port`);
});
