/** What every running service tells of itself: its counters, its drops, how it ended. */
import { verdictName, type DropName } from "../core/drops.ts";
import type { LaneSet } from "../lanes/lane-set.ts";
import { addDrop, nameCounters, nameDrops, type DropCounts } from "../metrics/ledger.ts";
import { monotonic } from "../os/clock.ts";
import type { ServiceStatus } from "./service.ts";

/** AMT messages by type, as counters name them. */
export const MESSAGES = [
  "none",
  "discovery",
  "advertisement",
  "request",
  "query",
  "update",
  "data",
  "teardown",
];

export class Tale {
  readonly ended: Promise<Error | undefined>;
  readonly #started = monotonic();
  readonly #happened = new Map<string, number>();
  readonly #drops: DropCounts = {};
  #end!: (reason: Error | undefined) => void;

  constructor(
    readonly name: string,
    readonly role: ServiceStatus["role"],
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  /** Counts an AMT message that the machine took. */
  accepted(type: number): void {
    this.count(`amt_${MESSAGES[type] ?? type}_accepted`);
  }

  /** Counts what was done for a deployed peer that does not speak as RFC 7450 says. */
  quirk(quirk: string): void {
    this.count(`amt_quirk_${quirk.replaceAll("-", "_")}`);
  }

  /** Counts what happened in the control thread. */
  count(name: string): void {
    this.#happened.set(name, (this.#happened.get(name) ?? 0) + 1);
  }

  /** Counts what the machine ignored. */
  dropped(verdict: number): void {
    addDrop(this.#drops, "machine", verdictName(verdict) as DropName);
  }

  /** A line for the operator about something that goes on. */
  warn(text: string): void {
    process.stderr.write(`culvert: ${this.name}: ${text}\n`);
  }

  /** Settles `ended`; only the first call counts. */
  end(reason: Error | undefined): void {
    this.#end(reason);
  }

  /** The part of a status that is alike for all roles. */
  status(
    lanes: LaneSet | undefined,
  ): Pick<ServiceStatus, "name" | "role" | "uptimeSeconds" | "lanes" | "counters" | "drops"> {
    const ledger = lanes?.ledger() ?? { stages: [], tallies: [] };
    return {
      name: this.name,
      role: this.role,
      uptimeSeconds: Math.round((monotonic() - this.#started) / 1_000),
      lanes: lanes?.status() ?? [],
      counters: {
        ...nameCounters(ledger.stages, ledger.tallies),
        ...Object.fromEntries(this.#happened),
      },
      drops: { ...nameDrops(ledger.stages), ...this.#drops },
    };
  }
}
