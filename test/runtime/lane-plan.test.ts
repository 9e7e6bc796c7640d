import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../../src/config/check.ts";
import { allowedProcessors } from "../../src/os/affinity.ts";
import { checkPin, laneCount } from "../../src/runtime/lane-plan.ts";

test("lanes are as many as asked for, or leave a processor free", () => {
  assert.equal(laneCount(3, 2, 1), 3);
  const auto = (endpoints: number, processors: number) => laneCount("auto", endpoints, processors);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 64].map((processors) => auto(1, processors)),
    [1, 1, 2, 3, 4, 4],
  );
  assert.deepEqual(
    [1, 4, 5, 64].map((processors) => auto(2, processors)),
    [1, 1, 2, 4],
  );
});

test("processors that this process must not run on are refused", () => {
  checkPin(undefined);
  checkPin(allowedProcessors());
  assert.throws(() => checkPin([8_191]), /processor 8191.*pin: expected some of 0/);
});

test("lanes and processors are read as they are written, or refused", () => {
  const read = (settings: object) => {
    const checked = check("relay", { local: "192.0.2.1", ingress: "eth0", ...settings });
    return "value" in checked
      ? { lanes: checked.value.lanes, pin: checked.value.pin }
      : checked.faults.map(({ path, expected }) => `${path.join(".")}: ${expected}`).join();
  };
  assert.deepEqual(read({}), { lanes: "auto", pin: undefined });
  assert.deepEqual(read({ lanes: "auto", pin: 2 }), { lanes: "auto", pin: [2] });
  assert.deepEqual(read({ lanes: 4, pin: "1-3,6" }), { lanes: 4, pin: [1, 2, 3, 6] });
  assert.equal(read({ lanes: 65 }), "lanes: a whole number from 1 to 64, or auto");
  for (const pin of ["3-1", "a", "", "1,,2", "9000", "-1"])
    assert.equal(read({ pin }), "pin: numbers of processors from 0 to 8191, as 1-3,6", pin);
});
