/**
 * Who gets which packet: from the filter of each tunnel for each group to the (S,G) and (*,G) routes
 * of the data plane (RFC 7450 §5.3.3.6, RFC 3376 §6.3), and to what is asked upstream (RFC 4605 §4).
 *
 * The data plane looks up (S,G) first; if there is such a route only its list counts, else the list
 * of (*,G) does. So the lists are resolved here: the (*,G) list has the tunnels in EXCLUDE mode, and
 * an (S,G) route exists just while some tunnel names S, that is while it decides otherwise than
 * (*,G). Its list has the tunnels that include S and those in EXCLUDE mode that do not block S; it
 * may be empty, and then drops what others would get by (*,G).
 */
import type { Address } from "../../core/address.ts";
import { NOTHING, isEmpty, sameFilter } from "../../membership/filter.ts";
import type { GroupFilter } from "../../wire/membership.ts";
import { TunnelSet } from "./tunnel-set.ts";

/** A command to the data plane. `source` is left out in those for (*,G). */
export type RouteChange =
  /** Removing a route drops its list with it. */
  | {
      readonly kind: "route";
      readonly change: "add" | "remove";
      readonly group: Address;
      readonly source?: Address;
    }
  | MemberChange;

/** A tunnel enters or leaves the list of a route. */
export interface MemberChange {
  readonly kind: "member";
  readonly change: "add" | "remove";
  readonly group: Address;
  readonly source?: Address;
  readonly tunnel: number;
}

/** What all tunnels together want of a group; INCLUDE of nothing when the last has left it. */
export interface UpstreamChange {
  readonly kind: "upstream";
  readonly group: Address;
  readonly filter: GroupFilter;
}

/** A group that some tunnel wants. */
export interface ForwardedGroup {
  readonly group: Address;
  /** The merged filter, as asked upstream. */
  readonly filter: GroupFilter;
  /** How many tunnels want something of it. */
  readonly members: number;
}

/** An (S,G) route. */
class SourceRoute {
  /** The tunnels that get S, resolved. */
  readonly list = new TunnelSet();
  /** How many tunnels name S in their filter, to include or to exclude it. */
  named = 0;
  /** The number of the last change after which the tunnel named S. */
  change = 0;

  constructor(readonly source: Address) {}
}

class GroupState {
  /** How many tunnels want something of the group. */
  members = 0;
  /** The (*,G) list: the tunnels in EXCLUDE mode. */
  readonly star = new TunnelSet();
  readonly routes = new Map<Address, SourceRoute>();
  /** The route of these that was asked for last: most groups have one source. */
  #last: SourceRoute | undefined;
  upstream: GroupFilter = NOTHING;
  /** Set when `upstream` may no longer be what the lists say. */
  stale = false;

  constructor(readonly group: Address) {}

  /** The route of a source that some tunnel names. */
  route(source: Address): SourceRoute | undefined {
    if (this.#last?.source !== source) this.#last = this.routes.get(source);
    return this.#last;
  }

  remove(source: Address): void {
    this.routes.delete(source);
    this.#last = undefined;
  }

  /** The filter that lets pass what any tunnel wants. */
  merged(): GroupFilter {
    const exclude = this.star.size > 0;
    const sources: Address[] = [];
    for (const route of this.routes.values())
      if (exclude === (route.list.size === 0)) sources.push(route.source);
    return { mode: exclude ? "exclude" : "include", sources };
  }
}

/**
 * The table of one relay. A tunnel enters its new routes before it leaves the old ones. What a tunnel
 * wants is kept by those who tell it: there are as many filters as memberships in the whole process.
 */
export class ForwardingTable {
  readonly #groups = new Map<Address, GroupState>();
  readonly #emit: (change: RouteChange | UpstreamChange) => void;
  /** Changes so far. */
  #changes = 0;

  constructor(emit: (change: RouteChange | UpstreamChange) => void) {
    this.#emit = emit;
  }

  /**
   * What `tunnel` wants of `group` was `before`, as the last call said, and is now `after`. INCLUDE of
   * nothing is what it wants of a group that it has not joined or has left.
   */
  change(tunnel: number, group: Address, before: GroupFilter, after: GroupFilter): void {
    if (sameFilter(before, after)) return;
    let state = this.#groups.get(group);
    if (state === undefined) {
      state = new GroupState(group);
      this.#groups.set(group, state);
    }
    this.#change(state, tunnel, before, after);
    if (state.members === 0) this.#groups.delete(group);
    if (!state.stale) return;
    state.stale = false;
    const merged = state.merged();
    if (sameFilter(merged, state.upstream)) return;
    state.upstream = merged;
    this.#emit({ kind: "upstream", group: state.group, filter: merged });
  }

