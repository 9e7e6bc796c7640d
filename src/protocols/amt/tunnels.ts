/**
 * The tunnels of a relay: one for each gateway endpoint that holds a membership here (RFC 7450
 * §5.3.3.4). Their numbers are dense, so that the data plane can index by them.
 */
import { type Address, type Endpoint, type Family, endpointText } from "../../core/address.ts";
import { BugError } from "../../core/errors.ts";
import type { Millis } from "../../core/machine.ts";
import type { MembershipRouter } from "../../membership/router.ts";

/** A gateway's endpoint and what it asked for. */
export interface Tunnel {
  /** Small, and used again after the tunnel has ended. */
  readonly number: number;
  readonly gateway: Endpoint;
  readonly since: Millis;
  /** Where its last Update came to: its data leaves from there. */
  local: Endpoint;
  /** Its data bears the inner datagram's ECN (RFC 9601). */
  ecn: boolean;
  /** ICMP Destination Unreachable in a row. */
  unreachable: number;
  /** The largest packet outside, if ICMP said that it is less than that of the first hop. */
  pathMtu: number | undefined;
  /** It was announced to the data plane. */
  up: boolean;
  /** Its gateway is one of the drivers of `relay-quirks.ts`. */
  driver: boolean;
  /** The nonce and MAC that its gateway proved last, if that is a player of `relay-quirks.ts`. */
  playerProof: { readonly nonce: number; readonly mac: Uint8Array } | undefined;
  readonly routers: Partial<Record<Family, MembershipRouter>>;
}

export class Tunnels {
  readonly #byGateway = new Map<string, Tunnel>();
  readonly #ofAddress = new Map<Address, number>();
  /** Numbers below `#next` that are free. */
  readonly #free: number[] = [];
  #next = 0;

  get size(): number {
    return this.#byGateway.size;
  }

  /** The tunnel to `gateway`. */
  get(gateway: Endpoint): Tunnel | undefined {
    return this.#byGateway.get(endpointText(gateway));
  }

  /** How many tunnels lead to `address`. */
  countOf(address: Address): number {
    return this.#ofAddress.get(address) ?? 0;
  }

  [Symbol.iterator](): IterableIterator<Tunnel> {
    return this.#byGateway.values();
  }

  /** A new tunnel, under a number that is free. */
  add(gateway: Endpoint, local: Endpoint, ecn: boolean, since: Millis): Tunnel {
    const key = endpointText(gateway);
    if (this.#byGateway.has(key)) throw new BugError(`two tunnels to ${key}`);
    const number = this.#free.pop() ?? this.#next++;
    const tunnel: Tunnel = {
      number,
      gateway,
      since,
      local,
      ecn,
      unreachable: 0,
      pathMtu: undefined,
      up: false,
      driver: false,
      playerProof: undefined,
      routers: {},
    };
    this.#byGateway.set(key, tunnel);
    this.#ofAddress.set(gateway.address, this.countOf(gateway.address) + 1);
    return tunnel;
  }

  /** Takes the tunnel out; its number is free again. */
  remove(tunnel: Tunnel): void {
    this.#byGateway.delete(endpointText(tunnel.gateway));
    this.#free.push(tunnel.number);
    const { address } = tunnel.gateway;
    const count = this.countOf(address) - 1;
    if (count === 0) this.#ofAddress.delete(address);
    else this.#ofAddress.set(address, count);
  }
}
