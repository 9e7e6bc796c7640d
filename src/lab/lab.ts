/**
 * Network laboratories: namespaces joined by veth pairs, with programs in them, on one machine. All
 * names start with `cv-LABEL-PID-`, so that what a killed run left behind is known and removed by the
 * next one.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Program } from "./program.ts";
import type { Host } from "./program.ts";
import { ToolError, findTool, isRoot, requireTool, run } from "./tool.ts";

const NETNS_FOLDER = "/run/netns";
const OURS = /^cv-[a-z0-9]+-(\d+)-/;

/** Laboratories to take down should this process end. */
const open = new Set<Lab>();

/** Why no laboratory with namespaces can be made here; undefined if one can. */
export function labObstacle(): string | undefined {
  if (!isRoot()) return "network namespaces need root";
  try {
    const ip = requireTool("ip", "iproute2");
    const name = `cv-probe-${process.pid}-0`;
    run(ip, ["netns", "add", name]);
    run(ip, ["netns", "del", name]);
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error.message;
    throw error;
  }
}

/**
 * A laboratory: namespaces if it is root's, and programs, in them or on this host. Close it when
 * done; the end of the process and SIGINT or SIGTERM close it too.
 */
export class Lab implements Host {
  /** A folder of this laboratory's own, removed by `close`. */
  readonly folder: string;
  readonly #prefix: string;
  readonly #namespaces: Namespace[] = [];
  readonly #programs = new Set<Program>();

