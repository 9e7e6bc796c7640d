/**
 * The kernel laboratory's networks: the usual tree, in which a guest takes the place of one box. That
 * box's namespace becomes the guest's surroundings, a bridge for each of its devices:
 *
 *     source eth0 ── up0 relay down0 ── eth0 [guest] eth1 ── eth0 LAN       the driver as gateway
 *
 *     source eth0 ── eth1 [guest] eth0 ──┬── eth0 gateway 1                 the driver as relay
 *                                        └── eth0 gateway 2
 */
import type { Daemon } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { Program } from "../../src/lab/program.ts";
import { startListener } from "../../src/lab/stream.ts";
import type { Listener, Source, SourcePlan } from "../../src/lab/stream.ts";
import { DEVICES, GATEWAYS, RELAY, SOURCES, SOURCES_6 } from "../../src/lab/tree.ts";
import { Network, PORT } from "../kernel/culvert.ts";
import { Guest } from "./guest.ts";
import type { DriverImage } from "./image.ts";

/** A network with a guest in it, on which one test after the other runs. */
export abstract class Bed {
  readonly network: Network;
  readonly guest: Guest;
  readonly #programs = new Set<Program>();

  protected constructor(network: Network, guest: Guest) {
    this.network = network;
    this.guest = guest;
  }

  /** The device of the driver in the guest. */
  protected abstract readonly device: string;

  /** Removes the driver's device; the driver says nothing to its peer. */
  async down(): Promise<void> {
    await this.guest.run(`ip link del ${this.device}`);
  }

  /** What the driver's device has taken in and given out, and the kernel's last words. */
  report(): Promise<string> {
    return this.guest.run(`ip -s -d link show ${this.device}; dmesg | tail -n 3`);
  }

