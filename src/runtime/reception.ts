/**
 * What a gateway and a receiver share: the machines that find relays and speak with them, over the
 * AMT sockets, the lanes, and the reception state that the lanes filter by.
 *
 *     want ──▶ ForwardingTable ──▶ routes of the lanes
 *                    └─ merged ──▶ SourceRouter ──▶ RoamingGateway, or AmtGateway for one relay
 */
import {
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
  RELAY_SLOTS,
} from "../../assembly/layout/arena.ts";
import { endpointText, type Address, type Endpoint } from "../core/address.ts";
import { heardOf, type CommandWriter, type Punt } from "../engine/arena.ts";
import { LaneSet, type LanePorts } from "../lanes/lane-set.ts";
import type { LaneThreads } from "../lanes/plan.ts";
import { SystemEntropy } from "../os/entropy.ts";
import {
  ForwardingTable,
  type RouteChange,
  type UpstreamChange,
} from "../protocols/amt/forwarding.ts";
import { NOTHING, isEmpty } from "../membership/filter.ts";
import { AmtGateway, type GatewayState } from "../protocols/amt/gateway.ts";
import type { Candidate } from "../protocols/driad/candidates.ts";
import type { GroupFilter } from "../wire/membership.ts";
import type { ControlSocket } from "./amt-socket.ts";
import { failureOf } from "./device-gone.ts";
import { Driver } from "./driver.ts";
import type { RelayPlan } from "./relay-plan.ts";
import { RoamingGateway, type RoamingInput, type RoamingOutput } from "./roaming.ts";
import type { RelayStatus, ServiceStatus } from "./service.ts";
import { ANY_SOURCE, SourceRouter } from "./source-router.ts";
import { Tale } from "./tale.ts";

/** The member of routes that is a gateway's device, or the receiver. */
export const HOST = 0;

/** How long a stop waits for the last messages. */
const STOP_PATIENCE = 3_000;

/** How often a gateway looks whether data still comes. */
const SILENCE_CHECK = 1_000;

/** Data that had come and then stays away for so long makes the gateway ask its relay. */
const SILENCE = 5_000;

/** Sources whose relays are found by themselves. */
const SOURCES = RELAY_SLOTS - 1;

export interface ReceptionOptions {
  readonly name: string;
  readonly role: "gateway" | "receive";
  /** The AMT sockets; closed at the end. */
  readonly socket: ControlSocket;
  /** Where relays come from. */
  readonly plan: RelayPlan;
  /** Tunnels to different relays at once. */
  readonly tunnels: number;
  /** Whether relays that do not speak as RFC 7450 says are asked as they understand. */
  readonly quirks: boolean;
  /** The ports of each lane; asked for once, at the start. */
  lanes(): readonly LanePorts[];
  readonly threads?: LaneThreads;
  /** Values that a lane which starts must have besides its tables. */
  prime(commands: CommandWriter): void;
  /** The device that lanes deliver to, if there is one. */
  deviceName(): string | undefined;
  /** A packet that the host sent to the device. */
  device(punt: Punt): void;
  /** Whether a lane that dies is replaced. */
  readonly replace: boolean;
}

