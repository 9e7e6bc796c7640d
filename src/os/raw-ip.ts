/** Raw IP sockets of one protocol for the lanes. Read raw(7), and ipv6(7) on raw sockets, first. */
import { AF_INET, AF_INET6 } from "../../assembly/layout/system.ts";
import { familyOf, type Address } from "../core/address.ts";
import { attachFilter, type Instruction } from "./bpf.ts";
import { sizeBuffer } from "./buffers.ts";
import { setIpOptions, type IpOptions } from "./ip-options.ts";
import { SOCK_RAW, bind, close, setsockopt, socket } from "./libc.ts";
import { encodeSockaddr } from "./sockaddr.ts";

const SOL_RAW = 255;
const IPV6_CHECKSUM = 7;

export interface RawIpOptions extends IpOptions {
  /** The address to bind to; an unspecified one takes what comes to any. */
  readonly local: Address;
  /** Interface index, for a link-local IPv6 address. */
  readonly scope?: number;
  /** IP protocol or IPv6 next header. */
  readonly protocol: number;
  /** Takes a part of the packets; every socket of the protocol gets them all. */
  readonly filter?: readonly Instruction[];
  /** Octets wanted of the kernel's buffers; see `sizeBuffer`. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
}

/**
 * An open socket, not blocking. With IPv4 what is received starts with its IP header, options
 * included, and what is sent does not: the kernel writes it. With IPv6 neither has a header. The
 * kernel reassembles before and fragments after. In a sockaddr the port is 0.
 */
export interface RawIpSocket {
  readonly fd: number;
  /** Octets that the kernel granted, its overhead included. */
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
}

/** Opens and binds a raw IP socket. Throws OsError. */
export function openRawIp(options: RawIpOptions): RawIpSocket {
  const { local, protocol, scope = 0 } = options;
  const isV4 = familyOf(local) === 4;
  const text = `IP protocol ${protocol} on ${local}`;
  const family = isV4 ? AF_INET : AF_INET6;
  const fd = socket(family, SOCK_RAW, protocol, text, "run as root or give CAP_NET_RAW");
  try {
    // The protocol's payload has no checksum that the kernel should compute.
    if (!isV4) setsockopt(fd, SOL_RAW, IPV6_CHECKSUM, -1, `IPV6_CHECKSUM ${text}`);
    if (options.filter) attachFilter(fd, options.filter, text);
    setIpOptions(fd, isV4, options, text);
    const receiveBuffer = sizeBuffer(fd, "receive", options.receiveBuffer);
    const sendBuffer = sizeBuffer(fd, "send", options.sendBuffer);
    bind(fd, encodeSockaddr(local, 0, scope), text);
    return { fd, receiveBuffer, sendBuffer };
  } catch (error) {
    close(fd);
    throw error;
  }
}
