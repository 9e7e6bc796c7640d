/**
 * The C library, through koffi. Nothing else in Culvert makes a native call.
 *
 * koffi takes NaN for 0, cuts fractions off, and accepts any number as a pointer, so every wrapper
 * checks what it is given. The hot calls answer a count or a negated errno, never throw, and make
 * no object; `address` is absolute: `baseAddress(memory)` plus an offset, added once and kept, since
 * a sum that large is a new heap number each time. The cold calls throw `OsError`.
 */
import { createRequire } from "node:module";
import { BugError } from "../core/errors.ts";
import { EFAULT, EINVAL, osError } from "./errno.ts";

export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

// Of sockets, eventfds and epoll sets alike.
const NONBLOCK = 0o4000;
const CLOEXEC = 0o2000000;

/** The most messages or vectors of one call that Linux takes (UIO_MAXIOV). */
export const BATCH_MAX = 1024;

const PROTOTYPES = {
  recvmmsg: "int recvmmsg(int, uintptr_t, unsigned int, int, void *)",
  sendmmsg: "int sendmmsg(int, uintptr_t, unsigned int, int)",
  read: "intptr_t read(int, uintptr_t, size_t)",
  write: "intptr_t write(int, uintptr_t, size_t)",
  readv: "intptr_t readv(int, uintptr_t, int)",
  writev: "intptr_t writev(int, uintptr_t, int)",
  open: "int open(const char *, int)",
  close: "int close(int)",
  epoll_create1: "int epoll_create1(int)",
  epoll_ctl: "int epoll_ctl(int, int, int, void *)",
  epoll_wait: "int epoll_wait(int, uintptr_t, int, int)",
  eventfd: "int eventfd(unsigned int, int)",
  ioctl: "int ioctl(int, unsigned long, void *)",
  socket: "int socket(int, int, int)",
  bind: "int bind(int, void *, uint32_t)",
  connect: "int connect(int, void *, uint32_t)",
  listen: "int listen(int, int)",
  accept4: "int accept4(int, void *, void *, int)",
  setns: "int setns(int, int)",
  getsockname: "int getsockname(int, void *, void *)",
  setsockopt: "int setsockopt(int, int, int, void *, uint32_t)",
  getsockopt: "int getsockopt(int, int, int, void *, void *)",
  send: "intptr_t send(int, void *, size_t, int)",
  sendto: "intptr_t sendto(int, void *, size_t, int, void *, uint32_t)",
  usleep: "int usleep(unsigned int)",
  sched_yield: "int sched_yield()",
  madvise: "int madvise(uintptr_t, size_t, int)",
  sched_setaffinity: "int sched_setaffinity(int, size_t, void *)",
  sched_getaffinity: "int sched_getaffinity(int, size_t, void *)",
  mmap: "intptr_t mmap(uintptr_t, size_t, int, int, int, intptr_t)",
  put: "intptr_t write(int, void *, size_t)",
  recv: "intptr_t recv(int, void *, size_t, int)",
} as const;

type Native = (...values: unknown[]) => number;
type Libc = Readonly<Record<keyof typeof PROTOTYPES, Native>> & {
  readonly koffi: typeof import("koffi");
};

let libc: Libc | undefined;

/** The bound functions; koffi is loaded on the first call of each thread. */
function load(): Libc {
  if (libc) return libc;
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const library = koffi.load(null);
  const bound = Object.fromEntries(
    Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]),
  );
  return (libc = { ...bound, koffi } as unknown as Libc);
}

/** koffi itself, for the event-loop handle of `poll.ts`. Throws if its binary does not load. */
export function koffiModule(): typeof import("koffi") {
  return load().koffi;
}

/** Whether native calls can be made here at all; loads koffi. */
export function nativeLoads(): boolean {
  try {
    return load() !== undefined;
  } catch {
    return false;
  }
}

/** True for what may be passed as a descriptor, a count or a length. */
function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0x7fffffff;
}

/** True for an absolute address that is a whole, exact number and not in the first page. */
function isAddress(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 4096;
}

/** The answer of a native call that failed. To be called in the very next statement. */
function negatedErrno(bound: Libc): number {
  return -bound.koffi.errno();
}

/**
 * Takes up to `count` datagrams into the mmsghdr array at `headers`, without waiting. Returns how
 * many came or a negated errno; -EAGAIN when there is none.
 */
