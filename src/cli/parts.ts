/** What the command is made of besides itself. `main.ts` gives the real parts, tests give fakes. */
import type { ConfigOf, Role } from "../config/systems.ts";
import type { Probe } from "../os/probe.ts";
import type { L2tpConfig } from "../config/l2tp.ts";
import type { L2tpService } from "../runtime/l2tp.ts";
import type { Service } from "../runtime/service.ts";

export type Starters = {
  readonly [R in Role]: (name: string, config: ConfigOf[R]) => Promise<Service>;
} & { readonly l2tp: (name: string, config: L2tpConfig) => Promise<L2tpService> };

/** Each part is loaded when it is first needed, so that a short command starts at once. */
export interface Parts {
  readonly starters: () => Promise<Starters>;
  readonly probes: () => Promise<readonly Probe[]>;
  /** Runs the demonstration with its own arguments; gives the exit code. */
  readonly demo: (args: readonly string[]) => Promise<number>;
  /** Runs benchmarks with their own arguments; gives the exit code. */
  readonly bench: (args: readonly string[]) => Promise<number>;
}
