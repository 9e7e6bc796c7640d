/** What a lane of each role does with what comes from each of its ports. */
import {
  ARENA_CONFIG,
  CONFIG_RATE,
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
  regionOf,
  type FixedPorts,
  type PortPlan,
} from "./plan.ts";

/** A port that a lane reads, over the receive region that `regionOf` gives it. */
export interface Inflow {
  readonly port: Port;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** The socket's UDP port, for FRAME_UDP. */
  readonly udpPort?: number | undefined;
  /** True for a gateway's AMT socket besides the first. */
  readonly amt?: boolean | undefined;
  /** The number, from 1, of the ingress interface, where a relay has several. */
  readonly ingress?: number | undefined;
}

/**
 * Gives the lane its ports: `inflows` are the AMT sockets, then a relay's ingress or a gateway's
 * device; `outlet` may be one of them. `links` sends to a gateway's downstream interfaces. Returns the
 * inflows' numbers. `clock` tells milliseconds; a relay with several ingress interfaces, or a limit for
 * tunnels, asks it once for each batch.
 */
export function openFixed(
  lane: Lane,
  role: FixedPorts["role"],
  core: Core,
  arena: ArenaView,
  inflows: readonly Inflow[],
  outlet: Port | undefined,
  links?: Port,
  clock = now,
): number[] {
  const stages = fixedStages(role, core, arena, inflows, clock);
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
  clock: () => number,
): Stage[] {
  const view = new DataView(arena.memory.buffer);
  return inflows.map(({ port, frame, udpPort, amt, ingress = 0 }, index): Stage => {
    const common = { region: regionOf(index, amt), frame };
    const { region } = common;
    if (role === "relay")
      return index === 0
        ? { ...common, begin: (messages) => core.relayControl(region, messages) }
        : {
            ...common,
            begin(messages) {
              if (udpPort !== undefined) view.setUint16(region + RX_UDP_PORT, udpPort);
              const isLimited = view.getUint32(ARENA_CONFIG + CONFIG_RATE, true) > 0;
              const now = ingress > 0 || isLimited ? clock() : 0;
              const { held } = port;
              if (held === undefined) return core.ingest(region, messages, frame, ingress, now);
              const { ring, frames, shift, first } = held;
              // prettier-ignore
              core.ingestFrames(region, ring, frames, shift, first, messages, frame, ingress, now);
            },
            fill: () => core.relayFill(),
            tooBig: (first) => core.unsentTooBig(first),
          };
    return index === 0 || amt
      ? {
          ...common,
          begin: (messages) => core.gatewayReceive(region, messages),
          fill: () => core.gatewayFill(),
        }
      : { ...common, begin: (messages) => core.deviceControl(region, messages, frame) };
  });
}

/** What an L2TP lane does with what comes from a port of each kind; nothing comes from a capture. */
export type L2tpStages = Readonly<Record<Exclude<PortPlan["kind"], "capture">, Stage>>;

/** Ports of one kind share a stage. */
export function l2tpStages(core: Core): L2tpStages {
  const sockets = regionAddress(REGION_SOCKETS);
  const devices = regionAddress(REGION_DEVICES);
  const tunnel: Stage = {
    region: sockets,
    frame: FRAME_IP,
    begin: (messages, port) => core.l2tpReceive(sockets, messages, port, now()),
    fill: () => core.l2tpReceiveFill(),
  };
  const frames = (region: number, frame: number): Stage => ({
    region,
    frame,
    begin: (messages, port) => core.l2tpSend(region, messages, port, now()),
    fill: () => core.l2tpSendFill(),
  });
  return {
    udp: tunnel,
    raw: tunnel,
    device: frames(devices, FRAME_VNET),
    frames: frames(sockets, FRAME_IP),
  };
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
