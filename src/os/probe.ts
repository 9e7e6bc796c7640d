/** What this host offers, found out by trying. */

export interface Probe {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly detail: string;
  /** What to do about it. */
  readonly mend?: string;
}

/** Every probe, in a fixed order; none throws. */
export function probeHost(): Probe[] {
  return [];
}
