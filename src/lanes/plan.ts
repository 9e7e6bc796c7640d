/** What a lane is made of, and what it and the control thread say to each other. */
import {
  ARENA_RX,
  FRAME_ETHERNET,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  RX_REGION,
} from "../../assembly/layout/arena.ts";
import { ETHERNET_LENGTH, VNET_LENGTH } from "../../assembly/layout/system.ts";

/** One descriptor that a lane reads. */
export interface Inlet {
  /** "socket" takes batches by recvmmsg; "device" is TUN or TAP. */
  readonly kind: "socket" | "device";
  readonly fd: number;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** The socket's UDP port, for FRAME_UDP. */
  readonly port?: number;
}

export interface LanePlan {
  readonly role: "relay" | "gateway";
  readonly module: WebAssembly.Module;
  readonly arena: WebAssembly.Memory;
  /** The AMT socket first; then a relay's ingress, or a gateway's device. At most RX_REGIONS. */
  readonly inlets: readonly Inlet[];
  /** Where the lane sends: its AMT socket, its device, or a receiver's own descriptor. */
  readonly outlet:
    "socket" | "device" | { readonly kind: "stream" | "socket"; readonly fd: number };
}

export type ToLane = "commands" | "stop";
export type FromLane = "ready" | "punts" | "stopped" | { readonly died: string };

/** Address of receive region `index`. */
export function regionAddress(index: number): number {
  return ARENA_RX + index * RX_REGION;
}

/** Octets that stand before an IP datagram in a frame of this kind. */
export function frameHeader(frame: number): number {
  const vnet = frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? VNET_LENGTH : 0;
  const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET ? ETHERNET_LENGTH : 0;
  return vnet + link;
}
