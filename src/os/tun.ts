/**
 * TUN and TAP devices through /dev/net/tun. Read the kernel's networking/tuntap document and
 * linux/virtio_net.h first.
 */
import { readlinkSync } from "node:fs";
import { VNET_LENGTH } from "../../assembly/layout/system.ts";
import { EBUSY, EINVAL, osError } from "./errno.ts";
import { close, ioctl, open } from "./libc.ts";
import { deleteGroup, findLink, nameOctets, setGroup } from "./link.ts";
import { OsError } from "../core/errors.ts";

const O_RDWR = 0o2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
const TUNGETDEVNETNS = 0x54e3;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETCARRIER = 0x400454e2;

// ifreq: the name in 16 octets, then flags.
const IFREQ_FLAGS = 16; // u16
const IFREQ_LENGTH = 40;
const IFF_TUN = 0x0001;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_PERSIST = 0x0800;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_TUN_EXCL = 0x8000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** What the host may leave to the reader of the device; each but `checksum` brings `checksum`. */
export interface TunOffloads {
  /** Packets may come with VNET_NEEDS_CHECKSUM: only the pseudo-header is summed. */
  readonly checksum: boolean;
  /** UDP super-packets may come, VNET_GSO_UDP_L4 (Linux 6.2). */
  readonly uso: boolean;
  /** TCP super-packets may come. */
  readonly tso: boolean;
}

export interface TunOptions {
  /** "culvert0", or "culvert%d" for the first free number. */
  readonly name: string;
  /** "tun": IP datagrams. "tap": Ethernet frames. */
  readonly kind: "tun" | "tap";
  /** Asks for a virtio_net_hdr of VNET_LENGTH octets before each packet, both ways. */
  readonly vnetHeader: boolean;
  /** Lets several descriptors serve one device: each opens it by the same name, with this set. */
  readonly multiQueue?: boolean;
  /** Refuses a device that is there already, with EBUSY. */
  readonly exclusive?: boolean;
  /** Wanted from the host; without `vnetHeader` nothing can be had. */
  readonly offloads?: Partial<TunOffloads>;
}

/**
 * An open device, not blocking; it is down, and vanishes when its last descriptor is closed.
 * One read(2) gives one packet, one write(2) takes one: [virtio_net_hdr if `vnetHeader`] [Ethernet
 * header on a TAP] IP datagram. A write of a packet while the device is down fails with EIO.
 */
export interface TunDevice {
  readonly fd: number;
  /** The name that it got. */
  readonly name: string;
  /** False when not asked for, or when the kernel refused: packets come bare. */
  readonly vnetHeader: boolean;
  /**
   * What was granted. When `uso` is false although asked for, the kernel takes no VNET_GSO_UDP_L4
   * super-packet in a write either.
   */
  readonly offloads: TunOffloads;
}

/**
 * Makes a device, or takes over one that is there and free: a persistent one without a program, or
 * one more queue of a device with several. Throws OsError.
 */
