/**
 * Unix sockets of type SOCK_SEQPACKET, mode 0600, to which another program connects in order to
 * exchange frames, a frame a message. One program at a time; a second one is hung up on.
 */
import { rmSync, statSync } from "node:fs";
import { BugError } from "../core/errors.ts";
import { sizeBuffer } from "./buffers.ts";
import { EAGAIN, ECONNREFUSED, EINVAL, ENOENT, osError } from "./errno.ts";
import { SOCK_SEQPACKET, accept, bind, close, listen, socket, tryConnect } from "./libc.ts";
import { watch, type Watch } from "./poll.ts";
import { makeWaySync, type PathWords } from "./socket-path.ts";

const AF_UNIX = 1;
/** The longest path of a socket (unix(7): sun_path less its final zero). */
const PATH_MAX = 107;
/** Octets wanted of the kernel's buffers: a program may be late by some batches. */
const BUFFER = 4 * 1024 * 1024;
/** Connections that wait until they are taken, or hung up on. */
const BACKLOG = 16;

const PATH_WORDS: PathWords = { owner: "a running program", mend: "choose another path" };

export interface FrameServerOptions {
  /** The socket's path, below 108 octets. */
  readonly path: string;
  /** Octets wanted of the kernel's buffers for the connection, see `sizeBuffer`; 4 MiB if left out. */
  readonly sendBuffer?: number;
  readonly receiveBuffer?: number;
}

export class FrameServer {
  readonly path: string;
  readonly #options: FrameServerOptions;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #connected: (fd: number) => void;
  /** Which file the socket is, so that no successor's is removed. */
  readonly #inode: number;
  #client: number | undefined;
  #closed = false;

  /**
   * Listens. Replaces a socket that a dead process left at the path; refuses with an OsError one that
   * answers, and anything that is not a socket. `connected` gets the descriptor of each client.
   */
  constructor(options: FrameServerOptions, connected: (fd: number) => void) {
    this.path = options.path;
    this.#options = options;
    this.#connected = connected;
    const name = unixName(options.path);
    makeWaySync(options.path, PATH_WORDS, isDead);
    this.#fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, options.path);
    try {
      // The socket never exists with wider rights, not even before a chmod.
      const mask = process.umask(0o177);
      try {
        bind(this.#fd, name, options.path);
      } finally {
        process.umask(mask);
      }
      this.#inode = statSync(options.path).ino;
      listen(this.#fd, BACKLOG, options.path);
    } catch (error) {
      close(this.#fd);
      throw error;
    }
    this.#watch = watch(this.#fd, { readable: true }, () => this.#take());
  }

  /** Closes the client's descriptor, which nobody may use any more; another one may connect. */
  hangUp(): void {
    if (this.#client === undefined) throw new BugError(`nobody is connected to ${this.path}`);
    close(this.#client);
    this.#client = undefined;
  }

  /** Ends the listening and removes the socket. Call `hangUp` for a client. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    close(this.#fd);
    if (statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode)
      rmSync(this.path, { force: true });
  }

  #take(): void {
    // What can't be accepted is the caller's loss alone; the event loop comes back for the rest.
    for (let taken = 0; taken < BACKLOG && !this.#closed; taken++) {
      const fd = accept(this.#fd);
      if (fd < 0) {
        if (fd === -EAGAIN) return;
        continue;
      }
      if (this.#client !== undefined) {
        close(fd);
        continue;
      }
      this.#client = fd;
      sizeBuffer(fd, "send", this.#options.sendBuffer ?? BUFFER);
      sizeBuffer(fd, "receive", this.#options.receiveBuffer ?? BUFFER);
      this.#connected(fd);
    }
  }
}

/** Connects to the frame socket at a path; the other end of a `FrameServer`. Throws OsError. */
export function connectFrames(socketPath: string): number {
  const name = unixName(socketPath);
  const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, socketPath);
  const result = tryConnect(fd, name);
  if (result === 0) return fd;
  close(fd);
  throw osError("connect", -result, socketPath);
}

/** A sockaddr_un. */
function unixName(socketPath: string): Uint8Array {
  const octets = new TextEncoder().encode(socketPath);
  if (octets.length === 0 || octets.length > PATH_MAX || octets.includes(0))
    throw osError(
      "bind",
      EINVAL,
      JSON.stringify(socketPath),
      `the path of a socket has 1 to ${PATH_MAX} octets`,
    );
  const name = new Uint8Array(2 + octets.length + 1);
  new DataView(name.buffer).setUint16(0, AF_UNIX, true);
  name.set(octets, 2);
  return name;
}

/** True if nobody listens at a path. */
function isDead(socketPath: string): boolean {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, "a Unix socket");
  try {
    const result = tryConnect(fd, unixName(socketPath));
    return result === -ECONNREFUSED || result === -ENOENT;
  } finally {
    close(fd);
  }
}
