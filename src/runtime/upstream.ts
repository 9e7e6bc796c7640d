/**
 * What a relay asks of the networks at its ingress interfaces: every group on each of them. What the
 * kernel refuses, for want of descriptors or memory, is asked again until it is granted.
 */
import type { Address } from "../core/address.ts";
import { CulvertError, OsError } from "../core/errors.ts";
import type { Millis } from "../core/machine.ts";
import { isEmpty } from "../membership/filter.ts";
import { readLink, type Link } from "../os/link.ts";
import { Joins } from "../os/membership.ts";
import type { GroupFilter } from "../wire/membership.ts";

/** How long what was refused is left alone. */
const RETRY: Millis = 10_000;

interface Place {
  readonly name: string;
  joins: Joins;
  /** What was refused, the least recently tried first. */
  readonly waiting: Map<Address, GroupFilter>;
}

export class Upstream {
  readonly #places: readonly Place[];
  /** What is asked for on every interface. */
  readonly #wanted = new Map<Address, GroupFilter>();
  readonly #warn: (text: string) => void;
  #retry: NodeJS.Timeout | undefined;

  /** On interfaces that `readIngress` gave; `warn` takes a line for the operator. */
  constructor(links: readonly Link[], warn: (text: string) => void) {
    this.#places = links.map(({ name, index }) => ({
      name,
      joins: new Joins(index),
      waiting: new Map(),
    }));
    this.#warn = warn;
  }

  /** Groups that wait for the kernel, counted on each interface. */
  get waiting(): number {
    return this.#places.reduce((sum, { waiting }) => sum + waiting.size, 0);
  }

  /** Asks for this of a group from now on; INCLUDE of nothing leaves it. */
  want(group: Address, filter: GroupFilter): void {
    if (isEmpty(filter)) this.#wanted.delete(group);
    else this.#wanted.set(group, filter);
    for (const place of this.#places) this.#ask(place, group, filter);
  }

  /** Interface `i` has come back with another index: all that is wanted is asked for there. */
  move(i: number, index: number): void {
    const place = this.#places[i]!;
    place.joins.close();
    place.joins = new Joins(index);
    place.waiting.clear();
    for (const [group, filter] of this.#wanted) this.#ask(place, group, filter);
  }

  /** Leaves everything. */
  close(): void {
    clearTimeout(this.#retry);
    for (const { joins } of this.#places) joins.close();
  }

  #ask(place: Place, group: Address, filter: GroupFilter): void {
    const { waiting, name } = place;
    const first = waiting.size === 0;
    const refusal = ask(place, group, filter);
    if (refusal === undefined) return;
    if (first) this.#warn(`joining ${group} on ${name}: ${refusal.message}; it is tried again`);
    this.#retry ??= setTimeout(() => this.#tryAgain(), RETRY);
  }

  /** Asks for what waits until the first refusal: the next will hardly fare better. */
  #tryAgain(): void {
    for (const place of this.#places)
      for (const [group, filter] of [...place.waiting]) if (ask(place, group, filter)) break;
    this.#retry = this.waiting > 0 ? setTimeout(() => this.#tryAgain(), RETRY) : undefined;
    if (this.waiting === 0) this.#warn("no group waits to be joined any more");
  }
}

/** Asks on one interface; the refusal if there was one, and then the group waits. */
function ask({ joins, waiting }: Place, group: Address, filter: GroupFilter): OsError | undefined {
  waiting.delete(group);
  try {
    joins.set(group, filter);
    return undefined;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    waiting.set(group, filter);
    return error;
  }
}

/** An ingress interface that cannot serve as one. */
class IngressError extends CulvertError {
  readonly code = "CULVERT_INGRESS";
}

/** Drivers whose parts take their queries, and so their memberships, over the whole alone. */
const WHOLES: ReadonlySet<string> = new Set(["bridge", "bond", "team", "openvswitch", "hsr"]);

/**
 * The interface of this name. Throws IngressError for a port of a bridge, or of another interface
 * that takes its packets: queries never come to the port's own memberships, which would so end
 * silently after minutes.
 */
export function readIngress(name: string): Link {
  const link = readLink(name);
  const { master } = link;
  if (master === undefined || !WHOLES.has(master.kind)) return link;
  const whole = readLink(master.index).name;
  throw new IngressError(
    `ingress ${name}: expected an interface of its own, got a port of ${master.kind} ${whole};` +
      ` name ${whole} in its place`,
  );
}
