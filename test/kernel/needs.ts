/** Tests through the real kernel: skipped, with the reason, where they cannot run. */
import { readFileSync } from "node:fs";
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

/**
 * A test in a laboratory of its own, closed after it. All namespaces of a machine share the queues of its
 * processors: a test that fails while they were full, of another's packets or its own, is run once more.
 */
export function kernelTest(
  name: string,
  tools: readonly (keyof typeof PACKAGES)[],
  body: (lab: Lab) => Promise<void>,
): void {
  const missing = obstacle(tools);
  test(name, { skip: REQUIRE_ALL ? false : (missing ?? false) }, async (t) => {
    if (missing !== undefined) throw new Error(missing);
    const before = queueDrops();
    try {
      await inLab(body);
    } catch (error) {
      const dropped = queueDrops() - before;
      if (dropped === 0) throw error;
      t.diagnostic(`once more: the queues had no room for ${dropped} packets. ${String(error)}`);
      await inLab(body);
    }
  });
}

async function inLab(body: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = new Lab("kernel");
  try {
    await body(lab);
  } finally {
    lab.close();
  }
}

/** Packets that the queues between devices and the stack had no room for, since the machine started. */
function queueDrops(): number {
  const rows = readFileSync("/proc/net/softnet_stat", "utf8").trim().split("\n");
  return rows.reduce((sum, row) => sum + Number.parseInt(row.split(" ")[1]!, 16), 0);
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
