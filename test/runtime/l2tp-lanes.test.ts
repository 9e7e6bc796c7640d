/** L2TP over several lanes: two services in one namespace, frames through their devices. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ARENA_SESSION_TABLE } from "../../assembly/layout/arena.ts";
import { readConfig } from "../../src/config/file.ts";
import type { L2tpConfig } from "../../src/config/l2tp.ts";
import { LaneSet } from "../../src/lanes/lane-set.ts";
import { bind, close, recv, send, socket, SOCK_RAW } from "../../src/os/libc.ts";
import { readLink, setQueueLength, setSysctl, setUp } from "../../src/os/link.ts";
import { linkName } from "../../src/os/packet.ts";
import { startL2tp, type L2tpService } from "../../src/runtime/l2tp.ts";
import type { L2tpSessionStatus } from "../../src/runtime/service.ts";
import { enterNamespace, kernelTest } from "../os/namespace.ts";

enterNamespace();

const AF_PACKET = 17;
const ETH_P_ALL = 3;
const LANES = 4;
const TUNNELS = [1, 2, 3, 4, 5, 6];
const SESSIONS = [100, 200, 300, 400];
const FRAMES = 400;
/** Frames that are under way at once in a session: less than a device's queue. */
const BURST = 40;
const PATIENCE_MS = 30_000;
const SOURCE = "020000000003";

/** The lanes of each service, in the order of their start. */
const sets: LaneSet[] = [];
const startLanes = LaneSet.start.bind(LaneSet);
LaneSet.start = async (options) => {
  const set = await startLanes(options);
  sets.push(set);
  return set;
};

/** The tunnels of one end; the other end has an address of its own for each. */
function config(end: 0 | 1, tunnel: string, sessions: (tunnel: number, id: number) => string) {
  const ends = (id: number) => ["127.0.0.1", `127.0.1.${id}`];
  const text = TUNNELS.map((id) => {
    const [local, remote] = end === 0 ? ends(id) : ends(id).toReversed();
    const ids = `tunnelId: ${id}, peerTunnelId: ${id}, local: ${local}, remote: ${remote}`;
    const lines = SESSIONS.map(
      (one) =>
        `      - { sessionId: ${id * 1_000 + one}, peerSessionId: ${id * 1_000 + one}, ${sessions(id, one)} }`,
    );
    return [
      `    t${id}:`,
      ...`${ids}, ${tunnel}`.split(", ").map((row) => `      ${row}`),
      "      sessions:",
      ...lines.map((line) => `  ${line}`),
    ].join("\n");
  }).join("\n");
  const read = readConfig(`l2tp:\n  lanes: ${LANES}\n  tunnels:\n${text}\n`, "test.yaml");
  assert.ok("instances" in read, JSON.stringify(read));
  return read.instances[0]!.config as L2tpConfig;
}

/** One device of each end, and a packet socket over each. */
class Wire {
  readonly #fds: readonly [number, number];
  readonly #room = new Uint8Array(2_000);
  readonly #tag: Buffer;
  /** Tells frames of one turn from those of turns before. */
  readonly #id: number;
  #turn = 0;
  #sent = 0;
  readonly came: number[] = [];

  /** `vlan` is the tag on a trunk. */
  constructor(devices: readonly [string, string], vlan = 0) {
    this.#id = vlan;
    this.#fds = devices.map(open) as [number, number];
    this.#tag = vlan === 0 ? Buffer.alloc(0) : Buffer.from([0x81, 0, vlan >> 8, vlan & 255]);
  }

  /** Forgets what was sent and came. */
  begin(): void {
    // On a trunk, frames of all others, too.
    for (const at of [0, 1] as const) this.take(at);
    this.#turn++;
    this.#sent = 0;
    this.came.length = 0;
  }

