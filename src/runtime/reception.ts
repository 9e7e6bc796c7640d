/**
 * What a gateway and a receiver share: the AMT gateway machine over one socket, its lanes, and the
 * reception state that the lanes filter by.
 */
import {
  COMMAND_MEMBER_ADD,
  COMMAND_MEMBER_REMOVE,
  COMMAND_ROUTE_ADD,
  COMMAND_ROUTE_REMOVE,
  TALLY_OCTETS,
} from "../../assembly/layout/arena.ts";
import {
  familyOf,
  isUnspecified,
  unspecified,
  type Address,
  type Endpoint,
} from "../core/address.ts";
import type { CommandWriter, Punt } from "../engine/arena.ts";
import { LaneSet, type LanePorts } from "../lanes/lane-set.ts";
import { SystemEntropy } from "../os/entropy.ts";
import {
  ForwardingTable,
  type RouteChange,
  type UpstreamChange,
} from "../protocols/amt/forwarding.ts";
import { AmtGateway, type GatewayState } from "../protocols/amt/gateway.ts";
import type { GroupFilter } from "../wire/membership.ts";
import type { ControlSocket } from "./amt-socket.ts";
import type { FindRelays } from "./discovery.ts";
import { Driver } from "./driver.ts";
import { RoamingGateway, type RoamingInput, type RoamingOutput } from "./roaming.ts";
import type { ServiceStatus } from "./service.ts";
import { Tale } from "./tale.ts";

/** The member of routes that is a gateway's device, or the receiver. */
export const HOST = 0;

/** How long a stop waits for the last messages. */
const STOP_PATIENCE = 3_000;

/** How often a gateway looks whether data still comes. */
const SILENCE_CHECK = 1_000;

/** Data that had come and then stays away for so long makes the gateway ask its relay. */
const SILENCE = 5_000;

/** What a gateway's or a receiver's settings say of its own endpoint. */
interface OwnConfig {
  readonly local: Endpoint;
  readonly relay?: Endpoint | undefined;
  readonly discovery?: Endpoint | undefined;
}

export interface ReceptionOptions {
  readonly name: string;
  readonly role: "gateway" | "receive";
  /** The AMT socket; closed at the end. */
  readonly socket: ControlSocket;
  readonly relay: Endpoint | undefined;
  readonly discovery: Endpoint | undefined;
  /** Finds relays, where neither a relay nor a discovery address is given. */
  readonly find?: FindRelays | undefined;
  /** Whether relays that do not speak as RFC 7450 says are asked as they understand. */
  readonly quirks: boolean;
  /** The ports of each lane; asked for once, at the start. */
  lanes(): readonly LanePorts[];
  /** Values that a lane which starts must have besides its tables. */
  prime(commands: CommandWriter): void;
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
  #lanes: LaneSet | undefined;
  #relay: Endpoint | undefined;
  #state: GatewayState = "idle";
  #stopped: (() => void) | undefined;
  #silence: NodeJS.Timeout | undefined;
  #heard = 0;
  #heardAt = 0;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.tale = new Tale(options.name, options.role);
    this.socket = options.socket;
    const { relay, discovery, quirks } = options;
    // The core brings the outer ECN field inside.
    const usual = { quirks, ecn: true, entropy: new SystemEntropy() };
    const machine = options.find
      ? new RoamingGateway(usual)
      : new AmtGateway({ relay, discovery, ...usual });
    this.#driver = new Driver<RoamingInput, RoamingOutput>(machine, { kind: "timeout" }, (output) =>
      this.#take(output),
    );
  }

  /** Starts the lanes, then the protocol. */
  async start(): Promise<void> {
    this.#lanes = await LaneSet.start({
      replace: this.#options.replace,
      lanes: this.#options.lanes(),
      prime: (_lane, commands) => this.#prime(commands),
      punt: (_lane, punt) => this.#punt(punt),
      failed: (reason) => this.tale.end(reason),
    });
    this.#driver.handle({ kind: "start" });
    this.#silence = setInterval(() => this.#listen(), SILENCE_CHECK);
  }

  /**
   * What `member`, HOST or the number of a link, wants of a group from now on. The lanes deliver by
   * it, and what all members want together is asked of the relay (RFC 4605 §4.1).
   */
  want(member: number, group: Address, filter: GroupFilter): void {
    this.#forwarding.set(member, group, filter);
    this.#lanes?.flush();
  }

  /** Has every lane hear something. */
  tell(change: (commands: CommandWriter) => void): void {
    this.#each(change);
  }

  /** Leaves all groups, tears the tunnel down, and stops the lanes. */
  async stop(): Promise<void> {
    clearInterval(this.#silence);
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
  abandon(): void {
    clearInterval(this.#silence);
    this.#driver.close();
    this.socket.close();
  }

  status(): ServiceStatus {
    return {
      ...this.tale.status(this.#lanes),
      state: this.#state,
      local: [this.socket.local],
      ...(this.#relay ? { relay: this.#relay } : {}),
      tunnels: [],
      groups: Array.from(this.#forwarding.groups(), ({ group, filter, members }) => ({
        group,
        ...filter,
        members,
      })),
    };
  }

  #prime(commands: CommandWriter): void {
    this.#options.prime(commands);
    commands.relay(this.#relay);
    for (const change of this.#forwarding.routes()) tell(commands, change);
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
        this.#relay = output.endpoint;
        this.#each((commands) => commands.relay(output.endpoint));
        return;
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
        return this.#options.find?.((candidates) =>
          this.#driver.handle({ kind: "candidates", candidates }),
        );
      case "query":
    }
  }

  #forward(change: RouteChange | UpstreamChange): void {
    if (change.kind === "upstream") {
      const { group, filter } = change;
      return this.#driver.handle({ kind: "membership", group, filter });
    }
    for (let lane = 0; lane < (this.#lanes?.count ?? 0); lane++) {
      const commands = this.#lanes!.commands(lane);
      commands.hold();
      tell(commands, change);
    }
  }

  #each(change: (commands: CommandWriter) => void): void {
    for (let lane = 0; lane < (this.#lanes?.count ?? 0); lane++)
      change(this.#lanes!.commands(lane));
    this.#lanes?.flush();
  }

  /** Notices that data which used to come does not, as after the relay's restart. */
  #listen(): void {
    const octets = this.#lanes?.ledger().tallies[TALLY_OCTETS] ?? 0;
    const now = performance.now();
    if (octets > this.#heard) {
      this.#heard = octets;
      this.#heardAt = now;
      if (this.#options.find) this.#driver.handle({ kind: "heard" });
    } else if (this.#heardAt > 0 && now - this.#heardAt >= SILENCE) {
      // Once for each silence: the query interval goes on from there.
      this.#heardAt = 0;
      this.#driver.handle({ kind: "silent" });
    }
  }
}

/** The own endpoint: where it was left to the system, in the family of the relay. */
export function ownEndpoint({ local, relay, discovery }: OwnConfig): Endpoint {
  const peer = relay ?? discovery;
  if (peer === undefined || !isUnspecified(local.address)) return local;
  return { address: unspecified(familyOf(peer.address)), port: local.port };
}

/** Passes a change of the tables to a lane. */
function tell(commands: CommandWriter, change: RouteChange): void {
  const add = change.change === "add";
  if (change.kind === "route")
    commands.route(add ? COMMAND_ROUTE_ADD : COMMAND_ROUTE_REMOVE, change.group, change.source);
  else
    commands.route(
      add ? COMMAND_MEMBER_ADD : COMMAND_MEMBER_REMOVE,
      change.group,
      change.source,
      change.tunnel,
    );
}
