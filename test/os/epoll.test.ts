import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { answerBell, openBell, ringBell } from "../../src/os/bell.ts";
import { Epoll } from "../../src/os/epoll.ts";
import { EAGAIN, ECONNREFUSED } from "../../src/os/errno.ts";
import { close, epollCreate, recvmmsg, sendmmsg, tryConnect } from "../../src/os/libc.ts";
import { encodeSockaddr } from "../../src/os/sockaddr.ts";
import { openUdp } from "../../src/os/udp.ts";
import { Messages } from "./messages.ts";

const local = { address: "127.0.0.1", port: 0 };

/** Runs `body` with an epoll set, a socket that sends and one that it can send to. */
async function bed(
  body: (epoll: Epoll, to: ReturnType<typeof openUdp>, send: () => void) => Promise<void>,
): Promise<void> {
  const set = epollCreate();
  const epoll = new Epoll(set);
  const [to, from] = [openUdp({ local }), openUdp({ local })];
  const out = new Messages().put(0, Buffer.from("x"), to.local);
  await body(epoll, to, () => assert.equal(sendmmsg(from.fd, out.headers, 1), 1));
  epoll.close();
  for (const fd of [to.fd, from.fd, set]) close(fd);
}

void test("an epoll set calls back until what is readable has been read, and again for more", () =>
  bed(async (epoll, to, send) => {
    const into = new Messages().expect();
    let calls = 0;
    send();
    await new Promise<void>((resolve) => {
      const watching = epoll.watch(to.fd, { readable: true }, (ready) => {
        assert.deepEqual([ready.readable, ready.writable], [true, false]);
        if (++calls % 3 !== 0) return;
        assert.equal(recvmmsg(to.fd, into.headers, 1), 1);
        assert.equal(recvmmsg(to.fd, into.headers, 1), -EAGAIN);
        if (calls < 6) return send();
        watching.close();
        watching.close();
        resolve();
      });
    });
    assert.equal(calls, 6);
  }));

void test("what is waited for can change; who waits for nothing is not told of errors either", () =>
  bed(async (epoll) => {
    const alone = openUdp({ local });
    const gone = openUdp({ local });
    assert.equal(tryConnect(alone.fd, encodeSockaddr(gone.local.address, gone.local.port)), 0);
    close(gone.fd);
    const out = new Messages().put(0, Buffer.from("x"));
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const watching = epoll.watch(alone.fd, { writable: true }, (ready) => {
        seen.push(`${ready.readable} ${ready.writable}`);
        if (seen.length === 1) {
          watching.update({});
          sendmmsg(alone.fd, out.headers, 1); // what comes back is an error
          epoll.after(2, () => watching.update({ readable: true }));
          return;
        }
        assert.equal(recvmmsg(alone.fd, new Messages().expect().headers, 1), -ECONNREFUSED);
        watching.close();
        watching.update({ writable: true });
        resolve();
      });
    });
    assert.deepEqual(seen, ["false true", "true true"]);
    close(alone.fd);
  }));

void test("timers and turns of the event loop come while a descriptor is always ready", () =>
  bed(async (epoll, to, send) => {
    let calls = 0;
    send();
    const watching = epoll.watch(to.fd, { readable: true }, () => void calls++);
    for (let i = 0; i < 3; i++) {
      await new Promise<void>((resolve) => void epoll.after(1, resolve));
      await new Promise<void>((resolve) => epoll.soon(resolve));
      await new Promise(setImmediate);
    }
    assert.ok(calls > 0);
    const cancel = epoll.after(1, () => assert.fail("cancelled"));
    cancel();
    cancel();
    await new Promise<void>((resolve) => void epoll.after(3, resolve));
    watching.close();
  }));

void test("a timer that is set in the middle of a slice shortens it", () =>
  bed(async (epoll, to, send) => {
    send();
    let soonest = Infinity;
    for (let tries = 0; tries < 50 && soonest >= 5; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const delay = await new Promise<number>((resolve) => {
        const watching = epoll.watch(to.fd, { readable: true }, () => {
          watching.close();
          const other = epoll.watch(to.fd, { readable: true }, () => {});
          const from = performance.now();
          epoll.after(1, () => {
            other.close();
            resolve(performance.now() - from);
          });
        });
      });
      soonest = Math.min(soonest, delay);
    }
    assert.ok(soonest < 5, `${soonest} ms`);
  }));

