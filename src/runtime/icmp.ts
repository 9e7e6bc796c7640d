/**
 * A relay's ICMP, out and in: what sources are told of datagrams that are too big for a tunnel, and
 * what routers tell of messages that are too big for a path. Without CAP_NET_RAW there is neither. A
 * gateway has the way out for its downstream interfaces.
 */
import type { Family } from "../core/address.ts";
import { OsError } from "../core/errors.ts";
import { IcmpSocket } from "../os/icmp.ts";
import { type Watch, watch } from "../os/poll.ts";
import { TooBigNotices, type TooBigInput, type TooBigOutput } from "../protocols/amt/too-big.ts";
import { type DatagramHead, type TooBig, parseTooBig } from "../wire/icmp.ts";
import { Driver } from "./driver.ts";
import type { Tale } from "./tale.ts";

/** Messages read in a turn, and how long a flood of them then waits: milliseconds. */
const AT_ONCE = 64;
const PAUSE = 50;

export interface IcmpEars {
  /** A router's message; it may be forged. */
  tooBig(message: TooBig): void;
  /** The lanes are to show again what is too big. */
  look(): void;
}

export class IcmpWatch {
  readonly #sockets = new Map<Family, IcmpSocket>();
  readonly #watches = new Map<Family, Watch>();
  readonly #pauses = new Set<NodeJS.Timeout>();
  readonly #ears: IcmpEars;
  readonly #tale: Tale;
  readonly #notices: Driver<TooBigInput, TooBigOutput>;

  constructor(tale: Tale, ears: IcmpEars) {
    this.#tale = tale;
    this.#ears = ears;
    this.#notices = new Driver<TooBigInput, TooBigOutput>(
      new TooBigNotices(),
      { kind: "timeout" },
      (output) => this.#take(output),
    );
    for (const family of [4, 6] as const) this.#open(family);
  }

  /** True when routers' messages of this family are heard. */
  hears(family: Family): boolean {
    return this.#sockets.has(family);
  }

  /** Begins to hear routers. */
  listen(): void {
    for (const [family, { fd }] of this.#sockets)
      this.#watches.set(
        family,
        watch(fd, { readable: true }, () => this.#read(family)),
      );
  }

  /** A lane showed a datagram; `mtu` is the smallest of the tunnels that are to get it. */
  shown(octets: Uint8Array, head: DatagramHead, mtu: number): void {
    this.#notices.handle({ kind: "shown", octets, head, mtu });
  }

  /** A lane showed something else, and is to be asked to show more in a while. */
  noted(): void {
    this.#notices.handle({ kind: "noted" });
  }

  close(): void {
    this.#notices.close();
    for (const pause of this.#pauses) clearTimeout(pause);
    for (const one of this.#watches.values()) one.close();
    for (const socket of this.#sockets.values()) socket.close();
    this.#watches.clear();
    this.#sockets.clear();
  }

  /** Goes without where it is not allowed, or where the host lacks the family. */
  #open(family: Family): void {
    try {
      this.#sockets.set(family, new IcmpSocket(family));
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
    }
  }

  #read(family: Family): void {
    const socket = this.#sockets.get(family);
    for (let read = 0; socket && read < AT_ONCE; read++) {
      const octets = socket.receive();
      if (octets === undefined) return;
      const message = parseTooBig(octets, family);
      if (message !== undefined) this.#ears.tooBig(message);
    }
    this.#watches.get(family)?.update({});
    const pause = setTimeout(() => {
      this.#pauses.delete(pause);
      this.#watches.get(family)?.update({ readable: true });
    }, PAUSE);
    this.#pauses.add(pause);
  }

  #take(output: TooBigOutput): void {
    switch (output.kind) {
      case "look":
        return this.#ears.look();
      case "dropped":
        return this.#tale.dropped(output.drop);
      case "send": {
        const sent = this.#sockets.get(output.family)?.send(output.octets, output.to) ?? false;
        this.#tale.count(sent ? "icmp_too_big_sent" : "icmp_too_big_unsent");
      }
    }
  }
}
