/** The counters of a session over all lanes that served it. */
import type { SessionCounters } from "../engine/session.ts";

/** Counters of a session that no lane knows yet. */
export const NO_COUNTERS: SessionCounters = {
  txPackets: 0,
  txOctets: 0,
  txErrors: 0,
  rxPackets: 0,
  rxOctets: 0,
  rxErrors: 0,
  rxCookie: 0,
  rxInvalid: 0,
  rxOld: 0,
  rxReordered: 0,
  rxMissing: 0,
  rxUnnumbered: 0,
  heard: 0,
};

/** Both together. */
export function sumCounters(one: SessionCounters, other: SessionCounters): SessionCounters {
  const keys = Object.keys(NO_COUNTERS) as (keyof SessionCounters)[];
  const rows = keys.map((key) => [key, one[key] + other[key]] as const);
  return Object.fromEntries(rows) as unknown as SessionCounters;
}
