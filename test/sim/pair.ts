/**
 * Machines that exchange datagrams over a simulated network on virtual time. One seed repeats a run
 * to the octet. `Pair` joins two machines; `Network` joins any number.
 */
import { type Endpoint, endpointText } from "../../src/core/address.ts";
import type { Machine, Millis } from "../../src/core/machine.ts";
import { Timers } from "../../src/core/timers.ts";
import { seededEntropy } from "./entropy.ts";

/** What every machine here takes, besides commands of its own. */
export type SimInput =
  | {
      readonly kind: "datagram";
      readonly octets: Uint8Array;
      readonly from: Endpoint;
      readonly to: Endpoint;
    }
  | { readonly kind: "timeout" };

/** Outputs of kind "send" travel; all others are news for the test. */
export interface SimSend {
  readonly kind: "send";
  readonly octets: Uint8Array;
  readonly to: Endpoint;
  /** The sender's endpoint; that of its node when it does not say. */
  readonly from?: Endpoint;
}

export interface LinkOptions {
  readonly seed: number;
  /** The share of datagrams that get lost, 0 to 1. */
  readonly loss?: number;
  /** The share of datagrams that arrive twice, each copy with its own latency. */
  readonly duplication?: number;
  /** Shortest and longest time under way; default 10 ms for all. Differences reorder. */
  readonly latency?: readonly [Millis, Millis];
}

/** A datagram under way. */
interface Flight {
  readonly octets: Uint8Array;
  readonly from: Endpoint;
  readonly to: Endpoint;
}

/** A machine's place in the network. */
export class SimNode<In, Out extends { readonly kind: string }> {
  /** All outputs but those of kind "send", oldest first; a test may empty it. */
  readonly news: Exclude<Out, SimSend>[] = [];
  /** All datagrams sent, when the network records. */
  readonly sent: { readonly at: Millis; readonly octets: Uint8Array; readonly to: Endpoint }[] = [];

  /** Where the machine sends from when it does not say; changed by `Network.rebind`. */
  endpoint: Endpoint;

  constructor(
    readonly network: Network,
    readonly machine: Machine<In, Out>,
    /** Where the machine was first reached. */
    readonly endpoints: readonly [Endpoint, ...Endpoint[]],
  ) {
    this.endpoint = endpoints[0];
  }

  /** Gives the machine an input now. */
  give(input: In): void {
    this.network.give(this, input);
  }

  /** The news of one kind. */
  of<K extends Out["kind"]>(kind: K): Extract<Out, { kind: K }>[] {
    return this.news.filter((one) => (one as Out).kind === kind) as unknown as Extract<
      Out,
      { kind: K }
    >[];
  }
}

type AnyNode = SimNode<SimInput, { readonly kind: string }>;

export class Network {
  now: Millis = 0;
  /** Datagrams lost on the way or sent to nobody. */
  lost = 0;
  /** Datagrams handed to a machine. */
  delivered = 0;
  /** Whether nodes keep what they send and their news; off for long runs. */
  record = true;
  #options: LinkOptions;
  readonly #entropy;
  readonly #nodes = new Map<string, AnyNode>();
  readonly #queue = new Timers<AnyNode | Flight>();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#entropy = seededEntropy(options.seed);
  }

  /** From now on links behave like this; the seed stays. */
  relink(options: Omit<LinkOptions, "seed">): void {
    this.#options = { seed: this.#options.seed, ...options };
  }

  /** Adds a machine that is reached at `endpoints`, and sends from the first of them. */
  join<In, Out extends { readonly kind: string }>(
    machine: Machine<In, Out>,
    ...endpoints: readonly [Endpoint, ...Endpoint[]]
  ): SimNode<In, Out> {
    const node = new SimNode(this, machine, endpoints);
    for (const endpoint of endpoints)
      this.#nodes.set(endpointText(endpoint), node as unknown as AnyNode);
    this.#settle(node as unknown as AnyNode);
    return node;
  }

  /** From now on the node sends from `endpoint`, and is reached only there. */
  rebind(node: { endpoint: Endpoint }, endpoint: Endpoint): void {
    this.#forget(node);
    node.endpoint = endpoint;
    this.#nodes.set(endpointText(endpoint), node as unknown as AnyNode);
  }

  /** Takes the node away: nothing reaches it and its time stands still. */
  leave(node: { endpoint: Endpoint }): void {
    this.#forget(node);
    this.#queue.delete(node as AnyNode);
  }

  #forget(node: { endpoint: Endpoint }): void {
    for (const endpoint of (node as AnyNode).endpoints) this.#nodes.delete(endpointText(endpoint));
    this.#nodes.delete(endpointText(node.endpoint));
  }

  /** Gives `node` an input now, and takes what comes of it. */
  give<In, Out extends { readonly kind: string }>(node: SimNode<In, Out>, input: In): void {
    node.machine.handle(input, this.now);
    this.#settle(node as unknown as AnyNode);
  }

  /** Lets `duration` of virtual time pass. */
  run(duration: Millis): void {
    const end = this.now + duration;
    for (let next = this.#queue.next(); next !== undefined && next <= end;) {
      this.now = Math.max(this.now, next);
      const due = this.#queue.take(this.now)!;
      if (due instanceof SimNode) this.give(due, { kind: "timeout" });
      else this.#arrive(due);
      next = this.#queue.next();
    }
    this.now = end;
  }

  #arrive(flight: Flight): void {
    const node = this.#nodes.get(endpointText(flight.to));
    if (node === undefined) {
      this.lost++;
      return;
    }
    this.delivered++;
    this.give(node, { kind: "datagram", ...flight });
  }

  #settle(node: AnyNode): void {
    for (let out = node.machine.poll(); out !== undefined; out = node.machine.poll()) {
      if (out.kind === "send") this.#send(node, out as unknown as SimSend);
      else if (this.record) node.news.push(out as never);
    }
    const deadline = node.machine.deadline();
    if (deadline === undefined) this.#queue.delete(node);
    else this.#queue.set(node, deadline);
  }

  #send(node: AnyNode, { octets, to, from = node.endpoint }: SimSend): void {
    if (this.record) node.sent.push({ at: this.now, octets, to });
    const { loss = 0, duplication = 0, latency: [least, most] = [10, 10] } = this.#options;
    const copies = this.#entropy.fraction() < duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const delay = least + (most - least) * this.#entropy.fraction();
      if (this.#entropy.fraction() < loss) this.lost++;
      else this.#queue.set({ octets, from, to }, this.now + delay);
    }
  }
}

/** Two machines and the link between them. */
export class Pair<
  InA,
  OutA extends { readonly kind: string },
  InB,
  OutB extends { readonly kind: string },
> {
  readonly network: Network;
  readonly a: SimNode<InA, OutA>;
  readonly b: SimNode<InB, OutB>;

  constructor(
    a: { readonly machine: Machine<InA, OutA>; readonly at: Endpoint },
    b: { readonly machine: Machine<InB, OutB>; readonly at: Endpoint },
    options: LinkOptions,
  ) {
    this.network = new Network(options);
    this.a = this.network.join(a.machine, a.at);
    this.b = this.network.join(b.machine, b.at);
  }

  get now(): Millis {
    return this.network.now;
  }

  /** Lets `duration` of virtual time pass. */
  run(duration: Millis): void {
    this.network.run(duration);
  }
}