export function openTun(options: TunOptions): TunDevice {
  const ifreq = new Uint8Array(IFREQ_LENGTH);
  ifreq.set(nameOctets(options.name));
  const makes = options.exclusive === true || options.name.includes("%");
  const there = makes ? undefined : findLink(options.name);
  if (there && there.kind !== "tun")
    throw new OsError(
      "TUNSETIFF",
      "EEXIST",
      options.name,
      `an interface of this name exists and is no TUN or TAP device (${there.kind ?? "hardware"}); ` +
        "choose another name",
    );
  const fd = openControl();
  try {
    const flags =
      (options.kind === "tun" ? IFF_TUN : IFF_TAP) |
      IFF_NO_PI |
      (options.multiQueue ? IFF_MULTI_QUEUE : 0) |
      (options.exclusive ? IFF_TUN_EXCL : 0);
    const vnetHeader = options.vnetHeader && attach(fd, ifreq, flags | IFF_VNET_HDR) === 0;
    if (!vnetHeader) {
      const result = attach(fd, ifreq, flags);
      if (result < 0) throw refusal(-result, options);
    }
    const name = nameIn(ifreq);
    if (!vnetHeader) return { fd, name, vnetHeader, offloads: NO_OFFLOADS };
    // A new device has this size; one that was there before may have another.
    if (options.exclusive !== true) {
      const size = new Uint8Array(new Int32Array([VNET_LENGTH]).buffer);
      const result = ioctl(fd, TUNSETVNETHDRSZ, size);
      if (result < 0) throw osError("TUNSETVNETHDRSZ", -result, name);
    }
    return { fd, name, vnetHeader, offloads: grant(fd, options.offloads ?? {}) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Says whether the device's wire is plugged in: without carrier the host sends nothing into it. A new
 * device has carrier. Throws OsError.
 */
export function setCarrier(device: Pick<TunDevice, "fd" | "name">, on: boolean): void {
  const result = ioctl(
    device.fd,
    TUNSETCARRIER,
    new Uint8Array(new Int32Array([on ? 1 : 0]).buffer),
  );
  if (result < 0) throw osError("TUNSETCARRIER", -result, device.name);
}

/**
 * Closes devices of the calling thread's network namespace. Each close of a device waits for all
 * processors to have left it, which takes some 20 ms; many are removed as one group, which waits but
 * once. `group` is a number from 1 to 2^31 - 1 that no other interface has (IFLA_GROUP).
 */
export function closeTuns(fds: readonly number[], group: number): void {
  let grouped = 0;
  if (fds.length > 1) {
    const here = readlinkSync("/proc/thread-self/ns/net");
    for (const fd of fds) if (joinGroup(fd, group, here)) grouped++;
  }
  try {
    if (grouped > 0) deleteGroup(group);
  } catch (error) {
    // Each goes by its own close then, only later.
    if (!(error instanceof OsError)) throw error;
  }
  for (const fd of fds) close(fd);
}

/** False for a device that is to stay, is gone, or is somewhere else by now. */
function joinGroup(fd: number, group: number, here: string): boolean {
  const ifreq = new Uint8Array(IFREQ_LENGTH);
  if (ioctl(fd, TUNGETIFF, ifreq) < 0) return false;
  if (new DataView(ifreq.buffer).getUint16(IFREQ_FLAGS, true) & IFF_PERSIST) return false;
  const netns = ioctl(fd, TUNGETDEVNETNS, 0);
  if (netns < 0) return false;
  try {
    if (readlinkSync(`/proc/thread-self/fd/${netns}`) !== here) return false;
    setGroup(nameIn(ifreq), group);
    return true;
  } catch {
    return false; // its close does without
  } finally {
    close(netns);
  }
}

/** The name in an ifreq. */
function nameIn(ifreq: Uint8Array): string {
  return new TextDecoder().decode(ifreq.subarray(0, ifreq.indexOf(0)));
}

function openControl(): number {
  try {
    return open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    const mend =
      error.errno === "ENOENT" || error.errno === "ENODEV" || error.errno === "ENXIO"
        ? "load the driver: modprobe tun; in a container, pass the device /dev/net/tun in"
        : "run as root, or give access to /dev/net/tun and CAP_NET_ADMIN";
    throw new OsError(error.call, error.errno, error.subject, mend);
  }
}

/** Ties the descriptor to the device; the kernel writes the final name back. */
function attach(fd: number, ifreq: Uint8Array, flags: number): number {
  new DataView(ifreq.buffer).setUint16(IFREQ_FLAGS, flags, true);
  return ioctl(fd, TUNSETIFF, ifreq);
}

function refusal(errno: number, options: TunOptions): OsError {
  const { name } = options;
  if (errno === EBUSY)
    return osError("TUNSETIFF", errno, name, "another program holds this device");
  if (errno === EINVAL)
    return osError(
      "TUNSETIFF",
      errno,
      name,
      "the name can't be used, or a device of this name exists with another kind or queue setting " +
        `(see 'ip -details link show ${name}')`,
    );
  return osError("TUNSETIFF", errno, name);
}

const NO_OFFLOADS: TunOffloads = { checksum: false, uso: false, tso: false };

/** Asks for all that is wanted, then for less and less. An older kernel refuses `uso`. */
function grant(fd: number, wanted: Partial<TunOffloads>): TunOffloads {
  const { uso = false, tso = false } = wanted;
  const checksum = uso || tso || wanted.checksum === true;
  const tries: TunOffloads[] = [
    { checksum, uso, tso },
    { checksum, uso: false, tso },
    { checksum, uso: false, tso: false },
  ];
  return tries.find((offloads) => ioctl(fd, TUNSETOFFLOAD, bits(offloads)) >= 0) ?? NO_OFFLOADS;
}

function bits({ checksum, uso, tso }: TunOffloads): number {
  return (
    (checksum ? TUN_F_CSUM : 0) |
    // The kernel takes the two of a pair only together.
    (uso ? TUN_F_USO4 | TUN_F_USO6 : 0) |
    (tso ? TUN_F_TSO4 | TUN_F_TSO6 : 0)
  );
}
