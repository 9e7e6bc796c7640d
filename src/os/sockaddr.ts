/** Endpoints as the kernel's sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)). */
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
import { formatAddress, parseAddress } from "../core/address.ts";
import type { Address, Endpoint } from "../core/address.ts";
import { BugError } from "../core/errors.ts";

/** u32 of sockaddr_in6, host order: the interface that a link-local address belongs to. */
const SOCKADDR_IN6_SCOPE = 24;

/**
 * The sockaddr of an address: 16 octets for IPv4, 28 for IPv6. `scope` is an interface index and
 * means something for link-local IPv6 only.
 */
export function encodeSockaddr(address: Address, port: number, scope = 0): Uint8Array {
  const octets = parseAddress(address);
  if (!octets) throw new BugError(`${JSON.stringify(address)} is no address`);
  if (!Number.isInteger(port) || port < 0 || port > 0xffff)
    throw new BugError(`${port} is no UDP port`);
  const v4 = octets.length === 4;
  const name = new Uint8Array(v4 ? SOCKADDR_IN_LENGTH : SOCKADDR_IN6_LENGTH);
  const view = new DataView(name.buffer);
  view.setUint16(SOCKADDR_FAMILY, v4 ? AF_INET : AF_INET6, true);
  view.setUint16(SOCKADDR_PORT, port);
  name.set(octets, v4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS);
  if (!v4) view.setUint32(SOCKADDR_IN6_SCOPE, scope, true);
  return name;
}

/** The endpoint in a sockaddr; undefined when it is neither IPv4 nor IPv6, or cut short. */
export function decodeSockaddr(name: Uint8Array): Endpoint | undefined {
  if (name.length < SOCKADDR_IN_LENGTH) return undefined;
  const view = new DataView(name.buffer, name.byteOffset, name.byteLength);
  const family = view.getUint16(SOCKADDR_FAMILY, true);
  const port = view.getUint16(SOCKADDR_PORT);
  if (family === AF_INET) return { address: formatAddress(name, SOCKADDR_IN_ADDRESS, 4), port };
  if (family !== AF_INET6 || name.length < SOCKADDR_IN6_LENGTH) return undefined;
  return { address: formatAddress(name, SOCKADDR_IN6_ADDRESS, 6), port };
}
