/**
 * A downstream interface: a LAN whose hosts are listened to and forwarded to. The querier there has
 * the interface's own addresses; who forwards is told what its listeners want, and how its frames
 * are to look. The interface may go down, change or vanish at any time: listeners are then forgotten,
 * and asked for anew when it is back.
 */
import { ETHERNET_LENGTH, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../../assembly/layout/system.ts";
import { parseAddress, type Address, type Family } from "../core/address.ts";
import { OsError } from "../core/errors.ts";
import type { LinkRecord } from "../engine/arena.ts";
import { close, recv, sendTo } from "../os/libc.ts";
import {
  ARPHRD_ETHER,
  findLink,
  readAddresses,
  readLink,
  type Link,
  type LinkAddress,
} from "../os/link.ts";
import { linkName, openMembership } from "../os/packet.ts";
import { watch, type Watch } from "../os/poll.ts";
import type { GroupFilter } from "../wire/membership.ts";
import { ethernetFrame } from "./device-frame.ts";
import { Listeners, type QuerierConfig } from "./listeners.ts";
import type { InterfaceStatus } from "./service.ts";
import type { Tale } from "./tale.ts";

/** Messages handled before other events get their turn. */
const AT_ONCE = 512;

/** Larger than any frame with an IP datagram. */
const FRAME_ROOM = 65_536 + ETHERNET_LENGTH;

const FAMILIES = [4, 6] as const;

/** The source of IGMP queries on an interface without an IPv4 address (RFC 4541 §2.1.1). */
const NO_ADDRESS = "0.0.0.0";

export interface DownstreamOptions {
  readonly name: string;
  readonly querier: QuerierConfig;
  readonly tale: Tale;
  /** What all listeners there together want of a group, from now on. */
  wanted(group: Address, filter: GroupFilter): void;
  /** `records` has changed. */
  changed(): void;
}

export class Downstream {
  readonly name: string;
  readonly #options: DownstreamOptions;
  readonly #listeners: Listeners;
  readonly #frame = new Uint8Array(FRAME_ROOM);
  /** The interface as it was when last looked at; undefined while it cannot be used. */
  #link: Link | undefined;
  #socket: { readonly fd: number; readonly watch: Watch } | undefined;

  /** Opens the interface. Throws OsError if it is not there, or no Ethernet. */
  constructor(options: DownstreamOptions) {
    this.name = options.name;
    this.#options = options;
    const link = readLink(options.name);
    if (link.hardwareType !== ARPHRD_ETHER)
      throw new OsError(
        "downstream",
        "EINVAL",
        options.name,
        "a downstream interface must be Ethernet, or look like it: a VLAN, a bridge, a veth",
      );
    this.#listeners = new Listeners(
      {
        text: `interface ${options.name}`,
        send: (datagram) => this.#send(datagram),
        mtu: () => this.#link?.mtu ?? 0,
        wanted: (group, filter) => options.wanted(group, filter),
      },
      options.querier,
      options.tale,
    );
  }

  /** Looks at the interface as it is now: at first, and after any change. */
  refresh(): void {
    const link = this.#usable();
    const before = this.#link;
    if (before && link?.index !== before.index) this.#down();
    if (link && !this.#socket) this.#open(link);
    if (!this.#socket) return;
    this.#link = link;
    if (link && changes(before, link)) this.#options.changed();
    const addresses = link ? readAddressesOf(link) : [];
    for (const family of FAMILIES) this.#elect(family, addresses);
  }

  /** How frames for this interface look, for one family; undefined while it cannot be used. */
  record(family: Family): LinkRecord | undefined {
    if (!this.#link) return undefined;
    const { index, hardwareAddress: station, mtu } = this.#link;
    return { family, index, station, mtu };
  }

  status(): InterfaceStatus {
    const querier = (family: Family) => this.#listeners.querier(family) ?? null;
    return {
      name: this.name,
      state: this.#link ? "up" : "down",
      igmpQuerier: querier(4),
      mldQuerier: querier(6),
      groups: this.#listeners.groupCount,
    };
  }

  /** Ends the listening; the listeners are not told of as gone. */
  close(): void {
    this.#listeners.close();
    this.#closeSocket();
  }

  /** The interface if frames can be sent there now. */
  #usable(): Link | undefined {
    const link = findLink(this.name);
    return link?.running && link.hardwareType === ARPHRD_ETHER ? link : undefined;
  }

  #open(link: Link): void {
    try {
      const fd = openMembership(link);
      this.#socket = { fd, watch: watch(fd, { readable: true }, () => this.#receive(fd)) };
      this.#link = link;
    } catch (error) {
      // It may have vanished since; else the operator must know.
      if (!(error instanceof OsError)) throw error;
      this.#options.tale.warn(error.message);
    }
  }

  #down(): void {
    for (const family of FAMILIES) this.#listeners.clear(family);
    this.#closeSocket();
    this.#link = undefined;
  }

  #closeSocket(): void {
    if (!this.#socket) return;
    this.#socket.watch.close();
    close(this.#socket.fd);
    this.#socket = undefined;
  }

  /**
   * Queries with the interface's first address. IGMP does without one, and then leaves the election
   * to any other router; MLD waits for the link-local address that it must have (RFC 3810 §5.1.14).
   */
  #elect(family: Family, addresses: readonly LinkAddress[]): void {
    const own = addresses.find(({ address, tentative, linkLocal }) => {
      const isV4 = parseAddress(address)?.length === 4;
      return family === 4 ? isV4 : !isV4 && linkLocal && !tentative;
    });
    if (own) this.#listeners.start(family, own.address);
    else if (family === 4 && this.#link) this.#listeners.start(4, NO_ADDRESS, false);
    else this.#listeners.clear(family);
  }

  #receive(fd: number): void {
    for (let taken = 0; taken < AT_ONCE && this.#socket?.fd === fd; taken++) {
      const length = recv(fd, this.#frame);
      if (length < 0) return;
      if (length <= ETHERNET_LENGTH) continue;
      this.#options.tale.count("downstream_membership_received");
      this.#listeners.hear(this.#frame.subarray(ETHERNET_LENGTH, length));
    }
  }

  #send(datagram: Uint8Array): void {
    if (!this.#socket || !this.#link) return;
    const { index, hardwareAddress } = this.#link;
    const protocol = datagram[0]! >> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    const frame = ethernetFrame(datagram, hardwareAddress);
    const sent = sendTo(this.#socket.fd, frame, linkName(index, protocol));
    this.#options.tale.count(sent < 0 ? "downstream_queries_unsent" : "downstream_queries_sent");
  }
}

/** Whether frames look otherwise from now on. */
function changes(before: Link | undefined, after: Link): boolean {
  if (before?.index !== after.index || before.mtu !== after.mtu) return true;
  return before.hardwareAddress.some((octet, i) => octet !== after.hardwareAddress[i]);
}

/** The addresses of an interface; none if it has just vanished. */
function readAddressesOf(link: Link): LinkAddress[] {
  try {
    return readAddresses(link.name);
  } catch (error) {
    if (error instanceof OsError && error.errno === "ENODEV") return [];
    throw error;
  }
}