  /** The commands that put `tunnel` on those lists of `group` that it is on. */
  *places(tunnel: number, group: Address): IterableIterator<MemberChange> {
    const state = this.#groups.get(group);
    if (state === undefined) return;
    for (const { source, list } of state.routes.values())
      if (list.has(tunnel)) yield { kind: "member", change: "add", group, source, tunnel };
    if (state.star.has(tunnel)) yield { kind: "member", change: "add", group, tunnel };
  }

  /** The tunnels that get `source`, if any of them asks for it by name. */
  receivers(group: Address, source: Address): Iterable<number> {
    const state = this.#groups.get(group);
    const list = state?.routes.get(source)?.list;
    if (state === undefined || list === undefined) return [];
    for (const tunnel of list) if (!state.star.has(tunnel)) return list;
    return [];
  }

  /** Whether `tunnel` gets `source`. */
  forwards(group: Address, source: Address, tunnel: number): boolean {
    const state = this.#groups.get(group);
    return (state?.routes.get(source)?.list ?? state?.star)?.has(tunnel) ?? false;
  }

  /** The sources of a group that have routes of their own. */
  sources(group: Address): Address[] {
    return [...(this.#groups.get(group)?.routes.keys() ?? [])];
  }

  /** All groups that some tunnel wants. */
  *groups(): IterableIterator<ForwardedGroup> {
    for (const { group, upstream, members } of this.#groups.values())
      yield { group, filter: upstream, members };
  }

  /** The commands that make the present routes in an empty data plane. */
  *routes(): IterableIterator<RouteChange> {
    for (const { group, star, routes } of this.#groups.values()) {
      for (const { source, list } of routes.values()) {
        yield { kind: "route", change: "add", group, source };
        for (const tunnel of list) yield { kind: "member", change: "add", group, source, tunnel };
      }
      if (star.size > 0) yield { kind: "route", change: "add", group };
      for (const tunnel of star) yield { kind: "member", change: "add", group, tunnel };
    }
  }

  #change(state: GroupState, tunnel: number, before: GroupFilter, after: GroupFilter): void {
    const exclude = after.mode === "exclude";
    const turned = exclude !== (before.mode === "exclude");
    const change = ++this.#changes;

    for (const source of before.sources) state.route(source)!.named--;
    for (const source of after.sources) {
      const route = state.route(source) ?? this.#newRoute(state, source, tunnel, exclude);
      route.named++;
      route.change = change;
      this.#place(state, route, tunnel, !exclude);
    }

    // Its place in routes that it does not name, while all of them still decide.
    if (turned) {
      for (const route of state.routes.values())
        if (route.change !== change) this.#place(state, route, tunnel, exclude);
      this.#turn(state, tunnel, exclude);
    } else
      for (const source of before.sources) {
        const route = state.route(source)!;
        if (route.change !== change) this.#place(state, route, tunnel, exclude);
      }

    // Routes that nobody names any more decide as (*,G) does.
    for (const source of before.sources) {
      if (state.route(source)!.named > 0) continue;
      state.remove(source);
      state.stale = true;
      this.#emit({ kind: "route", change: "remove", group: state.group, source });
    }
    state.members += Number(!isEmpty(after)) - Number(!isEmpty(before));
  }

  /** A new (S,G) route with those of (*,G), less the tunnel that is changing if it blocks S. */
  #newRoute(state: GroupState, source: Address, tunnel: number, exclude: boolean): SourceRoute {
    const route = new SourceRoute(source);
    state.routes.set(source, route);
    state.stale = true;
    const { group } = state;
    this.#emit({ kind: "route", change: "add", group, source });
    for (const other of state.star) {
      if (other === tunnel && exclude) continue;
      route.list.add(other);
      this.#emit({ kind: "member", change: "add", group, source, tunnel: other });
    }
    return route;
  }

  /** Puts the tunnel on the list of an (S,G) route that somebody names, or takes it off. */
  #place(state: GroupState, route: SourceRoute, tunnel: number, on: boolean): void {
    const { list, source } = route;
    if (route.named === 0) return;
    if (!(on ? list.add(tunnel) : list.delete(tunnel))) return;
    const change = on ? "add" : "remove";
    this.#emit({ kind: "member", change, group: state.group, source, tunnel });
    if (list.size <= 1) state.stale = true;
  }

  /** Puts the tunnel on the (*,G) list or takes it off. */
  #turn(state: GroupState, tunnel: number, exclude: boolean): void {
    const { group, star } = state;
    if (exclude) {
      if (star.size === 0) this.#emit({ kind: "route", change: "add", group });
      star.add(tunnel);
      this.#emit({ kind: "member", change: "add", group, tunnel });
    } else {
      star.delete(tunnel);
      if (star.size === 0) this.#emit({ kind: "route", change: "remove", group });
      else this.#emit({ kind: "member", change: "remove", group, tunnel });
    }
    if (star.size <= 1) state.stale = true;
  }
}
