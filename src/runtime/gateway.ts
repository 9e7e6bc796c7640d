/**
 * A running AMT gateway: a device on which this host's applications, or the hosts of a bridge, join,
 * and downstream interfaces, the LANs behind it. What all of them want together travels to the relay,
 * and its data goes to each of them that wants it.
 *
 *     device, interfaces ──▶ Listeners ──▶ Reception: routes by member ──▶ merged, to the relay
 *
 * The gateway is the querier on its device and, unless it yields to another one, on its interfaces:
 * it hears IGMP and MLD reports of any version and keeps what they want, so one listener's leave never
 * cuts off another.
 */
import {
  CONFIG_LINKS,
  CONFIG_NOTED,
  CONFIG_SINK,
  CONFIG_SINK_USO,
  FRAME_ETHERNET,
  FRAME_IP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  PUNT_TOO_BIG,
  SINK_TAP,
  SINK_TAP_PLAIN,
  SINK_TUN,
  SINK_TUN_PLAIN,
} from "../../assembly/layout/arena.ts";
import type { GatewayConfig } from "../config/gateway.ts";
import { familyOf, type Address, type Family } from "../core/address.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import type { LanePorts } from "../lanes/lane-set.ts";
import { close, put } from "../os/libc.ts";
import { watchLinks, type LinkEvents } from "../os/link-events.ts";
import { addAddress, setMtu, setSysctl, setUp } from "../os/link.ts";
import { openLinkSender } from "../os/packet.ts";
import { openTun, type TunDevice } from "../os/tun.ts";
import { readHead } from "../wire/icmp.ts";
import { GatewaySockets, tunnelMtu } from "./amt-socket.ts";
import { deviceFrame } from "./device-frame.ts";
import { Downstream } from "./downstream.ts";
import { IcmpWatch } from "./icmp.ts";
import { checkPin } from "./lane-plan.ts";
import { Listeners, warnOfRobustness } from "./listeners.ts";
import { HOST, Reception } from "./reception.ts";
import { planRelays } from "./relay-plan.ts";
import type { Service, ServiceStatus } from "./service.ts";

/** Where our queries on the device come from. Hosts want a link-local one for MLD (RFC 3810 §5.1.14). */
const QUERY_SOURCE: Readonly<Record<Family, Address>> = { 4: "0.0.0.0", 6: "fe80::a:7:50" };

const FAMILIES = [4, 6] as const;

/** Octets of kernel buffer for what waits in the queues of downstream interfaces. */
const LINK_BUFFER = 64 * 1024 * 1024;

/** Starts a gateway; settles when its device is up. Throws ConfigError or OsError. */
export async function startGateway(name: string, config: GatewayConfig): Promise<Service> {
  const gateway = new RunningGateway(name, config);
  await gateway.start();
  return gateway;
}

