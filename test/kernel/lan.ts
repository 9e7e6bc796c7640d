/**
 * A LAN behind a gateway, each box a namespace, and its bridge a real one that snoops:
 *
 *     two sources ──── relay ──── gateway 1 lan0 ──── br0 of "lan" ──┬── host 1
 *                                                                    ├── host 2
 *                                                                    └── host 3
 */
import { Daemon } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import { startListener } from "../../src/lab/stream.ts";
import type { Listener } from "../../src/lab/stream.ts";
import { GATEWAYS, RELAY } from "../../src/lab/tree.ts";
import { Network, PORT, eventually } from "./culvert.ts";

export const LAN_DEVICE = "lan0";
/** The gateway's address on the LAN; its link-local one follows from its MAC address. */
export const LAN_ADDRESS = "10.9.0.9";

/**
 * The querier's variables: Group Membership Interval 14 s, Last Member Query Time 2 s, which a busy
 * machine still keeps.
 */
const QUERIER = ["--query-interval", "6", "--query-response-interval", "2"];
/** The longest until a membership that nobody renews has ended, on a busy machine. */
export const EXPIRY_MS = 25_000;
/** The longest until packets have come or a query was answered, on a busy machine. */
export const PATIENCE_MS = 20_000;

export class Lan {
  readonly network: Network;
  readonly gateway: Namespace;
  readonly bridge: Namespace;
  readonly hosts: readonly Namespace[];
  readonly #lab: Lab;

  constructor(lab: Lab, hosts = 3) {
    this.#lab = lab;
    this.network = new Network(lab);
    this.gateway = this.network.tree.gateways[0];
    this.bridge = lab.namespace("lan");
    this.connect(LAN_DEVICE, "p0", this.bridge, `${LAN_ADDRESS}/24`);
    this.bridge.bridge("br0", "p0");
    this.hosts = Array.from({ length: hosts }, (_, i) => this.#host(i));
  }

  /** Gives the gateway a device of its own, to `device` in another namespace. */
  connect(name: string, device: string, to: Namespace, ...addresses: string[]): void {
    this.#lab.connect(this.gateway, name, to, device);
    this.gateway.ip("link", "set", name, "address", "0a:00:00:00:00:09");
    this.gateway.address(name, ...addresses);
  }

  /** The address of a host on the LAN. */
  addressOf(i: number): string {
    return `10.9.0.${11 + i}`;
  }

  /** Makes a host speak an older version of IGMP and MLD. */
  speak(i: number, igmp: 1 | 2 | 3, mld: 1 | 2): void {
    this.hosts[i]!.sysctl("net/ipv4/conf/eth0/force_igmp_version", igmp);
    this.hosts[i]!.sysctl("net/ipv6/conf/eth0/force_mld_version", mld);
  }

  /** Starts the relay, and gateway 1 with these options. */
  async start(...options: string[]): Promise<Daemon> {
    await this.network.relay();
    return this.startGateway(...options);
  }

  /** Starts gateway 1 with these options beside the ends of its tunnel. */
  startGateway(...options: string[]): Promise<Daemon> {
    const ends = ["--local", GATEWAYS[0], "--relay", RELAY];
    const args = ["gateway", ...ends, ...QUERIER, ...options];
    return Daemon.start(this.gateway, this.#lab.folder, "gateway0", args);
  }

  /** Joins on a host of the LAN; without sources, for any. */
  join(i: number, group: string, ...sources: string[]): Promise<Listener> {
    return startListener(this.hosts[i]!, {
      group,
      port: PORT,
      device: "eth0",
      address: this.addressOf(i),
      ...(sources.length > 0 ? { sources } : {}),
    });
  }

  #host(i: number): Namespace {
    const host = this.#lab.namespace(`host${i + 1}`);
    this.#lab.connect(host, "eth0", this.bridge, `p${i + 1}`);
    host.address("eth0", `${this.addressOf(i)}/24`);
    this.bridge.ip("link", "set", `p${i + 1}`, "master", "br0");
    for (const scope of ["all", "eth0"]) host.sysctl(`net/ipv4/conf/${scope}/rp_filter`, 0);
    return host;
  }
}

/** Packets that a listener has of a source, or of all. */
function packets(listener: Listener, source?: string): number {
  return (listener.progress()?.streams ?? [])
    .filter((stream) => source === undefined || stream.source === source)
    .reduce((sum, stream) => sum + stream.received, 0);
}

/** Waits until a listener has got so many packets more, of a source or of all. */
export async function goesOn(listener: Listener, more = 500, source?: string): Promise<void> {
  const from = packets(listener, source);
  await eventually(
    `${more} packets more`,
    PATIENCE_MS,
    () => packets(listener, source) >= from + more,
  );
}

/** Waits for the first packet. */
export async function begins(listener: Listener): Promise<void> {
  await listener.first(PATIENCE_MS);
}
