#!/usr/bin/env node
/** The `culvert` command. */
import { culvert } from "./program.ts";

/** How long a handle that was forgotten may keep an ended command alive. */
const GRACE = 1_000;

// Whoever read what we tell may be gone, as a log that is restarted: no reason to end a relay.
process.stderr.on("error", () => undefined);

process.exitCode = await culvert(process.argv.slice(2), {
  starters: async () => {
    const { startRelay, startGateway, startL2tp, startReceive } =
      await import("../runtime/index.ts");
    return {
      relay: startRelay,
      gateway: startGateway,
      receive: startReceive,
      l2tp: startL2tp,
    };
  },
  probes: async () => (await import("../os/probe.ts")).probeHost(),
  demo: async (args) => (await import("../demo/index.ts")).runDemo(args),
  bench: async (args) => (await import("../../bench/index.ts")).runBench(args),
});
setTimeout(() => process.exit(), GRACE).unref();
