/** What a lane of each role does with what comes from each of its ports. */
import { RX_UDP_PORT } from "../../assembly/layout/arena.ts";
import type { Core } from "../engine/core.ts";
import type { ArenaView, Port } from "../ports/port.ts";
import type { Stage } from "./lane.ts";
import { regionsOf, type LanePlan } from "./plan.ts";

/** A port that a lane reads, over the receive region that `regionsOf` gives it. */
export interface Inflow {
  readonly port: Port;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** The socket's UDP port, for FRAME_UDP. */
  readonly udpPort?: number | undefined;
}

/**
 * Prepares the receive regions and tells the stages: `inflows` are the AMT socket, then a relay's
 * ingress or a gateway's device.
 */
export function makeStages(
  role: LanePlan["role"],
  core: Core,
  arena: ArenaView,
  inflows: readonly Inflow[],
): Stage[] {
  const regions = regionsOf(inflows);
  const view = new DataView(arena.memory.buffer);
  return inflows.map(({ port, frame, udpPort }, index): Stage => {
    const region = regions[index]!;
    core.rxPrepare(region, frame);
    const common = { port, region };
    if (role === "relay")
      return index === 0
        ? { ...common, begin: (messages) => core.relayControl(region, messages) }
        : {
            ...common,
            begin(messages) {
              if (udpPort !== undefined) view.setUint16(region + RX_UDP_PORT, udpPort);
              core.ingest(region, messages, frame);
            },
            fill: () => core.relayFill(),
          };
    return index === 0
      ? {
          ...common,
          begin: (messages) => core.gatewayReceive(region, messages),
          fill: () => core.gatewayFill(),
        }
      : { ...common, begin: (messages) => core.deviceControl(region, messages, frame) };
  });
}
