/** What is given to a device: frames with their virtio_net_hdr, and what is to come of them. */
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import type { SuperPacket } from "../../src/engine/reference/offload.ts";
import { vnetOf } from "../offload/trains.ts";

/** What is sent at once. */
export interface Sending {
  readonly trains: number;
  /** Messages with their virtio_net_hdr. */
  readonly sent: readonly Uint8Array[];
  /** The frames that are to arrive. */
  readonly wanted: readonly Uint8Array[];
}

const PLAIN = new Uint8Array(VNET_LENGTH);

/** A frame that its host has finished. */
export function finished(frame: Uint8Array): Uint8Array {
  return Buffer.concat([PLAIN, frame]);
}

/** A super-packet as a host leaves it to its device: not cut, its checksum open. */
export function unfinished(packet: SuperPacket): Uint8Array {
  const vnet = vnetOf(packet);
  return Buffer.concat([vnet, packet.octets]);
}
