/** What replays of a capture count. */
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import type { PacketEngine } from "../../src/engine/packet-engine.ts";
import type { Captured, Expected } from "./capture-file.ts";
import { type Refused, replayEngine, replayGateway, replayRelay } from "./replay.ts";
import type { Scenario } from "./scenarios.ts";

/** Plays the capture of a scenario through all of ours that took part in it. */
export function replay(
  scenario: Scenario,
  packets: readonly Captured[],
  engine: PacketEngine = createReferenceEngine(),
  refused?: Refused,
): Expected {
  const { relay, gateway, at, options } = scenario;
  return {
    engines: sorted(replayEngine(packets, engine)),
    ...(relay === "culvert" && { relay: sorted(replayRelay(packets, options, refused)) }),
    ...(gateway === "culvert" && { gateway: sorted(replayGateway(packets, at!, refused)) }),
  };
}

function sorted(counters: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1)));
}
