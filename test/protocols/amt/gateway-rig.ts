/** What a relay says to a gateway under test, and what the gateway sends, read. */
import assert from "node:assert/strict";
import {
  AMT_DISCOVERY,
  AMT_REQUEST,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../../assembly/layout/amt.ts";
import type { Endpoint, Family } from "../../../src/core/address.ts";
import type { Millis } from "../../../src/core/machine.ts";
import type {
  AmtGateway,
  GatewayInput,
  GatewayOutput,
} from "../../../src/protocols/amt/gateway.ts";
import {
  DiscoveryView,
  RequestView,
  TeardownView,
  UpdateView,
  amtType,
  emitQuery,
} from "../../../src/wire/amt.ts";
import {
  emitMembershipDatagram,
  generalQuery,
  parseMembershipDatagram,
} from "../../../src/wire/membership-datagram.ts";
import type { MembershipMessage } from "../../../src/wire/membership.ts";
import { GATEWAY, RELAY, given, only } from "./rig.ts";

/** One datagram of the gateway's, read. */
export type Said =
  | { readonly say: "discovery"; readonly to: Endpoint; readonly nonce: number }
  | {
      readonly say: "request";
      readonly to: Endpoint;
      readonly nonce: number;
      readonly family: Family;
      readonly ecn: boolean;
      readonly misplacedP: boolean;
    }
  | {
      readonly say: "update";
      readonly to: Endpoint;
      readonly nonce: number;
      readonly mac: string;
      readonly message: MembershipMessage;
      readonly length: number;
    }
  | {
      readonly say: "teardown";
      readonly to: Endpoint;
      readonly nonce: number;
      readonly mac: string;
      readonly gateway: Endpoint;
    };

const macText = (mac: Uint8Array) => Buffer.from(mac).toString("hex");

/** What the "send" outputs say. */
export function said(outs: readonly GatewayOutput[]): Said[] {
  return only(outs, "send").map(({ octets, to }): Said => {
    switch (amtType(octets) ?? 0) {
      case AMT_DISCOVERY:
        return { say: "discovery", to, nonce: new DiscoveryView(octets).nonce };
      case AMT_REQUEST: {
        const { nonce, family, ecn, misplacedP } = new RequestView(octets);
        return { say: "request", to, nonce, family: misplacedP ? 6 : family, ecn, misplacedP };
      }
      case AMT_UPDATE: {
        const view = new UpdateView(octets);
        const inner = parseMembershipDatagram(view.datagram);
        assert.ok(!("drop" in inner));
        const { message } = inner;
        const { nonce, mac } = view;
        return { say: "update", to, nonce, mac: macText(mac), message, length: octets.length };
      }
      case AMT_TEARDOWN: {
        const { nonce, mac, gateway } = new TeardownView(octets);
        return { say: "teardown", to, nonce, mac: macText(mac), gateway };
      }
      default:
        throw new Error(`a gateway does not send type ${octets[0]}`);
    }
  });
}

export function saidOf<K extends Said["say"]>(
  outs: readonly GatewayOutput[],
  say: K,
): Extract<Said, { say: K }>[] {
  return said(outs).filter((one): one is Extract<Said, { say: K }> => one.say === say);
}

/** Group, kind and sources of every record in the Updates. */
export function recordsOf(outs: readonly GatewayOutput[]): string[] {
  return saidOf(outs, "update").flatMap(({ message }) => {
    assert.equal(message.kind, "report");
    return message.records.map(({ kind, group, sources }) => [kind, group, ...sources].join(" "));
  });
}

export interface QueryOptions {
  readonly family?: Family;
  /** Six octets, each of them this. */
  readonly mac?: number;
  readonly limit?: boolean;
  /** G; null leaves the fields out. */
  readonly gateway?: Endpoint | null;
  readonly queryInterval?: Millis;
  readonly robustness?: number;
  readonly from?: Endpoint;
}

/** A Query with this nonce, as an input. */
export function query(nonce: number, options: QueryOptions = {}): GatewayInput {
  const { family = 4, mac = 0xa1, limit = false, gateway = GATEWAY } = options;
  const { queryInterval = 125_000, robustness = 2, from = RELAY } = options;
  const source = family === 4 ? "0.0.0.0" : "fe80::1";
  const octets = emitQuery({
    mac: new Uint8Array(6).fill(mac),
    nonce,
    limit,
    ...(gateway === null ? {} : { gateway }),
    datagram: emitMembershipDatagram(generalQuery(family, { robustness, queryInterval }), {
      family,
      source,
    }),
  });
  return { kind: "datagram", octets, from };
}

/** Calls the gateway at its deadlines until it says this; what it said then, and when. */
export function next<K extends "discovery" | "request" | "teardown">(
  gateway: AmtGateway,
  say: K,
): { readonly at: Millis; readonly first: Extract<Said, { say: K }> } {
  for (let at = gateway.deadline(); at !== undefined; at = gateway.deadline()) {
    const [first] = saidOf(given(gateway, { kind: "timeout" }, at), say);
    if (first) return { at, first };
  }
  throw new Error(`no ${say}`);
}

/** Starts the gateway and answers its Request; the outputs that follow the Query. */
export function connected(
  gateway: AmtGateway,
  now: Millis,
  options: QueryOptions = {},
): GatewayOutput[] {
  const [request] = saidOf(given(gateway, { kind: "start" }, now), "request");
  assert.ok(request);
  return given(gateway, query(request.nonce, options), now);
}
