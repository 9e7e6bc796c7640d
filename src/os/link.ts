/** Facts and settings of network interfaces, over rtnetlink, and their sysctls. */
import { readFileSync, writeFileSync } from "node:fs";
import { AF_INET, AF_INET6 } from "../../assembly/layout/system.ts";
import { familyOf, formatAddress, parseAddress } from "../core/address.ts";
import type { Address, Family } from "../core/address.ts";
import { BugError, OsError } from "../core/errors.ts";
import { EINVAL, ENODEV, osError } from "./errno.ts";
import { ioctl } from "./libc.ts";
import {
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  attribute,
  attributes,
  netlink,
  readU32,
  u32,
  withSocket,
} from "./netlink.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;

// ifinfomsg
const LINK_TYPE = 2; // u16
const LINK_INDEX = 4; // i32
const LINK_FLAGS = 8; // u32
const LINK_CHANGE = 12; // u32
const LINK_BODY = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
const IFLA_LINKINFO = 18;
const IFLA_GROUP = 27;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_SLAVE_KIND = 4;

const SIOCSIFMTU = 0x8922;

// ifreq: the name in 16 octets, then what the call is about.
const IFREQ_MTU = 16; // i32
const IFREQ_LENGTH = 40;

const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_RUNNING = 0x40;
const IFF_MULTICAST = 0x1000;

// ifaddrmsg
const ADDRESS_FAMILY = 0; // u8
const ADDRESS_PREFIX = 1; // u8
const ADDRESS_FLAGS = 2; // u8
const ADDRESS_SCOPE = 3; // u8
const ADDRESS_INDEX = 4; // u32
const ADDRESS_BODY = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const RT_SCOPE_LINK = 253;

/** The longest name of an interface (IFNAMSIZ less the final zero). */
const LINK_NAME_MAX = 15;

export const ARPHRD_ETHER = 1;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_NONE = 0xfffe;

export interface Link {
  readonly name: string;
  readonly index: number;
  /** Octets of the largest IP datagram. */
  readonly mtu: number;
  /** IFF_* as in netdevice(7). */
  readonly flags: number;
  readonly up: boolean;
  /** Up, and able to pass packets: there is a carrier. */
  readonly running: boolean;
  readonly loopback: boolean;
  readonly multicast: boolean;
  /** ARPHRD_*: 1 Ethernet, 772 loopback, 65534 TUN. */
  readonly hardwareType: number;
  /** Link-layer address; empty without one. */
  readonly hardwareAddress: Uint8Array;
  /** The driver's name for a software device: "tun", "veth", "vlan", "bridge". */
  readonly kind: string | undefined;
  /** What the interface is a part of: the other interface's index, and its driver's name. */
  readonly master: { readonly index: number; readonly kind: string } | undefined;
}

export interface LinkAddress {
  readonly address: Address;
  readonly prefix: number;
  readonly linkLocal: boolean;
  /** IPv6: duplicate address detection has not ended well, so the address can't be used (yet). */
  readonly tentative: boolean;
}

const text = (octets: Uint8Array | undefined): string =>
  octets ? new TextDecoder().decode(octets).replace(/\0.*$/s, "") : "";

/** The interface of this name or index. Throws OsError with ENODEV when there is none. */
export function readLink(which: string | number): Link {
  const request = new Uint8Array(LINK_BODY);
  const subject = typeof which === "number" ? `interface ${which}` : which;
  if (typeof which === "number") new DataView(request.buffer).setInt32(LINK_INDEX, which, true);
  const [body] = netlink(
    "RTM_GETLINK",
    subject,
    RTM_GETLINK,
    0,
    request,
    ...(typeof which === "string" ? [attribute(IFLA_IFNAME, nameOctets(which))] : []),
  );
  if (!body || body.length < LINK_BODY) throw osError("RTM_GETLINK", ENODEV, subject);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const facts = attributes(body, LINK_BODY);
  const flags = view.getUint32(LINK_FLAGS, true);
  const info = facts.get(IFLA_LINKINFO);
  const driver = info ? attributes(info, 0) : new Map<number, Uint8Array>();
  const master = readU32(facts.get(IFLA_MASTER));
  return {
    name: text(facts.get(IFLA_IFNAME)),
    index: view.getInt32(LINK_INDEX, true),
    mtu: readU32(facts.get(IFLA_MTU)),
    flags,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    multicast: (flags & IFF_MULTICAST) !== 0,
    hardwareType: view.getUint16(LINK_TYPE, true),
    hardwareAddress: facts.get(IFLA_ADDRESS)?.slice() ?? new Uint8Array(),
    kind: text(driver.get(IFLA_INFO_KIND)) || undefined,
    master:
      master === 0 ? undefined : { index: master, kind: text(driver.get(IFLA_INFO_SLAVE_KIND)) },
  };
}

/** `readLink`, but undefined when there is no such interface. */
export function findLink(name: string): Link | undefined {
  try {
    return readLink(name);
  } catch (error) {
    if (error instanceof OsError && error.errno === "ENODEV") return undefined;
    throw error;
  }
}

/** A name as the kernel stores it; refuses what it can't be. */
export function nameOctets(name: string): Uint8Array {
  const octets = new TextEncoder().encode(`${name}\0`);
  if (octets.length < 2 || octets.length > LINK_NAME_MAX + 1 || /[\s/:\0]/.test(name))
    throw osError(
      "interface",
      EINVAL,
      JSON.stringify(name),
      `a name has 1 to ${LINK_NAME_MAX} octets and no space, slash or colon`,
    );
  return octets;
}

