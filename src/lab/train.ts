/** A multicast sender of trains: one system call, which the kernel cuts into equal datagrams. */
import {
  AF_INET,
  AF_INET6,
  IOVEC_BASE,
  IOVEC_LENGTH,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  UDP_SEGMENT,
} from "../../assembly/layout/system.ts";
import { familyOf } from "../core/address.ts";
import { osError } from "../os/errno.ts";
import * as libc from "../os/libc.ts";
import { readLink } from "../os/link.ts";
import { encodeSockaddr } from "../os/sockaddr.ts";
import type { SourcePlan } from "./stream.ts";

const IP_MULTICAST_IF = 32;
const IP_MULTICAST_TTL = 33;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const MMSGHDR_OCTETS = 64;
const IOVEC_OCTETS = 16;

export class TrainSocket {
  readonly #fd: number;
  readonly #to: Uint8Array;

  /** Throws OsError, also when the kernel has no UDP_SEGMENT. */
  constructor(plan: SourcePlan) {
    const v4 = familyOf(plan.group) === 4;
    const { index } = readLink(plan.device);
    this.#to = encodeSockaddr(plan.group, plan.port);
    this.#fd = libc.socket(v4 ? AF_INET : AF_INET6, libc.SOCK_DGRAM, 0, "a source of trains");
    const level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    const set = (at: number, name: number, value: number | Uint8Array, word: string) =>
      libc.setsockopt(this.#fd, at, name, value, word);
    set(IPPROTO_UDP, UDP_SEGMENT, plan.size, "UDP_SEGMENT");
    set(level, v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, plan.ttl, "multicast TTL");
    // ip_mreqn: group, local address, interface index.
    const request = new Uint8Array(new Int32Array([0, 0, index]).buffer);
    const device = v4 ? request : index;
    set(level, v4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, device, "multicast device");
    libc.bind(this.#fd, encodeSockaddr(plan.source, 0), plan.source);
  }

  /** Sends a train: datagrams of the plan's size, the last one may be shorter. Throws OsError. */
  send(train: Uint8Array): void {
    const iovec = new DataView(new ArrayBuffer(IOVEC_OCTETS));
    const message = new DataView(new ArrayBuffer(MMSGHDR_OCTETS));
    iovec.setBigUint64(IOVEC_BASE, address(train), true);
    iovec.setBigUint64(IOVEC_LENGTH, BigInt(train.length), true);
    message.setBigUint64(MMSGHDR_NAME, address(this.#to), true);
    message.setUint32(MMSGHDR_NAME_LENGTH, this.#to.length, true);
    message.setBigUint64(MMSGHDR_IOV, address(new Uint8Array(iovec.buffer)), true);
    message.setBigUint64(MMSGHDR_IOV_COUNT, 1n, true);
    const sent = libc.sendmmsg(this.#fd, libc.addressOf(new Uint8Array(message.buffer)), 1);
    if (sent < 0) throw osError("sendmmsg", -sent, "a train of datagrams");
  }

  close(): void {
    libc.close(this.#fd);
  }
}

function address(octets: Uint8Array): bigint {
  return BigInt(libc.addressOf(octets));
}
