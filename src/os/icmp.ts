/** Raw ICMP sockets: to send errors, and to hear of packets that were too big. Read raw(7) first. */
import { AF_INET, AF_INET6 } from "../../assembly/layout/system.ts";
import {
  IPV4_PROTOCOL,
  IPV6_NEXT_HEADER,
  PROTOCOL_ICMPV6,
  PROTOCOL_UDP,
} from "../../assembly/layout/ip.ts";
import type { Address, Family } from "../core/address.ts";
import {
  attachFilter,
  IF_EQUAL,
  LOAD_BYTE,
  LOAD_BYTE_AT_X,
  LOAD_X_HEADER,
  RETURN,
  type Instruction,
} from "./bpf.ts";
import { sizeBuffer } from "./buffers.ts";
import { SOCK_RAW, close, recv, sendTo, setsockopt, socket } from "./libc.ts";
import { encodeSockaddr } from "./sockaddr.ts";

const PROTOCOL_ICMP = 1;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMP6_FILTER = 1;
const ICMP_UNREACHABLE = 3;
const ICMP_FRAGMENTATION_NEEDED = 4;
const ICMPV6_TOO_BIG = 2;
const ICMP_HEADER = 8;

/** Octets of kernel buffer: a flood is better lost than queued. */
const BUFFER = 64 * 1024;
/** Octets of the longest message that is read whole. */
const ROOM = 2_048;

const ALL = 0xffffffff;

const step = (code: number, value: number, no = 0): Instruction => ({ code, yes: 0, no, value });

/** Of type 3 the messages of code 4 that quote UDP; the kernel shows the IPv4 header too. */
const FILTER_4: readonly Instruction[] = [
  step(LOAD_X_HEADER, 0),
  step(LOAD_BYTE_AT_X, 1),
  step(IF_EQUAL, ICMP_FRAGMENTATION_NEEDED, 3),
  step(LOAD_BYTE_AT_X, ICMP_HEADER + IPV4_PROTOCOL),
  step(IF_EQUAL, PROTOCOL_UDP, 1),
  step(RETURN, ALL),
  step(RETURN, 0),
];

/** Of type 2 the messages that quote UDP. */
const FILTER_6: readonly Instruction[] = [
  step(LOAD_BYTE, ICMP_HEADER + IPV6_NEXT_HEADER),
  step(IF_EQUAL, PROTOCOL_UDP, 1),
  step(RETURN, ALL),
  step(RETURN, 0),
];

/** An open socket of one family, not blocking; it hears of nothing but UDP that was too big. */
export class IcmpSocket {
  readonly fd: number;
  readonly #family: Family;
  readonly #octets = new Uint8Array(ROOM);

  /** Throws OsError. */
  constructor(family: Family) {
    const mend = "run as root or give CAP_NET_RAW";
    const subject = `ICMP over IPv${family}`;
    this.#family = family;
    this.fd =
      family === 4
        ? socket(AF_INET, SOCK_RAW, PROTOCOL_ICMP, subject, mend)
        : socket(AF_INET6, SOCK_RAW, PROTOCOL_ICMPV6, subject, mend);
    try {
      if (family === 4) {
        // A bit for each type that is not wanted.
        setsockopt(this.fd, SOL_RAW, ICMP_FILTER, ~(1 << ICMP_UNREACHABLE), subject);
        attachFilter(this.fd, FILTER_4, subject);
      } else {
        const blocked = new Uint8Array(32).fill(0xff);
        blocked[0] = ~(1 << ICMPV6_TOO_BIG);
        setsockopt(this.fd, PROTOCOL_ICMPV6, ICMP6_FILTER, blocked, subject);
        attachFilter(this.fd, FILTER_6, subject);
      }
      sizeBuffer(this.fd, "receive", BUFFER);
    } catch (error) {
      close(this.fd);
      throw error;
    }
  }

  /** The beginning of the next message that was received, valid until the next call; or undefined. */
  receive(): Uint8Array | undefined {
    const length = recv(this.fd, this.#octets);
    if (length < 0) return undefined;
    const start = this.#family === 4 ? (this.#octets[0]! & 0x0f) * 4 : 0;
    return this.#octets.subarray(start, Math.max(start, length));
  }

  /**
   * Sends a message from the address that the system's route to `to` has. False when it is refused.
   */
  send(octets: Uint8Array, to: Address): boolean {
    return sendTo(this.fd, octets, encodeSockaddr(to, 0)) >= 0;
  }

  close(): void {
    close(this.fd);
  }
}
