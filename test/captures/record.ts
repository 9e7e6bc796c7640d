/**
 * Makes the captures of this folder anew: `node dist/test/captures/record.js [NAME...] [--expect]`.
 * Needs root and tshark, for those with Linux's driver what `test/driver` needs. With `--expect` it
 * only counts what replays of the captures give, which is to be read before it is committed.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Lab } from "../../src/lab/lab.ts";
import { ToolError } from "../../src/lab/tool.ts";
import { needImage } from "../driver/needs.ts";
import { expectedFile, readCapture } from "./capture-file.ts";
import { replay } from "./expect.ts";
import { SCENARIOS } from "./scenarios.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { expect: { type: "boolean", default: false } },
});

function image() {
  const found = needImage();
  if (typeof found === "string") throw new ToolError("the kernel laboratory", found);
  return found;
}

for (const scenario of SCENARIOS) {
  const { name } = scenario;
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  if (!values.expect) {
    const lab = new Lab("captures");
    try {
      await scenario.record({ lab, name, image });
    } finally {
      lab.close();
    }
  }
  const packets = readCapture(name);
  writeFileSync(expectedFile(name), `${JSON.stringify(replay(scenario, packets), undefined, 2)}\n`);
  process.stdout.write(`${name}: ${packets.length} packets\n`);
}
