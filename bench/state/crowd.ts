/**
 * A crowd of gateways at one relay, without a network: the relay's machine, and a lane's tables in a
 * core of the same thread. Each gateway asks for a Query and proves its groups with the answer, and
 * does so again in every query interval, as RFC 7450 §5.2.3.5 has it; time is virtual.
 */
import {
  ARENA_HEAP,
  ARENA_PAGES_MAX,
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
} from "../../assembly/layout/arena.ts";
import { AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE } from "../../assembly/layout/amt.ts";
import type { Endpoint } from "../../src/core/address.ts";
import { BugError } from "../../src/core/errors.ts";
import type { Entropy, Millis } from "../../src/core/machine.ts";
import { CommandWriter } from "../../src/engine/arena.ts";
import { compileCore, createArena, startCore, type Core } from "../../src/engine/core.ts";
import { baseAddress, wantHugePages } from "../../src/os/libc.ts";
import { AmtRelay, type RelayInput, type RelayOutput } from "../../src/protocols/amt/relay.ts";
import { emitRequest, emitUpdate } from "../../src/wire/amt.ts";
import { emitMembershipDatagram } from "../../src/wire/membership-datagram.ts";

export interface CrowdPlan {
  readonly gateways: number;
  /** Groups of each gateway, all of one source. */
  readonly groups: number;
  /** Different groups in all. */
  readonly pool: number;
  /** The relay's Query Interval, in which every gateway asks once. */
  readonly queryInterval: Millis;
}

const RELAY: Endpoint = { address: "192.0.2.1", port: 2268 };
const SOURCE = "198.51.100.1";
/** Octets of a page of WebAssembly memory. */
const PAGE = 65_536;
/** Commands that a lane applies between two batches of packets. */
const COMMANDS_AT_ONCE = 256;

export class Crowd {
  readonly relay: AmtRelay;
  /** Messages refused, by the number of the reason. */
  readonly refused = new Map<number, number>();
  now: Millis = 0;
  readonly #plan: CrowdPlan;
  readonly #core: Core;
  readonly #arena = createArena();
  readonly #commands: CommandWriter;
  readonly #reports: readonly Uint8Array[];
  /** The last Query that the relay sent. */
  #query: Uint8Array = new Uint8Array(0);

  constructor(plan: CrowdPlan, entropy: Entropy) {
    this.#plan = plan;
    // As a lane has it.
    const tables = ARENA_PAGES_MAX * PAGE - ARENA_HEAP;
    wantHugePages(baseAddress(this.#arena) + ARENA_HEAP, tables);
    this.#core = startCore(compileCore().module, this.#arena, 0, entropy);
    this.#commands = new CommandWriter(this.#arena, () => undefined);
    this.relay = new AmtRelay({
      relayAddresses: [RELAY.address],
      maxTunnels: plan.gateways,
      maxTunnelsPerAddress: plan.gateways,
      maxGroups: plan.groups,
      maxSources: 1,
      queryInterval: plan.queryInterval,
      queryResponseInterval: 10_000,
      robustness: 2,
      secretInterval: 7_200_000,
      requireRouterAlert: true,
      entropy,
    });
    this.#reports = Array.from({ length: plan.pool / plan.groups }, (_, set) => this.#report(set));
  }

  /** One query interval: every gateway in turn asks and reports all its groups. */
  renew(): void {
    const { gateways, queryInterval } = this.#plan;
    const start = this.now;
    for (let i = 0; i < gateways; i++) {
      this.#elapse(start + (i / gateways) * queryInterval);
      this.#speak(i);
    }
    this.#elapse(start + queryInterval);
  }

  /** Lets time pass with all gateways silent. */
  wait(time: Millis): void {
    this.#elapse(this.now + time);
  }

  /** Octets that the lane's tables take. */
  get arenaOctets(): number {
    return this.#arena.buffer.byteLength;
  }

  #elapse(until: Millis): void {
    for (let at = this.relay.deadline(); at !== undefined && at <= until;) {
      this.#give({ kind: "timeout" }, at);
      at = this.relay.deadline();
    }
    this.now = until;
  }

  #speak(i: number): void {
    const address = `10.${i >>> 16}.${(i >>> 8) & 0xff}.${i & 0xff}`;
    const from = { address, port: 2268 };
    const nonce = i + 1;
    const request = emitRequest(nonce, { family: 4, ecn: true });
    this.#give({ kind: "datagram", octets: request, from, to: RELAY }, this.now);
    const mac = this.#query.subarray(AMT_RESPONSE_MAC, AMT_RESPONSE_NONCE);
    const datagram = this.#reports[i % this.#reports.length]!;
    const update = emitUpdate({ mac, nonce, datagram });
    this.#give({ kind: "datagram", octets: update, from, to: RELAY }, this.now);
  }

  #report(set: number): Uint8Array {
    const { groups } = this.#plan;
    const records = Array.from({ length: groups }, (_, k) => {
      const number = set * groups + k;
      const group = `232.1.${number >>> 8}.${number & 0xff}`;
      return { kind: "is-in" as const, group, sources: [SOURCE] };
    });
    const sender = { family: 4, source: "0.0.0.0" } as const;
    return emitMembershipDatagram({ kind: "report", generation: 3, records }, sender);
  }

  #give(input: RelayInput, now: Millis): void {
    this.relay.handle(input, now);
    for (let out = this.relay.poll(); out !== undefined; out = this.relay.poll()) this.#take(out);
    for (;;) {
      const applied = this.#core.applyCommands(COMMANDS_AT_ONCE);
      if (applied < 0) throw new BugError("the arena has no memory left for the lane's tables");
      if (this.#commands.backlog > 0) this.#commands.flush();
      else if (applied === 0) return;
    }
  }

  #take(out: RelayOutput): void {
    switch (out.kind) {
      case "send":
        this.#query = out.octets;
        return;
      case "dropped":
        this.refused.set(out.drop, (this.refused.get(out.drop) ?? 0) + 1);
        return;
      case "tunnel-up":
        return this.#commands.tunnel(out.tunnel, out.gateway, out.ecn);
      case "route": {
        const op = out.change === "add" ? COMMAND_ROUTE_ADD : COMMAND_ROUTE_REMOVE;
        return this.#commands.route(op, out.group, out.source);
      }
      case "member": {
        const op = out.change === "add" ? COMMAND_MEMBER_ADD : COMMAND_MEMBER_REMOVE;
        return this.#commands.route(op, out.group, out.source, out.tunnel);
      }
      case "tunnel-down":
      case "upstream":
      case "accepted":
      case "path-mtu":
      case "quirk":
    }
  }
}
