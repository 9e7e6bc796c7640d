/** What happens to L2TP's tunnels: silence, loss, devices that vanish, a signal to reload, a crowd. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Namespace } from "../../src/lab/lab.ts";
import { startListener, startSource } from "../../src/lab/stream.ts";
import { connectFrames } from "../../src/os/frame-server.ts";
import { close, recv, send } from "../../src/os/libc.ts";
import type { L2tpSessionStatus } from "../../src/runtime/service.ts";
import { eventually } from "./culvert.ts";
import { INSIDE, Pair, UNDERLAY } from "./l2tp-pair.ts";
import { kernelTest } from "./needs.ts";

const PATIENCE_MS = 60_000;
const UNRULY = fileURLToPath(new URL("programs/unruly.js", import.meta.url));

function carrier(host: Namespace, device: string): boolean {
  return host.read(`/sys/class/net/${device}/carrier`).trim() === "1";
}

kernelTest(
  "a peer that falls silent takes the carrier away, and brings it back (RFC 3931 §4.4)",
  [],
  async (lab) => {
    const pair = await Pair.start(lab);
    await pair.connect("encap udp keepalive 1 keepalive_retries 1", "", UNDERLAY);
    await pair.reaches();
    const [host] = pair.hosts;
    pair.daemons[1].program.kill("SIGSTOP");
    await eventually("no carrier", PATIENCE_MS, () => !carrier(host, "l2tpeth0"));
    assert.match(await pair.l2tp(0, "show tunnel"), /peer dead/);
    pair.daemons[1].program.kill("SIGCONT");
    await eventually("carrier", PATIENCE_MS, () => carrier(host, "l2tpeth0"));
    assert.match(await pair.l2tp(0, "show tunnel"), /peer alive/);
    await pair.reaches();
  },
);

kernelTest("a session goes with a device that somebody else removes", [], async (lab) => {
  const pair = await Pair.start(lab);
  await pair.connect("encap udp", "", UNDERLAY);
  await pair.l2tp(0, "add session tid 1 sid 20 psid 20 name other0");
  await pair.reaches();
  const [host] = pair.hosts;
  const sessions = async () =>
    (JSON.parse(await pair.l2tp(0, "show session --json")) as L2tpSessionStatus[]).map(
      ({ session_id: id }) => id,
    );
  host.ip("link", "del", "l2tpeth0");
  await eventually("one session", PATIENCE_MS, async () => (await sessions()).join() === "20");
  assert.match(pair.daemons[0].program.stderr, /session 10 of tunnel 1 ends with l2tpeth0/);
  await pair.l2tp(0, "add session tid 1 sid 10 psid 11");
  pair.address(0, "l2tpeth0");
  await pair.reaches();
});

kernelTest("devices that were there before stay when many are closed", [], async (lab) => {
  const pair = await Pair.start(lab);
  const [host] = pair.hosts;
  const away = lab.namespace("away");
  host.ip("tuntap", "add", "old0", "mode", "tap");
  const tunnel = `local ${UNDERLAY[0]} remote ${UNDERLAY[1]} udp_sport 1701 udp_dport 1701`;
  await pair.l2tp(0, `add tunnel tid 1 ptid 1 ${tunnel}`);
  const names = ["old0", "moved0", "new0", "new1"];
  for (const [n, name] of names.entries())
    await pair.l2tp(0, `add session tid 1 sid ${n + 1} psid ${n + 1} name ${name}`);
  // Another device may have the name by which a session's was known.
  host.ip("link", "set", "moved0", "netns", away.name);
  host.ip("link", "add", "moved0", "type", "veth", "peer", "name", "moved1");
  await pair.l2tp(0, "del tunnel tid 1");
  for (const name of ["old0", "moved0"]) host.ip("link", "show", name);
  for (const name of ["new0", "new1"])
    assert.throws(() => host.ip("link", "show", name), /does not exist/);
});

for (const patience of [200, 0])
  kernelTest(
    `numbered frames come in order and once over an unruly path, waiting ${patience} ms (RFC 3931 §4.6.1)`,
    [],
    async (lab) => {
      const pair = await Pair.start(lab);
      const unruly = pair.hosts[1].start(process.execPath, [UNRULY, UNDERLAY[1], "6000", "5001"]);
      await unruly.line(/^ready/, "stdout", PATIENCE_MS);
      const tunnels = [
        `local ${UNDERLAY[0]} remote ${UNDERLAY[1]} udp_sport 5000 udp_dport 6000`,
        `local ${UNDERLAY[1]} remote ${UNDERLAY[1]} udp_sport 5001 udp_dport 6000`,
      ] as const;
      const fds: number[] = [];
      for (const i of [0, 1] as const) {
        const file = path.join(lab.folder, `frames${i}`);
        await pair.l2tp(i, `add tunnel tid 1 ptid 1 ${tunnels[i]}`);
        await pair.l2tp(
          i,
          `add session tid 1 sid 1 psid 1 seq both reorder_timeout ${patience} frames ${file}`,
        );
        fds.push(connectFrames(file));
      }
      const frame = Buffer.alloc(64);
      const room = new Uint8Array(2_000);
      const came: number[] = [];
      const take = (): boolean => {
        for (let got = recv(fds[1]!, room); got > 0; got = recv(fds[1]!, room))
          came.push(Buffer.from(room.buffer).readUInt32BE(got - 4));
        return came.length > 0;
      };
      const give = (number: number): void => {
        frame.writeUInt32BE(number, 60);
        assert.equal(send(fds[0]!, frame), frame.length);
      };
      await eventually("a first frame", PATIENCE_MS, () => {
        if (!take()) give(0xffff_ffff);
        return came.length > 0;
      });
      const last = 199;
      for (let number = 0; number <= last; number++) {
        give(number);
        await sleep(1);
        take();
      }
      await eventually("the last frame", PATIENCE_MS, () => take() && came.includes(last));
      const missing = patience > 0 ? [3] : [3, 5];
      const all = Array.from({ length: last + 1 }, (_, i) => i);
      assert.deepEqual(
        came.filter((number) => number <= last),
        all.filter((number) => !missing.includes(number % 10)),
      );
      const { rx } = (await pair.session(1)).statistics;
      assert.equal(rx.seq_discards, patience > 0 ? 20 : 40);
      assert.ok(patience > 0 ? rx.reordered >= 20 : rx.missing >= 40, JSON.stringify(rx));
      fds.forEach(close);
    },
  );

kernelTest("SIGHUP makes the daemon follow its file", [], async (lab) => {
  const file = path.join(lab.folder, "l2tp.yaml");
  const text = (sessions: string) => `l2tp:
  tunnels:
    wire: { tunnelId: 1, peerTunnelId: 1, local: ${UNDERLAY[0]}, remote: ${UNDERLAY[1]}, udpSport: 1701, udpDport: 1701, sessions: [${sessions}] }
`;
  const first = "{ sessionId: 10, peerSessionId: 10, name: one0 }";
  const second = "{ sessionId: 11, peerSessionId: 11, name: two0 }";
  writeFileSync(file, text(first));
  const pair = await Pair.start(lab, [["-c", file], []]);
  const [host] = pair.hosts;
  const has = (name: string): boolean => {
    try {
      return host.ip("link", "show", name) !== "";
    } catch {
      return false;
    }
  };
  assert.ok(has("one0"));
  writeFileSync(file, text(`${first}, ${second}`));
  pair.daemons[0].program.kill("SIGHUP");
  await eventually("the second device", PATIENCE_MS, () => has("two0"));
  writeFileSync(file, text(second));
  pair.daemons[0].program.kill("SIGHUP");
  await eventually("the second alone", PATIENCE_MS, () => !has("one0"));
  assert.ok(has("two0"));
});

kernelTest("500 sessions come and go beside a stream that loses nothing", [], async (lab) => {
  const pair = await Pair.start(lab);
  await pair.connect("encap udp udp_csum on", "", UNDERLAY);
  await pair.reaches();
  const device = "l2tpeth0";
  const listener = await startListener(pair.hosts[1], {
    group: INSIDE[1],
    port: 5000,
    device,
    address: INSIDE[1],
  });
  const source = await startSource(pair.hosts[0], {
    group: INSIDE[1],
    port: 5000,
    source: INSIDE[0],
    device,
    size: 500,
    rate: 500,
    ttl: 8,
  });
  await listener.first(PATIENCE_MS);
  const batch = path.join(lab.folder, "batch");
  const many = Array.from(
    { length: 500 },
    (_, n) => `add session tid 7 sid ${n + 1} psid ${n + 1}`,
  );
  const tunnel = `add tunnel tid 7 ptid 7 local ${UNDERLAY[0]} remote ${UNDERLAY[1]} udp_sport 5000 udp_dport 7001 udp_csum on`;
  writeFileSync(batch, [tunnel, ...many].join("\n"));
  const [host] = pair.hosts;
  const devices = () => host.ip("-o", "link", "show").split("l2tpeth").length - 1;
  const before = memory(pair.daemons[0].program.pid!);
  await pair.l2tp(0, `-batch ${batch}`);
  assert.equal(devices(), 501);
  assert.ok(memory(pair.daemons[0].program.pid!) - before < 60e6, "at most 120 KB a session");
  await pair.l2tp(0, "del session tid 7 sid 250");
  await pair.l2tp(0, "del tunnel tid 7");
  assert.equal(devices(), 1);
  const { sent } = await source.stop();
  await eventually("the end of the stream", PATIENCE_MS, () => {
    return (listener.progress()?.streams[0]?.last ?? 0) === sent - 1;
  });
  const { streams } = await listener.leave();
  const { first, lost, duplicated } = streams[0]!;
  assert.deepEqual({ first, lost, duplicated }, { first: 0, lost: 0, duplicated: 0 });
});

/** Octets of memory that a process has. */
function memory(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(kilobytes![1]) * 1_024;
}
