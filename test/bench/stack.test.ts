import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { taken } from "../../bench/system/stack.ts";

test("a socket is found by its address and port, and only while it is there", async () => {
  const socket = createSocket("udp4");
  const bound = once(socket, "listening");
  socket.bind(0, "127.0.0.71");
  await bound;
  const { port } = socket.address();
  const { packets, waiting } = taken(process.pid, "127.0.0.71", port);
  assert.deepEqual([packets, waiting], [0, 0]);
  assert.throws(
    () => taken(process.pid, "127.0.0.72", port),
    /no socket is bound to 127\.0\.0\.72/,
  );
  const closed = once(socket, "close");
  socket.close();
  await closed;
  assert.throws(() => taken(process.pid, "127.0.0.71", port), /no socket/);
});