export class Reception {
  readonly tale: Tale;
  readonly socket: ControlSocket;
  readonly #options: ReceptionOptions;
  readonly #driver: Driver<RoamingInput, RoamingOutput>;
  readonly #forwarding = new ForwardingTable((change) => this.#forward(change));
  /** What each member wants of each group, by the numbers and addresses of both. */
  readonly #wanted = new Map<string, GroupFilter>();
  readonly #router: SourceRouter;
  /** Whether relays are chosen here: several of them, or those of sources. */
  readonly #roams: boolean;
  #lanes: LaneSet | undefined;
  /** By slot, the relay in use and its source. */
  readonly #relays = new Map<number, { relay: Endpoint; source: Address | undefined }>();
  /** What last kept a source's relays from being found. */
  readonly #hindrances = new Map<Address, string>();
  #state: GatewayState = "idle";
  #stopped: (() => void) | undefined;
  #silence: NodeJS.Timeout | undefined;
  #heardAt = 0;
  /** By slot, the datagrams that had come from its relay. */
  readonly #counts = new Map<number, number>();

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.tale = new Tale(options.name, options.role);
    this.socket = options.socket;
    const { plan, quirks, tunnels } = options;
    const bySource = plan.directory !== undefined;
    const anySource = plan.known.length > 0;
    this.#router = new SourceRouter({ bySource, anySource, sources: SOURCES }, (drop) =>
      this.tale.dropped(drop),
    );
    this.#roams = bySource || plan.known.length > 1;
    // The core brings the outer ECN field inside.
    const usual = { quirks, ecn: true, entropy: new SystemEntropy() };
    const machine = this.#roams
      ? new RoamingGateway({ ...usual, standing: !bySource, tunnels })
      : new AmtGateway({ ...usual, ...endpointOf(plan.known[0]!) });
    this.#driver = new Driver<RoamingInput, RoamingOutput>(machine, { kind: "timeout" }, (output) =>
      this.#take(output),
    );
  }

  /** Starts the lanes, then the protocol. */
  async start(): Promise<void> {
    this.#lanes = await LaneSet.start({
      replace: this.#options.replace,
      lanes: this.#options.lanes(),
      ...(this.#options.threads ? { threads: this.#options.threads } : {}),
      prime: (_lane, commands) => this.#prime(commands),
      punt: (_lane, punt) => this.#punt(punt),
      failed: (reason) => void this.#fail(reason),
    });
    const { note } = this.#options.plan;
    if (note !== undefined) this.tale.warn(note);
    this.#driver.handle({ kind: "start" });
    this.#silence = setInterval(() => this.#listen(), SILENCE_CHECK);
  }

  /**
   * What `member`, HOST or the number of a link, wants of a group from now on. The lanes deliver by
   * it, and what all members want together is asked of the relay (RFC 4605 §4.1).
   */
  want(member: number, group: Address, filter: GroupFilter): void {
    const key = `${member} ${group}`;
    const before = this.#wanted.get(key) ?? NOTHING;
    if (isEmpty(filter)) this.#wanted.delete(key);
    else this.#wanted.set(key, filter);
    this.#forwarding.change(member, group, before, filter);
    this.#lanes?.flush();
  }

  /** Has every lane hear something. */
  tell(change: (commands: CommandWriter) => void): void {
    this.#each(change);
  }

  /** Leaves all groups, tears the tunnel down, and stops the lanes. */
  async stop(): Promise<void> {
    clearInterval(this.#silence);
    this.#options.plan.directory?.close();
    await new Promise<void>((resolve) => {
      const patience = setTimeout(resolve, STOP_PATIENCE);
      this.#stopped = () => {
        clearTimeout(patience);
        resolve();
      };
      this.#driver.handle({ kind: "stop" });
    });
    this.#driver.close();
    await this.#lanes?.stop();
    this.socket.close();
  }

  /** Ends without a word to the relay, as when the start failed. */
  async abandon(): Promise<void> {
    clearInterval(this.#silence);
    this.#options.plan.directory?.close();
    this.#driver.close();
    if (this.#lanes) await this.#lanes.stop();
    this.socket.close();
  }

  /** The lanes cannot go on: none of them has a descriptor in use when the end is told. */
  async #fail(reason: Error): Promise<void> {
    await this.#lanes?.stop();
    this.tale.end(failureOf(reason, this.#options.deviceName()));
  }

  status(): ServiceStatus {
    const relays = this.#relayStatus();
    const told = this.tale.status(this.#lanes);
    return {
      ...told,
      counters: { ...told.counters, control_unsent: this.socket.refused },
      state: this.#state,
      local: this.socket.locals,
      ...(relays.length === 1 ? { relay: relays[0]!.relay } : {}),
      ...(this.#options.plan.directory ? { relays } : {}),
      tunnels: [],
      groups: Array.from(this.#forwarding.groups(), ({ group, filter, members }) => ({
        group,
        ...filter,
        members,
      })),
    };
  }

  /** The relays in use, and whose data each sends. */
  #relayStatus(): RelayStatus[] {
    const relays = new Map<string, { relay: Endpoint; sources: Address[] }>();
    for (const { relay, source } of this.#relays.values()) {
      const key = endpointText(relay);
      const row = relays.get(key) ?? { relay, sources: [] };
      relays.set(key, row);
      if (source !== undefined) row.sources.push(source);
    }
    return [...relays.values()];
  }

  #prime(commands: CommandWriter): void {
    this.#options.prime(commands);
    for (const [slot, { relay }] of this.#relays) commands.relay(relay, slot);
    for (const change of this.#forwarding.routes()) this.#tell(commands, change);
  }

  #punt(punt: Punt): void {
    if (!punt.from) return this.#options.device(punt);
    this.#driver.handle({ kind: "datagram", octets: punt.octets, from: punt.from });
  }

  #take(output: RoamingOutput): void {
    switch (output.kind) {
      case "send":
        return this.socket.send(output.octets, output.to);
      case "relay":
        return this.#use(output.endpoint, output.slot ?? ANY_SOURCE);
      case "state":
        this.#state = output.state;
        return;
      case "accepted":
        return this.tale.accepted(output.type);
      case "quirk":
        return this.tale.quirk(output.quirk);
      case "dropped":
        return this.tale.dropped(output.drop);
      case "stopped":
        return this.#stopped?.();
      case "lookup":
        return void this.#lookUp(output.slot, output.source);
      case "query":
    }
  }

  /** A slot's data comes from this relay from now on. */
  #use(relay: Endpoint | undefined, slot: number): void {
    if (relay === undefined) this.#relays.delete(slot);
    else this.#relays.set(slot, { relay, source: this.#router.sourceOf(slot) });
    this.#each((commands) => commands.relay(relay, slot));
  }

  /** Finds relays. What hinders that is told once; the lookup is repeated later. */
  async #lookUp(slot: number, source: Address | undefined): Promise<void> {
    const { directory, known } = this.#options.plan;
    const offer = (candidates: readonly Candidate[]): void =>
      this.#driver.handle({ kind: "candidates", slot, source, candidates });
    if (directory === undefined || source === undefined) return offer(known);
    const hindrance = await directory.find(source, offer);
    if (hindrance === undefined) this.#hindrances.delete(source);
    else if (this.#stopped === undefined && this.#hindrances.get(source) !== hindrance) {
      if (this.#hindrances.size >= SOURCES) this.#hindrances.clear();
      this.#hindrances.set(source, hindrance);
      this.tale.warn(hindrance);
    }
  }

  #forward(change: RouteChange | UpstreamChange): void {
    if (change.kind === "upstream") this.#route(change.group, change.filter);
    else
      for (let lane = 0; lane < (this.#lanes?.count ?? 0); lane++) {
        const commands = this.#lanes!.commands(lane);
        commands.hold();
        this.#tell(commands, change);
      }
  }

  /** Passes what is wanted of a group, part by part, to those who seek relays for it. */
  #route(group: Address, filter: GroupFilter): void {
    const parts = this.#router.route(group, filter);
    const sources = parts.some(({ source }) => source === undefined)
      ? this.#forwarding.sources(group)
      : parts.flatMap(({ source }) => source ?? []);
    for (const source of sources) this.#each((commands) => this.#point(commands, group, source));
    for (const part of parts) this.#driver.handle({ kind: "membership", ...part });
  }

  /** Passes a change of the tables to a lane. */
  #tell(commands: CommandWriter, change: RouteChange): void {
    const { group, source } = change;
    const add = change.change === "add";
    if (change.kind === "member") {
      const op = add ? COMMAND_MEMBER_ADD : COMMAND_MEMBER_REMOVE;
      return commands.route(op, group, source, change.tunnel);
    }
    commands.route(add ? COMMAND_ROUTE_ADD : COMMAND_ROUTE_REMOVE, group, source);
    if (add && source !== undefined) this.#point(commands, group, source);
  }

  /** Says which relay sends what a source sends to a group. */
  #point(commands: CommandWriter, group: Address, source: Address): void {
    commands.routeRelay(group, source, this.#router.slotOf(group, source));
  }

  #each(change: (commands: CommandWriter) => void): void {
    for (let lane = 0; lane < (this.#lanes?.count ?? 0); lane++)
      change(this.#lanes!.commands(lane));
    this.#lanes?.flush();
  }

  /** Notices whose data comes, and that data which used to come does not. */
  #listen(): void {
    const slots = this.#heardSlots();
    if (this.#roams) {
      if (slots.length > 0) this.#driver.handle({ kind: "heard", slots });
      return;
    }
    const now = performance.now();
    if (slots.length > 0) this.#heardAt = now;
    else if (this.#heardAt > 0 && now - this.#heardAt >= SILENCE) {
      // Once for each silence: the query interval goes on from there.
      this.#heardAt = 0;
      this.#driver.handle({ kind: "silent" });
    }
  }

  /** The slots for which data has come since this was last asked. */
  #heardSlots(): number[] {
    const lanes = Array.from({ length: this.#lanes?.count ?? 0 }, (_, lane) =>
      heardOf(this.#lanes!.arena(lane)),
    );
    return [...this.#relays.keys()].filter((slot) => {
      // A lane that was replaced counts anew: any other number is news.
      const count = lanes.reduce((sum, heard) => sum + heard[slot]!, 0);
      const before = this.#counts.get(slot) ?? 0;
      this.#counts.set(slot, count);
      return count !== before;
    });
  }
}

/** How a gateway is told of the one relay, or discovery address, that it has. */
function endpointOf({ endpoint, discoveryOptional }: Candidate): {
  readonly relay?: Endpoint;
  readonly discovery?: Endpoint;
} {
  return discoveryOptional ? { relay: endpoint } : { discovery: endpoint };
}
