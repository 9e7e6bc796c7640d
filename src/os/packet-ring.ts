/**
 * The ring of a packet socket: frames that the kernel fills and we read, in memory that both see.
 * Read packet(7) and the kernel's packet_mmap.rst first; docs/adr/0011 says why it is TPACKET_V2.
 */
import { TPACKET2_OVERHEAD } from "../../assembly/layout/system.ts";
import { baseAddress, mapOver, trySetsockopt, unmapFrom } from "./libc.ts";

const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const TPACKET_V2 = 1;

/** Octets of memory that the kernel takes as one piece; a frame lies within one. */
const BLOCK = 65_536;

/** Octets of a page of WebAssembly memory. */
const WASM_PAGE = 65_536;

/** Frames of one size, both powers of two. */
export interface RingShape {
  /** The binary logarithm of their number. */
  readonly frames: number;
  /** The binary logarithm of their octets. */
  readonly shift: number;
}

/** The binary logarithm of the octets of the smallest frames that we make. */
const SMALL = 11;
/** The largest MTU of Ethernet hardware. Software devices have larger ones, and use them seldom. */
const JUMBO = 9_216;

/**
 * The shape of about `octets` octets for an interface with this MTU. What finds no room in a frame, as
 * super-packets, is queued.
 */
export function ringShape(mtu: number, octets: number): RingShape {
  const wanted = Math.ceil(Math.log2(mtu + TPACKET2_OVERHEAD));
  const shift = mtu > JUMBO ? SMALL : Math.max(SMALL, wanted);
  return { shift, frames: Math.floor(Math.log2(octets)) - shift };
}

export function ringLength({ frames, shift }: RingShape): number {
  return 2 ** (frames + shift);
}

/**
 * Makes the ring of a packet socket whose frames have a virtio_net_hdr, and maps it over `ringLength`
 * octets at `address`. What waits in the socket's queue is lost. Returns 0 or a negated errno: the
 * socket then is as it was.
 */
export function openRing(fd: number, shape: RingShape, address: number): number {
  const version = trySetsockopt(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
  if (version < 0) return version;
  // A packet that exceeds a frame is queued as well, whole.
  const queue = trySetsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, 1);
  if (queue < 0) return queue;
  const made = requestRing(fd, shape);
  if (made < 0) return made;
  const mapped = mapOver(address, ringLength(shape), fd);
  if (mapped < 0) requestRing(fd, undefined);
  return mapped;
}

/** Unmaps a ring and gives its memory back to the kernel; packets are queued from now on. */
export function closeRing(fd: number, shape: RingShape, address: number): void {
  unmapFrom(address, ringLength(shape));
  requestRing(fd, undefined);
}

/** Makes a small ring over a shared memory of its own, and closes it again. Results as `openRing`. */
export function tryRing(fd: number): number {
  const shape = { frames: 5, shift: SMALL };
  const pages = ringLength(shape) / WASM_PAGE;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const address = baseAddress(memory);
  const refusal = openRing(fd, shape, address);
  if (refusal === 0) closeRing(fd, shape, address);
  return refusal;
}

/** A tpacket_req: octets of a block, blocks, octets of a frame, frames; all zero for no ring. */
function requestRing(fd: number, shape: RingShape | undefined): number {
  const request = new Uint32Array(4);
  if (shape) {
    const { frames, shift } = shape;
    request.set([BLOCK, ringLength(shape) / BLOCK, 2 ** shift, 2 ** frames]);
  }
  return trySetsockopt(fd, SOL_PACKET, PACKET_RX_RING, new Uint8Array(request.buffer));
}
