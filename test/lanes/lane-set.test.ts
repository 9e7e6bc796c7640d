import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { constants, getPriority } from "node:os";
import { test } from "node:test";
import {
  ARENA_ROUTES,
  COMMAND_MEMBER_ADD,
  CONFIG_TUNNEL_MTU,
  FRAME_IP,
  FRAME_UDP,
} from "../../assembly/layout/arena.ts";
import { LaneSet, type LaneSetOptions } from "../../src/lanes/lane-set.ts";
import { close } from "../../src/os/libc.ts";
import { readLink } from "../../src/os/link.ts";
import { Joins } from "../../src/os/membership.ts";
import { mayTakePrecedence } from "../../src/os/priority.ts";
import { openUdp, type UdpSocket } from "../../src/os/udp.ts";

const GROUP = "239.255.77.1";

/** A relay's lane on loopback, from an ordinary UDP ingress to one listener. */
interface Bed {
  readonly set: LaneSet;
  readonly failures: Error[];
  /** Sends one payload. */
  send(payload: string): void;
  /** Sends a payload until it arrives, and gives it. */
  relay(payload: string): Promise<string>;
  close(): Promise<void>;
}

async function makeBed(options: Partial<LaneSetOptions> = {}): Promise<Bed> {
  const listener = createSocket("udp4");
  listener.bind(0, "127.0.0.1");
  await once(listener, "listening");
  const amt = openUdp({ local: { address: "127.0.0.1", port: 0 } });
  const ingest = openUdp({
    local: { address: "0.0.0.0", port: 0 },
    destination: true,
    hopLimit: true,
  });
  const joins = new Joins(readLink("lo").index);
  joins.set(GROUP, { mode: "exclude", sources: [] });
  const failures: Error[] = [];
  // No ring can be had of this socket: it is read by calls then.
  const ring = { frames: 6, shift: 11 };
  const set = await LaneSet.start({
    replace: true,
    lanes: [
      {
        role: "relay",
        inlets: [
          { kind: "socket", fd: amt.fd, frame: FRAME_IP },
          { kind: "socket", fd: ingest.fd, frame: FRAME_UDP, port: ingest.local.port, ring },
        ],
        outlet: "socket",
      },
    ],
    prime(_lane, commands) {
      commands.config(CONFIG_TUNNEL_MTU, 1470);
      commands.tunnel(0, { address: "127.0.0.1", port: listener.address().port });
      commands.route(COMMAND_MEMBER_ADD, GROUP, undefined, 0);
    },
    punt() {},
    failed: (reason) => failures.push(reason),
    ...options,
  });
  const source = createSocket("udp4");
  source.bind(0, "127.0.0.1");
  await once(source, "listening");
  source.setMulticastInterface("127.0.0.1");
  source.setMulticastTTL(8);
  return {
    set,
    failures,
    send: (payload) => source.send(payload, ingest.local.port, GROUP),
    relay: (payload) => arrival(source, ingest, listener, payload),
    async close() {
      await set.stop();
      joins.close();
      close(amt.fd);
      close(ingest.fd);
      source.close();
      listener.close();
    },
  };
}

/** What arrives at the listener while the source sends, as text without headers. */
async function arrival(
  source: Socket,
  ingest: UdpSocket,
  listener: Socket,
  payload: string,
): Promise<string> {
  const sending = setInterval(() => source.send(payload, ingest.local.port, GROUP), 5);
  try {
    for (;;) {
      const [message] = (await once(listener, "message")) as [Buffer];
      const text = message.subarray(2 + 28).toString();
      if (text === payload) return text;
    }
  } finally {
    clearInterval(sending);
  }
}

/** Kills a lane: the core traps on the next packet, since its table lies outside the arena. */
function poison(bed: Bed): void {
  new DataView(bed.set.arena(0).buffer).setUint32(ARENA_ROUTES, 0x7fff_ff00, true);
}

/**
 * Kills what runs, over and over, until the condition holds: while a lane is being replaced its
 * arena is written anew, and a packet alone may come too early or too late.
 */
