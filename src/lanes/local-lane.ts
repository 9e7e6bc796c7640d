/**
 * A lane in the control thread, over ports that make no system call: it serves where no native code
 * can be loaded, and where packets come from objects of this very program.
 */
import {
  ARENA_COUNTERS,
  STAGE_CONTROL,
  STAGE_EGRESS,
  STAGE_RECEIVED,
  STAGE_SHIFT,
} from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_QUEUE_FULL } from "../../assembly/layout/verdict.ts";
import { BugError } from "../core/errors.ts";
import { startCore } from "../engine/core.ts";
import { SystemEntropy } from "../os/entropy.ts";
import type { DgramLosses } from "../ports/dgram.ts";
import { viewArena, type ArenaView, type Port } from "../ports/port.ts";
import { Lane, sendVerdict } from "./lane.ts";
import {
  deathReason,
  type FixedPorts,
  type FromLane,
  type LaneEars,
  type LaneThread,
  type ToLane,
} from "./plan.ts";
import { openFixed, type Inflow } from "./stages.ts";

/** Where the arena is said to lie. No system call sees it. */
const NOWHERE = 2 ** 40;

export interface LocalPorts {
  readonly role: FixedPorts["role"];
  /**
   * Makes the ports over the lane's arena: `inflows` as `openFixed` takes them, each over the
   * receive region of its place (`regionAddress`). `losses` counts for the AMT socket's port.
   */
  open(
    arena: ArenaView,
    losses: DgramLosses,
  ): { readonly inflows: readonly Inflow[]; readonly outlet: Port };
}

/** Starts a lane over a fresh arena; it begins in a later turn of the event loop. */
export function startLocalLane(
  ports: LocalPorts,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  ears: LaneEars,
): LaneThread {
  const arena = viewArena(memory, NOWHERE);
  let lane: Lane | undefined;
  let over = false;
  const end = (word: FromLane): void => {
    over = true;
    ears.hear(word);
    ears.gone();
  };
  const die = (error: Error): void => {
    if (over) return;
    lane?.close(); // the core, which may have trapped, is not asked any more
    end({ died: deathReason(error) });
  };
  setImmediate(() => {
    try {
      const core = startCore(module, memory, NOWHERE, new SystemEntropy());
      const { inflows, outlet } = ports.open(arena, countLosses(arena));
      const punts = (): void => void setImmediate(() => ears.hear("punts"));
      lane = new Lane(core, memory, { punts, failed: die });
      openFixed(lane, ports.role, core, arena, inflows, outlet);
      ears.hear("ready");
    } catch (error) {
      die(error as Error);
    }
  });
  const obey = (message: ToLane): void => {
    if (over) return;
    if (message === "commands") return lane?.commands();
    if (message !== "stop") throw new BugError("a lane without a Worker has the ports that it has");
    lane?.stop();
    end("stopped");
  };
  return { tell: (message) => void setImmediate(obey, message) };
}

/** Enters what a port loses by itself in the lane's counters. */
function countLosses(arena: ArenaView): DgramLosses {
  const counters = new BigUint64Array(arena.memory.buffer);
  const add = (stage: number, verdict: number, amount: bigint): void => {
    const at = ((ARENA_COUNTERS + (stage << STAGE_SHIFT)) >> 3) + verdict;
    counters[at] = counters[at]! + amount;
  };
  return {
    overflowed() {
      add(STAGE_CONTROL, STAGE_RECEIVED, 1n);
      add(STAGE_CONTROL, VERDICT_QUEUE_FULL, 1n);
    },
    refused(errno) {
      // The lane has counted it as sent.
      add(STAGE_EGRESS, VERDICT_FORWARDED, -1n);
      add(STAGE_EGRESS, sendVerdict(errno), 1n);
    },
  };
}
