/**
 * The listeners of one link, a gateway's device or a downstream interface: the router halves of IGMP
 * and MLD there, as queriers (`src/membership/querier.ts`). What they want goes out by `wanted`; how
 * packets come and go is the link's affair.
 */
import type { Address, Family } from "../core/address.ts";
import type { Millis } from "../core/machine.ts";
import {
  MembershipRouter,
  type RouterInput,
  type RouterOutput,
  type RouterTimers,
} from "../membership/router.ts";
import { monotonic } from "../os/clock.ts";
import { emitMembershipDatagrams, parseMembershipDatagram } from "../wire/membership-datagram.ts";
import { VERDICT_BAD_SOURCE } from "../../assembly/layout/verdict.ts";
import type { Generation, GroupFilter, MembershipQuery } from "../wire/membership.ts";
import { Driver } from "./driver.ts";
import type { Tale } from "./tale.ts";

/** More than any host asks for by itself; a bound on what those of a network can make us keep. */
const LIMITS = { groups: 4_096, sources: 1_024, reporters: 256 };

/** A warning of one kind is not repeated within so long (RFC 3376 §7.3.1, RFC 3810 §8.3.1). */
const WARNING_INTERVAL: Millis = 60_000;

/** The variables of a querier (RFC 3376 §8, RFC 3810 §9) as they are configured. */
export interface QuerierConfig {
  readonly queryInterval: Millis;
  readonly queryResponseInterval: Millis;
  readonly robustness: number;
  readonly lastMemberQueryInterval: Millis;
  readonly lastMemberQueryCount?: number | undefined;
  readonly startupQueryInterval?: Millis | undefined;
  readonly startupQueryCount?: number | undefined;
  readonly igmpVersion: number;
  readonly mldVersion: number;
}

/** What listeners are reached by. */
export interface ListenerLink {
  /** For the operator: "device culvert0". */
  readonly text: string;
  /** Sends an IGMP or MLD datagram to the link. */
  send(datagram: Uint8Array): void;
  /** Octets of the largest datagram. */
  mtu(): number;
  /** What all listeners of the link together want of a group, from now on. */
  wanted(group: Address, filter: GroupFilter): void;
}

/** One family's querier, and where its queries come from. */
interface Half {
  readonly machine: MembershipRouter;
  readonly driver: Driver<RouterInput, RouterOutput>;
  source: Address | undefined;
}

export class Listeners {
  readonly #link: ListenerLink;
  readonly #tale: Tale;
  readonly #halves: Readonly<Record<Family, Half>>;
  readonly #warned = new Map<string, Millis>();

  constructor(link: ListenerLink, config: QuerierConfig, tale: Tale) {
    this.#link = link;
    this.#tale = tale;
    this.#halves = { 4: this.#makeHalf(4, config), 6: this.#makeHalf(6, config) };
  }

  /**
   * Begins to query, from `source`, with which it also takes part in the election of the querier;
   * `elect` false keeps the own address out of it, so that any other router's wins. Later calls
   * change both.
   */
  start(family: Family, source: Address, elect = true): void {
    const half = this.#halves[family];
    const started = half.source !== undefined;
    half.source = source;
    half.driver.handle({ kind: "address", address: elect ? source : undefined });
    if (!started) half.driver.handle({ kind: "start" });
  }

  /** Forgets all listeners of a family, and queries no more until the next start. */
  clear(family: Family): void {
    const half = this.#halves[family];
    if (half.source === undefined) return;
    half.source = undefined;
    half.driver.handle({ kind: "clear" });
  }

  /** Takes an IGMP or MLD datagram that came over the link. */
  hear(octets: Uint8Array): void {
    const parsed = parseMembershipDatagram(octets, { onLink: true });
    if ("drop" in parsed) {
      // MLD from elsewhere than the link (RFC 3810 §5.1.14).
      if (parsed.drop === VERDICT_BAD_SOURCE)
        this.#warn("source", "MLD came from an address that is not link-local, and is ignored");
      return this.#tale.dropped(parsed.drop);
    }
    const { source, driver } = this.#halves[parsed.family];
    if (parsed.message.kind === "query" && parsed.source === source) return;
    driver.handle({ kind: "message", message: parsed.message, from: parsed.source });
  }

  /** Who queries: "self", another router's address, or undefined for nobody. */
  querier(family: Family): string | undefined {
    return this.#halves[family].machine.querier;
  }

  /** Groups that have listeners, of both families. */
  get groupCount(): number {
    return this.#halves[4].machine.groupCount + this.#halves[6].machine.groupCount;
  }

  /** Ends the queriers' time. */
  close(): void {
    for (const { driver } of Object.values(this.#halves)) driver.close();
  }

  #makeHalf(family: Family, config: QuerierConfig): Half {
    const machine = new MembershipRouter({
      family,
      role: "querier",
      // MLDv1 is what IGMPv2 is, MLDv2 what IGMPv3.
      generation: (family === 4 ? config.igmpVersion : config.mldVersion + 1) as Generation,
      timers: timersOf(config),
      limits: LIMITS,
    });
    const driver = new Driver<RouterInput, RouterOutput>(machine, { kind: "timeout" }, (output) => {
      switch (output.kind) {
        case "filter":
          return this.#link.wanted(output.group, output.filter);
        case "query":
          return this.#ask(output.query, family);
        case "older-querier":
          return this.#olderQuerier(family, output.generation, output.from);
        case "dropped":
          return this.#tale.dropped(output.drop);
      }
    });
    return { machine, driver, source: undefined };
  }

  #ask(query: MembershipQuery, family: Family): void {
    const { source } = this.#halves[family];
    if (source === undefined) return;
    const sender = { family, source, mtu: this.#link.mtu() };
    for (const datagram of emitMembershipDatagrams(query, sender)) this.#link.send(datagram);
  }

  /** Tells the operator what only an operator can mend. */
  #olderQuerier(family: Family, generation: Generation, from: Address): void {
    const [heard, option] =
      family === 4
        ? [`IGMPv${generation}`, `igmpVersion: ${generation}`]
        : [`MLDv${generation - 1}`, `mldVersion: ${generation - 1}`];
    this.#tale.count(`older_querier_${family === 4 ? "igmp" : "mld"}`);
    this.#warn(
      `querier ${family}`,
      `the router ${from} speaks ${heard}; all routers of a link must be set to one version (${option})`,
    );
  }

  /** Warns, but about one matter once in WARNING_INTERVAL. */
  #warn(matter: string, text: string): void {
    const now = monotonic();
    const last = this.#warned.get(matter);
    if (last !== undefined && now - last < WARNING_INTERVAL) return;
    this.#warned.set(matter, now);
    this.#tale.warn(`${this.#link.text}: ${text}`);
  }
}

/** Tells that a Robustness Variable of 1 should not be used (RFC 3376 §8.1, RFC 3810 §9.1). */
export function warnOfRobustness(robustness: number, tale: Tale): void {
  if (robustness === 1)
    tale.warn("robustness 1: a single message that is lost can end a membership; 2 is usual");
}

function timersOf(config: QuerierConfig): RouterTimers {
  const { queryInterval, queryResponseInterval, robustness, lastMemberQueryInterval } = config;
  const { lastMemberQueryCount, startupQueryCount, startupQueryInterval } = config;
  return {
    queryInterval,
    queryResponseInterval,
    robustness,
    lastMemberQueryInterval,
    ...(lastMemberQueryCount === undefined ? {} : { lastMemberQueryCount }),
    ...(startupQueryCount === undefined ? {} : { startupQueryCount }),
    ...(startupQueryInterval === undefined ? {} : { startupQueryInterval }),
  };
}
