/** What a lane is made of, and what it and the control thread say to each other. */
import {
  ARENA_RX,
  FRAME_ETHERNET,
  FRAME_UDP,
  FRAME_VNET,
  FRAME_VNET_ETHERNET,
  RX_REGION,
  RX_REGIONS,
} from "../../assembly/layout/arena.ts";
import { ETHERNET_LENGTH, VNET_LENGTH } from "../../assembly/layout/system.ts";
import { BugError, CulvertError } from "../core/errors.ts";

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
  /** The AMT socket first; then a relay's ingress, or a gateway's device. */
  readonly inlets: readonly Inlet[];
  /** Where the lane sends: its AMT socket, its device, or a receiver's own descriptor. */
  readonly outlet:
    "socket" | "device" | { readonly kind: "stream" | "socket" | "capture"; readonly fd: number };
}

export type ToLane = "commands" | "stop";
export type FromLane = "ready" | "punts" | "stopped" | { readonly died: string };

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

/** Address of receive region `index`. */
export function regionAddress(index: number): number {
  return ARENA_RX + index * RX_REGION;
}

/**
 * The receive region of each inlet. A batch is done with before the next one is read, so inlets of
 * FRAME_UDP, of which there may be many, share one.
 */
export function regionsOf(inlets: readonly Pick<Inlet, "frame">[]): number[] {
  let count = 0;
  let shared: number | undefined;
  const regions = inlets.map(({ frame }) => {
    if (frame !== FRAME_UDP) return count++;
    return (shared ??= count++);
  });
  if (count > RX_REGIONS) throw new BugError(`${count} receive regions wanted`);
  return regions.map(regionAddress);
}

/** Octets that stand before an IP datagram in a frame of this kind. */
export function frameHeader(frame: number): number {
  const vnet = frame === FRAME_VNET || frame === FRAME_VNET_ETHERNET ? VNET_LENGTH : 0;
  const link = frame === FRAME_ETHERNET || frame === FRAME_VNET_ETHERNET ? ETHERNET_LENGTH : 0;
  return vnet + link;
}
