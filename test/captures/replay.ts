/**
 * A capture played again: what its gateways said to a relay machine, what its relay said to a gateway
 * machine, and its data through an engine. The capture's own clock is the machines'; nonces come from
 * it, and the relay's MACs from the secret that lies beside it.
 */
import assert from "node:assert/strict";
import {
  AMT_DATA,
  AMT_DATA_DATAGRAM,
  AMT_DISCOVERY,
  AMT_DISCOVERY_NONCE,
  AMT_REQUEST,
  AMT_REQUEST_NONCE,
  AMT_TEARDOWN,
  AMT_UPDATE,
} from "../../assembly/layout/amt.ts";
import * as ip from "../../assembly/layout/ip.ts";
import {
  type Address,
  type Family,
  endpointText,
  familyOf,
  formatAddress,
} from "../../src/core/address.ts";
import { verdictName } from "../../src/core/drops.ts";
import type { Millis } from "../../src/core/machine.ts";
import type { PacketEngine } from "../../src/engine/packet-engine.ts";
import { NOTHING, sameFilter } from "../../src/membership/filter.ts";
import { AmtGateway } from "../../src/protocols/amt/gateway.ts";
import type { GatewayInput, GatewayOutput } from "../../src/protocols/amt/gateway.ts";
import type { RelayOptions, RelayOutput } from "../../src/protocols/amt/relay-options.ts";
import { readSharedSecret } from "../../src/runtime/shared-secret.ts";
import { MESSAGES } from "../../src/runtime/tale.ts";
import { RequestView, UpdateView, amtType } from "../../src/wire/amt.ts";
import { parseMembershipDatagram } from "../../src/wire/membership-datagram.ts";
import type { GroupFilter, GroupRecord } from "../../src/wire/membership.ts";
import { readU32 } from "../../src/wire/octets.ts";
import { DataPlane } from "../protocols/amt/data-plane.ts";
import { given, newRelay } from "../protocols/amt/rig.ts";
import { toHex } from "../vectors/hex.ts";
import { type Captured, SECRET } from "./capture-file.ts";

export type Counters = Record<string, number>;

function count(counters: Counters, name: string): void {
  counters[name] = (counters[name] ?? 0) + 1;
}

/** Hears what became of a packet that a machine did not take. */
export type Refused = (number: number, reason: string) => void;

/** Counts what a machine says, by kind and name. */
function tally(counters: Counters, outs: readonly (RelayOutput | GatewayOutput)[]): void {
  for (const out of outs) {
    if (out.kind === "send") count(counters, `sent ${messageName(out.octets)}`);
    if (out.kind === "accepted") count(counters, `accepted ${MESSAGES[out.type]}`);
    if (out.kind === "dropped") count(counters, `dropped ${verdictName(out.drop)}`);
    if (out.kind === "quirk") count(counters, `quirk ${out.quirk}`);
    if (out.kind === "tunnel-up" || out.kind === "tunnel-down") count(counters, out.kind);
  }
}

/** The name of a message's type: "query". */
export function messageName(octets: Uint8Array): string {
  return MESSAGES[amtType(octets) ?? 0] ?? "none";
}

/** Whether a message is for the data plane: machines do not get it from the lanes. */
function isData({ octets, up }: Captured): boolean {
  return !up && amtType(octets) === AMT_DATA;
}

/** Source and group of a datagram. */
export function innerPair(datagram: Uint8Array): {
  readonly source: Address;
  readonly group: Address;
} {
  const family = datagram[0]! >> 4 === 4 ? 4 : 6;
  const [source, group] =
    family === 4 ? [ip.IPV4_SOURCE, ip.IPV4_DESTINATION] : [ip.IPV6_SOURCE, ip.IPV6_DESTINATION];
  return {
    source: formatAddress(datagram, source, family),
    group: formatAddress(datagram, group, family),
  };
}

/**
 * Runs every message of the relay through an engine's decapsulation, and what comes out, a hop
 * younger, through its encapsulation, which must make the same message again.
 */
export function replayEngine(packets: readonly Captured[], engine: PacketEngine): Counters {
  const counters: Counters = {};
  for (const { octets, up, number } of packets) {
    if (up) continue;
    const datagram = new Uint8Array(octets.length);
    const length = engine.amtDecapsulate(octets, datagram);
    if (length < 0) {
      count(counters, `dropped ${verdictName(-length)}`);
      continue;
    }
    count(counters, "decapsulated");
    const before = younger(datagram.subarray(0, length), engine);
    const message = new Uint8Array(length + AMT_DATA_DATAGRAM);
    assert.equal(engine.amtEncapsulate(before, message), message.length, `packet ${number}`);
    assert.equal(toHex(message), toHex(octets), `packet ${number}`);
  }
  return counters;
}

