/** A lane on a desk: the real core and loop over memory ports. */
import { ARENA_COMMANDS, FRAME_IP, FRAME_VNET } from "../../assembly/layout/arena.ts";
import type { Entropy } from "../../src/core/machine.ts";
import { CommandWriter, PuntReader, readLedger, type Ledger } from "../../src/engine/arena.ts";
import { compileCore, createArena, startCore, type Core } from "../../src/engine/core.ts";
import { Lane } from "../../src/lanes/lane.ts";
import { frameHeader, regionAddress } from "../../src/lanes/plan.ts";
import { openFixed, type Inflow } from "../../src/lanes/stages.ts";
import { MemoryPort } from "../../src/ports/memory.ts";
import { viewArena, type ArenaView, type Port } from "../../src/ports/port.ts";

/** Where the arena pretends to lie: beyond 32 bits, so that a lost upper half shows. */
const BASE = 0x7f12_3456_7000;

const entropy: Entropy = { u32: () => 0x1234_5678, fraction: () => 0.5 };

export interface Bed {
  readonly core: Core;
  readonly lane: Lane;
  /** The number of each port. */
  readonly numbers: ReadonlyMap<Port, number>;
  readonly commands: CommandWriter;
  readonly punts: PuntReader;
  /** The AMT socket. */
  readonly socket: MemoryPort;
  /** A relay's ingress, or a gateway's device. */
  readonly inner: MemoryPort;
  /** What a gateway sends to its links by. */
  readonly links: MemoryPort;
  /** How often the lane was told of commands, and the control thread of punts. */
  readonly doorbells: { commands: number; punts: number };
  /** Lets the lane take all that waits, and apply commands. */
  run(): void;
  ledger(): Ledger;
}

/** A lane of this role; `frame` is what stands before packets on its inner port. */
export function makeBed(role: "relay" | "gateway", frame = FRAME_VNET, simd = true): Bed {
  let inner!: MemoryPort;
  const makeInner = (arena: ArenaView): Inflow => {
    inner = new MemoryPort(arena, regionAddress(1), frameHeader(frame));
    return { port: inner, frame };
  };
  return { ...layBed(role, makeInner, simd), inner };
}

/** A relay's lane with an ingress interface for each of these frames, whose time is `clock`. */
export function makeIngressBed(
  frames: readonly number[],
  clock: () => number,
  simd = true,
): Omit<Bed, "inner"> & { readonly ingress: readonly MemoryPort[] } {
  const ingress: MemoryPort[] = [];
  const makeInners = (arena: ArenaView): Inflow[] =>
    frames.map((frame, i) => {
      ingress.push(new MemoryPort(arena, regionAddress(1), frameHeader(frame)));
      return { port: ingress[i]!, frame, ingress: i + 1 };
    });
  return { ...lay("relay", makeInners, simd, clock), ingress };
}

/** A lane of this role over an inner port of any kind; `run` pumps only ports in memory. */
export function layBed(
  role: "relay" | "gateway",
  makeInner: (arena: ArenaView) => Inflow,
  simd = true,
): Omit<Bed, "inner"> {
  return lay(role, (arena) => [makeInner(arena)], simd);
}

function lay(
  role: "relay" | "gateway",
  makeInners: (arena: ArenaView) => readonly Inflow[],
  simd: boolean,
  clock?: () => number,
): Omit<Bed, "inner"> {
  const arena = createArena();
  const core = startCore(compileCore({ simd }).module, arena, BASE, entropy);
  const view = viewArena(arena, BASE);
  const socket = new MemoryPort(view, regionAddress(0), 0);
  const inners = makeInners(view);
  const inflows = [{ port: socket, frame: FRAME_IP }, ...inners];
  const outlet = role === "relay" ? socket : inners[0]!.port;
  const links = new MemoryPort(view, regionAddress(1), 0);
  const doorbells = { commands: 0, punts: 0 };
  const fail = (error: Error): never => {
    throw error;
  };
  const lane = new Lane(core, arena, { punts: () => doorbells.punts++, failed: fail });
  const opened = openFixed(lane, role, core, view, inflows, outlet, links, clock);
  const numbers = new Map(inflows.map(({ port }, i) => [port, opened[i]!]));
  const commands = new CommandWriter(arena, () => doorbells.commands++);
  return {
    core,
    lane,
    numbers,
    commands,
    punts: new PuntReader(arena),
    socket,
    links,
    doorbells,
    run() {
      do {
        commands.flush();
        lane.commands();
      } while (core.ringWaiting(ARENA_COMMANDS) > 0 && lane.idle);
      for (const [port, number] of numbers)
        while (port instanceof MemoryPort && port.arrivals.length > 0)
          if (!lane.pump(number)) break;
      lane.commands();
    },
    ledger: () => readLedger(arena),
  };
}
