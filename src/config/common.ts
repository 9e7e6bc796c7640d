/** What stands at the top of a file, and what every long-running command takes as a flag. */
import { socketPath } from "./field.ts";
import type { Shape } from "./system.ts";

export const common = {
  fields: {
    control: socketPath({
      optional: true,
      help: "the control socket that `culvert status` reads; if left out, one in the runtime directory named by role and process",
    }),
  },
  oneOf: [],
  needs: {},
  below: {},
} as const satisfies Shape;