/** The datagram as it was a hop before. */
function younger(datagram: Uint8Array, engine: PacketEngine): Uint8Array {
  const copy = datagram.slice();
  const view = new DataView(copy.buffer);
  if (copy[0]! >> 4 === 6) copy[ip.IPV6_HOP_LIMIT]!++;
  else {
    const old = view.getUint16(ip.IPV4_TTL);
    copy[ip.IPV4_TTL]!++;
    const sum = view.getUint16(ip.IPV4_CHECKSUM);
    view.setUint16(ip.IPV4_CHECKSUM, engine.updateChecksum(sum, old, view.getUint16(ip.IPV4_TTL)));
  }
  return copy;
}

/** Tells why packet `number` was ignored, if it was. */
function tell(
  refused: Refused | undefined,
  number: number,
  outs: readonly (RelayOutput | GatewayOutput)[],
): void {
  for (const out of outs) if (out.kind === "dropped") refused?.(number, verdictName(out.drop));
}

/** A message as comparisons show it. */
const shown = (to: string, octets: Uint8Array) =>
  `${messageName(octets)} to ${to}: ${toHex(octets)}`;

/**
 * Says to a relay what the captured gateways said. It must answer as the captured relay did, octet
 * for octet, MACs and all; and the captured data must be what its routes let pass at that time.
 */
export function replayRelay(
  packets: readonly Captured[],
  options: Partial<RelayOptions> = {},
  refused?: Refused,
): Counters {
  const sharedSecret = { ...readSharedSecret(SECRET, "secret"), wallClock: (now: Millis) => now };
  const relayAddresses = [...new Set(packets.filter(({ up }) => up).map(({ to }) => to.address))];
  const relay = newRelay({ relayAddresses, sharedSecret, ...options });
  const plane = new DataPlane();
  const tunnels = new Map<string, number>();
  const counters: Counters = {};
  const sent: string[] = [];
  const captured: string[] = [];
  for (const packet of packets) {
    const { octets, from, to, at, number } = packet;
    if (isData(packet)) {
      const { source, group } = innerPair(octets.subarray(AMT_DATA_DATAGRAM));
      const tunnel = tunnels.get(endpointText(to));
      assert.ok(tunnel !== undefined, `packet ${number}: no tunnel to ${endpointText(to)}`);
      assert.ok(plane.gets(tunnel, group, source), `packet ${number}: (${source}, ${group})`);
    } else if (!packet.up) captured.push(shown(endpointText(to), octets));
    else {
      const outs = given(relay, { kind: "datagram", octets, from, to }, at);
      tally(counters, outs);
      tell(refused, number, outs);
      for (const out of outs) {
        if (out.kind === "send") sent.push(shown(endpointText(out.to), out.octets));
        if (out.kind === "tunnel-up") tunnels.set(endpointText(out.gateway), out.tunnel);
        if (out.kind === "route" || out.kind === "member") plane.apply(out);
      }
    }
  }
  assert.deepEqual(sent, captured);
  return counters;
}

/** What a gateway was told, by the number of the packet before which, and why it said what it said. */
interface Story {
  readonly told: ReadonlyMap<number, readonly GatewayInput[]>;
  /** The numbers of Updates that say a change again, which a Query's answer may have told already. */
  readonly again: ReadonlySet<number>;
}

/**
 * Says to a gateway at `address` what the captured relay said to it, and what its host must have
 * wanted. It must say each message that the captured gateway said, and no other: Discoveries and
 * Requests as often; whether and when changes are said again is up to chance, and they count once.
 */
