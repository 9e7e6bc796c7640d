import assert from "node:assert/strict";
import { test } from "node:test";
import { Program } from "../../src/lab/program.ts";
import { ToolError, findTool, run } from "../../src/lab/tool.ts";

/** A Node program of these lines. */
function node(...lines: string[]): Program {
  return new Program(process.execPath, ["-e", lines.join("\n")]);
}

const LISTEN = "process.stdin.resume();";

test("a line is waited for until it is whole", async () => {
  const program = node(
    `process.stderr.write("rea");`,
    `process.stdin.once("data", () => process.stderr.write("dy: here\\nmore\\n"));`,
  );
  const line = program.line(/^ready/, "stderr", 10_000);
  program.input("go\n");
  assert.equal(await line, "ready: here");
  program.endInput();
  assert.deepEqual(await program.finish(10_000), { code: 0, signal: null });
});

test("a program that ends first is reported with its exit and its last words", async () => {
  const program = node(`console.error("culvert: no such interface");`, `process.exitCode = 2;`);
  await assert.rejects(program.ready(), (error) => {
    assert.ok(error instanceof ToolError);
    assert.match(error.message, /exit 2\nculvert: no such interface$/);
    return true;
  });
});

test("a program that stays silent is reported when the time is over", async () => {
  const program = node(LISTEN);
  await assert.rejects(program.line(/./, "stdout", 50), /waited 50 ms for a line/);
  assert.deepEqual(await program.stop(), { code: null, signal: "SIGTERM" });
});

test("a program that does not exist has ended, with the reason", async () => {
  const program = new Program("/nonexistent/tool", []);
  assert.deepEqual(await program.ended, { code: null, signal: null });
  assert.equal(program.pid, undefined);
  await assert.rejects(program.ready(), /ENOENT/);
});

test("a tool is found in the system's folders whatever PATH says", () => {
  const before = process.env["PATH"];
  process.env["PATH"] = "";
  try {
    assert.match(findTool("sh") ?? "", /\/bin\/sh$/);
  } finally {
    process.env["PATH"] = before;
  }
  assert.equal(findTool("culvert-has-no-such-tool"), undefined);
});

test("a command's output is returned, its failure thrown with what it said", () => {
  assert.equal(run("cat", [], "text"), "text");
  assert.throws(() => run("sh", ["-c", "echo said >&2; exit 3"]), /said$/);
  assert.throws(() => run("sh", ["-c", "exit 3"]), /status 3/);
  assert.throws(() => run("/nonexistent/tool", []), /ENOENT/);
});