class RunningGateway implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #config: GatewayConfig;
  readonly #laneCount: number;
  readonly #reception: Reception;
  /** The device's queues, one for each lane; none without a device. */
  readonly #devices: readonly TunDevice[] = [];
  /** The listeners on the device. */
  readonly #listeners: Listeners | undefined;
  readonly #downstream: readonly Downstream[] = [];
  /** What sends to downstream interfaces, one descriptor for each lane. */
  readonly #senders: readonly number[] = [];
  /** Tells sources of what is too big for those interfaces. */
  readonly #icmp: IcmpWatch | undefined;
  #events: LinkEvents | undefined;
  #stopping: Promise<void> | undefined;
  #closed = false;

  constructor(name: string, config: GatewayConfig) {
    this.#config = config;
    // All that one relay sends is one flow, which one lane gets.
    this.#laneCount = config.lanes === "auto" ? 1 : config.lanes;
    checkPin(config.pin);
    const plan = planRelays("gateway", config);
    const socket = new GatewaySockets(plan.locals, this.#laneCount);
    this.#reception = new Reception({
      name,
      role: "gateway",
      socket,
      plan,
      tunnels: config.maxTunnels,
      quirks: config.quirks,
      replace: true,
      threads: config,
      lanes: () => Array.from({ length: this.#laneCount }, (_, lane) => this.#ports(socket, lane)),
      prime: (commands) => this.#prime(commands),
      deviceName: () => this.#devices[0]?.name,
      device: (punt) =>
        punt.kind === PUNT_TOO_BIG ? this.#tooBig(punt) : this.#listeners?.hear(punt.octets),
    });
    const { tale } = this.#reception;
    this.ended = tale.ended;
    try {
      this.#downstream = (config.downstream ?? []).map((one, i) => this.#open(one, i));
      if (this.#downstream.length > 0) {
        this.#senders = openSenders(this.#laneCount);
        this.#icmp = new IcmpWatch(tale, { tooBig: () => undefined, look: () => this.#look() });
      }
      if (config.tun !== undefined || config.tap !== undefined) {
        this.#devices = this.#openDevices();
        this.#listeners = this.#listen();
      }
    } catch (error) {
      this.#closeAll();
      void this.#reception.abandon();
      throw error;
    }
    void this.ended.then(() => this.#closeAll());
  }

  async start(): Promise<void> {
    try {
      await this.#reception.start();
      if (this.#downstream.length > 0) this.#events = watchLinks(() => this.#refresh());
      this.#refresh();
    } catch (error) {
      await this.#reception.abandon();
      this.#closeAll();
      throw error;
    }
    warnOfRobustness(this.#config.robustness, this.#reception.tale);
    for (const family of FAMILIES)
      // Against 0.0.0.0 no other router of the device's link can win.
      this.#listeners?.start(family, QUERY_SOURCE[family]);
  }

  status(): ServiceStatus {
    return {
      ...this.#reception.status(),
      interfaces: this.#downstream.map((one) => one.status()),
    };
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#events?.close();
    this.#icmp?.close();
    this.#listeners?.close();
    for (const one of this.#downstream) one.close();
    await this.#reception.stop();
    this.#reception.tale.end(undefined);
    await this.ended;
  }

  /** Closes what no lane has in use any more. Safe to call twice. */
  #closeAll(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events?.close();
    this.#icmp?.close();
    this.#listeners?.close();
    for (const one of this.#downstream) one.close();
    for (const { fd } of this.#devices) close(fd);
    for (const fd of this.#senders) close(fd);
  }

  /** The ports of a lane: the relay, the device if there is one, and where data goes. */
  #ports(socket: GatewaySockets, lane: number): LanePorts {
    const device = this.#devices[lane];
    const sender = this.#senders[lane];
    return {
      role: "gateway",
      inlets: [
        ...socket.inlets(lane),
        ...(device ? [{ kind: "device", fd: device.fd, frame: this.#frame } as const] : []),
      ],
      outlet: device ? "device" : "none",
      ...(sender === undefined ? {} : { links: sender }),
    };
  }

  /** What a lane must know besides its routes. */
  #prime(commands: CommandWriter): void {
    const [device] = this.#devices;
    if (device) {
      commands.config(CONFIG_SINK, this.#sink);
      commands.config(CONFIG_SINK_USO, device.offloads.uso ? 1 : 0);
    }
    commands.config(CONFIG_LINKS, memberOf(this.#downstream.length, 4) - 1);
    for (const i of this.#downstream.keys()) this.#describe(commands, i);
  }

  /** Tells a lane how to send to a downstream interface. */
  #describe(commands: CommandWriter, i: number): void {
    for (const family of FAMILIES) {
      const record = this.#downstream[i]!.record(family);
      if (record) commands.link(memberOf(i, family), record);
    }
  }

  #open(name: string, i: number): Downstream {
    return new Downstream({
      name,
      querier: this.#config,
      tale: this.#reception.tale,
      wanted: (group, filter) => this.#reception.want(memberOf(i, familyOf(group)), group, filter),
      changed: () => this.#reception.tell((commands) => this.#describe(commands, i)),
    });
  }

  /** Tells the source of a datagram that is too big for a downstream interface. */
  #tooBig({ octets, port }: Punt): void {
    const head = readHead(octets);
    if (head === undefined) return;
    const link = this.#downstream.find((_, i) => memberOf(i, head.family) === port);
    this.#icmp?.shown(octets, head, link?.record(head.family)?.mtu ?? Number.POSITIVE_INFINITY);
  }

  /** Lets the lanes show once more what is too big. */
  #look(): void {
    this.#reception.tell((commands) => commands.config(CONFIG_NOTED, 0));
  }

  /** Looks at all downstream interfaces anew. */
  #refresh(): void {
    for (const one of this.#downstream) one.refresh();
  }

  /** The listeners on the device. */
  #listen(): Listeners {
    const { fd, name } = this.#devices[0]!;
    return new Listeners(
      {
        text: `device ${name}`,
        send: (datagram) => put(fd, deviceFrame(this.#frame, datagram)),
        mtu: () => this.#mtu,
        wanted: (group, filter) => this.#reception.want(HOST, group, filter),
      },
      this.#config,
      this.#reception.tale,
    );
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
      for (let lane = 0; lane < this.#laneCount; lane++) {
        const multiQueue = this.#laneCount > 1;
        // A name such as culvert%d is a number only after the first queue is open.
        const name = devices[0]?.name ?? wanted;
        const offloads = { uso: true };
        devices.push(openTun({ name, kind, vnetHeader: true, multiQueue, offloads }));
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
}

/** The member of routes that is downstream interface `i` for groups of a family. */
function memberOf(i: number, family: Family): number {
  return 1 + 2 * i + (family === 6 ? 1 : 0);
}

/** Packet sockets that send to downstream interfaces. */
function openSenders(count: number): number[] {
  const fds: number[] = [];
  try {
    for (let i = 0; i < count; i++) fds.push(openLinkSender(LINK_BUFFER));
  } catch (error) {
    for (const fd of fds) close(fd);
    throw error;
  }
  return fds;
}
