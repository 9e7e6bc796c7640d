/**
 * Packet sockets: multicast that an interface receives, or that local applications send on it.
 * Read packet(7) and `multicastFilter` first.
 */
import {
  AF_PACKET,
  ETHERNET_LENGTH,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  SOCKADDR_LL_INDEX,
  SOCKADDR_LL_LENGTH,
  SOCKADDR_LL_PROTOCOL,
} from "../../assembly/layout/system.ts";
import {
  IPV4_DESTINATION,
  IPV4_PROTOCOL,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IGMP,
} from "../../assembly/layout/ip.ts";
import type { Family } from "../core/address.ts";
import {
  ADD,
  AND,
  assemble,
  attachFilter,
  IF_EQUAL,
  IF_GREATER,
  LOAD_BYTE,
  LOAD_BYTE_AT_X,
  LOAD_WORD,
  RETURN,
  SHIFT_LEFT,
  TO_X,
  type Instruction,
  type Step,
} from "./bpf.ts";
import { sizeBuffer } from "./buffers.ts";
import { EINVAL, osError } from "./errno.ts";
import {
  SOCK_DGRAM,
  SOCK_RAW,
  bind,
  close,
  getsockopt,
  setsockopt,
  socket,
  trySetsockopt,
} from "./libc.ts";
import { ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE, readLink } from "./link.ts";
import type { Link } from "./link.ts";

const ETH_P_ALL = 0x0003;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_ALLMULTI = 2;
const ARPHRD_TUNNEL = 768;
const ARPHRD_RAWIP = 519;

export interface PacketOptions {
  readonly interface: string;
  /** Which of IPv4 and IPv6 to take. */
  readonly families: readonly Family[];
  /** Asks for a virtio_net_hdr of VNET_LENGTH octets before each frame. */
  readonly vnetHeader: boolean;
  /** Octets wanted of the kernel's buffer; see `sizeBuffer`. */
  readonly receiveBuffer?: number;
}

/**
 * An open socket, not blocking. Each message of recvmmsg is one frame:
 *
 *     [virtio_net_hdr, VNET_LENGTH octets, if `vnetHeader`] [`linkHeader` octets] IP header ...
 *
 * The kernel gives a virtio_net_hdr on SOCK_RAW only, and SOCK_RAW brings the link header. Its
 * checksum start counts from the link header's first octet. What offloads did to a frame stands in
 * the virtio_net_hdr: VNET_NEEDS_CHECKSUM (a local application's datagram, or a neighbour's on the
 * same host, with a partial checksum) and a GSO type with a segment size (a train that a local
 * application sent as one, or that was merged on receipt). Without it partial checksums and
 * super-packets can't be told.
 *
 * VLAN: a tagged frame that arrives on the parent interface has its tag taken off before a packet
 * socket sees it, and would look like an untagged one; the filter leaves it out. Open the VLAN
 * interface itself to take its packets: there they come untagged.
 *
 * recvmmsg may answer -EINVAL for a single frame whose offload has no virtio_net_hdr form; it is
 * gone and the next call goes on. -ENETDOWN comes once when the interface goes down; the socket
 * works again when it comes up.
 */
export interface PacketSocket {
  readonly fd: number;
  /** False when not asked for, or when the kernel refused. */
  readonly vnetHeader: boolean;
  /** Octets of link header before the IP header: 14 on Ethernet and loopback, 0 on TUN. */
  readonly linkHeader: number;
  /** Octets that the kernel granted, its overhead included. */
  readonly receiveBuffer: number;
}

/**
 * Opens a packet socket on one interface that takes multicast, in both directions. On loopback
 * only what arrives is taken: there each packet passes twice. Throws OsError.
 */
export function openPacket(options: PacketOptions): PacketSocket {
  const link = readLink(options.interface);
  const header = linkHeaderLength(link);
  // A link whose header is of another length is read without it, and so without virtio_net_hdr.
  const raw = header !== undefined;
  const linkHeader = header ?? 0;
  // Protocol 0 receives nothing until the filter is in place.
  const type = raw ? SOCK_RAW : SOCK_DGRAM;
  const mend = "run as root or give CAP_NET_RAW";
  const fd = socket(AF_PACKET, type, 0, `packet socket on ${link.name}`, mend);
  try {
    attachFilter(fd, multicastFilter(options.families, linkHeader, !link.loopback), link.name);
    const vnetHeader =
      raw && options.vnetHeader && trySetsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, 1) === 0;
    const receiveBuffer = sizeBuffer(fd, "receive", options.receiveBuffer);
    // Only a socket for all protocols is shown what the host itself sends.
    bind(fd, linkName(link.index, ETH_P_ALL), link.name);
    return { fd, vnetHeader, linkHeader, receiveBuffer };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Has a socket of `openPacket` take the packets of another interface, as of one that was made anew.
 * Throws OsError, with EINVAL for a link whose header is of another length than `linkHeader`.
 */
export function rebindPacket(fd: number, link: Link, linkHeader: number): void {
  if ((linkHeaderLength(link) ?? 0) !== linkHeader)
    throw osError("bind", EINVAL, link.name, "it is an interface of another kind now");
  bind(fd, linkName(link.index, ETH_P_ALL), link.name);
}

/** Frames that found no room in the socket's buffer, or its ring, since the last call. */
export function readPacketDrops(fd: number): number {
  const statistics = getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, 8);
  if (typeof statistics === "number")
    throw osError("PACKET_STATISTICS", -statistics, `descriptor ${fd}`);
  // tpacket_stats: packets, drops
  return new DataView(statistics.buffer).getUint32(4, true);
}

