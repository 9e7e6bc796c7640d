/** The Worker of one lane: makes its ports and its core, and runs the loop until told to stop. */
import { parentPort, workerData } from "node:worker_threads";
import { OsError } from "../core/errors.ts";
import { startCore, type Core } from "../engine/core.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { baseAddress, wantHugePages } from "../os/libc.ts";
import { DevicePort } from "../ports/device.ts";
import { viewArena, type ArenaView, type Port } from "../ports/port.ts";
import { SocketPort } from "../ports/socket.ts";
import { StreamPort } from "../ports/stream.ts";
import { Lane, type Stage } from "./lane.ts";
import {
  frameHeader,
  regionAddress,
  regionsOf,
  type FromLane,
  type LanePlan,
  type ToLane,
} from "./plan.ts";
import { ARENA_HEAP, ARENA_PAGES_MAX, RX_UDP_PORT } from "../../assembly/layout/arena.ts";

/** Octets of a page of WebAssembly memory. */
const PAGE = 65_536;

if (parentPort) run(parentPort, workerData as LanePlan);

type Parent = NonNullable<typeof parentPort>;

function run(parent: Parent, plan: LanePlan): void {
  const say = (message: FromLane): void => parent.postMessage(message);
  const base = baseAddress(plan.arena);
  const arena = viewArena(plan.arena, base);
  wantHugePages(base + ARENA_HEAP, ARENA_PAGES_MAX * PAGE - ARENA_HEAP);
  const core = startCore(plan.module, plan.arena, base, new SystemEntropy());
  const { stages, outlet } = build(plan, arena, core);
  const lane = new Lane(core, plan.arena, stages, outlet, () => say("punts"));
  parent.on("message", (message: ToLane) => {
    if (message === "commands") return lane.commands();
    lane.stop();
    say("stopped");
    parent.close();
  });
  process.on("uncaughtException", (error) => {
    const reason = error instanceof OsError ? error.message : (error.stack ?? String(error));
    lane.close(); // the core, which may have trapped, is not asked any more
    say({ died: reason });
    process.exit(1);
  });
  lane.start();
  say("ready");
}

/** The stages of a plan, over ports of its descriptors. One descriptor has one port. */
function build(
  plan: LanePlan,
  arena: ArenaView,
  core: Core,
): { stages: readonly Stage[]; outlet: Port } {
  const others = plan.inlets.slice(1);
  const regions = regionsOf(plan.inlets);
  const view = new DataView(plan.arena.buffer);
  const ports = plan.inlets.map((inlet, index): Port => {
    const region = regions[index]!;
    core.rxPrepare(region, inlet.frame);
    return inlet.kind === "device"
      ? new DevicePort(arena, inlet.fd, region, frameHeader(inlet.frame))
      : new SocketPort(arena, inlet.fd, region);
  });
  const outlet = outletOf(plan, arena, ports);
  const stages: Stage[] = [];
  if (plan.role === "relay") {
    stages.push(stage(0, (region, messages) => core.relayControl(region, messages)));
    for (const [i, inlet] of others.entries())
      stages.push(
        stage(
          i + 1,
          (region, messages) => {
            if (inlet.port !== undefined) view.setUint16(region + RX_UDP_PORT, inlet.port);
            core.ingest(region, messages, inlet.frame);
          },
          () => core.relayFill(),
        ),
      );
  } else {
    stages.push(
      stage(
        0,
        (region, messages) => core.gatewayReceive(region, messages),
        () => core.gatewayFill(),
      ),
    );
    for (const [i, inlet] of others.entries())
      stages.push(
        stage(i + 1, (region, messages) => core.deviceControl(region, messages, inlet.frame)),
      );
  }
  return { stages, outlet };

  function stage(
    index: number,
    begin: (region: number, messages: number) => void,
    fill?: () => number,
  ): Stage {
    const region = regions[index]!;
    const common = {
      port: ports[index]!,
      region,
      begin: (messages: number) => begin(region, messages),
    };
    return fill ? { ...common, fill } : common;
  }
}

/** A relay and a gateway with a device send on a port they read, too; a receiver has its own. */
function outletOf(plan: LanePlan, arena: ArenaView, ports: readonly Port[]): Port {
  if (plan.outlet === "socket") return ports[0]!;
  if (plan.outlet === "device") return ports[1]!;
  return plan.outlet.kind === "stream"
    ? new StreamPort(arena, plan.outlet.fd)
    : new SocketPort(arena, plan.outlet.fd, regionAddress(1));
}