export function recvmmsg(fd: number, headers: number, count: number): number {
  if (!isCount(fd) || !isCount(count)) return -EINVAL;
  if (!isAddress(headers)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.recvmmsg(fd, headers, count, MSG_DONTWAIT, null);
  return result < 0 ? negatedErrno(bound) : result;
}

/**
 * Sends up to `count` messages (at most BATCH_MAX in one call) from the mmsghdr array at `headers`,
 * without waiting. Returns how many went, or a negated errno that concerns the first one.
 */
export function sendmmsg(fd: number, headers: number, count: number): number {
  if (!isCount(fd) || !isCount(count)) return -EINVAL;
  if (!isAddress(headers)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.sendmmsg(fd, headers, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Reads up to `length` octets to `address`. Returns how many, or a negated errno. */
export function read(fd: number, address: number, length: number): number {
  if (!isCount(fd) || !isCount(length)) return -EINVAL;
  if (!isAddress(address)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.read(fd, address, length);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Writes `length` octets from `address`. Returns how many, or a negated errno. */
export function write(fd: number, address: number, length: number): number {
  if (!isCount(fd) || !isCount(length)) return -EINVAL;
  if (!isAddress(address)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.write(fd, address, length);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Reads into the `count` iovecs at `iovecs`. Returns how many octets, or a negated errno. */
export function readv(fd: number, iovecs: number, count: number): number {
  if (!isCount(fd) || !isCount(count)) return -EINVAL;
  if (!isAddress(iovecs)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.readv(fd, iovecs, count);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Writes what the `count` iovecs at `iovecs` name. Returns how many octets, or a negated errno. */
export function writev(fd: number, iovecs: number, count: number): number {
  if (!isCount(fd) || !isCount(count)) return -EINVAL;
  if (!isAddress(iovecs)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.writev(fd, iovecs, count);
  return result < 0 ? negatedErrno(bound) : result;
}

/**
 * Waits up to `milliseconds` until a descriptor of an epoll set is ready. Writes up to `count` events to
 * `events`. Returns how many, or a negated errno.
 */
export function epollWait(fd: number, events: number, count: number, milliseconds: number): number {
  if (!isCount(fd) || !isCount(count) || !isCount(milliseconds)) return -EINVAL;
  if (!isAddress(events)) return -EFAULT;
  const bound = libc ?? load();
  const result = bound.epoll_wait(fd, events, count, milliseconds);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Sleeps for `microseconds`, and the timer slack of the thread, or until a signal comes. */
export function rest(microseconds: number): void {
  check("usleep", microseconds);
  (libc ?? load()).usleep(microseconds);
}

/** Lets a thread that waits for this processor run before the calling one goes on. */
export function giveWay(): void {
  (libc ?? load()).sched_yield();
}

/**
 * The absolute address of a shared memory's first octet. A shared memory never moves: V8 reserves
 * its maximum at once, so the address stays right after `grow`. A memory that is not shared may move
 * and is refused.
 */
export function baseAddress(memory: WebAssembly.Memory): number {
  if (!(memory.buffer instanceof SharedArrayBuffer))
    throw new BugError("baseAddress: only a shared memory stays where it is");
  const address = Number(load().koffi.address(new Uint8Array(memory.buffer)));
  if (!isAddress(address)) throw new BugError(`baseAddress: ${address} is no exact address`);
  return address;
}

/**
 * The absolute address of octets that a structure points to. They stay there as long as the caller
 * holds on to them.
 */
export function addressOf(octets: Uint8Array): number {
  return Number(load().koffi.address(octets));
}

const MADV_HUGEPAGE = 14;

/**
 * Asks for huge pages in a range of the address space, so that tables of many megabytes are found
 * with fewer page walks. A host that has none goes on without.
 */
export function wantHugePages(address: number, length: number): void {
  if (isAddress(address)) load().madvise(address, length, MADV_HUGEPAGE);
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

/** Keeps the calling thread to a set of processors, a bit for each. Returns 0 or a negated errno. */
export function schedSetaffinity(set: Uint8Array): number {
  const bound = load();
  return bound.sched_setaffinity(0, set.length, set) < 0 ? negatedErrno(bound) : 0;
}

/** Fills a set with the processors that the calling thread may run on. Returns 0 or a negated errno. */
export function schedGetaffinity(set: Uint8Array): number {
  const bound = load();
  return bound.sched_getaffinity(0, set.length, set) < 0 ? negatedErrno(bound) : 0;
}

/**
 * Puts the memory of a descriptor in the place of a shared memory's own, from its first octet on.
 * `address` and `length` are whole pages of that memory, which nothing else uses. Returns 0 or a
 * negated errno.
 */
export function mapOver(address: number, length: number, fd: number): number {
  check("mmap", fd);
  return replacePages(address, length, MAP_SHARED | MAP_FIXED, fd);
}

/** Puts zeroed memory of the process's own in the place of what `mapOver` put there. */
export function unmapFrom(address: number, length: number): void {
  const result = replacePages(address, length, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1);
  if (result < 0) throw osError("mmap", -result, "in the place of a packet ring");
}

function replacePages(address: number, length: number, flags: number, fd: number): number {
  check("mmap", length);
  if (!isAddress(address) || address % 4096 !== 0) throw new BugError(`mmap: no page ${address}`);
  const bound = load();
  return Number(bound.mmap(address, length, PROT_READ_WRITE, flags, fd, 0)) === -1
    ? negatedErrno(bound)
    : 0;
}

/** Refuses a descriptor or number that koffi would silently bend. */
function check(call: string, ...values: number[]): void {
  for (const value of values)
    if (!isCount(value)) throw new BugError(`${call}: ${value} is not a number it takes`);
}

/** Opens a path. `flags` as open(2); no file is ever created. */
export function open(path: string, flags: number, mend?: string): number {
  check("open", flags);
  if (path.includes("\0")) throw osError("open", EINVAL, JSON.stringify(path));
  const bound = load();
  const fd = bound.open(path, flags);
  if (fd < 0) throw osError("open", -negatedErrno(bound), path, mend);
  return fd;
}

/** Closes a descriptor. A failure is ignored: the descriptor is gone either way (close(2)). */
export function close(fd: number): void {
  check("close", fd);
  load().close(fd);
}

/** A new epoll set, closed on exec. */
export function epollCreate(): number {
  const bound = load();
  const fd = bound.epoll_create1(CLOEXEC);
  if (fd < 0) throw osError("epoll_create1", -negatedErrno(bound), "of a lane");
  return fd;
}

/**
 * Adds, changes or removes a descriptor of an epoll set, with its epoll_event. Returns 0 or a negated
 * errno.
 */
export function epollControl(
  set: number,
  operation: number,
  fd: number,
  event: Uint8Array,
): number {
  check("epoll_ctl", set, operation, fd);
  const bound = load();
  return bound.epoll_ctl(set, operation, fd, event) < 0 ? negatedErrno(bound) : 0;
}

/** A new eventfd whose counter is 0, not blocking and closed on exec. */
export function eventfd(): number {
  const bound = load();
  const fd = bound.eventfd(0, NONBLOCK | CLOEXEC);
  if (fd < 0) throw osError("eventfd", -negatedErrno(bound), "of a lane");
  return fd;
}

/**
 * ioctl with a structure, which the kernel may fill, or a plain number for the requests that take
 * one in place of an address. Returns the result or a negated errno.
 */
export function ioctl(fd: number, request: number, argument: Uint8Array | number): number {
  check("ioctl", fd);
  if (!Number.isInteger(request) || request < 0 || request > 0xffffffff)
    throw new BugError(`ioctl: ${request} is no request`);
  if (typeof argument === "number") check("ioctl", argument);
  const bound = load();
  const result = bound.ioctl(fd, request, argument);
  return result < 0 ? negatedErrno(bound) : result;
}

/** A new socket, non-blocking and closed on exec. */
export function socket(
  family: number,
  type: number,
  protocol: number,
  subject: string,
  mend?: string,
): number {
  check("socket", family, type, protocol);
  const bound = load();
  const fd = bound.socket(family, type | NONBLOCK | CLOEXEC, protocol);
  if (fd < 0) throw osError("socket", -negatedErrno(bound), subject, mend);
  return fd;
}

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;

/** Binds to a sockaddr. */
export function bind(fd: number, name: Uint8Array, subject: string, mend?: string): void {
  check("bind", fd);
  const bound = load();
  if (bound.bind(fd, name, name.length) < 0)
    throw osError("bind", -negatedErrno(bound), subject, mend);
}

/** Connects a socket, without waiting. Returns 0 or a negated errno. */
export function tryConnect(fd: number, name: Uint8Array): number {
  check("connect", fd);
  const bound = load();
  return bound.connect(fd, name, name.length) < 0 ? negatedErrno(bound) : 0;
}

/** Lets others connect to a socket; `backlog` of them wait for `accept`. */
export function listen(fd: number, backlog: number, subject: string): void {
  check("listen", fd, backlog);
  const bound = load();
  if (bound.listen(fd, backlog) < 0) throw osError("listen", -negatedErrno(bound), subject);
}

/**
 * Takes the next connection, without waiting. Returns its descriptor, non-blocking and closed on
 * exec, or a negated errno; -EAGAIN when there is none.
 */
export function accept(fd: number): number {
  check("accept", fd);
  const bound = load();
  const taken = bound.accept4(fd, null, null, NONBLOCK | CLOEXEC);
  return taken < 0 ? negatedErrno(bound) : taken;
}

/** Moves the calling thread to the namespace behind a descriptor. Returns 0 or a negated errno. */
export function setns(fd: number, kind: number): number {
  check("setns", fd, kind);
  const bound = load();
  return bound.setns(fd, kind) < 0 ? negatedErrno(bound) : 0;
}

/** The sockaddr that a socket is bound to, in `length` octets of room. */
export function getsockname(fd: number, length: number): Uint8Array {
  check("getsockname", fd, length);
  const name = new Uint8Array(length);
  const used = new Uint32Array([length]);
  const bound = load();
  if (bound.getsockname(fd, name, used) < 0)
    throw osError("getsockname", -negatedErrno(bound), `descriptor ${fd}`);
  return name.subarray(0, Math.min(length, used[0]!));
}

/** Sets a socket option: an int, or octets. Returns 0 or a negated errno. */
export function trySetsockopt(
  fd: number,
  level: number,
  name: number,
  value: number | Uint8Array,
): number {
  check("setsockopt", fd, level, name);
  if (typeof value === "number" && !Number.isInteger(value))
    throw new BugError(`setsockopt: ${value} is no int`);
  const octets = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value;
  const bound = load();
  return bound.setsockopt(fd, level, name, octets, octets.length) < 0 ? negatedErrno(bound) : 0;
}

/** Sets a socket option; `subject` names the option and what it is for. */
export function setsockopt(
  fd: number,
  level: number,
  name: number,
  value: number | Uint8Array,
  subject: string,
  mend?: string,
): void {
  const result = trySetsockopt(fd, level, name, value);
  if (result < 0) throw osError("setsockopt", -result, subject, mend);
}

/** Reads a socket option of `length` octets; a negated errno when it is refused. */
export function getsockopt(
  fd: number,
  level: number,
  name: number,
  length: number,
): Uint8Array | number {
  check("getsockopt", fd, level, name, length);
  const octets = new Uint8Array(length);
  const used = new Uint32Array([length]);
  const bound = load();
  if (bound.getsockopt(fd, level, name, octets, used) < 0) return negatedErrno(bound);
  return octets.subarray(0, Math.min(length, used[0]!));
}

/** Sends one datagram to a sockaddr, without waiting. Returns its length or a negated errno. */
export function sendTo(fd: number, octets: Uint8Array, name: Uint8Array): number {
  check("sendto", fd);
  const bound = load();
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const sent = bound.sendto(fd, octets, octets.length, flags, name, name.length);
  return sent < 0 ? negatedErrno(bound) : sent;
}

/** Writes octets of the host language. Returns how many were taken or a negated errno. */
export function put(fd: number, octets: Uint8Array): number {
  check("write", fd);
  const bound = load();
  const written = bound.put(fd, octets, octets.length);
  return written < 0 ? negatedErrno(bound) : written;
}

/** Sends octets on a connected socket, without waiting. Returns how many, or a negated errno. */
export function send(fd: number, octets: Uint8Array): number {
  check("send", fd);
  const bound = load();
  const result = bound.send(fd, octets, octets.length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return result < 0 ? negatedErrno(bound) : result;
}

/** Receives octets, without waiting. Returns how many, or a negated errno. */
export function recv(fd: number, octets: Uint8Array): number {
  check("recv", fd);
  const bound = load();
  const result = bound.recv(fd, octets, octets.length, MSG_DONTWAIT);
  return result < 0 ? negatedErrno(bound) : result;
}
