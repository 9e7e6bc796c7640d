/**
 * The road of every row of the fan-out: a source's namespace, a relay's, and a far one where the
 * gateways are, joined by veth pairs.
 *
 *     source s0 ── in0 relay out0 ── far0 far
 *
 * The gateways have two addresses in the far namespace: `CROWD`, and `WITNESS` for the one whose
 * packets a program looks at. The relay's namespace has a fixed link address for each, and that is
 * the switch between a real receiver and the sink: with a link address that is nobody's, the far
 * namespace counts a frame on its interface and drops it at the first look. No row can tell, and
 * the sink costs all of them alike.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

export const SOURCE = "10.77.0.1";
export const INGRESS = "in0";
export const EGRESS = "out0";
export const INGRESS_ADDRESS = "10.77.0.2";
export const RELAY = "10.78.0.1";
export const CROWD = "10.79.0.1";
export const WITNESS = "10.79.0.2";

const FAR_LINK = "02:00:00:00:00:02";
const NOBODY = "02:00:00:00:00:ff";
/** Next hops that stand for the two gateway addresses. */
const HOPS = { [CROWD]: "10.78.0.3", [WITNESS]: "10.78.0.4" } as const;
/** Octets of an Ethernet, IPv4 and UDP header. */
const HEADERS = 14 + 20 + 8;

/** What has reached the far namespace. */
export interface Arrived {
  /** UDP payload octets. */
  readonly octets: number;
  /** Frames; a train that was not segmented on its way is one. */
  readonly frames: number;
  /** Milliseconds at which these were read. */
  readonly at: number;
}

const SIDES = ["source", "relay", "far"] as const;
export type Side = (typeof SIDES)[number];

/** Streams of a started program, besides its stdout, which is always a pipe. */
export interface Streams {
  readonly stdin?: "ignore" | "pipe";
  readonly stderr?: "inherit" | "pipe";
}

export class Path {
  static #made = 0;
  readonly #id = `cv-bench-${process.pid}-${Path.#made++}`;
  readonly #children = new Set<ChildProcess>();
  #anchor: ChildProcess | undefined;

  private constructor() {
    process.on("exit", this.#remove);
  }

  /**
   * Makes the namespaces. `cut` has the relay's kernel segment each train before it leaves, as for
   * a device that cannot. Rejects when something is refused; nothing is left behind then.
   */
  static async make(cut: boolean): Promise<Path> {
    const path = new Path();
    try {
      path.#build(cut);
      // A process in the far namespace, for /proc to show that namespace's interfaces.
      path.#anchor = path.start("far", ["cat"], { stdin: "pipe" });
      while (!path.#interfaces().includes("far0")) await setTimeout(5);
      return path;
    } catch (error) {
      path.remove();
      throw error;
    }
  }

  #build(cut: boolean): void {
    for (const side of SIDES) {
      run("ip", ["netns", "add", this.#namespace(side)]);
      this.#forgoIpv6(side);
    }
    this.configure("source", [
      "link set lo up",
      `link add s0 type veth peer name ${INGRESS} netns ${this.#namespace("relay")}`,
      `address add ${SOURCE}/24 dev s0`,
      "link set s0 up",
    ]);
    this.configure("relay", [
      "link set lo up",
      `link add ${EGRESS} type veth peer name far0 netns ${this.#namespace("far")}`,
      ...(cut ? [`link set ${EGRESS} gso_max_segs 1`] : []),
      `address add ${INGRESS_ADDRESS}/24 dev ${INGRESS}`,
      `address add ${RELAY}/24 dev ${EGRESS}`,
      `link set ${INGRESS} up`,
      `link set ${EGRESS} up`,
      ...Object.entries(HOPS).map(([address, hop]) => `route add ${address} via ${hop}`),
    ]);
    this.configure("far", [
      "link set lo up",
      `link set far0 address ${FAR_LINK}`,
      "address add 10.78.0.2/24 dev far0",
      `address add ${CROWD}/32 dev far0`,
      `address add ${WITNESS}/32 dev far0`,
      "link set far0 up",
    ]);
    this.deliver(CROWD, true);
    this.deliver(WITNESS, true);
  }

  /** Whether what is sent to this gateway address comes to its sockets, or ends in the sink. */
  deliver(to: keyof typeof HOPS, real: boolean): void {
    const link = real ? FAR_LINK : NOBODY;
    this.configure("relay", [
      `neighbor replace ${HOPS[to]} lladdr ${link} nud permanent dev ${EGRESS}`,
    ]);
  }

  /** Runs lines of `ip` in a namespace. */
  configure(side: Side, lines: readonly string[]): void {
    run("ip", ["-netns", this.#namespace(side), "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** Runs lines of `bridge` in a namespace. */
  bridge(side: Side, lines: readonly string[]): void {
    run("bridge", ["-netns", this.#namespace(side), "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** Starts a program in a namespace; it ends with the path if not before. */
  start(
    side: Side,
    command: readonly string[],
    { stdin = "ignore", stderr = "inherit" }: Streams = {},
  ): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.#namespace(side), ...command], {
      stdio: [stdin, "pipe", stderr],
    });
    this.#children.add(child);
    child.on("exit", () => this.#children.delete(child));
    return child;
  }

  /** What has reached the far namespace so far. */
  arrived(): Arrived {
    const before = performance.now();
    const text = this.#interfaces();
    const at = (before + performance.now()) / 2;
    const fields = /far0:\s*(\d+)\s+(\d+)/.exec(text);
    if (fields === null) throw new Error("the far namespace has no far0");
    const frames = Number(fields[2]);
    return { octets: Number(fields[1]) - frames * HEADERS, frames, at };
  }

  /** Ends every program and removes the namespaces. */
  remove(): void {
    process.off("exit", this.#remove);
    this.#remove();
  }

  /** No IPv6 in this namespace: its hosts' own packets would be counted with the stream's. */
  #forgoIpv6(side: Side): void {
    for (const device of ["all", "default"]) {
      const setting = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
      if (existsSync(setting))
        run("ip", ["netns", "exec", this.#namespace(side), "tee", setting], "1\n");
    }
  }

  #interfaces(): string {
    return readFileSync(`/proc/${this.#anchor?.pid}/net/dev`, "utf8");
  }

  readonly #remove = (): void => {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const side of SIDES)
      spawnSync("ip", ["netns", "delete", this.#namespace(side)], { stdio: "ignore" });
  };

  #namespace(side: Side): string {
    return `${this.#id}-${side}`;
  }
}

function run(program: string, args: readonly string[], input = ""): void {
  const done = spawnSync(program, args, { encoding: "utf8", input });
  if (done.error) throw done.error;
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(" ")}: ${done.stderr.trim()}\n${input}`);
}
