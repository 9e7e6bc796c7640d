/** Packet sockets: multicast that an interface receives or that local applications send on it. */
import type { Family } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

export interface PacketOptions {
  readonly interface: string;
  readonly families: readonly Family[];
  /** Asks for a virtio_net_hdr of VNET_LENGTH octets before each frame. */
  readonly vnetHeader: boolean;
  readonly receiveBuffer?: number;
}

/**
 * What recvmmsg delivers: [virtio_net_hdr if `vnetHeader`] [link header of `linkHeader` octets]
 * IP header ...
 */
export interface PacketSocket {
  readonly fd: number;
  readonly vnetHeader: boolean;
  /** Octets of link header before the IP header: 14 on Ethernet and loopback, 0 on TUN. */
  readonly linkHeader: number;
  /** Octets that the kernel granted. */
  readonly receiveBuffer: number;
}

export function openPacket(options: PacketOptions): PacketSocket {
  throw new BugError(`openPacket: ${options.interface}: not written yet`);
}
/** Frames that found no room in the socket's buffer since the last call. */
export function readPacketDrops(fd: number): number {
  throw new BugError(`readPacketDrops: ${fd}: not written yet`);
}
