/**
 * The Response MAC of a relay (RFC 7450 §5.3.5): proves, without any state, that who sends an
 * Update or a Teardown has received a Membership Query at the endpoint that it names.
 */
import { type Endpoint, copyAddress, familyOf } from "../../core/address.ts";
import type { Millis } from "../../core/machine.ts";
import { sipHash24 } from "../../core/siphash.ts";
import { addressLength } from "../../wire/octets.ts";
import type { Secrets } from "./secrets.ts";

/** Octets of a Response MAC. */
export const RESPONSE_MAC_LENGTH = 6;

/** What a MAC carries from a Request to the Updates that answer it, so that nothing is kept. */
export interface RequestTraits {
  /** The Request's E flag: the gateway decapsulates ECN as RFC 6040 says (RFC 9601). */
  readonly ecn: boolean;
  /** The Request was of the players' kind, see `relay-quirks.ts`. */
  readonly player: boolean;
}

export const PLAIN: RequestTraits = { ecn: false, player: false };
export const ECN: RequestTraits = { ecn: true, player: false };
export const PLAYER: RequestTraits = { ecn: false, player: true };
/** All that a Request can be, the usual first. */
const TRAITS = [PLAIN, ECN, PLAYER];

// What is hashed: the traits and the family's length, port, nonce, then the address padded to 16
// octets.
// The protocol (P) stays out: some gateways use one nonce and one MAC for both protocols.
const INPUT_KIND = 0;
const INPUT_PORT = 2;
const INPUT_NONCE = 4;
const INPUT_ADDRESS = 8;
const INPUT_LENGTH = 24;
const KIND_ECN = 0x80;
const KIND_PLAYER = 0x40;

/** SipHash-2-4 over the endpoint, the nonce and the traits under a secret, cut to 6 octets. */
export class ResponseMac {
  readonly #secrets: Secrets;
  readonly #input = new Uint8Array(INPUT_LENGTH);
  readonly #hash = new Uint32Array(2);

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /** Writes the MAC for a Request from `gateway` with `nonce` to the first 6 octets of `mac`. */
  sign(
    mac: Uint8Array,
    gateway: Endpoint,
    nonce: number,
    traits: RequestTraits,
    now: Millis,
  ): void {
    this.#digest(this.#secrets.current(now), gateway, nonce, traits);
    for (let i = 0; i < RESPONSE_MAC_LENGTH; i++) mac[i] = this.#octet(i);
  }

  /**
   * What the Request said that `mac` answers; undefined when the MAC is not ours for this endpoint
   * and nonce, or is too old. Takes the same time wherever the octets differ.
   */
  verify(
    mac: Uint8Array,
    gateway: Endpoint,
    nonce: number,
    now: Millis,
  ): RequestTraits | undefined {
    for (const secret of this.#secrets.valid(now)) {
      const traits = this.#traits(secret, mac, gateway, nonce);
      if (traits !== undefined) return traits;
    }
    return undefined;
  }

  /** What `mac` was made for under `secret`. */
  #traits(
    secret: Uint32Array,
    mac: Uint8Array,
    gateway: Endpoint,
    nonce: number,
  ): RequestTraits | undefined {
    for (const traits of TRAITS) {
      this.#digest(secret, gateway, nonce, traits);
      let difference = 0;
      for (let i = 0; i < RESPONSE_MAC_LENGTH; i++) difference |= mac[i]! ^ this.#octet(i);
      if (difference === 0) return traits;
    }
    return undefined;
  }

  #digest(secret: Uint32Array, gateway: Endpoint, nonce: number, traits: RequestTraits): void {
    const input = this.#input;
    const { address } = gateway;
    const family = familyOf(address);
    input.fill(0);
    copyAddress(address, family, input, INPUT_ADDRESS);
    input[INPUT_KIND] =
      addressLength(family) | (traits.ecn ? KIND_ECN : 0) | (traits.player ? KIND_PLAYER : 0);
    input[INPUT_PORT] = gateway.port >> 8;
    input[INPUT_PORT + 1] = gateway.port & 0xff;
    for (let i = 0; i < 4; i++) input[INPUT_NONCE + i] = nonce >>> (24 - 8 * i);
    sipHash24(secret, input, this.#hash);
  }

  #octet(i: number): number {
    return (this.#hash[i >> 2]! >>> (8 * (i & 3))) & 0xff;
  }
}
