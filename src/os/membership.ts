/**
 * The kernel's own memberships on an upstream interface. Read RFC 3678 §5 and RFC 3376 §3.1 first.
 *
 * A membership belongs to a socket, and the kernel merges those of all sockets into what it reports
 * on the interface (RFC 3376 §3.2). A socket takes igmp_max_memberships groups, each with at most
 * igmp_max_msf sources (mld_max_msf for IPv6), and of either family what fits optmem_max octets. So
 * groups are spread over sockets, and a long INCLUDE list over several sockets too. The sockets are
 * never bound: without a port no datagram is delivered to them.
 */
import { AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6 } from "../../assembly/layout/system.ts";
import { familyOf } from "../core/address.ts";
import type { Address, Family } from "../core/address.ts";
import type { OsError } from "../core/errors.ts";
import { ENOBUFS, ENODEV, ENOMEM, osError } from "./errno.ts";
import { SOCK_DGRAM, close, socket, trySetsockopt } from "./libc.ts";
import { readSysctl } from "./link.ts";
import { encodeSockaddr } from "./sockaddr.ts";

const MCAST_JOIN_GROUP = 42;
const MCAST_LEAVE_GROUP = 45;
const MCAST_JOIN_SOURCE_GROUP = 46;
const MCAST_MSFILTER = 48;

// group_req, group_source_req and group_filter: an interface index, then sockaddr_storage.
const GROUP_INDEX = 0; // u32
const GROUP_ADDRESS = 8;
const STORAGE = 128;
const GROUP_REQ_LENGTH = 136;
const GROUP_SOURCE = 136; // group_source_req
const GROUP_SOURCE_REQ_LENGTH = 264;
const GROUP_FILTER_MODE = 136; // u32: 0 EXCLUDE, 1 INCLUDE
const GROUP_FILTER_COUNT = 140; // u32
const GROUP_FILTER_SOURCES = 144;

/** As the wire's GroupFilter; INCLUDE of nothing is no membership. */
export interface JoinFilter {
  readonly mode: "include" | "exclude";
  readonly sources: readonly Address[];
}

/** A socket and the groups that it holds. */
interface Seat {
  readonly fd: number;
  readonly groups: Set<Address>;
}

/** One socket's part of a group. */
interface Part {
  seat: Seat;
  filter: JoinFilter;
}

/** Memberships on one interface, both families. */
export class Joins {
  readonly #index: number;
  readonly #seats: Record<Family, Set<Seat>> = { 4: new Set(), 6: new Set() };
  /** Those that did not refuse a group since one was left. */
  readonly #roomy: Record<Family, Set<Seat>> = { 4: new Set(), 6: new Set() };
  readonly #groups = new Map<Address, Part[]>();

  /** On the interface with this index, `readLink(name).index`. */
  constructor(index: number) {
    this.#index = index;
  }

  /** Sockets in use. */
  get sockets(): number {
    return this.#seats[4].size + this.#seats[6].size;
  }

  /**
   * Makes `filter` what this object asks of the network for `group`; INCLUDE of nothing leaves. A
   * source that stays wanted is wanted all the while. Returns what is asked in fact: EXCLUDE of
   * nothing when an EXCLUDE list is longer than the kernel's limits allow. Throws OsError; what was
   * asked before the call then stays, or part of the new.
   */
  set(group: Address, filter: JoinFilter): JoinFilter {
    const family = familyOf(group);
    const parts = this.#groups.get(group) ?? [];
    this.#groups.set(group, parts);
    const limit = filter.sources.length > 1 ? sourceLimit(family) : 1;
    const asked = within(filter, limit);
    const wanted = spread(asked, limit, parts);
    try {
      // What is new comes first and what is left last, so that no wanted source is missing meanwhile.
      for (const more of wanted.slice(parts.length))
        parts.push({ seat: this.#join(group, more), filter: more });
      for (const [i, part] of parts.entries())
        if (!isNothing(wanted[i]!) && !isSame(part.filter, wanted[i]!)) {
          this.#replace(part, group, wanted[i]!);
          part.filter = wanted[i]!;
        }
      for (let i = parts.length - 1; i >= 0; i--)
        if (isNothing(wanted[i]!)) this.#leave(parts.splice(i, 1)[0]!.seat, group);
    } finally {
      if (parts.length === 0) this.#groups.delete(group);
    }
    return asked;
  }

  /** Leaves everything. The object can be used again. */
  close(): void {
    for (const family of [4, 6] as const) {
      for (const { fd } of this.#seats[family]) close(fd);
      this.#seats[family].clear();
      this.#roomy[family].clear();
    }
    this.#groups.clear();
  }

  /** Joins on a socket that has room and does not hold the group. */
  #join(group: Address, filter: JoinFilter): Seat {
    const family = familyOf(group);
    const roomy = this.#roomy[family];
    for (const seat of roomy) {
      if (seat.groups.has(group)) continue;
      const result = this.#enter(seat, group, filter);
      if (result === 0) return seat;
      if (!isFull(result)) throw this.#refused("join", result, group);
      roomy.delete(seat);
    }
    const fd = socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0, `membership of ${group}`);
    const seat: Seat = { fd, groups: new Set() };
    this.#seats[family].add(seat);
    roomy.add(seat);
    const result = this.#enter(seat, group, filter);
    if (result === 0) return seat;
    this.#release(seat);
    throw this.#refused("join", result, group);
  }

  /** Joins on this socket, or leaves nothing there. Returns 0 or a negated errno. */
  #enter(seat: Seat, group: Address, filter: JoinFilter): number {
    const bySource = filter.mode === "include";
    const request = this.#request(bySource ? GROUP_SOURCE_REQ_LENGTH : GROUP_REQ_LENGTH, group);
    if (bySource) request.set(encodeSockaddr(filter.sources[0]!, 0), GROUP_SOURCE);
    const option = bySource ? MCAST_JOIN_SOURCE_GROUP : MCAST_JOIN_GROUP;
    let result = trySetsockopt(seat.fd, levelOf(group), option, request);
    // The join asked for all sources, or for the first one.
    if (result === 0 && filter.sources.length > (bySource ? 1 : 0))
      result = this.#filter(seat, group, filter);
    if (result === 0) seat.groups.add(group);
    else this.#quit(seat, group);
    return result;
  }

