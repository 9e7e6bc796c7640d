// npm run demo: installs and builds what is missing, then runs `culvert demo` with the arguments.
import { spawn } from "node:child_process";
import path from "node:path";
import { buildIfStale, install, root } from "./setup.mjs";

install();
buildIfStale();
const command = path.join(root, "dist/src/cli/main.js");
const child = spawn(process.execPath, [command, "demo", ...process.argv.slice(2)], {
  stdio: "inherit",
});
// A terminal sends SIGINT to the child too; who sends SIGTERM means both.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code) => (process.exitCode = code ?? 1));