export function replayGateway(
  packets: readonly Captured[],
  address: Address,
  refused?: Refused,
): Counters {
  const own = packets.filter(({ from, to }) => from.address === address || to.address === address);
  const asked = own.filter(({ up }) => up);
  const nonces = [...new Set(asked.flatMap(({ octets }) => nonceOf(octets) ?? []))];
  const requests = asked.filter(({ octets }) => amtType(octets) === AMT_REQUEST);
  const [first] = asked;
  assert.ok(first);
  const gateway = new AmtGateway({
    ...(amtType(first.octets) === AMT_DISCOVERY ? { discovery: first.to } : { relay: first.to }),
    ecn: requests.some(({ octets }) => new RequestView(octets).ecn),
    // The longest waits: what was sent again is sent again when it is seen to have been.
    entropy: { u32: () => nonces.shift() ?? 0, fraction: () => 1 - 2 ** -20 },
  });
  const { told, again } = storyOf(asked);
  const counters: Counters = {};
  const waiting: string[] = [];
  const said = new Set<string>();
  const seen = new Set<string>();
  let now = own[0]!.at;

  const say = (input: GatewayInput, number = 0) => {
    const outs = given(gateway, input, now);
    tally(counters, outs);
    tell(refused, number, outs);
    for (const out of outs)
      if (out.kind === "send") {
        const line = shown(endpointText(out.to), out.octets);
        if (nonceOf(out.octets) === undefined) said.add(line);
        else waiting.push(line);
      }
  };
  const elapse = () => {
    now = Math.max(now, gateway.deadline()!);
    say({ kind: "timeout" });
  };
  /** Lets time pass until the gateway has said it; not for ever. */
  const until = (done: () => boolean) => {
    for (let turns = 0; turns < 64 && !done() && gateway.deadline() !== undefined; turns++)
      elapse();
  };

  say({ kind: "start" });
  for (const packet of own) {
    while ((gateway.deadline() ?? Number.POSITIVE_INFINITY) <= packet.at) elapse();
    now = Math.max(now, packet.at);
    for (const input of told.get(packet.number) ?? []) say(input);
    const line = shown(endpointText(packet.to), packet.octets);
    if (!packet.up) {
      const { octets, from, number } = packet;
      if (!isData(packet)) say({ kind: "datagram", octets, from }, number);
    } else if (nonceOf(packet.octets) !== undefined) {
      until(() => waiting.length > 0);
      assert.equal(waiting.shift(), line, `packet ${packet.number}`);
    } else {
      seen.add(line);
      if (again.has(packet.number)) continue;
      until(() => said.has(line));
      assert.ok(said.has(line), `packet ${packet.number} is not said: ${line}`);
    }
  }
  assert.deepEqual(waiting, []);
  const unseen = [...said].filter((line) => !seen.has(line));
  assert.deepEqual(unseen, []);
  return counters;
}

/** The nonce that a gateway chose for a Discovery or Request. */
function nonceOf(octets: Uint8Array): number | undefined {
  const type = amtType(octets);
  if (type === AMT_DISCOVERY) return readU32(octets, AMT_DISCOVERY_NONCE);
  return type === AMT_REQUEST ? readU32(octets, AMT_REQUEST_NONCE) : undefined;
}

/**
 * What the host wanted, from the reports: a change of it came just before the first report of the
 * change; what answers a Query without having been reported, before the first Request for that Query.
 */
function storyOf(asked: readonly Captured[]): Story {
  const told = new Map<number, GatewayInput[]>();
  const again = new Set<number>();
  const wanted = new Map<Address, GroupFilter>();
  /** By family, the first Request since the last Update. */
  const requested: Partial<Record<Family, number>> = {};
  const order = (before: number, input: GatewayInput) =>
    told.set(before, [...(told.get(before) ?? []), input]);
  let stopped = false;
  for (const { octets, number } of asked) {
    const type = amtType(octets);
    if (type === AMT_REQUEST) {
      const { family, misplacedP } = new RequestView(octets);
      requested[misplacedP ? 6 : family] ??= number;
    }
    if (type === AMT_TEARDOWN && !stopped) {
      stopped = true;
      order(number, { kind: "stop" });
    }
    if (type !== AMT_UPDATE) continue;
    const inner = parseMembershipDatagram(new UpdateView(octets).datagram);
    assert.ok("message" in inner && inner.message.kind === "report", `packet ${number}`);
    let news = false;
    for (const record of inner.message.records) {
      const { group, kind } = record;
      const current = kind === "is-in" || kind === "is-ex";
      news ||= current;
      const before = wanted.get(group) ?? NOTHING;
      const filter = changed(before, record);
      if (sameFilter(before, filter)) continue;
      news = true;
      wanted.set(group, filter);
      const place = current ? requested[familyOf(group)]! : number;
      order(place, { kind: "membership", group, filter });
    }
    delete requested[inner.family];
    if (!news) again.add(number);
  }
  return { told, again };
}

/** A filter after a record about it. */
function changed(before: GroupFilter, { kind, sources }: GroupRecord): GroupFilter {
  switch (kind) {
    case "is-in":
    case "to-in":
      return { mode: "include", sources };
    case "is-ex":
    case "to-ex":
      return { mode: "exclude", sources };
    case "allow":
    case "block": {
      const more = (kind === "allow") === (before.mode === "include");
      const rest = before.sources.filter((source) => !sources.includes(source));
      return { mode: before.mode, sources: more ? [...rest, ...sources] : rest };
    }
  }
}
