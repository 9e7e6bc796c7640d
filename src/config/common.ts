/** Where the control socket is: of a command that serves, and of those that ask. */
import { socketPath } from "./field.ts";
import type { Shape } from "./system.ts";

/** What stands at the top of a file, and what every long-running command takes as a flag. */
export const common = controlShape(
  "the control socket that `culvert status` reads; if left out, one in the runtime directory named by role and process",
);

/** What a command takes that asks whatever runs. */
export const asksAll = controlShape(
  "the control socket to ask at; if left out, all that this user may ask at",
);

/** What a command takes that asks a `culvert run`. */
export const asksRun = controlShape(
  "the control socket of the `culvert run` to ask; if left out, the only one that this user may ask",
);

function controlShape(help: string) {
  const fields = { control: socketPath({ optional: true, help }) };
  return { fields, oneOf: [], needs: {}, below: {} } satisfies Shape;
}
