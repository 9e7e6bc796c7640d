import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_IP, FRAME_UDP, FRAME_VNET } from "../../assembly/layout/arena.ts";
import { BugError } from "../../src/core/errors.ts";
import { regionAddress, regionsOf, type Inlet } from "../../src/lanes/plan.ts";

const inlets = (...frames: number[]): Inlet[] =>
  frames.map((frame, fd) => ({ kind: "socket", fd, frame }));

test("each inlet has a receive region of its own, but ordinary sockets share one", () => {
  const [first, second, third] = [0, 1, 2].map(regionAddress);
  assert.deepEqual(regionsOf(inlets(FRAME_IP, FRAME_VNET)), [first, second]);
  assert.deepEqual(regionsOf(inlets(FRAME_IP, FRAME_UDP, FRAME_UDP, FRAME_UDP, FRAME_VNET)), [
    first,
    second,
    second,
    second,
    third,
  ]);
});

test("more regions than the arena has are never handed out", () => {
  assert.throws(() => regionsOf(inlets(FRAME_IP, FRAME_VNET, FRAME_VNET, FRAME_VNET)), BugError);
});
