/** UDP sockets for the lanes. */
import type { Endpoint } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

export interface UdpOptions {
  /** Where to bind; port 0 takes a free one. */
  readonly local: Endpoint;
  /** Interface index, for a link-local IPv6 address. */
  readonly scope?: number;
  /** Lets several sockets share the endpoint; the kernel spreads flows over them. */
  readonly reusePort?: boolean;
  /** Octets wanted of the kernel's buffers. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
  /** Asks for receive offload: super-packets, each with a UDP_GRO cmsg. */
  readonly gro?: boolean;
  /** True: DF set, too big is refused with EMSGSIZE. False: the kernel fragments. */
  readonly dontFragment?: boolean;
  /** Asks for an IP_PKTINFO or IPV6_PKTINFO cmsg with each message. */
  readonly destination?: boolean;
  /** Asks for an IP_TTL or IPV6_HOPLIMIT cmsg with each message. */
  readonly hopLimit?: boolean;
}

export interface UdpSocket {
  readonly fd: number;
  readonly local: Endpoint;
  readonly gro: boolean;
  readonly gso: boolean;
  /** Octets that the kernel granted. */
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
}

export function openUdp(options: UdpOptions): UdpSocket {
  throw new BugError(`openUdp: ${options.local.address}: not written yet`);
}
