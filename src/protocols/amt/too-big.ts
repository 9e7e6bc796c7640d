/**
 * What a relay tells a source whose datagrams are larger than its receivers' tunnels: the smallest
 * tunnel MTU, in one ICMP message that stands for all of them (RFC 7450 §5.3.3.6.2), no more often
 * than once a second for each source, and so many a second in all.
 */
import { VERDICT_ICMP_FORBIDDEN, VERDICT_RATE_LIMIT } from "../../../assembly/layout/verdict.ts";
import {
  type Address,
  type Family,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
} from "../../core/address.ts";
import type { Drop } from "../../core/drops.ts";
import type { Machine, Millis } from "../../core/machine.ts";
import { Outputs } from "../../membership/outputs.ts";
import { type DatagramHead, emitTooBig } from "../../wire/icmp.ts";
import { addressOctets } from "../../wire/octets.ts";

/** How long a source that was told is left alone; also how often the data plane is asked anew. */
const INTERVAL: Millis = 1_000;
/** Messages a second to all sources together, and as many at once. */
const RATE = 100;
/** Sources in memory; beyond, the one told longest ago is forgotten. */
const SOURCES = 1_024;
/** No IPv6 path carries less, and no source heeds less (RFC 8201 §4). */
const IPV6_LEAST = 1_280;

export type TooBigInput =
  /** The data plane showed a datagram; `mtu` is the smallest of the tunnels that are to get it. */
  | {
      readonly kind: "shown";
      readonly octets: Uint8Array;
      readonly head: DatagramHead;
      readonly mtu: number;
    }
  /** The data plane showed something else by the same means. */
  | { readonly kind: "noted" }
  | { readonly kind: "timeout" };

export type TooBigOutput =
  | {
      readonly kind: "send";
      readonly octets: Uint8Array;
      readonly family: Family;
      readonly to: Address;
    }
  /** The data plane is to show such datagrams again. */
  | { readonly kind: "look" }
  /** A source that was not told. */
  | { readonly kind: "dropped"; readonly drop: Drop };

export class TooBigNotices implements Machine<TooBigInput, TooBigOutput> {
  readonly #out = new Outputs<TooBigOutput>();
  /** When each source was told, the longest ago first. */
  readonly #told = new Map<Address, Millis>();
  /** When the bucket of all messages is full again. */
  #full: Millis = 0;
  #lookAt: Millis | undefined;

  handle(input: TooBigInput, now: Millis): void {
    if (input.kind !== "timeout") this.#lookAt ??= now + INTERVAL;
    if (input.kind === "shown") {
      const drop = this.#tell(input.octets, input.head, input.mtu, now);
      if (drop !== undefined) this.#out.push({ kind: "dropped", drop });
    } else if (this.#lookAt !== undefined && this.#lookAt <= now) {
      this.#lookAt = undefined;
      this.#out.push({ kind: "look" });
    }
  }

  poll(): TooBigOutput | undefined {
    return this.#out.take();
  }

  deadline(): Millis | undefined {
    return this.#lookAt;
  }

  /** Sources in memory. */
  get size(): number {
    return this.#told.size;
  }

  #tell(octets: Uint8Array, head: DatagramHead, mtu: number, now: Millis): Drop | undefined {
    const { family, source, length } = head;
    const told = family === 6 ? Math.max(mtu, IPV6_LEAST) : mtu;
    // Tunnels may have changed since; and to say of 1,280 octets that they are too many helps nobody.
    if (length <= told) return undefined;
    if (head.unanswerable || !isHost(source)) return VERDICT_ICMP_FORBIDDEN;
    if ((this.#told.get(source) ?? Number.NEGATIVE_INFINITY) + INTERVAL > now)
      return VERDICT_RATE_LIMIT;
    const full = Math.max(this.#full, now) + 1_000 / RATE;
    if (full - now > 1_000) return VERDICT_RATE_LIMIT;
    this.#full = full;
    this.#told.delete(source);
    if (this.#told.size >= SOURCES) {
      const [oldest] = this.#told.keys();
      this.#told.delete(oldest!);
    }
    this.#told.set(source, now);
    this.#out.push({ kind: "send", octets: emitTooBig(octets, family, told), family, to: source });
    return undefined;
  }
}

/** True for an address of one host that can be reached from elsewhere. */
function isHost(source: Address): boolean {
  const octets = addressOctets(source);
  if (isMulticast(octets) || isUnspecified(source) || isLoopback(source)) return false;
  return octets.length === 16 ? !isLinkLocal(octets) : octets[0]! !== 0 && octets[0]! < 224;
}
