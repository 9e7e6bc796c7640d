/** What UDP and raw sockets may ask of the IP layer. Read ip(7) and ipv6(7) first. */
import {
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_TCLASS,
  IP_TOS,
  IP_TTL,
} from "../../assembly/layout/system.ts";
import { setsockopt } from "./libc.ts";

const IP_MTU_DISCOVER = 10;
const IP_RECVTOS = 13;
const IPV6_RECVTCLASS = 66;
const IPV6_UNICAST_HOPS = 16;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_DONT = 0;
const PMTUDISC_DO = 2;
const PMTUDISC_PROBE = 3;

export interface IpOptions {
  /**
   * True: DF is set and what exceeds the path's MTU is refused with EMSGSIZE. False: DF is clear
   * and the kernel fragments. Left out: the host's setting (net.ipv4.ip_no_pmtu_disc).
   */
  readonly dontFragment?: boolean;
  /**
   * With `dontFragment`: only the device's MTU counts, not what ICMP has told the system of the
   * path.
   */
  readonly ignorePathMtu?: boolean;
  /** TTL or hop limit of what is sent, 1 to 255. */
  readonly ttl?: number;
  /** TOS or traffic class of what is sent, where a message does not bring its own; 0 to 255. */
  readonly tos?: number;
  /** Asks for each message's TOS or traffic class. */
  readonly trafficClass?: boolean;
}

/** Sets the options of a socket of this family; `text` names its endpoint. Throws OsError. */
export function setIpOptions(fd: number, isV4: boolean, options: IpOptions, text: string): void {
  const { dontFragment, ignorePathMtu, ttl, tos, trafficClass } = options;
  const level = isV4 ? IPPROTO_IP : IPPROTO_IPV6;
  const set = (name4: number, name6: number, value: number, name: string): void =>
    setsockopt(fd, level, isV4 ? name4 : name6, value, `${name} ${text}`);
  if (dontFragment !== undefined) {
    const strict = ignorePathMtu ? PMTUDISC_PROBE : PMTUDISC_DO;
    set(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, dontFragment ? strict : PMTUDISC_DONT, "MTU_DISCOVER");
  }
  if (ttl !== undefined) set(IP_TTL, IPV6_UNICAST_HOPS, ttl, "TTL");
  if (tos !== undefined) set(IP_TOS, IPV6_TCLASS, tos, "TOS");
  if (trafficClass) set(IP_RECVTOS, IPV6_RECVTCLASS, 1, "RECVTOS");
}
