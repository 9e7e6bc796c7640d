/** UDP sockets for the lanes. Read udp(7) on UDP_SEGMENT and UDP_GRO first. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IP_PKTINFO,
  SOCKADDR_IN6_LENGTH,
  UDP_GRO,
  UDP_SEGMENT,
} from "../../assembly/layout/system.ts";
import { endpointText, familyOf } from "../core/address.ts";
import type { Address, Endpoint } from "../core/address.ts";
import { BugError, OsError } from "../core/errors.ts";
import { osError } from "./errno.ts";
import { attachChooser, type Instruction } from "./bpf.ts";
import { SOL_SOCKET, sizeBuffer } from "./buffers.ts";
import { setIpOptions, type IpOptions } from "./ip-options.ts";
import {
  SOCK_DGRAM,
  sendTo,
  bind,
  close,
  getsockname,
  getsockopt,
  setsockopt,
  socket,
  tryConnect,
  trySetsockopt,
} from "./libc.ts";
import { nameOctets } from "./link.ts";
import { decodeSockaddr, encodeSockaddr } from "./sockaddr.ts";

const SO_NO_CHECK = 11;
const SO_REUSEPORT = 15;
const SO_BINDTODEVICE = 25;
const SO_MEMINFO = 55;
const MEMINFO_DROPS = 32; // the last of nine u32
const MEMINFO_LENGTH = 36;
const IP_RECVTTL = 12;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_RECVHOPLIMIT = 51;
const UDP_NO_CHECK6_TX = 101;
const UDP_NO_CHECK6_RX = 102;
const IP_MTU = 14;
const IPV6_MTU = 24;

export interface UdpOptions extends IpOptions {
  /** Where to bind; port 0 takes a free one. */
  readonly local: Endpoint;
  /** Interface index, for a link-local IPv6 address. */
  readonly scope?: number;
  /** The one interface whose datagrams are taken, by name. */
  readonly device?: string;
  /**
   * Lets several sockets of one user share the endpoint; the kernel spreads flows over them. All of
   * them must ask for it.
   */
  readonly reusePort?: boolean;
  /** Octets wanted of the kernel's buffers; see `sizeBuffer`. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
  /** Asks for receive offload: trains of equal datagrams arrive as one message. */
  readonly gro?: boolean;
  /**
   * Takes datagrams over IPv6 whose UDP checksum is zero, where the kernel can (RFC 6935 §5); over
   * IPv4 they are always taken.
   */
  readonly zeroChecksum?: boolean;
  /** Sends datagrams whose UDP checksum is zero (over IPv6, RFC 6936 §5 says when). */
  readonly sendZeroChecksum?: boolean;
  /** Asks for each message's destination address. */
  readonly destination?: boolean;
  /** Asks for each message's TTL or hop limit. */
  readonly hopLimit?: boolean;
}

/**
 * An open socket, not blocking. Ancillary data that the kernel delivers with a message, each in a
 * space of a multiple of CMSG_ALIGN octets: UDP_GRO 24 (only when the message is a train), IP_TTL
 * or IPV6_HOPLIMIT 24, IP_TOS or IPV6_TCLASS 24, IP_PKTINFO 32 or IPV6_PKTINFO 40; together at
 * most 112. Any number of datagrams of a train, up to 65,507 octets, fill one message, so a slot
 * must hold as much when `gro` is true: what is beyond a slot's end is lost (MSG_TRUNC).
 */
export interface UdpSocket {
  readonly fd: number;
  /** Where it is bound, with the port that was chosen. */
  readonly local: Endpoint;
  /** True when trains may arrive. */
  readonly gro: boolean;
  /**
   * True when UDP_SEGMENT messages may be sent. A device without checksum offload can still refuse
   * one with EIO on older kernels; send its datagrams singly then.
   */
  readonly gso: boolean;
  /** Octets that the kernel granted, its overhead included. */
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
}