  /** Gives a part a new filter, on another socket if its own has no room for that. */
  #replace(part: Part, group: Address, filter: JoinFilter): void {
    const { seat } = part;
    const result = this.#filter(seat, group, filter);
    if (result === 0) return;
    if (!isFull(result) || seat.groups.size === 1) throw this.#refused("filter", result, group);
    part.seat = this.#join(group, filter);
    this.#leave(seat, group);
  }

  /** Replaces the filter of a socket's membership in one call. Returns 0 or a negated errno. */
  #filter(seat: Seat, group: Address, { mode, sources }: JoinFilter): number {
    const request = this.#request(GROUP_FILTER_SOURCES + STORAGE * sources.length, group);
    const view = new DataView(request.buffer);
    view.setUint32(GROUP_FILTER_MODE, mode === "include" ? 1 : 0, true);
    view.setUint32(GROUP_FILTER_COUNT, sources.length, true);
    for (const [i, source] of sources.entries())
      request.set(encodeSockaddr(source, 0), GROUP_FILTER_SOURCES + STORAGE * i);
    return trySetsockopt(seat.fd, levelOf(group), MCAST_MSFILTER, request);
  }

  #leave(seat: Seat, group: Address): void {
    this.#quit(seat, group);
    seat.groups.delete(group);
    this.#roomy[familyOf(group)].add(seat);
    this.#release(seat);
  }

  /** A refusal does not matter: the interface, and the membership with it, is gone. */
  #quit(seat: Seat, group: Address): void {
    const request = this.#request(GROUP_REQ_LENGTH, group);
    trySetsockopt(seat.fd, levelOf(group), MCAST_LEAVE_GROUP, request);
  }

  /** Closes a socket that holds nothing. */
  #release(seat: Seat): void {
    if (seat.groups.size > 0) return;
    for (const family of [4, 6] as const) {
      this.#seats[family].delete(seat);
      this.#roomy[family].delete(seat);
    }
    close(seat.fd);
  }

  #refused(call: string, result: number, group: Address): OsError {
    return osError(call, -result, `${group} on interface ${this.#index}`, mendOf(result));
  }

  #request(length: number, group: Address): Uint8Array {
    const octets = new Uint8Array(length);
    new DataView(octets.buffer).setUint32(GROUP_INDEX, this.#index, true);
    octets.set(encodeSockaddr(group, 0), GROUP_ADDRESS);
    return octets;
  }
}

const levelOf = (group: Address): number => (familyOf(group) === 4 ? IPPROTO_IP : IPPROTO_IPV6);

const isNothing = (filter: JoinFilter): boolean =>
  filter.mode === "include" && filter.sources.length === 0;

function isSame(one: JoinFilter, other: JoinFilter): boolean {
  if (one.mode !== other.mode || one.sources.length !== other.sources.length) return false;
  const sources = new Set(one.sources);
  return other.sources.every((source) => sources.has(source));
}

/** The most sources of one membership of one socket. */
function sourceLimit(family: Family): number {
  const text = readSysctl(family === 4 ? "ipv4/igmp_max_msf" : "ipv6/mld_max_msf");
  return text === undefined ? (family === 4 ? 10 : 64) : Number(text);
}

/** The filter; in place of an EXCLUDE list that is too long, one of nothing. */
function within(filter: JoinFilter, limit: number): JoinFilter {
  return filter.mode === "exclude" && filter.sources.length > limit
    ? { mode: "exclude", sources: [] }
    : filter;
}

/** The filter as parts, aligned with the present ones; a source stays in the part that has it. */
function spread(filter: JoinFilter, limit: number, parts: readonly Part[]): JoinFilter[] {
  const nothing: JoinFilter = { mode: "include", sources: [] };
  if (filter.mode === "exclude") return [filter, ...parts.slice(1).map((): JoinFilter => nothing)];
  const left = new Set(filter.sources);
  const lists = parts.map((part) =>
    part.filter.mode === "include"
      ? part.filter.sources.filter((source) => left.delete(source))
      : [],
  );
  for (const source of left) {
    const list = lists.find((one) => one.length < limit);
    if (list) list.push(source);
    else lists.push([source]);
  }
  return lists.map((sources) => ({ mode: "include", sources }));
}

/** Whether a socket, rather than the host, has no room. */
const isFull = (result: number): boolean => result === -ENOBUFS || result === -ENOMEM;

function mendOf(result: number): string | undefined {
  if (isFull(result))
    return "raise net.ipv4.igmp_max_memberships, igmp_max_msf or net.core.optmem_max";
  return result === -ENODEV ? "the interface is gone" : undefined;
}
