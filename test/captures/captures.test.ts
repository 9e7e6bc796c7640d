/** The captures, played through both engines and both machines, and judged by tshark. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AMT_RESPONSE_MAC, AMT_UPDATE } from "../../assembly/layout/amt.ts";
import { createReferenceEngine } from "../../src/engine/reference/engine.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { findTool } from "../../src/lab/tool.ts";
import { amtType } from "../../src/wire/amt.ts";
import { Judge } from "../kernel/capture.ts";
import { captureFile, readCapture, readExpected } from "./capture-file.ts";
import { replay } from "./expect.ts";
import { messageName, replayRelay } from "./replay.ts";
import { SCENARIOS } from "./scenarios.ts";

const ENGINES = [
  createReferenceEngine(),
  createWasmEngine({ simd: true }),
  createWasmEngine({ simd: false }),
];
const missing = findTool("tshark") === undefined ? "tshark is not installed" : false;

for (const scenario of SCENARIOS) {
  const { name, title, sound = true } = scenario;
  const packets = readCapture(name);

  for (const engine of ENGINES)
    test(`${name}, played again with the ${engine.kind} engine, is what it was: ${title}`, () => {
      assert.deepEqual(replay(scenario, packets, engine), readExpected(name));
    });

  test(
    `${name}: tshark ${sound ? "has nothing to complain of" : "sees that it is unsound"}`,
    {
      skip: missing,
    },
    () => {
      const judge = new Judge(captureFile(name));
      const faults = judge.faults();
      assert.equal(judge.values("frame.number", "frame").length, packets.length);
      if (sound) assert.deepEqual(faults, []);
      else assert.notDeepEqual(faults, []);
    },
  );
}

test("the captures hold every message, over both families (RFC 7450 §5.1)", () => {
  const all = SCENARIOS.flatMap(({ name }) => readCapture(name));
  for (const over of [4, 6]) {
    const here = all.filter(({ to }) => to.address.includes(":") === (over === 6));
    const known = new Set(here.map(({ octets }) => messageName(octets)));
    known.delete("none");
    assert.equal(known.size, 7, `over IPv${over}: ${[...known].join(", ")}`);
  }
});

test("a replay notices one wrong octet", () => {
  const packets = readCapture("igmpv3-over-ipv4");
  const update = packets.findIndex(({ octets }) => amtType(octets) === AMT_UPDATE);
  const octets = packets[update]!.octets.slice();
  octets[AMT_RESPONSE_MAC]! ^= 1;
  const forged = packets.with(update, { ...packets[update]!, octets });
  assert.notDeepEqual(replayRelay(forged.slice(0, update + 1)), {
    ...replayRelay(packets.slice(0, update + 1)),
  });
  assert.throws(() => replayRelay(packets, { queryInterval: 60_000 }), assert.AssertionError);
});