  /** `label` is a word of small letters and digits. */
  constructor(label: string) {
    this.#prefix = `cv-${label}-${process.pid}-`;
    removeLeftovers();
    this.folder = mkdtempSync(path.join(os.tmpdir(), this.#prefix));
    if (open.size === 0) watchEnd();
    open.add(this);
  }

  /**
   * A new namespace with its loopback up and no wait for duplicate IPv6 addresses. Throws ToolError
   * without root or `ip`; ask `labObstacle` first.
   */
  namespace(name: string): Namespace {
    const ip = requireTool("ip", "iproute2");
    const namespace = new Namespace(this, ip, `${this.#prefix}${name}`);
    run(ip, ["netns", "add", namespace.name]);
    this.#namespaces.push(namespace);
    for (const scope of ["all", "default"])
      namespace.sysctl(`net/ipv6/conf/${scope}/accept_dad`, 0);
    namespace.up("lo");
    return namespace;
  }

  /** Joins two namespaces by a veth pair; both ends are up and have the MTU. */
  connect(a: Namespace, deviceA: string, b: Namespace, deviceB: string, mtu = 1500): void {
    const peer = ["peer", "name", deviceB, "netns", b.name, "mtu", `${mtu}`];
    a.ip("link", "add", deviceA, "mtu", `${mtu}`, "type", "veth", ...peer);
    a.up(deviceA);
    b.up(deviceB);
  }

  /** Starts a program on this host, which ends with the laboratory; `name` is for messages. */
  start(command: string, args: readonly string[], name?: string[]): Program {
    const program = new Program(command, args, name);
    this.#programs.add(program);
    void program.ended.then(() => this.#programs.delete(program));
    return program;
  }

  /** Ends every program at once, removes the namespaces with their devices, and the folder. */
  close(): void {
    for (const program of this.#programs) program.kill("SIGKILL");
    for (const { ipTool, name } of this.#namespaces.splice(0)) removeNamespace(ipTool, name);
    rmSync(this.folder, { recursive: true, force: true });
    open.delete(this);
    if (open.size === 0) unwatchEnd();
  }
}

/** A network namespace of a laboratory. */
export class Namespace implements Host {
  readonly #lab: Lab;

  constructor(
    lab: Lab,
    /** The path of `ip`. */
    readonly ipTool: string,
    /** As `ip netns` knows it. */
    readonly name: string,
  ) {
    this.#lab = lab;
  }

  /** `ip` with these arguments on this namespace; returns its output. */
  ip(...args: string[]): string {
    return run(this.ipTool, ["-n", this.name, ...args]);
  }

  /** Many `ip` commands, one a line, in one process. */
  ipBatch(lines: readonly string[]): void {
    run(this.ipTool, ["-n", this.name, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** A bridge, up, with these devices as its ports. */
  bridge(name: string, ...ports: string[]): void {
    this.ip("link", "add", name, "type", "bridge");
    for (const port of ports) this.ip("link", "set", port, "master", name);
    this.up(name);
  }

  /** Gives a device addresses: "192.0.2.1/24". */
  address(device: string, ...prefixes: string[]): void {
    for (const prefix of prefixes) this.ip("address", "add", prefix, "dev", device);
  }

  up(device: string): void {
    this.ip("link", "set", device, "up");
  }

  /** A route for what goes out by `device`, through `via` if given. */
  route(prefix: string, device: string, via?: string): void {
    this.ip("route", "add", prefix, ...(via === undefined ? [] : ["via", via]), "dev", device);
  }

  /** Sends multicast of both families out by `device`. */
  multicastRoute(device: string): void {
    this.route("224.0.0.0/4", device);
    this.ip("-6", "route", "replace", "multicast", "ff00::/8", "dev", device, "table", "local");
  }

  /** Writes `value` to /proc/sys/`key` as this namespace sees it. */
  sysctl(key: string, value: number | string): void {
    const file = `/proc/sys/${key}`;
    run(this.ipTool, ["netns", "exec", this.name, "tee", file], `${value}\n`);
  }

  /** A file under /proc or /sys as this namespace sees it. */
  read(file: string): string {
    return this.run("cat", file);
  }

  /** A counter of a device: "rx_packets", "tx_bytes". */
  counter(device: string, counter: string): number {
    return Number(this.read(`/sys/class/net/${device}/statistics/${counter}`));
  }

  /**
   * Makes the kernel finish what it hands to `device`, checksums and segments, so that a capture
   * there shows what a wire would.
   */
  withoutOffload(device: string): void {
    const ethtool = requireTool("ethtool", "ethtool");
    this.run(ethtool, "-K", device, "tx", "off", "gso", "off", "gro", "off");
  }

  /** Runs a program in this namespace to its end and returns its standard output. */
  run(command: string, ...args: string[]): string {
    return run(this.ipTool, ["netns", "exec", this.name, command, ...args]);
  }

  start(command: string, args: readonly string[]): Program {
    const words = [command, ...args];
    return this.#lab.start(this.ipTool, ["netns", "exec", this.name, ...words], words);
  }
}

/** Removes what laboratories of processes that are gone have left: programs, namespaces, folders. */
export function removeLeftovers(): void {
  const ip = findTool("ip");
  for (const name of leftovers(os.tmpdir())) {
    const folder = path.join(os.tmpdir(), name);
    endProgramsNaming(folder);
    rmSync(folder, { recursive: true, force: true });
  }
  if (ip !== undefined && isRoot())
    for (const name of leftovers(NETNS_FOLDER)) removeNamespace(ip, name);
}

/** Names in a folder that belong to a laboratory whose process is gone. */
function leftovers(folder: string): string[] {
  return names(folder).filter((name) => {
    const pid = OURS.exec(name)?.[1];
    return pid !== undefined && !isRunning(Number(pid));
  });
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** True for a process that has not ended; one that only waits to be buried has. */
export function isRunning(pid: number): boolean {
  try {
    // The name, in parentheses, may hold anything; the state follows the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
}

/** Ends the processes that have `folder` in their command line: those outside any namespace. */
function endProgramsNaming(folder: string): void {
  for (const pid of names("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    if (pid === process.pid) continue;
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (line.includes(`${folder}/`)) process.kill(pid, "SIGKILL");
    } catch {
      continue; // it has ended in the meantime, or is not ours to end
    }
  }
}

/** Removes a namespace, unless it is gone or another process removes it at the same time. */
function removeNamespace(ip: string, name: string): void {
  const isThere = (): boolean => names(NETNS_FOLDER).includes(name);
  if (!isThere()) return;
  try {
    emptyAndRemove(ip, name);
  } catch (error) {
    if (isThere()) throw error;
  }
}

/** Ends what runs in a namespace and removes it; its devices go with it. */
function emptyAndRemove(ip: string, name: string): void {
  const pids = run(ip, ["netns", "pids", name]).split("\n").filter(Boolean).map(Number);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      continue; // it has ended in the meantime
    }
  }
  run(ip, ["netns", "del", name]);
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

function watchEnd(): void {
  process.on("exit", closeAll);
  for (const signal of SIGNALS) process.on(signal, onSignal);
}

function unwatchEnd(): void {
  process.off("exit", closeAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function closeAll(): void {
  for (const lab of open) lab.close();
}

/** Takes the laboratories down, then lets the signal do what it does without a handler. */
function onSignal(signal: NodeJS.Signals): void {
  closeAll();
  process.kill(process.pid, signal);
}
