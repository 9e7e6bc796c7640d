/**
 * The tunnels of a relay: one for each gateway endpoint that holds a membership here (RFC 7450
 * §5.3.3.4). Their numbers are dense, so that the data plane can index by them.
 */
import { type Address, type Endpoint, endpointText } from "../../core/address.ts";
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
  /** What it wants of each family. */
  igmp: MembershipRouter | undefined;
  mld: MembershipRouter | undefined;
}

export class Tunnels {
  /** The tunnel to each address; where there are or were several, by port. */
  readonly #byAddress = new Map<Address, Tunnel | Map<number, Tunnel>>();
  /** Numbers below `#next` that are free. */
  readonly #free: number[] = [];
  #next = 0;

  get size(): number {
    return this.#next - this.#free.length;
  }

  /** The tunnel to `gateway`. */
  get({ address, port }: Endpoint): Tunnel | undefined {
    const found = this.#byAddress.get(address);
    if (found instanceof Map) return found.get(port);
    return found?.gateway.port === port ? found : undefined;
  }

  /** How many tunnels lead to `address`. */
  countOf(address: Address): number {
    const found = this.#byAddress.get(address);
    return found instanceof Map ? found.size : Number(found !== undefined);
  }

  *[Symbol.iterator](): IterableIterator<Tunnel> {
    for (const found of this.#byAddress.values())
      if (found instanceof Map) yield* found.values();
      else yield found;
  }

  /** A new tunnel, under a number that is free. */
  add(gateway: Endpoint, local: Endpoint, ecn: boolean, since: Millis): Tunnel {
    const { address, port } = gateway;
    if (this.get(gateway)) throw new BugError(`two tunnels to ${endpointText(gateway)}`);
    const others = this.#byAddress.get(address);
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
      igmp: undefined,
      mld: undefined,
    };
    if (others === undefined) this.#byAddress.set(address, tunnel);
    else if (others instanceof Map) others.set(port, tunnel);
    else
      this.#byAddress.set(
        address,
        new Map([
          [others.gateway.port, others],
          [port, tunnel],
        ]),
      );
    return tunnel;
  }

  /** Takes the tunnel out; its number is free again. */
  remove({ number, gateway: { address, port } }: Tunnel): void {
    const found = this.#byAddress.get(address);
    if (found instanceof Map) found.delete(port);
    if (!(found instanceof Map) || found.size === 0) this.#byAddress.delete(address);
    this.#free.push(number);
  }
}
