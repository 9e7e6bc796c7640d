/** What a lane is made of, and what it and the control thread say to each other. */
import {
  ARENA_RX,
  FRAME_ETHERNET,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  RX_REGION,
  RX_REGIONS,
} from "../../assembly/layout/arena.ts";
import { ETHERNET_LENGTH, VNET_LENGTH } from "../../assembly/layout/system.ts";
import { CulvertError } from "../core/errors.ts";
import type { RingShape } from "../os/packet-ring.ts";

/** One descriptor that a lane reads. */
export interface Inlet {
  /** "socket" takes batches by recvmmsg; "device" is TUN or TAP. */
  readonly kind: "socket" | "device";
  readonly fd: number;
  /** FRAME_*: what stands before each packet. */
  readonly frame: number;
  /** The socket's UDP port, for FRAME_UDP. */
  readonly port?: number;
  /** True for a gateway's AMT socket besides the first, of the other family. */
  readonly amt?: boolean;
  /** The number, from 1, of the ingress interface, where a relay has several. */
  readonly ingress?: number;
  /** The packet ring to read it by, where the kernel makes one; else by recvmmsg. */
  readonly ring?: RingShape;
}

/** How lanes run as threads. */
export interface LaneThreads {
  /** The processors that they keep to, one after another; where the system puts them if undefined. */
  readonly pin?: readonly number[] | undefined;
  /**
   * Microseconds that one looks for more packets before it sleeps, giving way to other threads between two
   * looks.
   */
  readonly busyPoll?: number | undefined;
}

/** What a lane of any role is made of. */
export interface LaneBase {
  /** The processor that it keeps to. */
  readonly processor?: number;
  readonly busyPoll?: number;
  readonly module: WebAssembly.Module;
  readonly arena: WebAssembly.Memory;
}

/** The ports of a lane that has the same ones from start to end. */
export interface FixedPorts {
  readonly role: "relay" | "gateway";
  /** The AMT socket first, a gateway's other one; then a relay's ingress, or a gateway's device. */
  readonly inlets: readonly Inlet[];
  /**
   * Where the lane sends: its AMT socket, its device, or a receiver's own descriptor. A gateway may
   * have only links.
   */
  readonly outlet:
    | "socket"
    | "device"
    | "none"
    | { readonly kind: "stream" | "socket" | "capture"; readonly fd: number };
  /** A gateway's packet socket for downstream interfaces. */
  readonly links?: number;
}

/** A lane whose ports come and go: it starts with none. */
export interface OpenPorts {
  readonly role: "l2tp";
}

/** What the Worker of a lane waits with. The descriptors are the control thread's. */
export interface LaneWaiting {
  /** An epoll set. */
  readonly epoll: number;
  /** Rung when there are commands in the ring, or a message. */
  readonly bell: number;
}

export type LanePlan = LaneBase & LaneWaiting & (FixedPorts | OpenPorts);

/** A port of a lane that has OpenPorts. */
export interface PortPlan {
  /** Its number, a small one that no other open port of the lane has. */
  readonly port: number;
  /**
   * "udp": a UDP socket. "raw": a raw IP socket. "device": TUN or TAP. "frames": a connected socket
   * that carries a frame a message. "capture": a file that frames go to.
   */
  readonly kind: "udp" | "raw" | "device" | "frames" | "capture";
  readonly fd: number;
  /** Octets of virtio_net_hdr before a frame of a device: VNET_LENGTH or 0; 0 for other kinds. */
  readonly header: number;
  /** LINKTYPE_* of what a capture gets; 0 for other kinds. */
  readonly linkType?: number;
  /** True: another lane reads it, and this one only writes to it. */
  readonly writeOnly?: boolean;
}

export type ToLane =
  "commands" | "stop" | { readonly open: readonly PortPlan[] } | { readonly close: number };
export type FromLane =
  | "ready"
  | "punts"
  | "stopped"
  | { readonly died: string }
  /** The port of this number is not used any more: its descriptor may be closed. */
  | { readonly closed: number }
  /** Likewise, but unasked: its device is gone, or who was connected has left. */
  | { readonly lost: number; readonly reason: string };

/** What the control thread holds of a running lane, wherever that runs. */
export interface LaneThread {
  tell(message: ToLane): void;
}

/** What a running lane calls, never before its start has returned. */
export interface LaneEars {
  hear(message: FromLane): void;
  /** The lane has ended, for whatever reason; called once. */
  gone(): void;
}

/** Why a lane died, for the operator; with the place where it was for those who mend it. */
export function deathReason(error: Error): string {
  return error instanceof CulvertError ? error.message : (error.stack ?? String(error));
}

/** Receive regions of a lane that has OpenPorts: one for all sockets, one for all devices. */
export const REGION_SOCKETS = 0;
export const REGION_DEVICES = 1;

/** Address of receive region `index`. */
export function regionAddress(index: number): number {
  return ARENA_RX + index * RX_REGION;
}

/**
 * The receive region of the inlet at this place. AMT sockets, the first and each that is `amt`, share
 * one, and all others share one, since a batch is done with before the next one is read.
 */
export function regionOf(place: number, amt = false): number {
  return regionAddress(place === 0 || amt ? 0 : RX_REGIONS - 1);
}

/** Octets that stand before an IP datagram in a frame of this kind. */
export function frameHeader(frame: number): number {
  const vnet = frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? VNET_LENGTH : 0;
  const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET ? ETHERNET_LENGTH : 0;
  return vnet + link;
}
