/** L2TP between two daemons, by command and by file, through the real kernel. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Namespace } from "../../src/lab/lab.ts";
import { INSIDE, Pair, UNDERLAY, UNDERLAY_6 } from "./l2tp-pair.ts";
import { kernelTest } from "./needs.ts";

function mtuOf(host: Namespace, device: string): number {
  return Number(/mtu (\d+)/.exec(host.ip("link", "show", device))![1]);
}

kernelTest("an Ethernet pseudowire over UDP carries frames and counts them", [], async (lab) => {
  const pair = await Pair.start(lab);
  await pair.connect("encap udp keepalive 5", "", UNDERLAY);
  assert.equal(mtuOf(pair.hosts[0], "l2tpeth0"), 1446);
  await pair.reaches();
  await pair.reaches(pair.hosts[0], 1400);
  const { statistics } = await pair.session(1);
  assert.ok(statistics.rx.packets >= 2 && statistics.tx.packets >= 2, JSON.stringify(statistics));
  const again = await pair.tryL2tp(0, "add session tunnel_id 1 session_id 10 peer_session_id 12");
  assert.match(again.stderr, /session_id: expected a free one, got 10, which exists in tunnel 1/);
  assert.equal(again.code, 1);
  const absent = await pair.tryL2tp(0, "add session tunnel_id 9 session_id 10 peer_session_id 12");
  assert.match(absent.stderr, /tunnel_id: expected a tunnel that exists, got 9/);
  const [host] = pair.hosts;
  const elsewhere =
    "add tunnel tid 7 ptid 7 local 10.9.9.9 remote 10.1.0.2 udp_sport 1 udp_dport 1";
  assert.match((await pair.tryL2tp(0, elsewhere)).stderr, /EADDRNOTAVAIL.*got 10\.9\.9\.9/);
  await pair.l2tp(0, "del tunnel tunnel_id 1");
  assert.throws(() => host.ip("link", "show", "l2tpeth0"), /does not exist/);
});

kernelTest(
  "an Ethernet pseudowire over IPv6 protocol 115, and a cookie rolled without a loss",
  [],
  async (lab) => {
    const pair = await Pair.start(lab);
    await pair.connect("encap ip", "cookie 0a0b0c0d peer_cookie 0a0b0c0d", UNDERLAY_6);
    assert.equal(mtuOf(pair.hosts[0], "l2tpeth0"), 1434);
    await pair.reaches();
    await pair.l2tp(1, "set session tid 2 sid 11 peer_cookie 01020304 peer_cookie2 0a0b0c0d");
    await pair.reaches();
    await pair.l2tp(0, "set session tid 1 sid 10 cookie 01020304");
    await pair.reaches();
    await pair.l2tp(1, "set session tid 2 sid 11 peer_cookie2 none");
    await pair.reaches();
    assert.equal((await pair.session(1)).statistics.rx.cookie_discards, 0);
  },
);

kernelTest(
  "a device that exists is taken over, another is in a namespace of its own",
  [],
  async (lab) => {
    const pair = await Pair.start(lab);
    const customer = lab.namespace("c");
    pair.hosts[1].ip("tuntap", "add", "old0", "mode", "tap");
    const tunnel = (i: 0 | 1) =>
      `add tunnel tid ${i + 1} ptid ${2 - i} local ${UNDERLAY[i]} remote ${UNDERLAY[1 - i]} udp_sport 1701 udp_dport 1701`;
    await pair.l2tp(0, tunnel(0));
    await pair.l2tp(1, tunnel(1));
    await pair.l2tp(0, `add session tid 1 sid 10 psid 11 netns ${customer.name}`);
    await pair.l2tp(1, "add session tid 2 sid 11 psid 10 name old0");
    customer.address("l2tpeth0", `${INSIDE[0]}/24`);
    customer.up("l2tpeth0");
    pair.address(1, "old0");
    await pair.reaches(customer);
  },
);

kernelTest("a reload leaves alone what the file leaves as it was", [], async (lab) => {
  const file = (i: 0 | 1, sessions: string) => `l2tp:
  tunnels:
    wire:
      tunnelId: 1
      peerTunnelId: 1
      local: ${UNDERLAY[i]}
      remote: ${UNDERLAY[1 - i]}
      udpSport: 1701
      udpDport: 1701
      sessions: [${sessions}]
`;
  const paths = [0, 1].map((i) => path.join(lab.folder, `${i}.yaml`));
  const first = "{ sessionId: 10, peerSessionId: 10, name: one0 }";
  for (const i of [0, 1] as const) writeFileSync(paths[i]!, file(i, first));
  const pair = await Pair.start(lab, [
    ["-c", paths[0]!],
    ["-c", paths[1]!],
  ]);
  for (const i of [0, 1] as const) pair.address(i, "one0");
  await pair.reaches();
  const before = pair.hosts[0].ip("link", "show", "one0").split(":")[0];
  writeFileSync(paths[0]!, file(0, `${first}, { sessionId: 12, peerSessionId: 12, name: two0 }`));
  assert.match(await pair.l2tp(0, "reload"), /1 added, 0 changed, 0 removed, 2 left alone/);
  pair.hosts[0].ip("link", "show", "two0");
  writeFileSync(paths[0]!, "l2tp: { tunnels: 7 }\n");
  const refused = await pair.tryL2tp(0, "reload");
  assert.match(refused.stderr, /l2tp\.tunnels: expected a map/);
  assert.equal(refused.code, 2);
  assert.equal(pair.hosts[0].ip("link", "show", "one0").split(":")[0], before, "the same device");
  await pair.reaches();
});
