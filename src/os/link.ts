/** Facts and settings of network interfaces, over rtnetlink. */
import type { Address } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

export interface Link {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  /** IFF_* as netdevice(7). */
  readonly flags: number;
  readonly up: boolean;
  readonly loopback: boolean;
  readonly multicast: boolean;
  /** ARPHRD_*: 1 Ethernet, 772 loopback, 65534 TUN. */
  readonly hardwareType: number;
  /** Link-layer address; empty without one. */
  readonly hardwareAddress: Uint8Array;
}

export interface LinkAddress {
  readonly address: Address;
  readonly prefix: number;
  readonly linkLocal: boolean;
  /** IPv6: duplicate address detection has not ended yet; the address can't be used. */
  readonly tentative: boolean;
}

/** Throws OsError ENODEV when there is no such interface. */
export function readLink(name: string): Link {
  throw new BugError(`readLink: ${name}: not written yet`);
}
export function readAddresses(name: string): LinkAddress[] {
  throw new BugError(`readAddresses: ${name}: not written yet`);
}
export function setMtu(name: string, mtu: number): void {
  throw new BugError(`setMtu: ${name} ${mtu}: not written yet`);
}
export function setUp(name: string, up: boolean): void {
  throw new BugError(`setUp: ${name} ${up}: not written yet`);
}
export function addAddress(name: string, address: Address, prefix: number): void {
  throw new BugError(`addAddress: ${name} ${address}/${prefix}: not written yet`);
}
/** Sets /proc/sys/net/<ipv4|ipv6>/conf/<name>/<key>; "all" and "default" are names too. */
export function setSysctl(family: 4 | 6, name: string, key: string, value: number | string): void {
  throw new BugError(`setSysctl: ${family} ${name} ${key} ${value}: not written yet`);
}
