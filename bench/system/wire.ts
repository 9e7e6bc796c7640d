/**
 * The road of every row of the pseudowire suite: two namespaces joined by a veth pair, with an
 * Ethernet device in each that the row joins through the pair.
 *
 *     west: wire0, under0 ── under0, wire0: east
 */
import { Lab, type Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { taken, type Taken } from "./stack.ts";

export const UNDER = "under0";
export const DEVICE = "wire0";
/** What a frame's payload may have, so that its datagram fits 1,500 octets. */
export const INNER_MTU = 1446;

export interface End {
  readonly namespace: Namespace;
  /** Addresses on the pair and on the row's device. */
  readonly outer: string;
  readonly inner: string;
}

export class Wire {
  static #made = 0;
  readonly west: End;
  readonly east: End;
  readonly #lab = new Lab("wire");
  /** A program in the eastern namespace, for /proc to show that namespace's interfaces. */
  readonly #anchor: Program;

  constructor() {
    const number = Wire.#made++;
    try {
      const [west, east] = [1, 2].map((host) => ({
        namespace: this.#lab.namespace(`${number}-${host}`),
        outer: `10.81.0.${host}`,
        inner: `10.82.0.${host}`,
      })) as [End, End];
      this.west = west;
      this.east = east;
      this.#lab.connect(west.namespace, UNDER, east.namespace, UNDER);
      for (const { namespace, outer } of this.ends) {
        for (const device of ["all", "default"])
          namespace.sysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
        namespace.address(UNDER, `${outer}/24`);
      }
      this.#anchor = east.namespace.start("cat", []);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  get ends(): readonly End[] {
    return [this.west, this.east];
  }

  /** A folder that goes with the wire. */
  get folder(): string {
    return this.#lab.folder;
  }

  /** Brings the row's devices up with their addresses; each knows the other's link address. */
  open(): void {
    for (const { namespace, inner } of this.ends) {
      namespace.ip("link", "set", DEVICE, "mtu", String(INNER_MTU), "up");
      namespace.address(DEVICE, `${inner}/24`);
    }
    for (const [here, there] of [
      [this.west, this.east],
      [this.east, this.west],
    ] as const) {
      const link = there.namespace.read(`/sys/class/net/${DEVICE}/address`).trim();
      const entry = ["lladdr", link, "nud", "permanent", "dev", DEVICE];
      here.namespace.ip("neighbor", "replace", there.inner, ...entry);
    }
  }

  /** What the socket at `port` of the eastern end, which is never read, had no room for: see `taken`. */
  arrived(port: number): Taken {
    return taken(this.#anchor.pid!, this.east.inner, port);
  }

  /** Ends every program and removes the namespaces. */
  remove(): void {
    this.#lab.close();
  }
}
