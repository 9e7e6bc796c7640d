/** A simulated link: one router, some hosts, and messages that get lost, doubled and reordered. */
import type { Address } from "../../src/core/address.ts";
import type { Entropy, Millis } from "../../src/core/machine.ts";
import { MembershipHost } from "../../src/membership/host.ts";
import { MembershipRouter, type RouterOptions } from "../../src/membership/router.ts";
import type { GroupFilter, MembershipQuery } from "../../src/wire/membership.ts";
import { NAMES } from "./support.ts";

export interface Weather {
  /** Parts of 1. */
  readonly loss: number;
  readonly duplication: number;
  /** The longest way of a message; each takes its own time, so they overtake each other. */
  readonly latency: Millis;
}

const FAIR: Weather = { loss: 0, duplication: 0, latency: 0 };

interface Event {
  readonly at: Millis;
  readonly happen: () => void;
}

export class Link {
  readonly router: MembershipRouter;
  readonly hosts: readonly MembershipHost[];
  weather: Weather = FAIR;
  now: Millis = 0;
  readonly #options: RouterOptions;
  readonly #entropy: Entropy;
  readonly #events: Event[] = [];

  constructor(options: RouterOptions, hosts: number, entropy: Entropy) {
    this.#options = options;
    this.#entropy = entropy;
    this.router = new MembershipRouter(options);
    const { family } = options;
    this.hosts = Array.from({ length: hosts }, () => new MembershipHost({ family, entropy }));
  }

  /** The querier starts. */
  start(): void {
    this.router.handle({ kind: "start" }, this.now);
    this.#drain();
  }

  /** A host wants this of a group from now on. */
  set(host: number, group: Address, filter: GroupFilter): void {
    this.hosts[host]!.handle({ kind: "set", group, filter }, this.now);
    this.#drain();
  }

  /** Every host gets a query, not from the router: an AMT gateway's poll. */
  poll(query: MembershipQuery): void {
    for (const host of this.hosts)
      this.#carry(() => host.handle({ kind: "query", query, immediate: true }, this.now));
    this.#drain();
  }

  at(when: Millis, happen: () => void): void {
    this.#events.push({ at: when, happen });
  }

  /** Lets everything up to and including `until` happen. */
  run(until: Millis): void {
    for (;;) {
      let next: Event = { at: until + 1, happen: () => undefined };
      for (const event of this.#events) if (event.at < next.at) next = event;
      for (const machine of [this.router, ...this.hosts]) {
        const at = machine.deadline() ?? Number.POSITIVE_INFINITY;
        if (at < next.at)
          next = { at, happen: () => machine.handle({ kind: "timeout" }, this.now) };
      }
      if (next.at > until) break;
      const index = this.#events.indexOf(next);
      if (index >= 0) this.#events.splice(index, 1);
      this.now = Math.max(this.now, next.at);
      next.happen();
      this.#drain();
    }
    this.now = until;
  }

  /** What the hosts want of a group. */
  wanted(group: Address): GroupFilter[] {
    return this.hosts.flatMap((host) => new Map(host.state()).get(group) ?? []);
  }

  #drain(): void {
    for (const [i, host] of this.hosts.entries())
      for (let out = host.poll(); out !== undefined; out = host.poll()) {
        const { message } = out;
        const from = NAMES[this.#options.family].host(i);
        this.#carry(() => this.router.handle({ kind: "message", message, from }, this.now));
      }
    for (let out = this.router.poll(); out !== undefined; out = this.router.poll()) {
      if (out.kind !== "query") continue;
      const { query } = out;
      for (const host of this.hosts)
        this.#carry(() => host.handle({ kind: "query", query }, this.now));
    }
  }

  #carry(arrive: () => void): void {
    const { loss, duplication, latency } = this.weather;
    if (latency === 0 && loss === 0) {
      arrive();
      return this.#drain();
    }
    const copies = this.#entropy.fraction() < duplication ? 2 : 1;
    for (let i = 0; i < copies; i++)
      if (this.#entropy.fraction() >= loss)
        this.at(this.now + latency * this.#entropy.fraction(), arrive);
  }
}
