/**
 * Sources and listeners of a laboratory: what they are told, what they say, and how they are
 * started on a host. They are processes of their own, so that they share no loop with what is tried.
 */
import { fileURLToPath } from "node:url";
import type { Address } from "../core/address.ts";
import type { Host, Program } from "./program.ts";
import type { TallySummary } from "./tally.ts";

export interface SourcePlan {
  readonly group: Address;
  readonly port: number;
  /** The address to send from, one of `device`'s. */
  readonly source: Address;
  /** The device to send out by. */
  readonly device: string;
  /** Octets of UDP payload, at least PAYLOAD_MIN. */
  readonly size: number;
  /** Datagrams a second. */
  readonly rate: number;
  /** Datagrams in all; left out, it goes on until it is stopped. */
  readonly count?: number;
  readonly ttl: number;
  /** Datagrams of a UDP_SEGMENT train, 2 to 64; left out for one datagram a system call. */
  readonly segments?: number;
}

export type SourceEvent =
  | { readonly event: "started" }
  | { readonly event: "progress"; readonly sent: number }
  | SourceReport;

export interface SourceReport {
  readonly event: "end";
  readonly sent: number;
  readonly seconds: number;
}

export interface ListenerPlan {
  /** What to join; an address of the host itself to hear without joining. */
  readonly group: Address;
  readonly port: number;
  /** The device to join on; for IPv4, which names it by address, one of its addresses too. */
  readonly device: string;
  readonly address?: Address;
  /** INCLUDE of these; left out, the group is joined for any source. */
  readonly sources?: readonly Address[];
}

export type ListenerEvent =
  | { readonly event: "joined" }
  | FirstPacket
  | (ListenerReport & { readonly event: "progress" | "end" });

/** A source's first packet, and how long after the call to join it came. */
export interface FirstPacket {
  readonly event: "first";
  readonly source: Address;
  readonly milliseconds: number;
}

export interface ListenerReport {
  /** A row for each source that was heard, in the order of their first packets. */
  readonly streams: readonly (TallySummary & { readonly source: Address })[];
  /** Datagrams to the group and port that no source of a laboratory sent. */
  readonly foreign: number;
  /** Milliseconds from the source's call to the listener's, over all packets. */
  readonly delay: { readonly mean: number; readonly highest: number };
}

/** A source at work. */
export interface Source {
  readonly program: Program;
  /** Datagrams sent so far, a quarter of a second old at most. */
  sent(): number;
  /** Waits until all are sent. */
  report(milliseconds: number): Promise<SourceReport>;
  /** Ends it where it is. */
  stop(): Promise<SourceReport>;
}

/** A listener that has joined. */
export interface Listener {
  readonly program: Program;
  /** Waits for the first packet of any source. */
  first(milliseconds: number): Promise<FirstPacket>;
  /** What has come so far, a quarter of a second old at most. */
  progress(): ListenerReport | undefined;
  /** Leaves, and returns what had come. */
  leave(): Promise<ListenerReport>;
}

/** How long a program that has nothing to wait for may take to answer, on a busy machine. */
const ANSWER_MS = 10_000;

/** Starts a source on a host and waits until it sends. */
export async function startSource(host: Host, plan: SourcePlan): Promise<Source> {
  const program = startProgram(host, "source", plan);
  const events = new Events<SourceEvent>(program);
  await events.next("started", ANSWER_MS);
  return {
    program,
    sent: () => events.last("end")?.sent ?? events.last("progress")?.sent ?? 0,
    report: (milliseconds) => events.next("end", milliseconds),
    stop: () => {
      program.endInput();
      return events.next("end", ANSWER_MS);
    },
  };
}

/** Starts a listener on a host and waits until it has called the kernel to join. */
export async function startListener(host: Host, plan: ListenerPlan): Promise<Listener> {
  const program = startProgram(host, "listener", plan);
  const events = new Events<ListenerEvent>(program);
  await events.next("joined", ANSWER_MS);
  return {
    program,
    first: (milliseconds) => events.next("first", milliseconds),
    progress: () => events.last("progress"),
    leave: () => {
      program.endInput();
      return events.next("end", ANSWER_MS);
    },
  };
}

function startProgram(host: Host, name: string, plan: object): Program {
  const file = fileURLToPath(new URL(`programs/${name}.js`, import.meta.url));
  return host.start(process.execPath, [file, JSON.stringify(plan)]);
}

/** The events that a program writes, a JSON object a line. */
class Events<Event extends { readonly event: string }> {
  readonly #program: Program;
  readonly #last = new Map<string, Event>();
  #read = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  /** The newest event of a kind. */
  last<Kind extends Event["event"]>(kind: Kind): Extract<Event, { event: Kind }> | undefined {
    const text = this.#program.stdout;
    for (let end = text.indexOf("\n", this.#read); end >= 0; end = text.indexOf("\n", this.#read)) {
      const event = JSON.parse(text.slice(this.#read, end)) as Event;
      this.#last.set(event.event, event);
      this.#read = end + 1;
    }
    return this.#last.get(kind) as Extract<Event, { event: Kind }> | undefined;
  }

  /** Waits for an event of a kind. */
  next<Kind extends Event["event"]>(
    kind: Kind,
    milliseconds: number,
  ): Promise<Extract<Event, { event: Kind }>> {
    return this.#program.waitFor(() => this.last(kind), `event "${kind}"`, milliseconds);
  }
}