/** Sets the largest IP datagram. Throws OsError, with EINVAL for what the device can't carry. */
export function setMtu(name: string, mtu: number): void {
  const ifreq = new Uint8Array(IFREQ_LENGTH);
  ifreq.set(nameOctets(name));
  new DataView(ifreq.buffer).setInt32(IFREQ_MTU, mtu, true);
  // A message of rtnetlink costs more, which thousands of devices show.
  const result = withSocket((fd) => ioctl(fd, SIOCSIFMTU, ifreq));
  if (result < 0) throw osError("SIOCSIFMTU", -result, `${name} mtu ${mtu}`);
}

/** Sets how many packets may wait for the device; for TUN, for its reader. */
export function setQueueLength(name: string, packets: number): void {
  change(name, `txqueuelen ${packets}`, 0, 0, attribute(IFLA_TXQLEN, u32(packets)));
}

/** Makes an interface one of a group, as `ip link set group` does. */
export function setGroup(name: string, group: number): void {
  change(name, `group ${group}`, 0, 0, attribute(IFLA_GROUP, u32(group)));
}

/** Removes all interfaces of a group from the calling thread's namespace. Throws OsError. */
export function deleteGroup(group: number): void {
  const body = new Uint8Array(LINK_BODY);
  const wanted = attribute(IFLA_GROUP, u32(group));
  netlink("RTM_DELLINK", `group ${group}`, RTM_DELLINK, 0, body, wanted);
}

/** Sets an interface up or down. */
export function setUp(name: string, up: boolean): void {
  change(name, up ? "up" : "down", up ? IFF_UP : 0, IFF_UP);
}

function change(
  name: string,
  what: string,
  flags: number,
  mask: number,
  ...settings: Uint8Array[]
): void {
  const body = new Uint8Array(LINK_BODY);
  const view = new DataView(body.buffer);
  view.setUint32(LINK_FLAGS, flags, true);
  view.setUint32(LINK_CHANGE, mask, true);
  const named = attribute(IFLA_IFNAME, nameOctets(name));
  netlink("RTM_NEWLINK", `${name} ${what}`, RTM_NEWLINK, 0, body, named, ...settings);
}

/** The addresses of an interface, in the kernel's order, both families. */
export function readAddresses(name: string): LinkAddress[] {
  const { index } = readLink(name);
  const bodies = netlink(
    "RTM_GETADDR",
    name,
    RTM_GETADDR,
    NLM_F_DUMP,
    new Uint8Array(ADDRESS_BODY),
  );
  const found: LinkAddress[] = [];
  for (const body of bodies) {
    if (body.length < ADDRESS_BODY) continue;
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (view.getUint32(ADDRESS_INDEX, true) !== index) continue;
    const family = view.getUint8(ADDRESS_FAMILY);
    if (family !== AF_INET && family !== AF_INET6) continue;
    const facts = attributes(body, ADDRESS_BODY);
    // On a point-to-point link IFA_ADDRESS is the other end's.
    const octets = facts.get(IFA_LOCAL) ?? facts.get(IFA_ADDRESS);
    if (!octets || octets.length !== (family === AF_INET ? 4 : 16)) continue;
    const flags = readU32(facts.get(IFA_FLAGS)) || view.getUint8(ADDRESS_FLAGS);
    found.push({
      address: formatAddress(octets, 0, family === AF_INET ? 4 : 6),
      prefix: view.getUint8(ADDRESS_PREFIX),
      linkLocal: view.getUint8(ADDRESS_SCOPE) === RT_SCOPE_LINK,
      tentative: (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) !== 0,
    });
  }
  return found;
}

/** Gives an interface an address; no change when it has it already. */
export function addAddress(name: string, address: Address, prefix: number): void {
  const octets = parseAddress(address);
  const family = familyOf(address);
  if (!octets || !Number.isInteger(prefix) || prefix < 0 || prefix > 8 * octets.length)
    throw new BugError(`${address}/${prefix} is no address with a prefix`);
  const body = new Uint8Array(ADDRESS_BODY);
  body[ADDRESS_FAMILY] = family === 4 ? AF_INET : AF_INET6;
  body[ADDRESS_PREFIX] = prefix;
  const linkLocal =
    family === 4
      ? octets[0] === 169 && octets[1] === 254
      : octets[0] === 0xfe && (octets[1]! & 0xc0) === 0x80;
  body[ADDRESS_SCOPE] = linkLocal ? RT_SCOPE_LINK : 0;
  new DataView(body.buffer).setUint32(ADDRESS_INDEX, readLink(name).index, true);
  netlink(
    "RTM_NEWADDR",
    `${address}/${prefix} on ${name}`,
    RTM_NEWADDR,
    NLM_F_CREATE | NLM_F_REPLACE,
    body,
    attribute(IFA_LOCAL, octets),
    attribute(IFA_ADDRESS, octets),
  );
}

/**
 * Sets net.<family>.conf.<name>.<key>; "all" and "default" are names too. Throws OsError: ENOENT
 * when the kernel has no such key, EROFS or EACCES in a container that may not.
 */
export function setSysctl(family: Family, name: string, key: string, value: number | string): void {
  const file = sysctlPath(`ipv${family}/conf/${name}/${key}`);
  try {
    writeFileSync(file, `${value}\n`);
  } catch (error) {
    throw fileError("write", file, error);
  }
}

/** The text of a sysctl below net, such as "ipv4/conf/all/rp_filter"; undefined without it. */
export function readSysctl(key: string): string | undefined {
  try {
    return readFileSync(sysctlPath(key), "utf8").trim();
  } catch {
    return undefined;
  }
}

function sysctlPath(key: string): string {
  if (key.split("/").some((part) => part === "" || part === "." || part === ".."))
    throw new BugError(`${JSON.stringify(key)} is no sysctl`);
  return `/proc/sys/net/${key}`;
}

function fileError(call: string, file: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number")
    return error;
  return osError(call, -error.errno, file);
}
