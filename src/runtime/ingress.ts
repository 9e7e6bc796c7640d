/**
 * Where a relay's multicast comes from, and whom it asks for it: interfaces on which it joins like a
 * host, or a device into which the host's own multicast routing forwards.
 */
import {
  FRAME_ETHERNET,
  FRAME_IP,
  FRAME_UDP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
} from "../../assembly/layout/arena.ts";
import type { RelayConfig } from "../config/relay.ts";
import { ETHERNET_LENGTH, VNET_LENGTH } from "../../assembly/layout/system.ts";
import { familyOf, unspecified, type Address, type Family } from "../core/address.ts";
import type { Inlet } from "../lanes/plan.ts";
import { MembershipHost, type HostInput, type HostOutput } from "../membership/host.ts";
import { SystemEntropy } from "../os/entropy.ts";
import { close, put } from "../os/libc.ts";
import { readLink, setMtu, setQueueLength, setUp, type Link } from "../os/link.ts";
import { openPacket, readPacketDrops, rebindPacket } from "../os/packet.ts";
import { ringShape } from "../os/packet-ring.ts";
import { openTun } from "../os/tun.ts";
import { bindToDevice, hasIpv6, openUdp, readUdpDrops } from "../os/udp.ts";
import { emitMembershipDatagrams, parseMembershipDatagram } from "../wire/membership-datagram.ts";
import type { GroupFilter } from "../wire/membership.ts";
import { Driver } from "./driver.ts";
import { IngressLinks } from "./ingress-links.ts";
import { Upstream, readIngress } from "./upstream.ts";

/** Octets of kernel buffer for what arrives while the lane sends. */
const BUFFER = 32 * 1024 * 1024;

/** A device's MTU: what is too large for a tunnel must come out of it, or nobody tells the source. */
const DEVICE_MTU = 65_535;

/** Packets that wait in a device while the lane sends; the kernel's default is 500. */
const QUEUE = 8_192;

/** Where reports on a device come from: any address will do, hosts' link-local ones are usual. */
const REPORT_SOURCE: Readonly<Record<Family, Address>> = { 4: "0.0.0.0", 6: "fe80::a:7:50" };

/** A relay's settings when its ingress are interfaces. */
type InterfaceConfig = Extract<RelayConfig, { readonly ingress: readonly string[] }>;

export interface Ingress {
  /** What each lane reads, one list for each. */
  readonly inlets: readonly (readonly Inlet[])[];
  /** Groups that the kernel has refused to join so far. */
  readonly waiting: number;
  /** Packets that found no room in what lanes read. */
  readonly lost: number;
  /** Asks for this of a group from now on. */
  want(group: Address, filter: GroupFilter): void;
  /** A membership packet that came in beside the data. */
  membership(octets: Uint8Array): void;
  /** Leaves everything and closes the descriptors. */
  close(): void;
}

/**
 * Opens what the configuration says, for this many lanes, each of which takes every packet. `warn`
 * takes a line for the operator.
 */
export function openIngress(
  config: RelayConfig,
  lanes: number,
  mtu: number,
  warn: (text: string) => void,
): Ingress {
  if (config.tun !== undefined) return openDevice(config.tun, lanes, mtu);
  return openInterfaces(config, lanes, warn);
}

/**
 * Interfaces: the kernel joins for us; packet sockets take what comes, or, where UDP ports are named,
 * ordinary sockets, which need no privilege.
 */
function openInterfaces(
  { ingress: names, ingressPorts: ports, ingressRing: useRing }: InterfaceConfig,
  lanes: number,
  warn: (text: string) => void,
): Ingress {
  const links = names.map(readIngress);
  /** What reads each interface. */
  const taps: Inlet[][] = names.map(() => []);
  const { inlets, upstream, events } = opened((keep) => {
    const inlets = Array.from({ length: lanes }, () =>
      names.flatMap((name, i) => {
        const own =
          ports === undefined
            ? [keep(openTap(name, useRing))]
            : openPorts(name, ports, lanes, keep);
        taps[i]!.push(...own);
        return names.length === 1 ? own : own.map((tap) => ({ ...tap, ingress: i + 1 }));
      }),
    );
    const upstream = new Upstream(links, warn);
    const moved = (i: number, link: Link): void => {
      for (const tap of taps[i]!)
        if (ports !== undefined) bindToDevice(tap.fd, link.name);
        else rebindPacket(tap.fd, link, linkHeaderOf(tap.frame));
      upstream.move(i, link.index);
    };
    return { inlets, upstream, events: new IngressLinks({ links, moved, warn }) };
  });
  const fds = inlets.flat().map(({ fd }) => fd);
  let lost = 0;
  return {
    inlets,
    get waiting() {
      return upstream.waiting;
    },
    get lost() {
      if (ports !== undefined) return sumOf(fds, readUdpDrops);
      return (lost += sumOf(fds, readPacketDrops));
    },
    want: (group, filter) => upstream.want(group, filter),
    membership: () => {},
    close() {
      events.close();
      upstream.close();
      for (const fd of fds.splice(0)) close(fd);
    },
  };
}

