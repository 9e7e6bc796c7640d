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
import { existsSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { Lab, type Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { requireTool, run } from "../../src/lab/tool.ts";
import { taken, type Taken } from "./stack.ts";

export const SOURCE = "10.77.0.1";
export const INGRESS = "in0";
export const EGRESS = "out0";
export const INGRESS_ADDRESS = "10.77.0.2";
export const RELAY = "10.78.0.1";
/** The far namespace itself. */
export const FAR = "10.78.0.2";
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
  /** Milliseconds at which these were read. */
  readonly at: number;
}

export class Path {
  static #made = 0;
  readonly source: Namespace;
  readonly relay: Namespace;
  readonly far: Namespace;
  readonly #lab = new Lab("bench");
  /** A program in the far namespace, for /proc to show that namespace's interfaces. */
  readonly #anchor: Program;

  /**
   * Makes the namespaces. `cut` has the relay's kernel segment each train before it leaves, as for
   * a device that cannot. Rejects when something is refused; nothing is left behind then.
   */
  static async make(cut: boolean): Promise<Path> {
    const path = new Path(cut);
    while (!path.#interfaces().includes("far0")) await setTimeout(5);
    return path;
  }

  private constructor(cut: boolean) {
    const number = Path.#made++;
    try {
      this.source = this.#namespace(`${number}-source`);
      this.relay = this.#namespace(`${number}-relay`);
      this.far = this.#namespace(`${number}-far`);
      this.#lab.connect(this.source, "s0", this.relay, INGRESS);
      this.#lab.connect(this.relay, EGRESS, this.far, "far0");
      this.source.address("s0", `${SOURCE}/24`);
      this.relay.address(INGRESS, `${INGRESS_ADDRESS}/24`);
      this.relay.address(EGRESS, `${RELAY}/24`);
      this.far.address("far0", `${FAR}/24`, `${CROWD}/32`, `${WITNESS}/32`);
      this.far.ip("link", "set", "far0", "address", FAR_LINK);
      if (cut) this.relay.ip("link", "set", EGRESS, "gso_max_segs", "1");
      for (const [address, hop] of Object.entries(HOPS)) this.relay.route(address, EGRESS, hop);
      this.deliver(CROWD, true);
      this.deliver(WITNESS, true);
      this.#anchor = this.far.start("cat", []);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Whether what is sent to this gateway address comes to its sockets, or ends in the sink. */
  deliver(to: keyof typeof HOPS, real: boolean): void {
    const link = ["lladdr", real ? FAR_LINK : NOBODY, "nud", "permanent"];
    this.relay.ip("neighbor", "replace", HOPS[to], ...link, "dev", EGRESS);
  }

  /** Runs lines of `bridge` in the relay's namespace. */
  bridge(lines: readonly string[]): void {
    const program = requireTool("bridge", "iproute2");
    run(program, ["-netns", this.relay.name, "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** What has reached the far namespace so far. */
  arrived(): Arrived {
    const before = performance.now();
    const text = this.#interfaces();
    const at = (before + performance.now()) / 2;
    const [, octets, frames] = /far0:\s*(\d+)\s+(\d+)/.exec(text) ?? [];
    return { octets: Number(octets) - Number(frames) * HEADERS, at };
  }

  /** What the far socket at this place, which is never read, had no room for: see `taken`. */
  taken(address: string, port: number): Taken {
    return taken(this.#anchor.pid!, address, port);
  }

  /** A folder that goes with the path. */
  get folder(): string {
    return this.#lab.folder;
  }

  /** Ends every program and removes the namespaces. */
  remove(): void {
    this.#lab.close();
  }

  #interfaces(): string {
    return readFileSync(`/proc/${this.#anchor.pid}/net/dev`, "utf8");
  }

  /** A namespace without IPv6: its own packets would be counted with the stream's. */
  #namespace(name: string): Namespace {
    const made = this.#lab.namespace(name);
    for (const device of ["all", "default"])
      if (existsSync(`/proc/sys/net/ipv6/conf/${device}`))
        made.sysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
    return made;
  }
}
