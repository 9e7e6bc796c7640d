/** What a lane of each role does with what comes from each of its ports. */
import {
  FRAME_IP,
  FRAME_VNET,
  PORT_INLETS,
  PORT_LINKS,
  PORT_OUTLET,
  RX_UDP_PORT,
} from "../../assembly/layout/arena.ts";
import type { Core } from "../engine/core.ts";
import { monotonic } from "../os/clock.ts";
import type { ArenaView, Port } from "../ports/port.ts";
import type { Holding, Lane, Stage } from "./lane.ts";
import {
  REGION_DEVICES,
  REGION_SOCKETS,
  regionAddress,
  regionsOf,
  type FixedPorts,
  type PortPlan,
} from "./plan.ts";

/** A port that a lane reads, over the receive region that `regionsOf` gives it. */
export interface Inflow {
  readonly port: Port;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** The socket's UDP port, for FRAME_UDP. */
  readonly udpPort?: number | undefined;
}

/**
 * Prepares the receive regions and gives the lane its ports: `inflows` are the AMT socket, then a
 * relay's ingress or a gateway's device; `outlet` may be one of them. `links` sends to a gateway's
 * downstream interfaces. Returns the inflows' numbers.
 */
export function openFixed(
  lane: Lane,
  role: FixedPorts["role"],
  core: Core,
  arena: ArenaView,
  inflows: readonly Inflow[],
  outlet: Port | undefined,
  links?: Port,
): number[] {
  const stages = fixedStages(role, core, arena, inflows);
  if (outlet && !inflows.some(({ port }) => port === outlet)) lane.open(PORT_OUTLET, outlet);
  if (links) lane.open(PORT_LINKS, links);
  return inflows.map(({ port }, index) => {
    const number = port === outlet ? PORT_OUTLET : PORT_INLETS + index;
    lane.open(number, port, stages[index]);
    return number;
  });
}

function fixedStages(
  role: FixedPorts["role"],
  core: Core,
  arena: ArenaView,
  inflows: readonly Inflow[],
): Stage[] {
  const regions = regionsOf(inflows);
  const view = new DataView(arena.memory.buffer);
  return inflows.map(({ frame, udpPort }, index): Stage => {
    const region = regions[index]!;
    core.rxPrepare(region, frame);
    if (role === "relay")
      return index === 0
        ? { region, begin: (messages) => core.relayControl(region, messages) }
        : {
            region,
            begin(messages) {
              if (udpPort !== undefined) view.setUint16(region + RX_UDP_PORT, udpPort);
              core.ingest(region, messages, frame);
            },
            fill: () => core.relayFill(),
          };
    return index === 0
      ? {
          region,
          begin: (messages) => core.gatewayReceive(region, messages),
          fill: () => core.gatewayFill(),
        }
      : { region, begin: (messages) => core.deviceControl(region, messages, frame) };
  });
}

/** What an L2TP lane does with what comes from a port of each kind; nothing comes from a capture. */
export type L2tpStages = Readonly<Record<Exclude<PortPlan["kind"], "capture">, Stage>>;

/** Prepares the receive regions; ports of one kind share a stage. */
export function l2tpStages(core: Core): L2tpStages {
  const sockets = regionAddress(REGION_SOCKETS);
  const devices = regionAddress(REGION_DEVICES);
  core.rxPrepare(sockets, FRAME_IP);
  core.rxPrepare(devices, FRAME_VNET);
  const tunnel: Stage = {
    region: sockets,
    begin: (messages, port) => core.l2tpReceive(sockets, messages, port, now()),
    fill: () => core.l2tpReceiveFill(),
  };
  const frames = (region: number): Stage => ({
    region,
    begin: (messages, port) => core.l2tpSend(region, messages, port, now()),
    fill: () => core.l2tpSendFill(),
  });
  return { udp: tunnel, raw: tunnel, device: frames(devices), frames: frames(sockets) };
}

/** What an L2TP lane does with packets that are held until those before them have come. */
export function l2tpHolding(core: Core): Holding {
  return {
    held: () => core.l2tpHeld(),
    begin: () => core.l2tpExpire(now()),
    fill: () => core.l2tpReceiveFill(),
  };
}

/** Milliseconds of the host's monotonic clock, modulo 2^32. */
function now(): number {
  return monotonic() >>> 0;
}
