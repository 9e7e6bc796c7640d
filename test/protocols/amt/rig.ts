/** A relay and a gateway with everyday settings, and what tests say to them. */
import assert from "node:assert/strict";
import type { Endpoint, Family } from "../../../src/core/address.ts";
import type { Machine, Millis } from "../../../src/core/machine.ts";
import {
  AmtGateway,
  type GatewayOptions,
  type GatewayOutput,
} from "../../../src/protocols/amt/gateway.ts";
import {
  AmtRelay,
  type RelayInput,
  type RelayOptions,
  type RelayOutput,
} from "../../../src/protocols/amt/relay.ts";
import { QueryView, emitRequest, emitUpdate } from "../../../src/wire/amt.ts";
import { emitMembershipDatagram } from "../../../src/wire/membership-datagram.ts";
import type {
  GroupFilter,
  GroupRecord,
  MembershipMessage,
  RecordKind,
} from "../../../src/wire/membership.ts";
import { seededEntropy } from "../../sim/entropy.ts";

export const RELAY: Endpoint = { address: "198.51.100.10", port: 2268 };
export const ANYCAST: Endpoint = { address: "192.52.193.1", port: 2268 };
export const GATEWAY: Endpoint = { address: "203.0.113.5", port: 40_123 };
export const OTHER: Endpoint = { address: "203.0.113.6", port: 2268 };

export const G = "232.1.2.3";
export const S = "192.0.2.44";
export const T = "192.0.2.45";
export const G6 = "ff3e::8000:1234";
export const S6 = "2001:db8:44::44";

export const include = (...sources: string[]): GroupFilter => ({ mode: "include", sources });
export const exclude = (...sources: string[]): GroupFilter => ({ mode: "exclude", sources });
export const NOTHING = include();

/** A relay as configured by default; its secret depends on nothing but the seed. */
export function newRelay(options: Partial<RelayOptions> = {}): AmtRelay {
  return new AmtRelay({
    relayAddresses: [RELAY.address],
    maxTunnels: 1_000,
    maxTunnelsPerAddress: 100,
    maxGroups: 100,
    maxSources: 100,
    queryInterval: 125_000,
    queryResponseInterval: 10_000,
    robustness: 2,
    secretInterval: 7_200_000,
    requireRouterAlert: true,
    entropy: seededEntropy(1),
    ...options,
  });
}

export function newGateway(options: Partial<GatewayOptions> = {}): AmtGateway {
  const where = options.discovery === undefined ? { relay: RELAY } : {};
  return new AmtGateway({ ...where, entropy: seededEntropy(2), ...options });
}

/** Hands over an input and takes all that comes of it. */
export function given<In, Out>(machine: Machine<In, Out>, input: In, now: Millis): Out[] {
  machine.handle(input, now);
  return drained(machine);
}

export function drained<Out>(machine: Machine<never, Out>): Out[] {
  const outs: Out[] = [];
  for (let out = machine.poll(); out !== undefined; out = machine.poll()) outs.push(out);
  return outs;
}

/** Lets time pass up to `until`, calling at each deadline; outputs with the time they came at. */
export function drive<In, Out>(
  machine: Machine<In | { readonly kind: "timeout" }, Out>,
  until: Millis,
): { readonly at: Millis; readonly out: Out }[] {
  const outs: { readonly at: Millis; readonly out: Out }[] = [];
  for (let at = machine.deadline(); at !== undefined && at <= until; at = machine.deadline())
    for (const out of given(machine, { kind: "timeout" }, at)) outs.push({ at, out });
  return outs;
}

type Kind = (RelayOutput | GatewayOutput)["kind"];

/** The outputs of one kind. */
export function only<Out extends { readonly kind: string }, K extends Out["kind"] & Kind>(
  outs: readonly Out[],
  kind: K,
): Extract<Out, { kind: K }>[] {
  return outs.filter((out): out is Extract<Out, { kind: K }> => out.kind === kind);
}

/** The octets of hexadecimal text; spaces and line ends do not count. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** A datagram for a relay. */
export function datagram(octets: Uint8Array, from = GATEWAY, to = RELAY): RelayInput {
  return { kind: "datagram", octets, from, to };
}

export interface Proof {
  readonly mac: Uint8Array;
  readonly nonce: number;
}

/** Asks the relay for a Query and keeps what an Update needs of it. */
export function proven(
  relay: AmtRelay,
  now: Millis,
  options: {
    readonly from?: Endpoint;
    readonly family?: Family;
    readonly ecn?: boolean;
    readonly nonce?: number;
  } = {},
): Proof {
  const { from = GATEWAY, family = 4, ecn = false, nonce = 0x5eed0001 } = options;
  const [sent] = only(
    given(relay, datagram(emitRequest(nonce, { family, ecn }), from), now),
    "send",
  );
  assert.ok(sent);
  return { mac: new QueryView(sent.octets).mac.slice(), nonce };
}

export function record(kind: RecordKind, group: string, ...sources: string[]): GroupRecord {
  return { kind, group, sources };
}

/** An Update with a report of these records. */
export function report(proof: Proof, ...records: GroupRecord[]): Uint8Array {
  return update(proof, { kind: "report", generation: 3, records });
}

export function update(proof: Proof, message: MembershipMessage, family: Family = 4): Uint8Array {
  const isIpv6 =
    family === 6 || (message.kind === "report" && message.records[0]?.group.includes(":") === true);
  const sender = isIpv6
    ? ({ family: 6, source: "fe80::b" } as const)
    : ({ family: 4, source: "0.0.0.0" } as const);
  return emitUpdate({ ...proof, datagram: emitMembershipDatagram(message, sender) });
}

/** What became of the one datagram among `outs`: "accepted", or the number of the drop reason. */
export function fate(outs: readonly (RelayOutput | GatewayOutput)[]): number | "accepted" {
  const fates = outs.filter((out) => out.kind === "accepted" || out.kind === "dropped");
  assert.equal(fates.length, 1);
  const [only] = fates;
  return only!.kind === "dropped" ? only!.drop : "accepted";
}
