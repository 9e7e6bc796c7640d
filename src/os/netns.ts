/** Network namespaces of others (ip-netns(8), setns(2)). */
import path from "node:path";
import { OsError } from "../core/errors.ts";
import { EINVAL, osError } from "./errno.ts";
import { close, open, setns } from "./libc.ts";

const O_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x40000000;

/** Where `ip netns` keeps its namespaces. */
const NAMED = "/run/netns";
/** True while this thread is in another namespace than its own. */
let away = false;

/** The namespace of the calling thread alone. */
const OWN = "/proc/thread-self/ns/net";

/**
 * Runs `body`, which must not wait for anything, with this thread in another network namespace, and
 * returns to the thread's own. Sockets and TUN devices that it opens belong to the other one for
 * good. `name` is a name of `ip netns`, a process's number, or a path. Throws OsError when the
 * namespace can't be entered, and what `body` throws.
 */
export function inNetns<T>(name: string, body: () => T): T {
  const own = open(OWN, O_CLOEXEC);
  try {
    const other = openNetns(name);
    try {
      enter(other, name);
    } finally {
      close(other);
    }
    const wasAway = away;
    away = true;
    try {
      return body();
    } finally {
      enter(own, "of this thread");
      away = wasAway;
    }
  } finally {
    close(own);
  }
}

/** True within `inNetns`. */
export function isInOtherNetns(): boolean {
  return away;
}

function enter(fd: number, name: string): void {
  const result = setns(fd, CLONE_NEWNET);
  const mend = "run as root or give CAP_SYS_ADMIN";
  if (result < 0) throw osError("setns", -result, `network namespace ${name}`, mend);
}

function openNetns(name: string): number {
  const text = `network namespace ${name}`;
  if (!name.includes("/") && (name === "" || name === "." || name === ".."))
    throw osError("open", EINVAL, text, "give a name of 'ip netns', a process's number, or a path");
  try {
    return open(netnsPath(name), O_CLOEXEC);
  } catch (error) {
    if (!(error instanceof OsError) || error.errno !== "ENOENT") throw error;
    const mend = "there is no such network namespace; see 'ip netns'";
    throw new OsError(error.call, error.errno, text, mend);
  }
}

/** The file that stands for a network namespace. */
export function netnsPath(name: string): string {
  if (name.includes("/")) return path.resolve(name);
  return /^[0-9]+$/.test(name) ? `/proc/${name}/ns/net` : path.join(NAMED, name);
}
