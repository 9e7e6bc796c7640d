/**
 * The rows that carry a stream from a source to a listener behind a gateway, over a `Path`: the
 * gateway's end of the tunnel is in the far namespace, and so is the listener.
 *
 *     source s0 ── in0 relay out0 ── far0 gateway, inner0 ── listener
 */
import path from "node:path";
import { AMT_PORT } from "../../assembly/layout/amt.ts";
import type { Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { ROOT } from "../places.ts";
import type { Native } from "./native.ts";
import { FAR, INGRESS, INGRESS_ADDRESS, RELAY, SOURCE, type Path } from "./path.ts";
import { COMMAND, FIRST, GROUP, GROUP_PORT, launch, NEARLY_FIRST, PAYLOAD } from "./rows.ts";
import type { Taken } from "./stack.ts";

/** The gateway's device and its address. */
const DEVICE = "inner0";
export const INNER = "10.80.0.2";

/** One way to bring the stream to the listener's host. */
export abstract class Ends {
  abstract readonly name: string;

  constructor(
    readonly path: Path,
    readonly programs: Record<Native, string>,
    /** Flags of Node for Culvert's daemons, by role. */
    readonly flags: Readonly<Record<string, readonly string[]>> = {},
  ) {}

  /** The programs that carry packets, by role. */
  readonly daemons = new Map<string, Program>();

  /** Sets everything up, so that a join and load alone are missing. */
  async start(): Promise<void> {
    for (const scope of ["all", "default"])
      this.path.far.sysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
    await this.connect();
  }

  /** Makes DEVICE with INNER in the far namespace, and what joins it to the ingress. */
  protected abstract connect(): Promise<void>;

  /** A program that joins the group on the gateway's device and checks what comes. */
  async listener(): Promise<Program> {
    const words = [GROUP, String(GROUP_PORT), "0", String(PAYLOAD), SOURCE, INNER];
    const program = this.path.far.start(this.programs.check, words);
    await program.ready();
    return program;
  }

  /** What has come to the listener's host, once a listener's queue is full. */
  taken(): Taken {
    return this.path.taken(GROUP, GROUP_PORT);
  }

  protected async launch(
    role: string,
    host: Namespace,
    words: readonly string[],
    place = FIRST,
  ): Promise<void> {
    const started = launch(host, [...place, ...words]);
    this.daemons.set(role, started);
    await started.ready();
  }

  /** Brings DEVICE up with its address. */
  protected open(): void {
    this.path.far.up(DEVICE);
    this.path.far.address(DEVICE, `${INNER}/32`);
  }
}

/** Culvert's relay and gateway. */
export class CulvertEnds extends Ends {
  readonly name = "culvert";
  /** More words of both daemons. */
  words: readonly string[] = [];

  protected async connect(): Promise<void> {
    const { relay, far, folder } = this.path;
    const daemon = (role: string, host: Namespace, ...words: string[]) => {
      const control = ["--control", path.join(folder, `${role}.sock`)];
      const node = [process.execPath, ...(this.flags[role] ?? []), COMMAND];
      const all = [...node, role, ...control, ...words, ...this.words];
      return this.launch(role, host, all, NEARLY_FIRST);
    };
    await daemon("relay", relay, "--local", RELAY, "--ingress", INGRESS);
    const device = ["--tun", DEVICE, "--address", `${INNER}/32`];
    await daemon("gateway", far, "--local", FAR, "--relay", RELAY, ...device);
  }
}

/** The kernel's VXLAN driver: the ingress and the tunnel are ports of a bridge. */
export class VxlanEnds extends Ends {
  readonly name = "vxlan";

  protected connect(): Promise<void> {
    const tunnel = "type vxlan id 7 dstport 4789 nolearning";
    this.path.relay.ipBatch([
      "link add br0 type bridge mcast_snooping 0",
      `link add vx0 ${tunnel} local ${RELAY} remote ${FAR}`,
      `link set ${INGRESS} master br0`,
      "link set vx0 master br0",
      "link set vx0 up",
      "link set br0 up",
    ]);
    this.path.far.ipBatch([`link add ${DEVICE} ${tunnel} local ${FAR} remote ${RELAY}`]);
    this.open();
    return Promise.resolve();
  }
}

/** A plain pair of loops on `node:dgram`. */
export class DgramEnds extends Ends {
  readonly name = "node:dgram";

  protected async connect(): Promise<void> {
    const program = (name: string) => [
      process.execPath,
      path.join(ROOT, "dist/bench/system", name),
    ];
    const port = String(AMT_PORT);
    const { relay, far } = this.path;
    await this.launch("gateway", far, [...program("dgram-gateway.js"), DEVICE, FAR, port]);
    this.open();
    const stream = [INGRESS_ADDRESS, SOURCE, GROUP, String(GROUP_PORT), RELAY, port];
    await this.launch("relay", relay, [
      ...program("dgram-relay.js"),
      ...stream,
      `${FAR}:${port}:1`,
    ]);
  }
}