/** A packet socket, which takes a copy of all multicast on an interface. */
function openTap(name: string, useRing: boolean): Inlet {
  const { fd, vnetHeader, linkHeader } = openPacket({
    interface: name,
    families: [4, 6],
    vnetHeader: true,
    receiveBuffer: BUFFER,
  });
  const bare = linkHeader > 0 ? FRAME_ETHERNET : FRAME_IP;
  const vnet = linkHeader > 0 ? FRAME_VNET_ETHERNET : FRAME_VNET;
  if (!vnetHeader) return { kind: "socket", fd, frame: bare };
  if (!useRing) return { kind: "socket", fd, frame: vnet };
  return { kind: "socket", fd, frame: vnet, ring: ringShape(readLink(name).mtu, BUFFER) };
}

/** Octets of link header that a tap's frames were opened with. */
function linkHeaderOf(frame: number): number {
  return frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET ? ETHERNET_LENGTH : 0;
}

/** Sockets of both families for UDP ports of an interface; of each there is one for every lane. */
function openPorts(name: string, ports: readonly number[], lanes: number, keep: Keep): Inlet[] {
  const families = ([4, 6] as const).filter((family) => family === 4 || hasIpv6());
  return ports.flatMap((port) =>
    families.map((family) => keep(openPort(name, family, port, lanes > 1))),
  );
}

/** A socket for one UDP port; the kernel gives multicast to each of those that `share` it. */
function openPort(device: string, family: Family, port: number, share: boolean): Inlet {
  const { fd } = openUdp({
    local: { address: unspecified(family), port },
    device,
    reusePort: share,
    receiveBuffer: BUFFER,
    destination: true,
    hopLimit: true,
  });
  return { kind: "socket", fd, frame: FRAME_UDP, port };
}

/**
 * A device: multicast routing forwards into it, and sees our reports come out of it. The device gives
 * a packet to one reader, the first lane; the others take copies as from an interface.
 */
function openDevice(wanted: string, lanes: number, mtu: number): Ingress {
  const offloads = { checksum: true, uso: true };
  const device = openTun({ name: wanted, kind: "tun", vnetHeader: true, offloads });
  const { fd, name, vnetHeader } = device;
  const inlets = opened((keep) => {
    keep(device);
    setQueueLength(name, QUEUE);
    setMtu(name, DEVICE_MTU);
    setUp(name, true);
    const first: Inlet = { kind: "device", fd, frame: vnetHeader ? FRAME_VNET : FRAME_IP };
    return [first, ...Array.from({ length: lanes - 1 }, () => keep(openTap(name, true)))];
  });
  const header = new Uint8Array(vnetHeader ? VNET_LENGTH : 0);
  const hosts = { 4: makeHost(4), 6: makeHost(6) };
  return {
    inlets: inlets.map((inlet) => [inlet]),
    waiting: 0,
    lost: 0,
    want: (group, filter) => hosts[familyOf(group)].handle({ kind: "set", group, filter }),
    membership(octets) {
      const parsed = parseMembershipDatagram(octets, { onLink: true });
      if ("drop" in parsed || parsed.message.kind !== "query") return;
      hosts[parsed.family].handle({ kind: "query", query: parsed.message });
    },
    close() {
      for (const host of Object.values(hosts)) host.close();
      for (const inlet of inlets) close(inlet.fd);
    },
  };

  /** The host half that speaks for all gateways together (RFC 4605 §4.1). */
  function makeHost(family: Family): Driver<HostInput, HostOutput> {
    const machine = new MembershipHost({ family, entropy: new SystemEntropy() });
    return new Driver<HostInput, HostOutput>(machine, { kind: "timeout" }, ({ message }) => {
      const sender = { family, source: REPORT_SOURCE[family], mtu };
      for (const datagram of emitMembershipDatagrams(message, sender))
        put(fd, Uint8Array.from([...header, ...datagram]));
    });
  }
}

/** Takes note of a descriptor. */
type Keep = <O extends { readonly fd: number }>(one: O) => O;

function sumOf(fds: readonly number[], read: (fd: number) => number): number {
  return fds.reduce((sum, fd) => sum + read(fd), 0);
}

/** What `open` makes; should it fail, what it had kept until then is closed. */
function opened<T>(open: (keep: Keep) => T): T {
  const fds: number[] = [];
  try {
    return open((one) => {
      fds.push(one.fd);
      return one;
    });
  } catch (error) {
    for (const fd of fds) close(fd);
    throw error;
  }
}