void test("one callback may end the wait of another that is ready as well", () =>
  bed(async (epoll, to, send) => {
    const bell = openBell();
    send();
    ringBell(bell);
    let calls = 0;
    const both = [
      epoll.watch(to.fd, { readable: true }, () => only(1)),
      epoll.watch(bell, { readable: true }, () => only(0)),
    ];
    const only = (other: number): void => {
      calls++;
      both[other]!.close();
      both[1 - other]!.close();
    };
    await new Promise<void>((resolve) => void epoll.after(2, resolve));
    assert.equal(calls, 1);
    close(bell);
  }));

void test("a bell rung often is answered once", () =>
  bed(async (epoll) => {
    const bell = openBell();
    for (let i = 0; i < 3; i++) ringBell(bell);
    let answers = 0;
    const watching = epoll.watch(bell, { readable: true }, () => {
      answerBell(bell);
      answers++;
    });
    await new Promise<void>((resolve) => void epoll.after(2, resolve));
    assert.equal(answers, 1);
    answerBell(bell);
    watching.close();
    close(bell);
  }));

/** Rings the bell that it is told of, once each millisecond. */
const RINGER = `
  const { ringBell } = await import(MODULE);
  const { workerData } = await import("node:worker_threads");
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    ringBell(workerData);
    Atomics.wait(nobody, 0, 0, 1);
    await new Promise(setImmediate);
  }
`;

void test("while something comes now and then, the event loop does not wait for it", () =>
  bed(async (epoll) => {
    const bell = openBell();
    const source = RINGER.replace("MODULE", module("bell"));
    const ringer = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: bell,
    });
    const events = (): number => performance.nodeTiming.uvMetricsInfo.events;
    const ROUND = 200;
    // On a machine that has much else to do, bells come late at times, and the thread has gone to wait.
    for (let tries = 0, most = ROUND; most > ROUND / 20; tries++) {
      assert.ok(tries < 50, `${most} waits of the event loop`);
      const before = events();
      let answers = 0;
      await new Promise<void>((resolve) => {
        const watching = epoll.watch(bell, { readable: true }, () => {
          answerBell(bell);
          if (++answers < ROUND) return;
          watching.close();
          resolve();
        });
      });
      most = events() - before;
    }
    await ringer.terminate();
    close(bell);
  }));

const module = (name: string): string =>
  JSON.stringify(new URL(`../../src/os/${name}.js`, import.meta.url).href);

/** A thread whose descriptor is readable at all times. */
const BUSY = `
  const { openBell, ringBell } = await import(${module("bell")});
  const { Epoll } = await import(${module("epoll")});
  const { epollCreate } = await import(${module("libc")});
  const { parentPort } = await import("node:worker_threads");
  const bell = openBell();
  let calls = 0;
  new Epoll(epollCreate()).watch(bell, { readable: true }, () => {
    if (++calls === 1000) parentPort.postMessage("at work");
  });
  ringBell(bell);
`;

const busy = (): URL => new URL(`data:text/javascript,${encodeURIComponent(BUSY)}`);

void test("a thread that is never idle is stopped at once", async () => {
  const worker = new Worker(busy());
  await once(worker, "message");
  assert.equal(await worker.terminate(), 1);
});

void test("a process ends with its own code while a thread of it is never idle", () => {
  const source = `
    const { openBell } = await import(${module("bell")});
    const { Worker } = await import("node:worker_threads");
    openBell(); // koffi stays loaded when the other thread's is not needed any more
    new Worker(new URL(${JSON.stringify(busy().href)})).once("message", () => process.exit(7));
  `;
  const words = ["--input-type=module", "--eval", source];
  const { status, signal } = spawnSync(process.execPath, words, { timeout: 60_000 });
  assert.deepEqual([status, signal], [7, null]);
});
