import assert from "node:assert/strict";
import { test } from "node:test";
import { ARENA_TX, TX_HEADERS } from "../../assembly/layout/arena.ts";
import { MMSGHDR_NAME_LENGTH, MMSGHDR_SHIFT } from "../../assembly/layout/system.ts";
import { createArena } from "../../src/engine/core.ts";
import { EAGAIN } from "../../src/os/errno.ts";
import { ForkPort } from "../../src/ports/fork.ts";
import { viewArena, type Port, type Readiness } from "../../src/ports/port.ts";

/** A port that notes what it is asked, and takes `room` messages. */
class NotingPort implements Port {
  readonly sent: [number, number][] = [];
  readonly wanted: [boolean, boolean][] = [];
  room = Infinity;
  closed = 0;
  callback: ((ready: Readiness) => void) | undefined;

  receive(): number {
    return 0;
  }
  send(first: number, count: number): number {
    if (this.room === 0) return -EAGAIN;
    const taken = Math.min(count, this.room);
    this.room -= taken;
    this.sent.push([first, taken]);
    return taken;
  }
  watch(callback: (ready: Readiness) => void): void {
    this.callback = callback;
  }
  want(readable: boolean, writable: boolean): void {
    this.wanted.push([readable, writable]);
  }
  close(): void {
    this.closed++;
  }
}

function fork(named: readonly boolean[]) {
  const arena = viewArena(createArena(), 2 ** 40);
  for (const [i, name] of named.entries())
    arena.words[(ARENA_TX + TX_HEADERS + (i << MMSGHDR_SHIFT) + MMSGHDR_NAME_LENGTH) >> 2] = name
      ? 20
      : 0;
  const [device, links] = [new NotingPort(), new NotingPort()];
  return { device, links, port: new ForkPort(arena, device, links) };
}

test("the messages of a batch go in one call to each: the device's, then those of links", () => {
  const { device, links, port } = fork([false, false, false, true, true]);
  assert.equal(port.send(0, 5), 3);
  assert.equal(port.send(3, 2), 2);
  assert.deepEqual([device.sent, links.sent], [[[0, 3]], [[3, 2]]]);
  // From the middle, and no further than asked.
  assert.equal(port.send(1, 1), 1);
  assert.deepEqual(device.sent.at(-1), [1, 1]);
});

test("room is waited for where there was none, and reading where it was", () => {
  const { device, links, port } = fork([false, true]);
  device.room = 0;
  assert.equal(port.send(0, 2), -EAGAIN);
  port.want(false, true);
  assert.deepEqual([device.wanted, links.wanted], [[[false, true]], []]);
  links.room = 0;
  assert.equal(port.send(1, 1), -EAGAIN);
  port.want(false, true);
  assert.deepEqual(links.wanted, [[false, true]]);
  // The device is an inlet as well, whose reading is not ours to end.
  port.want(false, false);
  assert.deepEqual([device.wanted.length, links.wanted.at(-1)], [1, [false, false]]);
});

test("the device's watch and end are its inlet's", () => {
  const { device, links, port } = fork([]);
  port.watch(() => {});
  port.close();
  assert.deepEqual([device.callback, device.closed, links.closed], [undefined, 0, 1]);
  assert.ok(links.callback);
});
