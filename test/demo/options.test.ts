import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/core/errors.ts";
import { parseDemo } from "../../src/demo/options.ts";

test("the demonstration has defaults for everything", () => {
  assert.deepEqual(parseDemo([]), { rate: 1_000, seconds: 8, size: 1_316, loopback: false });
});

test("flags replace the defaults", () => {
  const flags = ["--rate", "100", "--seconds=2", "--size", "16", "--loopback"];
  assert.deepEqual(parseDemo(flags), { rate: 100, seconds: 2, size: 16, loopback: true });
});

test("--help wins over the rest", () => {
  assert.equal(parseDemo(["--rate", "x", "-h"]), undefined);
});

test("what is no option, or no fit value of one, is refused by its name", () => {
  const refused: [string[], string][] = [
    [["--speed", "1"], "demo"],
    [["now"], "demo"],
    [["--rate"], "demo"],
    [["--rate", "0"], "--rate"],
    [["--rate", "1e3"], "--rate"],
    [["--seconds", "0"], "--seconds"],
    [["--size", "15"], "--size"],
    [["--size", "1401"], "--size"],
  ];
  for (const [args, path] of refused)
    assert.throws(
      () => parseDemo(args),
      (error) => error instanceof ConfigError && error.path === path,
      args.join(" "),
    );
});
