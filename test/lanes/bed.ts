/** A lane on a desk: the real core and loop over memory ports. */
import { ARENA_COMMANDS, FRAME_VNET } from "../../assembly/layout/arena.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { CommandWriter, PuntReader, readLedger, type Ledger } from "../../src/engine/arena.ts";
import { compileCore, createArena, startCore, type Core } from "../../src/engine/core.ts";
import { Lane, type Stage } from "../../src/lanes/lane.ts";
import { frameHeader, regionAddress } from "../../src/lanes/plan.ts";
import { MemoryPort } from "../../src/ports/memory.ts";
import { viewArena } from "../../src/ports/port.ts";

/** Where the arena pretends to lie: beyond 32 bits, so that a lost upper half shows. */
const BASE = 0x7f12_3456_7000;

const entropy: Entropy = { u32: () => 0x1234_5678, fraction: () => 0.5 };

export interface Bed {
  readonly core: Core;
  readonly lane: Lane;
  /** What the lane does with each port, the AMT socket's first. */
  readonly stages: readonly Stage[];
  readonly commands: CommandWriter;
  readonly punts: PuntReader;
  /** The AMT socket. */
  readonly socket: MemoryPort;
  /** A relay's ingress, or a gateway's device. */
  readonly inner: MemoryPort;
  /** How often the lane was told of commands, and the control thread of punts. */
  readonly doorbells: { commands: number; punts: number };
  /** Lets the lane take all that waits, and apply commands. */
  run(): void;
  ledger(): Ledger;
}

/** A lane of this role; `frame` is what stands before packets on its inner port. */
export function makeBed(role: "relay" | "gateway", frame = FRAME_VNET, simd = true): Bed {
  const arena = createArena();
  const core = startCore(compileCore({ simd }).module, arena, BASE, entropy);
  const view = viewArena(arena, BASE);
  const [outer, inside] = [regionAddress(0), regionAddress(1)];
  core.rxPrepare(outer, 1);
  core.rxPrepare(inside, frame);
  const socket = new MemoryPort(view, outer, 0);
  const inner = new MemoryPort(view, inside, frameHeader(frame));
  const stages: Stage[] =
    role === "relay"
      ? [
          { port: socket, region: outer, begin: (n) => core.relayControl(outer, n) },
          {
            port: inner,
            region: inside,
            begin: (n) => core.ingest(inside, n, frame),
            fill: () => core.relayFill(),
          },
        ]
      : [
          {
            port: socket,
            region: outer,
            begin: (n) => core.gatewayReceive(outer, n),
            fill: () => core.gatewayFill(),
          },
          { port: inner, region: inside, begin: (n) => core.deviceControl(inside, n, frame) },
        ];
  const doorbells = { commands: 0, punts: 0 };
  const outlet = role === "relay" ? socket : inner;
  const lane = new Lane(core, arena, stages, outlet, () => doorbells.punts++);
  lane.start();
  const commands = new CommandWriter(arena, () => doorbells.commands++);
  return {
    core,
    lane,
    stages,
    commands,
    punts: new PuntReader(arena),
    socket,
    inner,
    doorbells,
    run() {
      do {
        commands.flush();
        lane.commands();
      } while (core.ringWaiting(ARENA_COMMANDS) > 0 && lane.idle);
      for (const stage of stages)
        while ((stage.port as MemoryPort).arrivals.length > 0 && lane.pump(stage));
      lane.commands();
    },
    ledger: () => readLedger(arena),
  };
}
