/** What is given to a device: frames with their virtio_net_hdr, and what is to come of them. */
import { VNET_GSO_NONE, VNET_GSO_TYPE, VNET_LENGTH } from "../../assembly/layout/system.ts";
import { headersOf, type SuperPacket } from "../../src/engine/reference/offload.ts";
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

/**
 * A super-packet as a host leaves it to its device: not cut, its checksum open. One of a single segment
 * has an open checksum alone: as a super-packet the kernel would drop it.
 */
export function unfinished(packet: SuperPacket): Uint8Array {
  const { octets, ip, size } = packet;
  const vnet = vnetOf(packet);
  if (octets.length - headersOf(octets, ip)!.payload <= size) vnet[VNET_GSO_TYPE] = VNET_GSO_NONE;
  return Buffer.concat([vnet, octets]);
}
