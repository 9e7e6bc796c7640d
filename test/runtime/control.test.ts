import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { OsError } from "../../src/core/errors.ts";
import {
  askStatus,
  ControlServer,
  ownSocketPath,
  runtimeFolders,
  socketsIn,
  type DaemonStatus,
} from "../../src/runtime/control.ts";

const STATUS: DaemonStatus = { pid: 4711, services: [] };
const ANSWERS = { status: () => STATUS };

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "cv-control-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function serverOf(context: TestContext, folder: string): Promise<ControlServer> {
  const server = await ControlServer.open(path.join(folder, "c.sock"), ANSWERS);
  context.after(() => server.close());
  return server;
}

/** The lines that come back for `text`, until as many as `count` have come or it is closed. */
async function talk(socketPath: string, text: string, count: number): Promise<string[]> {
  const socket = connect(socketPath);
  let received = "";
  socket.setEncoding("utf8").on("data", (more: string) => {
    received += more;
    if (received.split("\n").length > count) socket.destroy();
  });
  socket.on("error", () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.on("close", resolve));
  return received.split("\n").slice(0, -1);
}

/** Asserts that `promise` is refused with `errno`. */
async function refused(promise: Promise<unknown>, errno: string): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof OsError && error.errno === errno);
}

test("a control socket answers status, is its owner's alone, and is gone when closed", async (t) => {
  const server = await serverOf(t, folderOf(t));
  assert.equal(statSync(server.path).mode & 0o777, 0o600);
  assert.deepEqual(await askStatus(server.path), STATUS);
  await server.close();
  assert.equal(existsSync(server.path), false);
  await server.close();
  await refused(askStatus(server.path), "ENOENT");
});

test("requests on one connection are answered in order, a line each", async (t) => {
  const server = await serverOf(t, folderOf(t));
  const lines = await talk(
    server.path,
    '{"v":1,"ask":"status"}\n{"v":2,"ask":"status"}\nnonsense\n{"v":1,"ask":"toString"}\n[]\n',
    5,
  );
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      { v: 1, answer: STATUS },
      { v: 1, error: 'expected "v": 1' },
      { v: 1, error: "expected a line of JSON" },
      { v: 1, error: 'expected "ask": one of status' },
      { v: 1, error: 'expected "v": 1' },
    ],
  );
});

test("any line is answered with one line, and the next request still is", async (t) => {
  const server = await serverOf(t, folderOf(t));
  const line = fc.oneof(fc.json(), fc.string(), fc.constant('{"v":1,"ask":"__proto__"}'));
  await fc.assert(
    fc.asyncProperty(line, async (text) => {
      const request = `${text.replaceAll("\n", " ")}\n{"v":1,"ask":"status"}\n`;
      const [first, second] = await talk(server.path, request, 2);
      assert.equal((JSON.parse(first!) as { v: number }).v, 1);
      assert.deepEqual(JSON.parse(second!), { v: 1, answer: STATUS });
    }),
    { numRuns: 100 },
  );
});

test("a request without an end is cut off", async (t) => {
  const server = await serverOf(t, folderOf(t));
  assert.deepEqual(await talk(server.path, "x".repeat(200_000), 1), []);
  assert.deepEqual(await askStatus(server.path), STATUS);
});

test("a live socket is not taken, and what is no socket is not removed", async (t) => {
  const folder = folderOf(t);
  const server = await serverOf(t, folder);
  await refused(ControlServer.open(server.path, ANSWERS), "EADDRINUSE");
  assert.deepEqual(await askStatus(server.path), STATUS);
  const file = path.join(folder, "precious");
  writeFileSync(file, "text");
  await refused(ControlServer.open(file, ANSWERS), "EEXIST");
  assert.equal(readFileSync(file, "utf8"), "text");
});

test("an asker gives up on a peer that says nothing, or nothing of ours", async (t) => {
  const silent = path.join(folderOf(t), "silent.sock");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => (speaks ? socket.write("hello\n") : undefined));
  });
  t.after(() => server.close());
  let speaks = false;
  server.listen(silent);
  await once(server, "listening");
  await refused(askStatus(silent, 20), "ETIMEDOUT");
  speaks = true;
  await refused(askStatus(silent), "EPROTO");
});

test("a user's own sockets lie in that user's runtime folder, root's in /run/culvert", () => {
  assert.deepEqual(runtimeFolders({}, 0), ["/run/culvert"]);
  assert.deepEqual(runtimeFolders({ XDG_RUNTIME_DIR: "/run/user/0" }, 0), ["/run/culvert"]);
  assert.deepEqual(runtimeFolders({ XDG_RUNTIME_DIR: "/run/user/7" }, 7), [
    "/run/user/7/culvert",
    "/run/culvert",
  ]);
  assert.deepEqual(runtimeFolders({}, 7), [path.join(tmpdir(), "culvert-7"), "/run/culvert"]);
  assert.deepEqual(runtimeFolders({ CULVERT_RUNTIME_DIR: "/x", XDG_RUNTIME_DIR: "/y" }, 7), ["/x"]);
});

test("a runtime folder is made for its owner alone; another's, or a link, is refused", async (t) => {
  const folder = folderOf(t);
  const own = path.join(folder, "own");
  assert.equal(await ownSocketPath("relay", own), path.join(own, `relay-${process.pid}.sock`));
  assert.equal(statSync(own).mode & 0o777, 0o700);
  const file = path.join(folder, "file");
  writeFileSync(file, "");
  await assert.rejects(ownSocketPath("relay", file));
});

test("sockets are found by name, and a folder that is not there has none", (t) => {
  const folder = folderOf(t);
  mkdirSync(path.join(folder, "b.sock"));
  writeFileSync(path.join(folder, "a.sock"), "");
  writeFileSync(path.join(folder, "notes"), "");
  chmodSync(folder, 0o755);
  assert.deepEqual(socketsIn(folder), [path.join(folder, "a.sock"), path.join(folder, "b.sock")]);
  assert.deepEqual(socketsIn(path.join(folder, "absent")), []);
});