  /** Ends what the last test has started, in the guest and around it. */
  async reset(): Promise<void> {
    for (const program of this.#programs) program.kill("SIGKILL");
    for (const program of this.#programs) await program.ended;
    this.#programs.clear();
    if ((await this.guest.run("ls /sys/class/net")).includes(this.device)) await this.down();
  }

  async relay(...options: string[]): Promise<Daemon> {
    return this.noted(await this.network.relay(["--ingress", "up0", ...options]));
  }

  async gateway(i: 0 | 1): Promise<Daemon> {
    return this.noted(await this.network.gateway(i, "--discovery"));
  }

  async send(group: string, plan: Partial<SourcePlan> = {}): Promise<Source> {
    return this.noted(await this.network.send(group, plan));
  }

  protected async listen(joined: Promise<Listener>): Promise<Listener> {
    return this.noted(await joined);
  }

  /** Something that ends with the test. */
  noted<T extends { readonly program: Program }>(started: T): T {
    this.#programs.add(started.program);
    return started;
  }
}

/**
 * The driver as gateway; hosts of its LAN join through it, for it has its device in a bridge. Nothing
 * is offloaded, so that captures show what a wire would.
 */
export class DriverGateway extends Bed {
  protected readonly device = "amtg";
  readonly #lan: Namespace;

  private constructor(network: Network, guest: Guest, lan: Namespace) {
    super(network, guest);
    this.#lan = lan;
  }

  static async boot(lab: Lab, image: DriverImage): Promise<DriverGateway> {
    const network = new Network(lab);
    network.withoutOffload();
    const box = network.tree.gateways[0];
    const lan = lab.namespace("lan");
    lab.connect(lan, "eth0", box, "lan0");
    lan.address("eth0", `${DEVICES[0]}/24`, "2001:db8:3::1/64");
    const guest = Guest.start(lab, box, image, ["tap0", "tap1"], "no-offload");
    join(box, "br0", "eth0", "tap0");
    join(box, "br1", "lan0", "tap1");
    await guest.booted();
    await guest.run(`ip address add ${GATEWAYS[0]}/24 dev eth0 && ip link set eth0 up`);
    await guest.run("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up");
    await guest.run("ip link set eth1 up master br0");
    return new DriverGateway(network, guest, lan);
  }

  /** Makes the driver's device; it looks for the relay at once. */
  async up(): Promise<void> {
    const ends = `local ${GATEWAYS[0]} discovery ${RELAY} dev eth0`;
    await this.guest.run(`ip link add ${this.device} type amt mode gateway ${ends}`);
    await this.guest.run(`ip link set ${this.device} up master br0`);
  }

  /** Joins on the LAN; without sources, for any. */
  join(group: string, ...sources: string[]): Promise<Listener> {
    const plan = { group, port: PORT, device: "eth0", address: DEVICES[0] };
    const joined = startListener(this.#lan, { ...plan, ...(sources.length > 0 && { sources }) });
    return this.listen(joined);
  }
}

/** The driver as relay, into which the guest's own multicast routing forwards; with offloads. */
export class DriverRelay extends Bed {
  protected readonly device = "amtr";

  static async boot(lab: Lab, image: DriverImage): Promise<DriverRelay> {
    const network = new Network(lab);
    const box = network.tree.relay;
    const guest = Guest.start(lab, box, image, ["tap0", "tap1"], "offload");
    box.ip("link", "del", "br0");
    join(box, "br0", "down0", "down1", "tap0");
    join(box, "br1", "up0", "tap1");
    await guest.booted();
    await guest.run(`ip address add ${RELAY}/24 dev eth0 && ip link set eth0 up`);
    await guest.run("ip address add 198.51.100.2/24 dev eth1 && ip link set eth1 up");
    await guest.run("ip address add 2001:db8:1::2/64 dev eth1 nodad");
    for (const scope of ["all", "default"])
      await guest.run(`echo 0 > /proc/sys/net/ipv6/conf/${scope}/accept_dad`);
    await guest.run("echo 1 > /proc/sys/net/ipv4/ip_forward");
    await guest.run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    return new DriverRelay(network, guest);
  }

  /** Makes the driver's device, and routes these groups of all sources into it. */
  async up(...groups: string[]): Promise<void> {
    await this.guest.run(
      `ip link add ${this.device} type amt mode relay local ${RELAY} dev eth0 && ip link set ${this.device} up`,
    );
    // Without this address the driver leaves Requests for MLD unanswered.
    const address = `ip -6 address show dev ${this.device} scope link -tentative`;
    await this.guest.run(`until ${address} | grep -q inet6; do usleep 10000; done`);
    const routes = groups.flatMap((group) =>
      (group.includes(":") ? SOURCES_6 : SOURCES).map(
        (source) => `mroute from eth1 source ${source} group ${group} to ${this.device}`,
      ),
    );
    const devices = ["eth1", this.device].map((name) => `phyint ${name} enable`);
    await this.guest.run("> /tmp/routes");
    for (const line of [...devices, ...routes]) await this.guest.run(`echo ${line} >> /tmp/routes`);
    await this.guest.run("smcrouted -N -f /tmp/routes -P /tmp/pid");
    await this.guest.run("until [ -s /tmp/pid ]; do usleep 10000; done");
  }

  override async down(): Promise<void> {
    // The next one can't start before this one has let go of the kernel's routing.
    await this.guest.run(
      "p=$(cat /tmp/pid) && kill $p && while [ -d /proc/$p ]; do usleep 10000; done",
    );
    await this.guest.run("rm -f /tmp/pid");
    await super.down();
  }

  /** Joins on the device of gateway 0 or 1; without sources, for any. */
  join(i: 0 | 1, group: string, ...sources: string[]): Promise<Listener> {
    return this.listen(this.network.join(i, group, ...sources));
  }
}

/** A bridge that only passes frames on: neither it nor its ports have addresses or take part. */
function join(box: Namespace, bridge: string, ...ports: string[]): void {
  for (const device of ports) box.ip("address", "flush", "dev", device);
  box.bridge(bridge, ...ports);
  box.ip("link", "set", bridge, "type", "bridge", "mcast_snooping", "0");
  for (const device of [bridge, ...ports]) box.sysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
}
