// npm test: sets everything up, runs the core's specs and all TypeScript tests, and says in its last
// line how many passed and failed. CULVERT_REQUIRE_ALL=1: what cannot run here fails, not skips.
import { spawn } from "node:child_process";
import { build, install, root } from "./setup.mjs";

/** Programs that the kernel tests use: name and Debian package. */
const TOOLS = [
  ["ip", "iproute2"],
  ["ethtool", "ethtool"],
  ["tshark", "tshark"],
  ["named", "bind9"],
];

install();
build();
const { isRoot, requireTool } = await import("../dist/src/lab/tool.js");
if (isRoot())
  for (const [name, debianPackage] of TOOLS) {
    try {
      requireTool(name, debianPackage);
    } catch (error) {
      // The tests that need it say so themselves.
      console.error(error.message);
    }
  }

/** Runs a script of the project, shows what it prints, and returns that with its exit code. */
function run(script) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (more) => {
      text += more;
      process.stdout.write(more);
    });
    child.on("close", (code) => resolve({ text, code: code ?? 1 }));
  });
}

/** The number that follows `label` at a line's start; 0 without such a line. */
function count(text, label) {
  return Number(new RegExp(`^(?:ℹ|#) ${label} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
}

// A download can take longer than a test may; what hinders it the tests say themselves.
await run("dist/test/driver/prepare.js");
const specs = await run("scripts/as-pect.mjs");
const builds = [...specs.text.matchAll(/^core specs, \w+ build: (\d+) passed, (\d+) failed$/gm)];
/** Adds one of the two numbers up over all builds of the core. */
const sum = (group) => builds.reduce((total, build) => total + Number(build[group]), 0);
const tests = await run("scripts/test.mjs");
const results = [
  { code: specs.code, passed: sum(1), failed: sum(2) },
  {
    code: tests.code,
    passed: count(tests.text, "pass"),
    failed: count(tests.text, "fail") + count(tests.text, "cancelled"),
  },
];
const skipped = count(tests.text, "skipped");
let [passed, failed] = [0, 0];
for (const result of results) {
  passed += result.passed;
  // A runner that died, or ran nothing, has failed whatever it counted.
  failed += result.failed > 0 || (result.code === 0 && result.passed > 0) ? result.failed : 1;
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
