/** Debian packages: fetched and unpacked without being installed, or installed. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { ToolError, findTool, isRoot, run } from "../../src/lab/tool.ts";

/** A package and its exact version. */
export interface Package {
  readonly name: string;
  readonly version: string;
}

/** The kernel that Debian offers here, in the packages that are built from one source. */
export interface KernelPackages {
  /** As `uname -r` prints it: "6.1.0-56-amd64". */
  readonly release: string;
  readonly image: Package;
  readonly headers: Package;
  readonly source: Package;
}

/** The newest kernel of this system's package lists. Throws ToolError where there is none. */
export function newestKernel(): KernelPackages {
  try {
    return kernelPackages();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // The lists may be absent or old.
    run(requireApt("apt-get"), ["-q", "update"]);
    return kernelPackages();
  }
}

function kernelPackages(): KernelPackages {
  const depends = run(requireApt("apt-cache"), ["depends", "linux-image-amd64"]);
  const found = /Depends: linux-image-((\d+\.\d+)\S*-amd64)$/m.exec(depends);
  if (!found) throw new ToolError("apt-cache", `no kernel in "${depends}"`);
  const [, release, series] = found as unknown as [string, string, string];
  const image = newest(`linux-image-${release}`);
  const { version } = image;
  const headers = { name: `linux-headers-${release}`, version };
  return { release, image, headers, source: { name: `linux-source-${series}`, version } };
}

/** A package in the version that would be installed. */
export function newest(name: string): Package {
  const policy = run(requireApt("apt-cache"), ["policy", name]);
  const version = /^ {2}Candidate: (?!\(none\))(\S+)$/m.exec(policy)?.[1];
  if (version === undefined) throw new ToolError("apt-cache", `no package ${name}`);
  return { name, version };
}

/** Downloads a package into `folder`, by way of a new list if need be; returns the file's path. */
export function download(wanted: Package, folder: string): string {
  const fetch = ["-q", "download", exact(wanted)];
  apt(fetch, folder);
  const file = readdirSync(folder).find((name) => name.startsWith(`${wanted.name}_`));
  if (file === undefined) throw new ToolError(`apt-get download ${wanted.name}`, "brought no file");
  return path.join(folder, file);
}

/** Installs packages. */
export function install(wanted: readonly Package[]): void {
  if (!isRoot()) throw new ToolError("apt-get install", "needs root");
  apt(["-q", "install", "-y", "--no-install-recommends", ...wanted.map(exact)], "/");
}

/** True if this very version is installed. */
export function isInstalled(wanted: Package): boolean {
  const show = ["-W", "-f", "${Status} ${Version}", wanted.name];
  const asked = spawnSync("dpkg-query", show, { encoding: "utf8" });
  return asked.stdout === `install ok installed ${wanted.version}`;
}

function exact({ name, version }: Package): string {
  return `${name}=${version}`;
}

/** Runs apt-get; a first failure, as of old lists, is answered by an update. */
function apt(args: readonly string[], cwd: string): void {
  const command = requireApt("apt-get");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // Somebody else may be installing something too.
  const patient = ["-o", "DPkg::Lock::Timeout=60", ...args];
  const once = () => spawnSync(command, patient, { cwd, env, encoding: "utf8" });
  let done = once();
  if (done.status !== 0) {
    run(command, ["-q", "update"]);
    done = once();
  }
  if (done.status === 0) return;
  const errors = done.stderr.split("\n").filter((line) => line.startsWith("E: "));
  throw new ToolError(`apt-get ${args.join(" ")}`, errors.join(" "));
}

function requireApt(name: "apt-get" | "apt-cache"): string {
  const tool = findTool(name);
  if (tool === undefined) throw new ToolError(name, "not found: this is no Debian system");
  return tool;
}
