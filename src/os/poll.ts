/** Waiting for descriptors in the event loop, so that a thread can be stopped at any time. */
import type { Millis } from "../core/machine.ts";
import { koffiModule } from "./libc.ts";

export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
}

export interface Watch {
  /** Changes what is waited for; nothing stops the waiting but keeps the watch. */
  update(wanted: Partial<Readiness>): void;
  /** Ends the watch; must come before the descriptor is closed. Safe to call twice. */
  close(): void;
}

/** How a thread waits: for descriptors, and for turns of its event loop. */
export interface Waiting {
  /** As `watch` of this file. */
  watch(fd: number, wanted: Partial<Readiness>, callback: (ready: Readiness) => void): Watch;
  /** Calls back in the next turn of the event loop. */
  soon(callback: () => void): void;
  /** Calls back after so many milliseconds, unless the function that it returns was called before. */
  after(delay: Millis, callback: () => void): () => void;
}

/** The event loop itself. */
export const EVENT_LOOP: Waiting = {
  watch,
  soon: (callback) => void setImmediate(callback),
  after(delay, callback) {
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
};

// koffi ends a poll handle that is collected as garbage, so open ones are held here.
const open = new Set<object>();

/**
 * Calls back whenever `fd` is ready, again and again until it no longer is (level-triggered). One
 * descriptor has one watch at a time in a thread. An error on the descriptor makes it readable and
 * writable at once: the next call on it tells the errno, and the watch goes on. The watch keeps the
 * event loop alive. Throws RangeError for what is no descriptor; one that the kernel does not wait for,
 * such as a file's, ends the process within koffi.
 */
export function watch(
  fd: number,
  wanted: Partial<Readiness>,
  callback: (ready: Readiness) => void,
): Watch {
  if (!Number.isInteger(fd) || fd < 0) throw new RangeError(`watch: ${fd} is no descriptor`);
  // koffi calls back with a libuv status before the events, unlike what its types say.
  const failed: Readiness = { readable: true, writable: true };
  let now: Partial<Readiness> = wanted;
  let closed = false;
  const onPoll = (status: unknown, events?: Readiness): void => {
    try {
      if (typeof status !== "number" || status >= 0) return callback(events ?? failed);
      callback(failed);
      // libuv has stopped waiting.
      if (!closed && (now.readable || now.writable)) handle.start({ ...now }, onPoll);
    } catch (error) {
      // koffi ends the process when its callback throws; the event loop reports it properly.
      setImmediate(() => {
        throw error;
      });
    }
  };
  const handle = koffiModule().node.poll(fd, { ...wanted }, onPoll);
  open.add(handle);
  return {
    update(next) {
      if (closed) return;
      now = next;
      if (next.readable || next.writable) handle.start({ ...next }, onPoll);
      else handle.stop();
    },
    close() {
      if (closed) return;
      closed = true;
      open.delete(handle);
      handle.close();
    },
  };
}
