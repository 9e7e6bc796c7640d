/**
 * A running AMT gateway: a device on which this host's applications, or the hosts of a bridge,
 * join; their memberships travel to the relay, and its data comes out of the device.
 *
 * On the device the gateway is the querier: it hears IGMP and MLD reports of any version and keeps
 * what they want, so one listener's leave never cuts off another.
 */
import {
  CONFIG_SINK,
  FRAME_ETHERNET,
  FRAME_IP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  SINK_TAP,
  SINK_TAP_PLAIN,
  SINK_TUN,
  SINK_TUN_PLAIN,
} from "../../assembly/layout/arena.ts";
import type { GatewayConfig } from "../config/gateway.ts";
import { familyOf, type Address, type Family } from "../core/address.ts";
import type { Punt } from "../engine/arena.ts";
import { MembershipRouter, type RouterInput, type RouterOutput } from "../membership/router.ts";
import { close, put } from "../os/libc.ts";
import { addAddress, setMtu, setSysctl, setUp } from "../os/link.ts";
import { openTun, type TunDevice } from "../os/tun.ts";
import { emitMembershipDatagrams, parseMembershipDatagram } from "../wire/membership-datagram.ts";
import type { MembershipQuery } from "../wire/membership.ts";
import { GatewaySockets, tunnelMtu } from "./amt-socket.ts";
import { deviceFrame } from "./device-frame.ts";
import { Driver } from "./driver.ts";
import { Reception } from "./reception.ts";
import { planRelays } from "./relay-plan.ts";
import type { Service, ServiceStatus } from "./service.ts";

/** Where our queries on the device come from. Hosts want a link-local one for MLD (RFC 3810 §5.1.14). */
const QUERY_SOURCE: Readonly<Record<Family, Address>> = { 4: "0.0.0.0", 6: "fe80::a:7:50" };

/** RFC 3376 §8 and RFC 3810 §9: the defaults. */
const TIMERS = {
  robustness: 2,
  queryInterval: 125_000,
  queryResponseInterval: 10_000,
  lastMemberQueryInterval: 1_000,
};

/** More than any host asks for by itself; a bound on what a bridged one can make us keep. */
const LIMITS = { groups: 4_096, sources: 1_024, reporters: 256 };

/** Starts a gateway; settles when its device is up. Throws ConfigError or OsError. */
export async function startGateway(name: string, config: GatewayConfig): Promise<Service> {
  const gateway = new RunningGateway(name, config);
  await gateway.start();
  return gateway;
}

