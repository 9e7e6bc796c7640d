/** The Worker of one lane: makes its ports and its core, and runs the loop until told to stop. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { startCore, type Core } from "../engine/core.ts";
import { keepTo } from "../os/affinity.ts";
import { answerBell } from "../os/bell.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { Epoll } from "../os/epoll.ts";
import { baseAddress, wantHugePages } from "../os/libc.ts";
import { openRing, ringLength, type RingShape } from "../os/packet-ring.ts";
import { takePrecedence } from "../os/priority.ts";
import { DevicePort } from "../ports/device.ts";
import { FramesPort } from "../ports/frames.ts";
import { CaptureOutlet } from "../ports/pcap.ts";
import { viewArena, type ArenaView, type Port } from "../ports/port.ts";
import { GATHER_MOST, RingPort } from "../ports/ring.ts";
import { SocketPort } from "../ports/socket.ts";
import { StreamPort } from "../ports/stream.ts";
import { Lane, type LaneCalls } from "./lane.ts";
import {
  deathReason,
  frameHeader,
  REGION_DEVICES,
  REGION_SOCKETS,
  regionAddress,
  regionOf,
  type FixedPorts,
  type FromLane,
  type LanePlan,
  type PortPlan,
  type ToLane,
} from "./plan.ts";
import { l2tpHolding, l2tpStages, openFixed, type Inflow, type L2tpStages } from "./stages.ts";
import { ARENA_HEAP, ARENA_PAGES_MAX } from "../../assembly/layout/arena.ts";

/** Octets of a page of WebAssembly memory. */
const PAGE = 65_536;

if (parentPort) run(parentPort, workerData as LanePlan);

type Parent = NonNullable<typeof parentPort>;

function run(parent: Parent, plan: LanePlan): void {
  const say = (message: FromLane): void => parent.postMessage(message);
  const waiting = new Epoll(plan.epoll, (plan.busyPoll ?? 0) / 1_000);
  const fail = (error: Error): void => {
    // A thread does not end well within a callback of koffi's.
    waiting.soon(() => {
      throw error;
    });
  };
  if (plan.processor !== undefined) keepTo(plan.processor);
  takePrecedence();
  const base = baseAddress(plan.arena);
  const arena = viewArena(plan.arena, base);
  wantHugePages(base + ARENA_HEAP, ARENA_PAGES_MAX * PAGE - ARENA_HEAP);
  const core = startCore(plan.module, plan.arena, base, new SystemEntropy());
  const open = plan.role === "l2tp";
  const lose = (port: number, reason: Error): void =>
    say({ lost: port, reason: deathReason(reason) });
  const calls: LaneCalls = {
    punts: () => say("punts"),
    failed: fail,
    ...(open ? { lost: lose } : {}),
  };
  const lane = new Lane(core, plan.arena, calls, open ? l2tpHolding(core) : undefined, waiting);
  const stages = open ? l2tpStages(core) : undefined;
  if (plan.role !== "l2tp") {
    const inflows = openInlets(plan, core, arena);
    const outlet = openOutlet(plan, arena, inflows);
    const links =
      plan.links === undefined ? undefined : new SocketPort(arena, plan.links, regionAddress(1));
    openFixed(lane, plan.role, core, arena, inflows, outlet, links);
  }
  const obey = (message: Exclude<ToLane, "commands">): void => {
    if (message === "stop") {
      lane.stop();
      waiting.close();
      return say("stopped");
    }
    if ("close" in message) {
      lane.shut(message.close);
      return say({ closed: message.close });
    }
    for (const port of message.open)
      try {
        openPort(lane, port, arena, stages!);
      } catch (error) {
        lose(port.port, error as Error);
      }
  };
  waiting.watch(plan.bell, { readable: true }, () => {
    answerBell(plan.bell);
    // Ports are told of after their commands are in the ring, so that no packet comes between.
    for (;;) {
      const received = receiveMessageOnPort(parent);
      if (!received) return lane.commands();
      obey((received as { message: Exclude<ToLane, "commands"> }).message);
    }
  });
  process.on("uncaughtException", (error) => {
    lane.close(); // the core, which may have trapped, is not asked any more
    say({ died: deathReason(error) });
    process.exit(1);
  });
  say("ready");
}

/** Gives an L2TP lane one more port. */
function openPort(lane: Lane, plan: PortPlan, arena: ArenaView, stages: L2tpStages): void {
  const { kind, fd, header, linkType, writeOnly } = plan;
  if (kind === "capture") return lane.open(plan.port, new CaptureOutlet(arena, fd, linkType));
  const sockets = regionAddress(REGION_SOCKETS);
  const port =
    kind === "device"
      ? new DevicePort(arena, fd, regionAddress(REGION_DEVICES), header)
      : kind === "frames"
        ? new FramesPort(arena, fd, sockets)
        : new SocketPort(arena, fd, sockets);
  lane.open(plan.port, port, writeOnly ? undefined : stages[kind]);
}

/** Ports over the plan's descriptors. One descriptor has one port. */
function openInlets(
  plan: FixedPorts & Pick<LanePlan, "busyPoll">,
  core: Core,
  arena: ArenaView,
): Inflow[] {
  // Who looks for packets for longer than they gather asks for the least delay.
  const gathers = (plan.busyPoll ?? 0) < GATHER_MOST;
  return plan.inlets.map(({ kind, fd, frame, port: udpPort, amt, ingress, ring }, index) => {
    const region = regionOf(index, amt);
    const port =
      kind === "device"
        ? new DevicePort(arena, fd, region, frameHeader(frame))
        : ((ring && openRingPort(core, arena, fd, region, ring, gathers)) ??
          new SocketPort(arena, fd, region));
    return { port, frame, udpPort, amt, ingress };
  });
}

/** A port over a ring in new memory of the arena; undefined where there is none to be had. */
function openRingPort(
  core: Core,
  arena: ArenaView,
  fd: number,
  region: number,
  shape: RingShape,
  gathers: boolean,
): Port | undefined {
  const ring = grow(arena.memory, ringLength(shape) / PAGE);
  if (ring === undefined || openRing(fd, shape, arena.base + ring) < 0) return undefined;
  return new RingPort(core, arena, fd, region, shape, ring, gathers);
}

/** Where new memory of so many pages begins; undefined when the arena is as large as it may be. */
function grow(memory: WebAssembly.Memory, pages: number): number | undefined {
  try {
    return memory.grow(pages) * PAGE;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** A relay and a gateway with a device send on a port they read, too; a receiver has its own. */
function openOutlet(
  { inlets, outlet }: FixedPorts,
  arena: ArenaView,
  inflows: readonly Inflow[],
): Port | undefined {
  if (outlet === "none") return undefined;
  if (outlet === "socket") return inflows[0]!.port;
  if (outlet === "device") return inflows[inlets.findIndex(({ kind }) => kind === "device")]!.port;
  if (outlet.kind === "stream") return new StreamPort(arena, outlet.fd);
  if (outlet.kind === "capture") return new CaptureOutlet(arena, outlet.fd);
  return new SocketPort(arena, outlet.fd, regionAddress(1));
}
