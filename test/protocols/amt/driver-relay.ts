/**
 * A relay that behaves as the Linux driver's does: it drops Requests with any bit set but 0x80,
 * which is P to it, keeps one nonce for each address from the last Request, and obeys an Update
 * only under that nonce. It sets neither G nor L.
 */
import { AMT_REQUEST, AMT_REQUEST_FLAGS, AMT_UPDATE } from "../../../assembly/layout/amt.ts";
import type { Endpoint } from "../../../src/core/address.ts";
import type { Machine, Millis } from "../../../src/core/machine.ts";
import { RequestView, UpdateView, amtType, emitQuery } from "../../../src/wire/amt.ts";
import {
  emitMembershipDatagram,
  generalQuery,
  parseMembershipDatagram,
} from "../../../src/wire/membership-datagram.ts";

type Input =
  | {
      readonly kind: "datagram";
      readonly octets: Uint8Array;
      readonly from: Endpoint;
      readonly to: Endpoint;
    }
  | { readonly kind: "timeout" };

type Output =
  | {
      readonly kind: "send";
      readonly octets: Uint8Array;
      readonly to: Endpoint;
      readonly from: Endpoint;
    }
  /** An Update came: obeyed, or under another nonce than the last Request's. */
  | { readonly kind: "update"; readonly obeyed: boolean; readonly groups: readonly string[] };

export class DriverRelay implements Machine<Input, Output> {
  /** The last nonce of each address. */
  readonly #nonces = new Map<string, number>();
  readonly #out: Output[] = [];
  /** When Requests for MLD begin to be answered: a driver without a link-local address does not. */
  readonly #mldFrom: Millis;

  constructor(options: { readonly mldFrom?: Millis } = {}) {
    this.#mldFrom = options.mldFrom ?? 0;
  }

  handle(input: Input, now: Millis): void {
    if (input.kind === "timeout") return;
    const { octets, from, to } = input;
    if (amtType(octets) === AMT_REQUEST) this.#requested(new RequestView(octets), from, to, now);
    if (amtType(octets) === AMT_UPDATE) this.#updated(new UpdateView(octets), from);
  }

  poll(): Output | undefined {
    return this.#out.shift();
  }

  deadline(): Millis | undefined {
    return undefined;
  }

  #requested(view: RequestView, from: Endpoint, to: Endpoint, now: Millis): void {
    const flags = view.octets[AMT_REQUEST_FLAGS]!;
    if ((flags & 0x7f) !== 0) return;
    const family = flags === 0x80 ? 6 : 4;
    this.#nonces.set(from.address, view.nonce);
    if (family === 6 && now < this.#mldFrom) return;
    const source = family === 4 ? "0.0.0.0" : "fe80::9";
    const query = generalQuery(family, { robustness: 2, queryInterval: 125_000 });
    const datagram = emitMembershipDatagram(query, { family, source });
    const message = emitQuery({
      mac: macOf(view.nonce),
      nonce: view.nonce,
      limit: false,
      datagram,
    });
    this.#out.push({ kind: "send", octets: message, to: from, from: to });
  }

  #updated(view: UpdateView, from: Endpoint): void {
    const inner = parseMembershipDatagram(view.datagram);
    if ("drop" in inner || inner.message.kind !== "report") return;
    const obeyed =
      view.nonce === this.#nonces.get(from.address) &&
      macOf(view.nonce).every((octet, i) => octet === view.mac[i]);
    const groups = inner.message.records.map(({ group }) => group);
    this.#out.push({ kind: "update", obeyed, groups });
  }
}

/** Depends on the nonce alone: one nonce, one MAC for both families. */
function macOf(nonce: number): Uint8Array {
  return Uint8Array.from({ length: 6 }, (_, i) => (nonce >>> (4 * i)) & 0xff);
}
