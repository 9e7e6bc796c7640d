/** TUN and TAP devices. */
import { BugError } from "../core/errors.ts";

export interface TunOffloads {
  /** The core completes and accepts partial checksums. */
  readonly checksum: boolean;
  /** UDP segmentation: super-packets with VNET_GSO_UDP_L4. */
  readonly uso: boolean;
  /** TCP segmentation: super-packets with VNET_GSO_TCP*. */
  readonly tso: boolean;
}

export interface TunOptions {
  /** "culvert0", or "culvert%d" for the first free number. */
  readonly name: string;
  readonly kind: "tun" | "tap";
  /** Asks for a virtio_net_hdr of VNET_LENGTH octets before each packet. */
  readonly vnetHeader: boolean;
  readonly multiQueue?: boolean;
  /** What the host may leave to us; only with `vnetHeader`. */
  readonly offloads?: Partial<TunOffloads>;
}

export interface TunDevice {
  readonly fd: number;
  readonly name: string;
  /** False when the kernel refused: packets come bare. */
  readonly vnetHeader: boolean;
  readonly offloads: TunOffloads;
}

export function openTun(options: TunOptions): TunDevice {
  throw new BugError(`openTun: ${options.name}: not written yet`);
}
