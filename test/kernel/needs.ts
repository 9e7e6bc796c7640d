/** Tests through the real kernel: skipped, with the reason, where they cannot run. */
import { test } from "node:test";
import { Lab, labObstacle } from "../../src/lab/lab.ts";
import { ToolError, requireTool } from "../../src/lab/tool.ts";

/** Programs that a test may need beside `ip`, and their Debian packages. */
const PACKAGES = {
  named: "bind9",
  ethtool: "ethtool",
  dumpcap: "tshark",
  tshark: "tshark",
  "qemu-system-x86_64": "qemu-system-x86",
};

/** In CI what cannot run has failed. */
const REQUIRE_ALL = process.env["CULVERT_REQUIRE_ALL"] === "1";

/** A test in a laboratory of its own, closed after it. */
export function kernelTest(
  name: string,
  tools: readonly (keyof typeof PACKAGES)[],
  body: (lab: Lab) => Promise<void>,
): void {
  const missing = obstacle(tools);
  test(name, { skip: REQUIRE_ALL ? false : (missing ?? false) }, async () => {
    if (missing !== undefined) throw new Error(missing);
    const lab = new Lab("kernel");
    try {
      await body(lab);
    } finally {
      lab.close();
    }
  });
}

function obstacle(tools: readonly (keyof typeof PACKAGES)[]): string | undefined {
  const reason = labObstacle();
  if (reason !== undefined) return reason;
  try {
    for (const tool of tools) requireTool(tool, PACKAGES[tool]);
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error.message;
    throw error;
  }
}
