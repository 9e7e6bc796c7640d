import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { FRAME_IP, RX_CAPACITY, RX_HEADROOM, RX_SLOTS } from "../../assembly/layout/arena.ts";
import { OsError } from "../../src/core/errors.ts";
import { compileCore, createArena, startCore } from "../../src/engine/core.ts";
import { regionAddress } from "../../src/lanes/plan.ts";
import { EPIPE } from "../../src/os/errno.ts";
import { FrameServer, connectFrames } from "../../src/os/frame-server.ts";
import {
  SOCK_SEQPACKET,
  baseAddress,
  bind,
  close,
  listen,
  recv,
  send,
  socket,
} from "../../src/os/libc.ts";
import { FramesPort } from "../../src/ports/frames.ts";
import { viewArena } from "../../src/ports/port.ts";

/** Octets of the longest path of a socket. */
const LONGEST = 107;

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "cv-frames-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("one program exchanges frames, a second is hung up on, and a successor is let in", () =>
  inFolder(async (folder) => {
    const file = path.join(folder, "frames.sock");
    const clients: number[] = [];
    const server = new FrameServer({ path: file }, (fd) => clients.push(fd));
    assert.equal(lstatSync(file).mode & 0o777, 0o600);
    const one = connectFrames(file);
    await until(() => clients.length === 1);
    const two = connectFrames(file);
    const room = new Uint8Array(100);
    await until(() => recv(two, room) === 0);
    assert.equal(clients.length, 1);
    assert.equal(send(one, Buffer.from("frame")), 5);
    assert.equal(send(one, Buffer.from("next")), 4);
    assert.equal(recv(clients[0]!, room), 5);
    assert.equal(recv(clients[0]!, room), 4);
    close(one);
    server.hangUp();
    const three = connectFrames(file);
    await until(() => clients.length === 2);
    for (const fd of [two, three]) close(fd);
    server.hangUp();
    server.close();
    server.close();
    assert.ok(!existsSync(file));
  }));

test("a dead program's socket is replaced; a live one's, and what is no socket, is left", () =>
  inFolder(async (folder) => {
    const file = path.join(folder, "f".repeat(LONGEST - folder.length - 1));
    const open = (): FrameServer => new FrameServer({ path: file }, () => undefined);
    const refused = (errno: string): void =>
      assert.throws(open, (error: unknown) => error instanceof OsError && error.errno === errno);
    const first = open();
    refused("EADDRINUSE");
    first.close();
    // A stream socket without its program: any dead socket is.
    const node = createServer().listen(file);
    await once(node, "listening");
    refused("EADDRINUSE");
    node.close();
    await once(node, "close");
    writeFileSync(file, "");
    refused("EEXIST");
    rmSync(file);
    const dead = socket(1, SOCK_SEQPACKET, 0, file);
    bind(dead, Buffer.concat([Uint8Array.of(1, 0), Buffer.from(`${file}\0`)]), file);
    listen(dead, 1, file);
    refused("EADDRINUSE");
    close(dead);
    const second = open();
    rmSync(file);
    const third = open();
    second.close(); // does not take its successor's file away
    assert.ok(existsSync(file));
    third.close();
    assert.throws(
      () => new FrameServer({ path: "x".repeat(LONGEST + 1) }, () => undefined),
      /107 octets/,
    );
  }));

test("a port takes frames in batches and tells when the other side has left", () =>
  inFolder(async (folder) => {
    const file = path.join(folder, "frames.sock");
    let client = -1;
    const server = new FrameServer({ path: file }, (fd) => (client = fd));
    const peer = connectFrames(file);
    await until(() => client >= 0);
    const memory = createArena();
    const base = baseAddress(memory);
    const core = startCore(compileCore().module, memory, base, { u32: () => 1, fraction: () => 0 });
    const region = regionAddress(0);
    core.rxPrepare(region, FRAME_IP);
    const port = new FramesPort(viewArena(memory, base), client, region);
    assert.equal(port.receive(RX_CAPACITY), 0);
    for (const text of ["one", "two", "three"]) send(peer, Buffer.from(text));
    assert.equal(port.receive(RX_CAPACITY), 3);
    const octets = new Uint8Array(memory.buffer, region + RX_SLOTS + RX_HEADROOM, 3);
    assert.equal(Buffer.from(octets).toString(), "one");
    send(peer, Buffer.from("last"));
    close(peer);
    assert.equal(port.receive(RX_CAPACITY), 1);
    assert.equal(port.receive(RX_CAPACITY), -EPIPE);
    server.hangUp();
    server.close();
  }));
