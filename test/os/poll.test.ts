import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { EAGAIN } from "../../src/os/errno.ts";
import { close, recvmmsg, sendmmsg } from "../../src/os/libc.ts";
import { watch } from "../../src/os/poll.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";

const local = { address: "127.0.0.1", port: 0 };

void test("a watch calls back until what is readable has been read", async () => {
  const to = openUdp({ local });
  const from = openUdp({ local });
  const out = new Messages().put(0, Buffer.from("x"), to.local);
  assert.equal(sendmmsg(from.fd, out.headers, 1), 1);
  const into = new Messages().expect();
  let calls = 0;
  await new Promise<void>((resolve) => {
    const watching = watch(to.fd, { readable: true }, (ready) => {
      assert.deepEqual([ready.readable, ready.writable], [true, false]);
      if (++calls < 3) return;
      assert.equal(recvmmsg(to.fd, into.headers, 1), 1);
      assert.equal(recvmmsg(to.fd, into.headers, 1), -EAGAIN);
      watching.close();
      watching.close();
      resolve();
    });
  });
  assert.equal(calls, 3);
  close(to.fd);
  close(from.fd);
});

void test("a watch that is updated waits for something else, or for nothing", async () => {
  const socket = openUdp({ local });
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    const watching = watch(socket.fd, { readable: true }, (ready) => {
      seen.push(ready.writable ? "writable" : "readable");
      if (seen.length === 1) {
        watching.update({});
        setImmediate(() => setImmediate(() => watching.update({ writable: true })));
        return;
      }
      watching.close();
      watching.update({ writable: true });
      resolve();
    });
    watching.update({ writable: true });
  });
  assert.deepEqual(seen, ["writable", "writable"]);
  close(socket.fd);
});

void test("a descriptor that can't be watched is refused", () => {
  assert.throws(() => watch(Number.NaN, { readable: true }, () => {}), RangeError);
});

void test("a thread that waits in a watch is stopped at once", async () => {
  const source = `
    const { openUdp } = await import(${JSON.stringify(new URL("../../src/os/udp.js", import.meta.url).href)});
    const { watch } = await import(${JSON.stringify(new URL("../../src/os/poll.js", import.meta.url).href)});
    const { parentPort } = await import("node:worker_threads");
    watch(openUdp({ local: { address: "127.0.0.1", port: 0 } }).fd, { readable: true }, () => {});
    parentPort.postMessage("waiting");
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  await once(worker, "message");
  assert.equal(await worker.terminate(), 1);
});
