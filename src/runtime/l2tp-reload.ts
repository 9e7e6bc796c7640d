/** What a new file changes of the tunnels and sessions that run. */
import { l2tpChange, type L2tpChange, type L2tpSessionConfig } from "../config/l2tp.ts";
import { KEYED_SESSION } from "../config/l2tp-rules.ts";

const CHANGEABLE = Object.keys(l2tpChange.fields) as (keyof typeof l2tpChange.fields)[];

/** What a reload has done; `refused` tells what could not be done. */
export interface L2tpReloaded {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly kept: number;
  readonly refused: readonly string[];
}

/** Our number of a session. */
export function idOf(config: L2tpSessionConfig): number {
  return config.sessionId ?? KEYED_SESSION;
}

/** True for settings that say the same. */
export function same(one: object, other: object): boolean {
  return textOf(one) === textOf(other);
}

/** True if a session can become the other one while it runs. */
export function changeable(one: L2tpSessionConfig, other: L2tpSessionConfig): boolean {
  const fixed = (config: L2tpSessionConfig) =>
    Object.fromEntries(
      Object.entries(config).filter(([key]) => !(CHANGEABLE as string[]).includes(key)),
    );
  return same(fixed(one), fixed(other));
}

/** All of a session that can be changed; what is left out is taken away. */
export function changeTo(config: L2tpSessionConfig): L2tpChange {
  return Object.fromEntries(CHANGEABLE.map((key) => [key, config[key]]));
}

function textOf(settings: object): string {
  const rows = Object.entries(settings).filter(([, value]) => value !== undefined);
  return JSON.stringify(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}