  send(from: 0 | 1): void {
    const frame = Buffer.concat([
      Buffer.from(`020000000002${SOURCE}`, "hex"),
      this.#tag,
      Buffer.from("88b5", "hex"),
      Buffer.alloc(100),
    ]);
    frame.writeUInt32BE(this.#id, frame.length - 12);
    frame.writeUInt32BE(this.#turn, frame.length - 8);
    frame.writeUInt32BE(this.#sent++, frame.length - 4);
    assert.equal(send(this.#fds[from], frame), frame.length);
  }

  /** Takes what has come to an end. */
  take(at: 0 | 1): number {
    for (;;) {
      const got = recv(this.#fds[at], this.#room);
      if (got <= 0) return this.came.length;
      const frame = Buffer.from(this.#room.subarray(0, got));
      if (frame.toString("hex", 6, 12) !== SOURCE) continue;
      if (frame.readUInt32BE(got - 8) === this.#turn && frame.readUInt32BE(got - 12) === this.#id)
        this.came.push(frame.readUInt32BE(got - 4));
    }
  }

  close(): void {
    this.#fds.forEach(close);
  }
}

function open(device: string): number {
  const fd = socket(AF_PACKET, SOCK_RAW, 0, device);
  bind(fd, linkName(readLink(device).index, ETH_P_ALL), device);
  return fd;
}

function ready(device: string): void {
  setSysctl(6, device, "disable_ipv6", 1);
  setQueueLength(device, 4_000);
  setUp(device, true);
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !holds(); await sleep(1))
    assert.ok(Date.now() < end, `no ${what} within ${PATIENCE_MS} ms`);
}

/** Sends numbered frames through all wires from one end, and wants all of them, in order. */
async function carry(wires: readonly Wire[], from: 0 | 1, frames = FRAMES): Promise<void> {
  const to = from === 0 ? 1 : 0;
  for (const wire of wires) wire.begin();
  for (let sent = 0; sent < frames; sent += BURST) {
    for (let i = 0; i < BURST; i++) for (const wire of wires) wire.send(from);
    await eventually(`frame ${sent + BURST}`, () =>
      wires.every((wire) => wire.take(to) >= sent + BURST),
    );
  }
  const all = Array.from({ length: frames }, (_, i) => i);
  for (const wire of wires) assert.deepEqual(wire.came, all);
}

function sessions(service: L2tpService): readonly L2tpSessionStatus[] {
  return service.status().l2tp!.sessions;
}

async function pair(
  t: TestContext,
  tunnel: string,
  of: (end: 0 | 1) => (tunnel: number, id: number) => string,
): Promise<[L2tpService, L2tpService]> {
  const start = async (end: 0 | 1) => {
    const service = await startL2tp("ab"[end]!, config(end, tunnel, of(end)));
    t.after(() => service.stop());
    return service;
  };
  return [await start(0), await start(1)];
}

const NAMES = TUNNELS.flatMap((tunnel) => SESSIONS.map((id) => `${tunnel}-${id}`));

for (const tunnel of [
  "udpSport: 1701, udpDport: 1701, udpCsum: on",
  "udpSport: 1701, udpDport: 1701, udpCsum: on, spread: sessions",
  "encap: ip",
  "encap: ip, spread: sessions",
])
  kernelTest(
    `sessions keep their order over ${LANES} lanes, one of which dies: ${tunnel}`,
    async (t) => {
      const services = await pair(
        t,
        tunnel,
        (end) => (id, one) => `name: ${"ab"[end]}${id}-${one}, seq: both`,
      );
      const [set] = sets.slice(-2);
      for (const name of NAMES) for (const end of ["a", "b"]) ready(`${end}${name}`);
      const wires = NAMES.map((name) => new Wire([`a${name}`, `b${name}`]));
      t.after(() => wires.forEach((wire) => wire.close()));
      await settled(wires); // lanes take their sessions up one after another
      for (const from of [0, 1] as const) await carry(wires, from);

      for (const service of services)
        for (const { statistics } of sessions(service)) {
          assert.ok(statistics.tx.packets >= FRAMES && statistics.rx.packets >= FRAMES);
          assert.equal(statistics.rx.seq_discards + statistics.rx.missing, 0);
        }
      const first = sessions(services[0]);
      const every = new Set(Array.from({ length: LANES }, (_, lane) => lane));
      assert.ok(new Set(first.map(({ lane }) => lane)).size > 1, "packets arrive in several");
      assert.deepEqual(new Set(first.map((one) => one.read_lane)), every);

      // The core traps on the next packet, since its table lies outside the arena.
      const victim = first[0]!.lane!;
      new DataView(set!.arena(victim).buffer).setUint32(ARENA_SESSION_TABLE, 0x7fff_ff00, true);
      await eventually("a new lane", () => {
        for (const wire of wires) wire.send(1);
        return set!.status()[victim]!.state === "replaced";
      });
      // Its sessions number anew, which the peer takes over after some (RFC 3931 §4.6.1).
      await settled(wires);
      for (const from of [0, 1] as const) await carry(wires, from);
      for (const { statistics } of sessions(services[0]))
        assert.ok(statistics.tx.packets >= 2 * FRAMES, "what the dead lane counted is kept");
    },
  );

kernelTest("sessions of one trunk arrive in several lanes, and one lane reads it", async (t) => {
  const tag = (tunnel: number, id: number) => tunnel * 10 + id / 100;
  const services = await pair(
    t,
    "udpSport: 1701, udpDport: 1701, spread: sessions",
    (end) => (id, one) => `pwtype: vlan, trunk: t${"ab"[end]}, vlan: ${tag(id, one)}`,
  );
  for (const device of ["ta", "tb"]) ready(device);
  const wires = TUNNELS.flatMap((tunnel) =>
    SESSIONS.map((id) => new Wire(["ta", "tb"], tag(tunnel, id))),
  );
  t.after(() => wires.forEach((wire) => wire.close()));
  await settled(wires);
  for (const wire of wires) {
    for (const from of [0, 1] as const) await carry([wire], from, BURST);
  }
  for (const service of services) {
    const all = sessions(service);
    assert.equal(new Set(all.map((one) => one.read_lane)).size, 1);
    assert.ok(new Set(all.map(({ lane }) => lane)).size > 1);
  }
});

/** Sends until every wire carries frames both ways. */
async function settled(wires: readonly Wire[]): Promise<void> {
  for (const from of [0, 1] as const) {
    for (const wire of wires) wire.begin();
    await eventually("frames of all sessions", () => {
      for (const wire of wires) wire.send(from);
      return wires.every((wire) => wire.take(from === 0 ? 1 : 0) > 0);
    });
  }
}
