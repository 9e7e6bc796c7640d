/**
 * Programs of the system that a laboratory needs: found, installed from Debian if absent, run to
 * their end.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { CulvertError } from "../core/errors.ts";

/** A program that is missing or has failed. */
export class ToolError extends CulvertError {
  readonly code = "CULVERT_TOOL";
  constructor(
    /** The command line. */
    readonly command: string,
    readonly reason: string,
  ) {
    super(`${command}: ${reason}`);
  }
}

/** True when this process has the superuser's identity. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** The path of a program, looked for in PATH and in the system's own folders. */
export function findTool(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((word) => word !== "");
  for (const folder of [...folders, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return undefined;
}

/**
 * The path of a program, installed with apt-get from `debianPackage` if it is absent and this is
 * root on a Debian system. Throws ToolError with the mend.
 */
export function requireTool(name: string, debianPackage: string): string {
  const found = findTool(name);
  if (found !== undefined) return found;
  const mend = `not found; install it: apt-get install ${debianPackage}`;
  const apt = findTool("apt-get");
  if (!isRoot() || apt === undefined) throw new ToolError(name, mend);
  const install = ["install", "-y", "--no-install-recommends", debianPackage];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // The lists of packages may be absent or old: a first failure is answered by an update.
  for (const steps of [[install], [["update"], install]]) {
    for (const step of steps) spawnSync(apt, ["-q", ...step], { env, stdio: "ignore" });
    const installed = findTool(name);
    if (installed !== undefined) return installed;
  }
  throw new ToolError(name, mend);
}

/** Runs a program to its end and returns its standard output. Throws ToolError if it fails. */
export function run(command: string, args: readonly string[], input = ""): string {
  const done = spawnSync(command, args, { input, encoding: "utf8", maxBuffer: 1 << 28 });
  const line = [path.basename(command), ...args].join(" ");
  if (done.error) throw new ToolError(line, done.error.message);
  if (done.status !== 0) {
    const said = `${done.stderr}${done.stdout}`.trim();
    throw new ToolError(line, said || `ended with ${done.signal ?? `status ${done.status}`}`);
  }
  return done.stdout;
}
