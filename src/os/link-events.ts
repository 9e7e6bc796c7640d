/** News of interfaces and their addresses from the kernel (rtnetlink(7)). */
import { OsError } from "../core/errors.ts";
import { AF_NETLINK, NETLINK_ROUTE } from "./netlink.ts";
import { SOCK_RAW, bind, close, recv, socket } from "./libc.ts";
import { watch } from "./poll.ts";

const RTMGRP_LINK = 0x1;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV6_IFADDR = 0x100;

/** Octets of a sockaddr_nl: family, padding, port, groups. */
const NAME_LENGTH = 12;
const NAME_GROUPS = 8;

/** Larger than any of these messages. */
const ROOM = 65_536;

/** Changes come in flocks: what follows within so many milliseconds is told with the first. */
const GATHER = 50;

/** When a caller who could not read what has changed is called again, in milliseconds. */
const AGAIN = 1_000;

export interface LinkEvents {
  /** Ends the watch. Safe to call twice. */
  close(): void;
}

/**
 * Calls back soon after any interface or address of this network namespace has changed; what, is for
 * the caller to read (`link.ts`), so nothing is missed if news are lost. Should that throw an OsError,
 * as for want of descriptors, the caller is called again. Throws OsError.
 */
export function watchLinks(changed: () => void): LinkEvents {
  const fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "rtnetlink");
  try {
    const name = new Uint8Array(NAME_LENGTH);
    const view = new DataView(name.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(NAME_GROUPS, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, true);
    bind(fd, name, "rtnetlink");
  } catch (error) {
    close(fd);
    throw error;
  }
  const octets = new Uint8Array(ROOM);
  let timer: NodeJS.Timeout | undefined;
  const news = watch(fd, { readable: true }, () => {
    // ENOBUFS, which says that some were lost, is news as well.
    while (recv(fd, octets) > 0);
    timer ??= setTimeout(tell, GATHER);
  });
  let closed = false;
  const tell = (): void => {
    timer = undefined;
    try {
      changed();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      if (!closed) timer = setTimeout(tell, AGAIN);
    }
  };
  return {
    close() {
      if (closed) return;
      closed = true;
      clearTimeout(timer);
      news.close();
      close(fd);
    },
  };
}