class RunningGateway implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #config: GatewayConfig;
  readonly #devices: readonly TunDevice[];
  readonly #reception: Reception;
  readonly #routers: Readonly<Record<Family, Driver<RouterInput, RouterOutput>>>;
  #stopping: Promise<void> | undefined;

  constructor(name: string, config: GatewayConfig) {
    this.#config = config;
    const plan = planRelays("gateway", config);
    const socket = new GatewaySockets(plan.locals, config.lanes);
    this.#reception = new Reception({
      name,
      role: "gateway",
      socket,
      plan,
      tunnels: config.maxTunnels,
      quirks: config.quirks,
      replace: true,
      lanes: () =>
        this.#devices.map(({ fd }, lane) => ({
          role: "gateway",
          inlets: [...socket.inlets(lane), { kind: "device", fd, frame: this.#frame }],
          outlet: "device",
        })),
      prime: (commands) => commands.config(CONFIG_SINK, this.#sink),
      device: (punt) => this.#heard(punt),
    });
    this.ended = this.#reception.tale.ended;
    try {
      this.#devices = this.#openDevices();
    } catch (error) {
      this.#reception.abandon();
      throw error;
    }
    this.#routers = { 4: this.#makeRouter(4), 6: this.#makeRouter(6) };
    void this.ended.then(() => this.#closeDevices());
  }

  async start(): Promise<void> {
    try {
      await this.#reception.start();
    } catch (error) {
      this.#closeDevices();
      this.#reception.abandon();
      throw error;
    }
    for (const router of Object.values(this.#routers)) router.handle({ kind: "start" });
  }

  status(): ServiceStatus {
    return this.#reception.status();
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  async #end(): Promise<void> {
    for (const router of Object.values(this.#routers)) router.close();
    await this.#reception.stop();
    this.#reception.tale.end(undefined);
    await this.ended;
  }

  #closeDevices(): void {
    for (const device of this.#devices) close(device.fd);
  }

  /** The device's MTU: the most that a tunnel of an underlay in use carries. */
  get #mtu(): number {
    return Math.max(...this.#reception.socket.locals.map((local) => tunnelMtu(local)));
  }

  /** What stands before a packet on the device. */
  get #frame(): number {
    const { vnetHeader } = this.#devices[0]!;
    if (this.#config.tap !== undefined) return vnetHeader ? FRAME_VNET_ETHERNET : FRAME_ETHERNET;
    return vnetHeader ? FRAME_VNET : FRAME_IP;
  }

  get #sink(): number {
    const { vnetHeader } = this.#devices[0]!;
    if (this.#config.tap !== undefined) return vnetHeader ? SINK_TAP : SINK_TAP_PLAIN;
    return vnetHeader ? SINK_TUN : SINK_TUN_PLAIN;
  }

  /** Makes the device, with a queue for each lane, and brings it up. */
  #openDevices(): TunDevice[] {
    const wanted = this.#config.tun ?? this.#config.tap!;
    const kind = this.#config.tun !== undefined ? "tun" : "tap";
    const devices: TunDevice[] = [];
    try {
      for (let lane = 0; lane < this.#config.lanes; lane++) {
        const multiQueue = this.#config.lanes > 1;
        // A name such as culvert%d is a number only after the first queue is open.
        const name = devices[0]?.name ?? wanted;
        devices.push(openTun({ name, kind, vnetHeader: true, multiQueue }));
      }
      const { name } = devices[0]!;
      setMtu(name, this.#mtu);
      // Sources of multicast are never reached back through the device: a reverse path check
      // would drop their data.
      setSysctl(4, name, "rp_filter", 0);
      setUp(name, true);
      for (const text of this.#config.address ?? []) {
        const [address, length] = text.split("/");
        addAddress(name, address!, Number(length));
      }
    } catch (error) {
      for (const { fd } of devices) close(fd);
      throw error;
    }
    return devices;
  }

  /** The querier on the device, for one family. */
  #makeRouter(family: Family): Driver<RouterInput, RouterOutput> {
    const machine = new MembershipRouter({
      family,
      role: "querier",
      address: QUERY_SOURCE[family],
      timers: TIMERS,
      limits: LIMITS,
    });
    return new Driver<RouterInput, RouterOutput>(machine, { kind: "timeout" }, (output) => {
      switch (output.kind) {
        case "filter":
          return this.#reception.want(output.group, output.filter);
        case "query":
          return this.#ask(output.query, family);
        case "dropped":
          return this.#reception.tale.dropped(output.drop);
      }
    });
  }

  /** Sends a query to the hosts on the device. */
  #ask(query: MembershipQuery, family: Family): void {
    const sender = { family, source: QUERY_SOURCE[family], mtu: this.#mtu };
    for (const datagram of emitMembershipDatagrams(query, sender))
      put(this.#devices[0]!.fd, deviceFrame(this.#frame, datagram));
  }

  /** Takes a membership packet that a host sent on the device. */
  #heard(punt: Punt): void {
    const parsed = parseMembershipDatagram(punt.octets, { onLink: true });
    if ("drop" in parsed) return this.#reception.tale.dropped(parsed.drop);
    if (parsed.message.kind === "query" && parsed.source === QUERY_SOURCE[parsed.family]) return;
    this.#routers[familyOf(parsed.destination)].handle({
      kind: "message",
      message: parsed.message,
      from: parsed.source,
    });
  }
}
