import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { durationText, numberText, table } from "../../src/cli/table.ts";
import { readExposition } from "../metrics/exposition.ts";
import { Host } from "./command.ts";

const RELAY = ["relay", "--local", "192.0.2.1", "--ingress", "eth1"];
const RECEIVE = ["receive", "amt://239.1.1.1:5000", "--relay", "192.0.2.1"];

test("status shows every daemon of the host in tables", async (t) => {
  const host = new Host(t);
  const receive = await host.serving(RECEIVE);
  const relay = await host.serving(RELAY);
  const { code, stdout } = await host.run(["status"]);
  assert.equal(code, 0);
  const blocks = stdout.split(/\n(?=relay:)/);
  assert.match(blocks[0]!, /^receive: serving, at 0\.0\.0\.0:0, up 1 h 2 min, pid \d+\n/);
  assert.ok(blocks[0]!.includes(`pid ${receive.child.pid}\n`));
  assert.equal(
    blocks[1],
    `relay: serving, at 192.0.2.1:2268, up 1 h 2 min, pid ${relay.child.pid}

  TUNNEL TO           FROM            GROUPS      SINCE  PATH MTU
  198.51.100.7:49152  192.0.2.1:2268       2  1 min 1 s      1400

  GROUP      SOURCES    MEMBERS
  232.1.1.1  192.0.2.9        1
  239.1.1.1  any              1

  COUNTER      COUNT
  in       1 234 567
  out      1 234 560

  DROPPED AT  REASON    COUNT  MEANING
  lane        no-route      7  nobody asked for this source and group
`,
  );
});

test("status --json prints the array of services that the daemons gave", async (t) => {
  const host = new Host(t);
  await host.serving(RELAY);
  const { code, stdout } = await host.run(["status", "--json"]);
  assert.equal(code, 0);
  const services = JSON.parse(stdout) as { role: string; drops: unknown }[];
  assert.equal(services.length, 1);
  assert.equal(services[0]?.role, "relay");
  assert.deepEqual(services[0]?.drops, { lane: { "no-route": 7 } });
});

test("status --prometheus prints every daemon's counters and drops, each series once", async (t) => {
  const host = new Host(t);
  const relays = [await host.serving(RELAY), await host.serving(RELAY)];
  const { code, stdout } = await host.run(["status", "--prometheus"]);
  assert.equal(code, 0);
  const dropped = readExposition(stdout).get("culvert_dropped_total")!.values;
  for (const { child } of relays) {
    const pid = `${child.pid}`;
    const labels = { service: "relay", role: "relay", pid, stage: "lane", reason: "no-route" };
    assert.equal(dropped.get(JSON.stringify(labels)), 7);
  }
  const both = await host.run(["status", "--prometheus", "--watch"]);
  assert.equal(both.code, 2);
  assert.match(both.stderr, /'--prometheus' cannot be used with option '--watch'/);
});

test("status --watch prints again until its daemon is gone, then ends with code 3", async (t) => {
  const host = new Host(t);
  const { child } = await host.serving(RELAY);
  const watch = host.start(["status", "--watch", "--json"]);
  let pictures = 0;
  watch.child.stdout!.on("data", (text: string) => {
    pictures += text.split("\n").length - 1;
    if (pictures === 2) child.kill("SIGTERM");
  });
  const { code } = await watch.ended;
  assert.equal(code, 3);
  assert.ok(pictures >= 2);
});

test("status with nobody there ends with code 3", async (t) => {
  const host = new Host(t);
  const all = await host.run(["status"]);
  assert.equal(all.code, 3);
  assert.match(all.stderr, /^culvert: nothing is running: /);
  const one = await host.run(["status", "--control", "absent.sock"]);
  assert.equal(one.code, 3);
  assert.equal(one.stderr, "culvert: nothing answers at absent.sock; is it running?\n");
});

test("status of another user's daemon ends with code 4", async (t) => {
  const host = new Host(t);
  const folder = path.join(host.folder, "run");
  mkdirSync(folder);
  const root = process.getuid?.() === 0;
  chmodSync(host.folder, 0o755);
  chmodSync(folder, root ? 0o700 : 0o000);
  const { code, stderr } = await host.run(["status"], "", root ? { uid: 65_534 } : {});
  assert.equal(code, 4);
  assert.match(stderr, /^culvert: may not ask at .*; ask as the user who runs it, or as root\n$/);
});

test("a socket that does not speak the protocol is told, and does not hide a daemon", async (t) => {
  const host = new Host(t);
  const folder = path.join(host.folder, "run");
  mkdirSync(folder);
  const stranger = createServer((socket) => socket.on("data", () => socket.end("hello\n")));
  t.after(() => stranger.close());
  stranger.listen(path.join(folder, "stranger.sock"));
  await once(stranger, "listening");
  const alone = await host.run(["status"]);
  assert.equal(alone.code, 1);
  await host.serving(RELAY);
  const both = await host.run(["status"]);
  assert.equal(both.code, 0);
  assert.match(both.stdout, /^relay: serving/);
  assert.match(both.stderr, /^culvert: read .*stranger\.sock: EPROTO /);
});

test("a control socket is its owner's alone, and a live one is not taken", async (t) => {
  const host = new Host(t);
  const control = path.join(host.folder, "c.sock");
  await host.serving([...RELAY, "--control", control]);
  assert.equal(statSync(control).mode & 0o777, 0o600);
  const { code, stderr } = await host.run([...RELAY, "--control", control]);
  assert.equal(code, 1);
  assert.match(stderr, /^culvert: bind .*c\.sock: EADDRINUSE .*a running culvert has it; choose/);
  assert.equal((await host.run(["status", "--control", control])).code, 0);
});

test("a socket that a killed daemon left is no answer, and the next one replaces it", async (t) => {
  const host = new Host(t);
  const control = path.join(host.folder, "c.sock");
  const first = await host.serving([...RELAY, "--control", control]);
  first.child.kill("SIGKILL");
  await first.ended;
  assert.ok(existsSync(control));
  assert.equal((await host.run(["status", "--control", control])).code, 3);
  const second = await host.serving([...RELAY, "--control", control]);
  assert.equal((await host.run(["status", "--control", control])).code, 0);
  second.child.kill("SIGTERM");
  await second.ended;
  assert.deepEqual(
    readdirSync(host.folder).filter((name) => name !== "run"),
    [],
  );
});

test("a start clears the runtime folder of what killed daemons left there", async (t) => {
  const host = new Host(t);
  const folder = path.join(host.folder, "run");
  const first = await host.serving(RELAY);
  first.child.kill("SIGKILL");
  await first.ended;
  assert.equal(readdirSync(folder).length, 1);
  const second = await host.serving(RECEIVE);
  assert.deepEqual(readdirSync(folder), [`receive-${second.child.pid}.sock`]);
});

test("durations and numbers read well", () => {
  assert.deepEqual([0, 0.9, 59, 60, 3_600, 3_725, 90_061].map(durationText), [
    "0 s",
    "0 s",
    "59 s",
    "1 min",
    "1 h",
    "1 h 2 min",
    "1 d 1 h",
  ]);
  assert.deepEqual([0, 999, 1_000, 1_234_567, 0.5, -1_000].map(numberText), [
    "0",
    "999",
    "1 000",
    "1 234 567",
    "0.5",
    "-1 000",
  ]);
});

test("a table aligns its columns and has no spaces at the end of a line", () => {
  assert.deepEqual(
    table([{ title: "A" }, { title: "LONG", right: true }, { title: "C" }], [["xyz", "1", ""]]),
    ["A    LONG  C", "xyz     1"],
  );
});