async function killUntil(bed: Bed, condition: () => boolean): Promise<void> {
  const killing = setInterval(() => {
    poison(bed);
    bed.send("one");
  }, 5);
  try {
    await until(condition);
  } finally {
    clearInterval(killing);
  }
}

/** How many threads of this process run before the calling one. */
function ahead(): number {
  const own = getPriority(0);
  return readdirSync("/proc/self/task").filter((thread) => {
    const file = `/proc/self/task/${thread}/stat`;
    if (!existsSync(file)) return false; // it has ended meanwhile
    const stat = readFileSync(file, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[NICE]) < own;
  }).length;
}

/** The word of a thread's nice value behind its name in /proc/PID/stat: see proc(5). */
const NICE = 16;

/** Settles once the condition holds; the test's own time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("a lane that is killed is replaced, over the same descriptors, and knows its tables", async () => {
  const bed = await makeBed();
  assert.equal(await bed.relay("before"), "before");
  const counted = bed.set.ledger();
  poison(bed);
  assert.equal(await bed.relay("after"), "after");
  assert.deepEqual(bed.set.status(), [{ lane: 0, state: "replaced", restarts: 1 }]);
  const now = bed.set.ledger();
  for (const [tally, count] of counted.tallies.entries())
    assert.ok(now.tallies[tally]! >= count, "what the dead lane counted is kept");
  assert.deepEqual(bed.failures, []);
  await bed.close();
});

test("a lane that may runs before the process's other threads, and so does its successor", async () => {
  const lanes = mayTakePrecedence() && getPriority(0) > constants.priority.PRIORITY_HIGHEST ? 1 : 0;
  assert.equal(ahead(), 0);
  const bed = await makeBed();
  assert.equal(ahead(), lanes);
  poison(bed);
  await bed.relay("after");
  await until(() => ahead() === lanes); // the thread of the dead one may take its time to end
  await bed.close();
  assert.equal(ahead(), 0);
});

test("a lane that dies again and again ends the service with the reason", async () => {
  const bed = await makeBed();
  await killUntil(bed, () => bed.failures.length > 0);
  assert.match(bed.failures[0]!.message, /lane 0 died 5 times in a minute/);
  await bed.close();
});

test("a lane that cannot be made anew ends the service with the reason, at its first death", async () => {
  let made = 0;
  const bed = await makeBed({
    prime() {
      if (made++ > 0) throw new Error("no room");
    },
  });
  await killUntil(bed, () => bed.failures.length > 0);
  assert.deepEqual([made, bed.failures.map(({ message }) => message)], [2, ["no room"]]);
  await bed.close();
});

test("where a lane must not be replaced, its death ends the service", async () => {
  const bed = await makeBed({ replace: false });
  await killUntil(bed, () => bed.failures.length > 0);
  assert.match(bed.failures[0]!.message, /lane 0 died/);
  await bed.close();
});

test("where one lane can't start, those that did have ended when that is told", async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  await (await makeBed()).close();
  const before = descriptors();
  const amt = openUdp({ local: { address: "127.0.0.1", port: 0 } });
  const failures: Error[] = [];
  const inlets = [{ kind: "socket", fd: amt.fd, frame: FRAME_IP }] as const;
  const lane = { role: "relay", inlets, outlet: "socket" } as const;
  const starting = LaneSet.start({
    replace: true,
    lanes: [lane, lane],
    prime(number) {
      if (number === 1) throw new Error("nothing to prime it with");
    },
    punt() {},
    failed: (reason) => failures.push(reason),
  });
  await assert.rejects(starting, /nothing to prime it with/);
  close(amt.fd);
  await until(() => descriptors() <= before);
  assert.deepEqual(failures, []);
});

test("starting, killing and stopping lanes leaks no descriptor", async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  await (await makeBed()).close();
  const before = descriptors();
  for (let round = 0; round < 3; round++) {
    const bed = await makeBed();
    poison(bed);
    await bed.relay(`round ${round}`);
    await bed.close();
  }
  await until(() => descriptors() <= before);
});
