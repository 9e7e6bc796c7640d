/** The names of a lane's counters, and a ledger as `culvert status` shows it. */
import * as arena from "../../assembly/layout/arena.ts";
import { VERDICT_FORWARDED, VERDICT_PUNTED } from "../../assembly/layout/verdict.ts";
import { DROPS, type DropName } from "../core/drops.ts";

/** A stage's name, and what its three counters that are no drops are called. */
interface StageRow {
  readonly stage: number;
  readonly name: string;
  readonly received: string;
  readonly forwarded: string;
  readonly punted?: string;
}

const STAGES: readonly StageRow[] = [
  {
    stage: arena.STAGE_INGEST,
    name: "ingest",
    received: "ingest_received",
    forwarded: "ingest_forwarded",
    punted: "ingest_punted",
  },
  {
    stage: arena.STAGE_CONTROL,
    name: "socket",
    received: "socket_received",
    forwarded: "socket_forwarded",
    punted: "socket_punted",
  },
  {
    stage: arena.STAGE_DEVICE,
    name: "device",
    received: "device_received",
    forwarded: "device_forwarded",
    punted: "device_punted",
  },
  {
    stage: arena.STAGE_EGRESS,
    name: "egress",
    received: "egress_queued",
    forwarded: "egress_sent",
  },
];

const TALLIES: readonly (readonly [number, string])[] = [
  [arena.TALLY_MESSAGES, "egress_messages"],
  [arena.TALLY_CALLS, "egress_calls"],
  [arena.TALLY_OCTETS, "egress_octets"],
  [arena.TALLY_BACK_PRESSURE, "egress_back_pressure"],
  [arena.TALLY_RECEIVED_MESSAGES, "receive_messages"],
  [arena.TALLY_RECEIVE_CALLS, "receive_calls"],
  [arena.TALLY_RING_FRAMES, "ring_frames"],
  [arena.TALLY_COMMANDS, "commands_applied"],
  [arena.TALLY_FRAGMENTED, "datagrams_fragmented"],
  [arena.TALLY_REDUCED, "datagrams_fragmented_for_path"],
  [arena.TALLY_NOTED, "too_big_noted"],
  [arena.TALLY_SEGMENTED, "super_packets_segmented"],
  [arena.TALLY_COMPLETED, "checksums_completed"],
  [arena.TALLY_ECN_ODD, "ecn_unexpected"],
];

/** Drops by stage and reason; reasons that did not occur are left out. */
export type DropCounts = Record<string, Partial<Record<DropName, number>>>;

/** Counters as they are named everywhere. `stages` and `tallies` are a ledger's. */
export function nameCounters(
  stages: readonly (readonly number[])[],
  tallies: readonly number[],
): Record<string, number> {
  const counters: Record<string, number> = {};
  for (const row of STAGES) {
    const counts = stages[row.stage] ?? [];
    counters[row.received] = counts[arena.STAGE_RECEIVED] ?? 0;
    counters[row.forwarded] = counts[VERDICT_FORWARDED] ?? 0;
    if (row.punted) counters[row.punted] = counts[VERDICT_PUNTED] ?? 0;
  }
  for (const [tally, name] of TALLIES) counters[name] = tallies[tally] ?? 0;
  return counters;
}

/** The drops of a ledger's stages. */
export function nameDrops(stages: readonly (readonly number[])[]): DropCounts {
  const drops: DropCounts = {};
  for (const { stage, name } of STAGES)
    for (const drop of DROPS) {
      const count = stages[stage]?.[drop.verdict] ?? 0;
      if (count > 0) (drops[name] ??= {})[drop.name] = count;
    }
  return drops;
}

/** Adds one to a reason at a stage. */
export function addDrop(drops: DropCounts, stage: string, reason: DropName, count = 1): void {
  const row = (drops[stage] ??= {});
  row[reason] = (row[reason] ?? 0) + count;
}
