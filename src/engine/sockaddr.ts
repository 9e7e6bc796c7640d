/** An endpoint as the kernel's sockaddr (ip(7), ipv6(7)), in memory of the engine's. */
import {
  AF_INET,
  AF_INET6,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_LENGTH,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN_LENGTH,
  SOCKADDR_PORT,
} from "../../assembly/layout/system.ts";
import { familyOf, type Endpoint } from "../core/address.ts";
import { writeAddress } from "../wire/octets.ts";

/** Writes an endpoint at `at`; returns how many octets its sockaddr has. */
export function writeSockaddr(
  octets: Uint8Array,
  view: DataView,
  at: number,
  { address, port }: Endpoint,
): number {
  const family = familyOf(address);
  const isV4 = family === 4;
  view.setUint16(at + SOCKADDR_FAMILY, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(at + SOCKADDR_PORT, port);
  writeAddress(octets, at + (isV4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS), address, family);
  return isV4 ? SOCKADDR_IN_LENGTH : SOCKADDR_IN6_LENGTH;
}