/**
 * Opens a packet socket for the IGMP and MLD that others send on an Ethernet interface, in whole
 * frames, which also sends such (`sendTo` with `linkName`). Every multicast frame is let in while it
 * is open: reports of older hosts go to their groups. Throws OsError.
 */
export function openMembership(link: Link): number {
  const subject = `membership socket on ${link.name}`;
  const fd = socket(AF_PACKET, SOCK_RAW, 0, subject, "run as root or give CAP_NET_RAW");
  try {
    attachFilter(fd, membershipFilter(), link.name);
    sizeBuffer(fd, "receive", MEMBERSHIP_BUFFER);
    // packet_mreq: index, type, length and address, which this type has not.
    const request = new Uint8Array(16);
    const view = new DataView(request.buffer);
    view.setInt32(0, link.index, true);
    view.setUint16(4, PACKET_MR_ALLMULTI, true);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request, subject);
    bind(fd, linkName(link.index, ETH_P_ALL), link.name);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Reports of a large network that answer one query together. */
const MEMBERSHIP_BUFFER = 4 * 1024 * 1024;

/**
 * Opens a packet socket that sends whole Ethernet frames on any interface, as each message's name
 * says, through its queueing discipline; it receives nothing. `sendBuffer` as `sizeBuffer` takes it:
 * more than the queues of the interfaces hold, so that one that is slow loses and keeps nobody
 * waiting. Throws OsError.
 */
export function openLinkSender(sendBuffer: number): number {
  const mend = "run as root or give CAP_NET_RAW";
  const fd = socket(AF_PACKET, SOCK_RAW, 0, "packet socket for downstream interfaces", mend);
  try {
    sizeBuffer(fd, "send", sendBuffer);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A sockaddr_ll: the interface's index, and an EtherType. */
export function linkName(index: number, protocol: number): Uint8Array {
  const name = new Uint8Array(SOCKADDR_LL_LENGTH);
  const view = new DataView(name.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(SOCKADDR_LL_PROTOCOL, protocol);
  view.setInt32(SOCKADDR_LL_INDEX, index, true);
  return name;
}

/** Octets before the IP header of a frame; undefined for a kind of link that varies. */
function linkHeaderLength(link: Link): number | undefined {
  switch (link.hardwareType) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return ETHERNET_LENGTH;
    case ARPHRD_NONE:
    case ARPHRD_RAWIP:
    case ARPHRD_TUNNEL:
      return 0;
    default:
      return undefined;
  }
}

// What the kernel knows besides the octets, as offsets to load (SKF_AD_OFF).
const KNOWN_PROTOCOL = 0xfffff000;
const KNOWN_DIRECTION = 0xfffff004; // PACKET_HOST ...
const KNOWN_VLAN_TAG = 0xfffff030; // 1 when a tag was taken off

const PACKET_OTHERHOST = 3;
const PACKET_OUTGOING = 4;

/** MLD messages (RFC 3810 §5, RFC 2710 §3): queries, MLDv1 reports, dones, MLDv2 reports. */
const MLD_TYPES = [130, 131, 132, 143];

type Label = "drop" | "take" | "ipv4" | "ipv6" | "next";

/**
 * The filter program that takes a frame when it
 * - had no VLAN tag, and is not for another host; when not `outgoing`, also not sent by this one;
 * - is IPv4 to 224.0.0.0/4 but not 224.0.0.0/24 (link scope, RFC 5771 §4), and not IGMP; or
 * - is IPv6 to ff00::/8 of scope 3 or more (RFC 4291 §2.7), and not MLD, with or without the
 *   Hop-by-Hop header that MLD must have (RFC 3810 §5).
 * A frame too short for a question is dropped: a load beyond its end ends the program with 0.
 */
function multicastFilter(
  families: readonly Family[],
  linkHeader: number,
  outgoing: boolean,
): Instruction[] {
  const ip = linkHeader;
  const isMld = (code: number, value: number): Step<Label>[] => [
    { code, value },
    ...MLD_TYPES.map((type): Step<Label> => ({ code: IF_EQUAL, value: type, yes: "drop" })),
    { code: RETURN, value: 0xffffffff },
  ];
  const ipv4: Step<Label>[] = [
    { code: LOAD_WORD, value: ip + IPV4_DESTINATION, label: "ipv4" },
    { code: AND, value: 0xf0000000 },
    { code: IF_EQUAL, value: 0xe0000000, no: "drop" },
    { code: LOAD_WORD, value: ip + IPV4_DESTINATION },
    { code: AND, value: 0xffffff00 },
    { code: IF_EQUAL, value: 0xe0000000, yes: "drop" },
    { code: LOAD_BYTE, value: ip + IPV4_PROTOCOL },
    { code: IF_EQUAL, value: PROTOCOL_IGMP, yes: "drop", no: "take" },
  ];
  const ipv6: Step<Label>[] = [
    { code: LOAD_BYTE, value: ip + IPV6_DESTINATION, label: "ipv6" },
    { code: IF_EQUAL, value: 0xff, no: "drop" },
    { code: LOAD_BYTE, value: ip + IPV6_DESTINATION + 1 },
    { code: AND, value: 0x0f },
    { code: IF_GREATER, value: 2, no: "drop" },
    { code: LOAD_BYTE, value: ip + IPV6_NEXT_HEADER },
    { code: IF_EQUAL, value: PROTOCOL_ICMPV6, no: "next" },
    ...isMld(LOAD_BYTE, ip + IPV6_HEADER),
    { code: IF_EQUAL, value: PROTOCOL_HOP_BY_HOP, no: "take", label: "next" },
    { code: LOAD_BYTE, value: ip + IPV6_HEADER },
    { code: IF_EQUAL, value: PROTOCOL_ICMPV6, no: "take" },
    // Past the Hop-by-Hop header, which counts its 8 octets from 0 (RFC 8200 §4.3).
    { code: LOAD_BYTE, value: ip + IPV6_HEADER + 1 },
    { code: ADD, value: 1 },
    { code: SHIFT_LEFT, value: 3 },
    { code: TO_X, value: 0 },
    ...isMld(LOAD_BYTE_AT_X, ip + IPV6_HEADER),
  ];
  const v4 = families.includes(4);
  const v6 = families.includes(6);
  return assemble<Label>([
    { code: LOAD_WORD, value: KNOWN_VLAN_TAG },
    { code: IF_EQUAL, value: 0, no: "drop" },
    { code: LOAD_WORD, value: KNOWN_DIRECTION },
    { code: IF_EQUAL, value: PACKET_OTHERHOST, yes: "drop" },
    ...(outgoing ? [] : [{ code: IF_EQUAL, value: PACKET_OUTGOING, yes: "drop" } as const]),
    { code: LOAD_WORD, value: KNOWN_PROTOCOL },
    ...(v4 ? [{ code: IF_EQUAL, value: ETHERTYPE_IPV4, yes: "ipv4" } as const] : []),
    ...(v6 ? [{ code: IF_EQUAL, value: ETHERTYPE_IPV6, yes: "ipv6" } as const] : []),
    { code: RETURN, value: 0 },
    ...(v4 ? ipv4 : []),
    ...(v6 ? ipv6 : []),
    { code: RETURN, value: 0, label: "drop" },
    { code: RETURN, value: 0xffffffff, label: "take" },
  ]);
}

/**
 * The filter program that takes a frame of another host when it had no VLAN tag and is IPv4 with
 * IGMP, or IPv6 with the Hop-by-Hop header that MLD must have (RFC 3810 §5).
 */
function membershipFilter(): Instruction[] {
  return assemble<Label>([
    { code: LOAD_WORD, value: KNOWN_VLAN_TAG },
    { code: IF_EQUAL, value: 0, no: "drop" },
    { code: LOAD_WORD, value: KNOWN_DIRECTION },
    { code: IF_EQUAL, value: PACKET_OTHERHOST, yes: "drop" },
    { code: IF_EQUAL, value: PACKET_OUTGOING, yes: "drop" },
    { code: LOAD_WORD, value: KNOWN_PROTOCOL },
    { code: IF_EQUAL, value: ETHERTYPE_IPV6, yes: "ipv6" },
    { code: IF_EQUAL, value: ETHERTYPE_IPV4, no: "drop" },
    { code: LOAD_BYTE, value: ETHERNET_LENGTH + IPV4_PROTOCOL },
    { code: IF_EQUAL, value: PROTOCOL_IGMP, yes: "take", no: "drop" },
    { code: LOAD_BYTE, value: ETHERNET_LENGTH + IPV6_NEXT_HEADER, label: "ipv6" },
    { code: IF_EQUAL, value: PROTOCOL_HOP_BY_HOP, yes: "take" },
    { code: RETURN, value: 0, label: "drop" },
    { code: RETURN, value: 0xffffffff, label: "take" },
  ]);
}
