/** A relay of somebody else's, on `node:dgram` and the engine as a library, and Culvert's gateway. */
import assert from "node:assert/strict";
import { dropInRelay } from "../../bench/dropin/programs.ts";
import { RELAY, SOURCES } from "../../src/lab/tree.ts";
import { counted, eventually, Network, PORT } from "./culvert.ts";
import { kernelTest } from "./needs.ts";

const GROUP = "232.1.1.1";
/** The relay's own address on the link where the sources are. */
const UPSTREAM = "198.51.100.2";

for (const engine of ["wasm", "reference"] as const)
  kernelTest(
    `a relay that takes the ${engine} engine in serves a gateway, which leaves again`,
    [],
    async (lab) => {
      const network = new Network(lab);
      const words = [dropInRelay(lab.folder, engine), UPSTREAM, String(PORT), RELAY];
      await network.tree.relay.start(process.execPath, words).ready();
      // Discovery, Request, Query, Update.
      await network.gateway(0, "--discovery");
      const listener = await network.join(0, GROUP, SOURCES[0]);
      // The sources that the sockets of the relay's host have joined.
      const joined = () => network.tree.relay.read("/proc/net/mcfilter").includes("0xe8010101");
      await eventually("the relay's join", 20_000, joined);
      const source = await network.send(GROUP);
      await network.send(GROUP, { source: SOURCES[1] });
      await counted(listener, 1_000);
      const { streams, foreign } = await listener.leave();
      assert.deepEqual(
        streams.map(({ source: from, lost, duplicated }) => [from, lost, duplicated]),
        [[SOURCES[0], 0, 0]],
      );
      assert.equal(foreign, 0);
      await source.stop();
      await eventually("the relay's leave", 20_000, () => !joined());
    },
  );
