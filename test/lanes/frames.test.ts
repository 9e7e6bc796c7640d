/** Frames of a program over L2TP on IP: a raw socket and a frame socket as ports of a lane. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { IPV4_HEADER } from "../../assembly/layout/ip.ts";
import { STAGE_EGRESS } from "../../assembly/layout/arena.ts";
import * as l2tp from "../../assembly/layout/l2tp.ts";
import { VERDICT_SEND_NO_BUFFER } from "../../assembly/layout/verdict.ts";
import { LaneSet } from "../../src/lanes/lane-set.ts";
import { FrameServer, connectFrames } from "../../src/os/frame-server.ts";
import { close, recv, send, sendTo } from "../../src/os/libc.ts";
import { openRawIp } from "../../src/os/raw-ip.ts";
import { encodeSockaddr } from "../../src/os/sockaddr.ts";
import { planOf } from "../l2tp/desk.ts";
import { enterNamespace, kernelTest } from "../os/namespace.ts";

enterNamespace();

const [OURS, THEIRS] = ["127.0.0.1", "127.0.0.2"] as const;
const [SOCKET, FRAMES, SESSION] = [1, 2, 0];
const ID = 77;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What comes next on a descriptor. */
async function next(fd: number): Promise<Buffer> {
  const room = Buffer.alloc(2_000);
  for (;;) {
    const length = recv(fd, room);
    if (length >= 0) return room.subarray(0, length);
    await turn();
  }
}

/** A lane with one session between a peer that the test plays and a frame socket at `file`. */
interface Bed {
  readonly set: LaneSet;
  readonly peer: number;
  readonly file: string;
  /** Programs that came, and that were found gone. */
  readonly programs: { come: number; gone: number };
}

async function withBed(body: (bed: Bed) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "cv-lane-frames-"));
  const file = path.join(folder, "frames.sock");
  const [tunnel, peer] = [OURS, THEIRS].map(
    (local) => openRawIp({ local, protocol: l2tp.L2TP_PROTOCOL }).fd,
  ) as [number, number];
  const failures: Error[] = [];
  const programs = { come: 0, gone: 0 };
  const set = await LaneSet.start({
    replace: false,
    lanes: [{ role: "l2tp" }],
    prime(_lane, commands) {
      commands.port(SOCKET, l2tp.PORT_IPV4);
      commands.port(FRAMES, l2tp.PORT_FRAMES);
      const key = { port: SOCKET, version: 3, peer: { address: THEIRS, port: 0 }, id: ID } as const;
      commands.sessionAdd(SESSION, key, planOf(FRAMES, { id: ID, udp: false }));
    },
    punt() {},
    lost() {
      server.hangUp();
      programs.gone++;
    },
    failed: (reason) => failures.push(reason),
  });
  const server = new FrameServer({ path: file }, (fd) => {
    programs.come++;
    set.openPort(0, { port: FRAMES, kind: "frames", fd, header: 0 });
    set.flush();
  });
  set.openPort(0, { port: SOCKET, kind: "raw", fd: tunnel, header: 0 });
  set.flush();
  await body({ set, peer, file, programs });
  assert.deepEqual(failures, []);
  await set.stop();
  server.close();
  for (const fd of [tunnel, peer]) close(fd);
  rmSync(folder, { recursive: true });
}

const frame = Buffer.alloc(60, 9);
const packet = Buffer.concat([Uint8Array.of(0, 0, 0, ID), frame]);

kernelTest("a program's frames go over IP and back, and its successor's too", () =>
  withBed(async ({ peer, file, programs }) => {
    for (let program = 1; program <= 3; program++) {
      const client = connectFrames(file);
      while (programs.come < program) await turn();
      send(client, frame);
      assert.deepEqual((await next(peer)).subarray(IPV4_HEADER), packet);
      sendTo(peer, packet, encodeSockaddr(OURS, 0));
      assert.deepEqual(await next(client), frame);
      close(client);
      while (programs.gone < program) await turn();
    }
  }),
);

kernelTest("a program that does not read loses frames, and holds nothing up", () =>
  withBed(async ({ set, peer, file, programs }) => {
    const client = connectFrames(file);
    while (programs.come < 1) await turn();
    const lost = (): number => set.ledger().stages[STAGE_EGRESS]![VERDICT_SEND_NO_BUFFER]!;
    while (lost() === 0) {
      for (let i = 0; i < 100; i++) sendTo(peer, packet, encodeSockaddr(OURS, 0));
      await turn();
    }
    send(client, frame);
    assert.deepEqual((await next(peer)).subarray(IPV4_HEADER), packet);
    close(client);
  }),
);
