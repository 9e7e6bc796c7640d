/** Tunnels whose underlay goes away under their sockets, and sockets that the system takes away. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Namespace } from "../../src/lab/lab.ts";
import type { DaemonStatus } from "../../src/runtime/control.ts";
import { askStatus } from "../../src/runtime/control.ts";
import type { L2tpTunnelStatus } from "../../src/runtime/service.ts";
import { eventually } from "./culvert.ts";
import { answers, Pair, UNDERLAY, UNDERLAY_6 } from "./l2tp-pair.ts";
import { kernelTest } from "./needs.ts";

const PATIENCE_MS = 60_000;

/** Takes the addresses of a host's end of the underlay, or gives them back. */
function move(host: Namespace, i: 0 | 1, what: "add" | "del"): void {
  host.ip("address", what, `${UNDERLAY[i]}/24`, "dev", "eth0");
  host.ip(
    "address",
    what,
    `${UNDERLAY_6[i]}/64`,
    "dev",
    "eth0",
    ...(what === "add" ? ["nodad"] : []),
  );
}

async function counters(pair: Pair): Promise<DaemonStatus["services"][number]["counters"]> {
  const { services } = await askStatus(pair.daemons[0].control);
  return services[0]!.counters;
}

for (const [tunnel, ends] of [
  ["encap udp", UNDERLAY],
  ["encap ip", UNDERLAY_6],
] as const)
  kernelTest(
    `a tunnel goes on when its address and its link were away: ${tunnel} over ${ends[0]}`,
    [],
    async (lab) => {
      const pair = await Pair.start(lab);
      await pair.connect(tunnel, "seq both", ends);
      await pair.reaches();
      const [here, there] = pair.hosts;
      move(here, 0, "del");
      assert.ok(!answers(here, 56), "no way without the address");
      move(here, 0, "add");
      await pair.reaches();
      here.ip("link", "del", "eth0");
      assert.ok(!answers(here, 56), "no way without the link");
      lab.connect(here, "eth0", there, "eth0");
      for (const i of [0, 1] as const) move(pair.hosts[i], i, "add");
      await pair.reaches();
      const { l2tp_sockets_lost: lost = 0 } = await counters(pair);
      assert.equal(lost, 0);
    },
  );

for (const lanes of [1, 2])
  kernelTest(
    `a socket that the system destroys is opened again, as soon as it can be, in ${lanes} of ${lanes} lanes`,
    [],
    async (lab) => {
      const file = path.join(lab.folder, "lanes.yaml");
      writeFileSync(file, `l2tp: { lanes: ${lanes}, tunnels: {} }\n`);
      const pair = await Pair.start(lab, [["-c", file], []]);
      await pair.connect("encap udp udp_csum on", "seq both", UNDERLAY);
      await pair.reaches();
      const [host] = pair.hosts;
      const isLost = async () => {
        const shown = await pair.l2tp(0, "show tunnel --json");
        return (JSON.parse(shown) as L2tpTunnelStatus[])[0]!.socket_lost === true;
      };
      // Its address is away as well, so that it cannot be opened at once.
      move(host, 0, "del");
      host.run("ss", "--kill", "--udp", "--all", "sport", "=", "5000");
      await eventually("a lost socket", PATIENCE_MS, isLost);
      const said = () => pair.daemons[0].program.stderr;
      await eventually("a complaint", PATIENCE_MS, () =>
        /is still lost: .*10\.1\.0\.1/.test(said()),
      );
      assert.match(await pair.l2tp(0, "show tunnel"), /socket lost/);
      // What has to do with the lost socket can come and go meanwhile.
      await pair.l2tp(0, "add session tid 1 sid 77 psid 77");
      await pair.l2tp(0, "del session tid 1 sid 77");
      move(host, 0, "add");
      await eventually("the socket", PATIENCE_MS, async () => !(await isLost()));
      await pair.reaches();
      assert.match(said(), /the socket of 10\.1\.0\.1:5000 is lost and will be opened again/);
      assert.match(said(), /the socket of 10\.1\.0\.1:5000 is open again/);
      const counts = await counters(pair);
      assert.deepEqual(
        [counts["l2tp_sockets_lost"], counts["l2tp_sockets_reopened"]],
        [1, 1],
        JSON.stringify(counts),
      );
      // A tunnel whose socket is lost can be deleted, and made anew.
      move(host, 0, "del");
      host.run("ss", "--kill", "--udp", "--all", "sport", "=", "5000");
      await eventually("a loss", PATIENCE_MS, isLost);
      await pair.l2tp(0, "del tunnel tid 1");
      move(host, 0, "add");
      const ends = `local ${UNDERLAY[0]} remote ${UNDERLAY[1]} udp_sport 5000 udp_dport 5001`;
      await pair.l2tp(0, `add tunnel tid 1 ptid 2 ${ends} udp_csum on`);
      await pair.l2tp(0, "add session tid 1 sid 10 psid 11 seq both");
      pair.address(0, "l2tpeth0");
      await pair.reaches();
    },
  );