/** Opens and binds a UDP socket. Throws OsError. */
export function openUdp(options: UdpOptions): UdpSocket {
  const { local, scope = 0 } = options;
  const v4 = familyOf(local.address) === 4;
  const text = endpointText(local);
  const name = encodeSockaddr(local.address, local.port, scope);
  const fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0, `UDP ${text}`);
  try {
    const level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    if (!v4) setsockopt(fd, level, IPV6_V6ONLY, 1, `IPV6_V6ONLY ${text}`);
    if (options.device !== undefined) bindToDevice(fd, options.device);
    if (options.reusePort) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1, `SO_REUSEPORT ${text}`);
    setIpOptions(fd, v4, options, text);
    if (options.zeroChecksum && !v4) trySetsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, 1);
    if (options.sendZeroChecksum) {
      const [at, option] = v4 ? [SOL_SOCKET, SO_NO_CHECK] : [IPPROTO_UDP, UDP_NO_CHECK6_TX];
      setsockopt(fd, at, option, 1, `NO_CHECK ${text}`);
    }
    if (options.destination)
      setsockopt(fd, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, 1, `PKTINFO ${text}`);
    if (options.hopLimit)
      setsockopt(fd, level, v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1, `RECVTTL ${text}`);
    const receiveBuffer = sizeBuffer(fd, "receive", options.receiveBuffer);
    const sendBuffer = sizeBuffer(fd, "send", options.sendBuffer);
    // Segment size 0 means none, and is refused by a kernel without the option.
    const gso = trySetsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, 0) === 0;
    const gro = options.gro === true && trySetsockopt(fd, IPPROTO_UDP, UDP_GRO, 1) === 0;
    bind(fd, name, text, local.port > 0 && local.port < 1024 ? LOW_PORT : undefined);
    const bound = decodeSockaddr(getsockname(fd, SOCKADDR_IN6_LENGTH));
    if (!bound) throw new BugError(`getsockname ${text}: not an endpoint`);
    return { fd, local: bound, gro, gso, receiveBuffer, sendBuffer };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Opens `count` sockets that share an endpoint, over which the kernel spreads what arrives; port 0
 * takes a free one for all. The first is bound alone: an endpoint that another program has is refused,
 * even one that would share it. `chooser` picks the socket, by their order, in place of a hash of the
 * flow. Throws OsError.
 */
export function openUdpGroup(
  options: Omit<UdpOptions, "reusePort">,
  count: number,
  chooser?: readonly Instruction[],
): UdpSocket[] {
  const first = openUdp(options);
  const sockets = [first];
  const { local } = first;
  const text = endpointText(local);
  try {
    if (count > 1) setsockopt(first.fd, SOL_SOCKET, SO_REUSEPORT, 1, `SO_REUSEPORT ${text}`);
    while (sockets.length < count) sockets.push(openUdp({ ...options, local, reusePort: true }));
    if (count > 1 && chooser) attachChooser(first.fd, chooser, text);
    return sockets;
  } catch (error) {
    for (const { fd } of sockets) close(fd);
    throw error;
  }
}

/**
 * Has a socket take the datagrams of one interface alone. Throws OsError; with EPERM for one that had
 * another interface, without CAP_NET_RAW.
 */
export function bindToDevice(fd: number, device: string): void {
  setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, nameOctets(device), device);
}

/** Datagrams that found no room in the socket's buffer so far. */
export function readUdpDrops(fd: number): number {
  const facts = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, MEMINFO_LENGTH);
  if (typeof facts === "number") throw osError("SO_MEMINFO", -facts, `descriptor ${fd}`);
  return new DataView(facts.buffer).getUint32(MEMINFO_DROPS, true);
}

/** True when the kernel has IPv6; it may be without any address. */
export function hasIpv6(): boolean {
  try {
    close(socket(AF_INET6, SOCK_DGRAM, 0, "IPv6"));
    return true;
  } catch (error) {
    if (error instanceof OsError && error.errno === "EAFNOSUPPORT") return false;
    throw error;
  }
}

const LOW_PORT =
  "ports below 1024 need root or CAP_NET_BIND_SERVICE, and may be in use by another program";

/** The path's MTU to an endpoint as the system knows it; undefined where there is no way. */
export function readPathMtu(from: Address, to: Endpoint): number | undefined {
  const isV4 = familyOf(to.address) === 4;
  const { fd } = openUdp({ local: { address: from, port: 0 } });
  try {
    if (tryConnect(fd, encodeSockaddr(to.address, to.port)) < 0) return undefined;
    const mtu = getsockopt(fd, isV4 ? IPPROTO_IP : IPPROTO_IPV6, isV4 ? IP_MTU : IPV6_MTU, 4);
    return typeof mtu === "number" ? undefined : new DataView(mtu.buffer).getInt32(0, true);
  } finally {
    close(fd);
  }
}

/** Sends one datagram, without waiting. Returns its length or a negated errno. */
export function sendDatagram(fd: number, octets: Uint8Array, to: Endpoint): number {
  return sendTo(fd, octets, encodeSockaddr(to.address, to.port));
}
