/** Sockets of datagrams: recvmmsg and sendmmsg, a batch a call. Packet sockets receive this way, too. */
import { ARENA_TX, RX_HEADERS, TX_CAPACITY, TX_HEADERS } from "../../assembly/layout/arena.ts";
import { MMSGHDR_SHIFT } from "../../assembly/layout/system.ts";
import { EAGAIN } from "../os/errno.ts";
import { recvmmsg, sendmmsg } from "../os/libc.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import { addressList, type ArenaView, type Port } from "./port.ts";

export class SocketPort extends DescriptorWatch implements Port {
  readonly #headers: readonly number[];
  readonly #messages: readonly number[];

  /** `region` is the receive region's address in the arena. */
  constructor(arena: ArenaView, fd: number, region: number) {
    super(fd);
    this.#headers = addressList(arena, region + RX_HEADERS, 1, 0);
    this.#messages = addressList(arena, ARENA_TX + TX_HEADERS, TX_CAPACITY, 1 << MMSGHDR_SHIFT);
  }

  receive(most: number): number {
    const count = recvmmsg(this.fd, this.#headers[0]!, most);
    return count === -EAGAIN ? 0 : count;
  }

  send(first: number, count: number): number {
    return sendmmsg(this.fd, this.#messages[first]!, count);
  }
}
