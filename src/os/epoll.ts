/**
 * Waiting for many descriptors by one system call that the thread makes itself. Read epoll(7) first.
 *
 * A thread that has nothing to do waits in its event loop, for the epoll set alone. Once something is
 * ready, it stays away from the event loop for a slice of time: it calls back whoever waited, waits for
 * more in `epoll_wait`, and so on. Then the event loop gets a turn, for timers, messages, and what the
 * host's engine does there, and the next slice begins. One in which nothing came ends in the event loop's
 * own waiting, so that an idle thread costs nothing. No object is made for a readiness.
 */
import type { Millis } from "../core/machine.ts";
import { monotonic } from "./clock.ts";
import { osError } from "./errno.ts";
import { addressOf, epollControl, epollWait, giveWay } from "./libc.ts";
import { watch, type Readiness, type Waiting, type Watch } from "./poll.ts";

/** How long the event loop is left alone, in milliseconds. */
const SLICE = 10;
/** The same while a timer is pending. */
const SLICE_TIMED = 1;

/** Events of one call. The kernel goes on with the others at the next one. */
const EVENTS_MAX = 64;

// epoll_event: u32 events, then a u64 of the caller's, here a number. Packed on x86 only.
const EVENT_LENGTH = process.arch === "x64" ? 12 : 16;
const EVENT_DATA = EVENT_LENGTH - 8;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

const EPOLLIN = 0x001;
const EPOLLOUT = 0x004;
const EPOLLERR = 0x008;
const EPOLLHUP = 0x010;

/** By bits: 1 for readable, 2 for writable. */
const READY: readonly Readiness[] = [
  { readable: false, writable: false },
  { readable: true, writable: false },
  { readable: false, writable: true },
  { readable: true, writable: true },
];

export class Epoll implements Waiting {
  readonly #fd: number;
  readonly #events = new Uint32Array(new ArrayBuffer(EVENTS_MAX * EVENT_LENGTH));
  readonly #address: number;
  /** What is waited for, by the number that its events carry. */
  readonly #callbacks = new Map<number, (ready: Readiness) => void>();
  readonly #watch: Watch;
  #made = 0;
  /** Callbacks that the event loop owes: in its next turn, and later. */
  #soon = 0;
  #later = 0;
  /** When the slice under way ends, on the clock of `monotonic`. */
  #end = 0;
  #closed = false;

  /**
   * Over an epoll set (`epollCreate`), which stays the caller's. After something was ready, the thread
   * looks for `spin` milliseconds without sleeping whether there is more; between two looks it gives way
   * to others that want its processor.
   */
  constructor(
    fd: number,
    readonly spin: Millis = 0,
  ) {
    this.#fd = fd;
    this.#address = addressOf(new Uint8Array(this.#events.buffer));
    // A thread that is ended while koffi calls back takes the process with it, so that koffi is asked
    // only when there was nothing to do.
    this.#watch = watch(fd, { readable: true }, () => {
      this.#watch.update({});
      setImmediate(this.#serve);
    });
  }

  /**
   * As `watch` of `poll.ts`. What `callback` throws is thrown in the event loop, and others get what
   * they waited for.
   */
  watch(fd: number, wanted: Partial<Readiness>, callback: (ready: Readiness) => void): Watch {
    const number = this.#made++;
    const event = new Uint8Array(EVENT_LENGTH);
    const view = new DataView(event.buffer);
    view.setUint32(EVENT_DATA, number, true);
    let before = 0;
    const update = ({ readable, writable }: Partial<Readiness>): void => {
      const bits = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
      if (bits === before) return;
      view.setUint32(0, bits, true);
      // An error is told even to who wants nothing, so who wants nothing is not in the set.
      const operation = bits === 0 ? EPOLL_CTL_DEL : before === 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
      const result = epollControl(this.#fd, operation, fd, event);
      // One that is gone already needs no removal.
      if (result < 0 && bits !== 0) throw osError("epoll_ctl", -result, `descriptor ${fd}`);
      before = bits;
    };
    update(wanted);
    this.#callbacks.set(number, callback);
    return {
      update: (next) => {
        if (this.#callbacks.has(number)) update(next);
      },
      close: () => {
        if (this.#callbacks.delete(number)) update({});
      },
    };
  }

  soon(callback: () => void): void {
    this.#soon++;
    setImmediate(() => {
      this.#soon--;
      callback();
    });
  }

  after(delay: Millis, callback: () => void): () => void {
    this.#later++;
    this.#end = Math.min(this.#end, monotonic() + SLICE_TIMED);
    const over = (): void => {
      this.#later--;
      cancel = () => {};
    };
    const timer = setTimeout(() => {
      over();
      callback();
    }, delay);
    let cancel = (): void => {
      clearTimeout(timer);
      over();
    };
    return () => cancel();
  }

  /** Waits for nothing any more, so that the thread may end. */
  close(): void {
    this.#closed = true;
    this.#watch.close();
  }

  readonly #serve = (): void => {
    if (this.#closed) return;
    const slice = this.#later > 0 ? SLICE_TIMED : SLICE;
    this.#end = monotonic() + slice;
    let left = this.#soon > 0 ? 0 : slice; // what the event loop owes is not held up
    let served = false;
    do {
      const count = this.#wait(left);
      if (count <= 0) {
        if (served) break; // nothing, or a signal
        return this.#watch.update({ readable: true });
      }
      served = true;
      for (let i = 0; i < count; i++) this.#call((i * EVENT_LENGTH) >> 2);
      left = Math.ceil(this.#end - monotonic());
    } while (left > 0 && this.#soon === 0 && !this.#closed);
    setImmediate(this.#serve);
  };

  /** Events that are ready within `left` milliseconds. */
  #wait(left: Millis): number {
    if (this.spin > 0 && left > 0) {
      const end = monotonic() + this.spin;
      do {
        const count = epollWait(this.#fd, this.#address, EVENTS_MAX, 0);
        if (count !== 0) return count;
        giveWay();
      } while (monotonic() < end);
    }
    return epollWait(this.#fd, this.#address, EVENTS_MAX, left);
  }

  /** Calls back for the event at this word. */
  #call(at: number): void {
    const events = this.#events[at]!;
    // What an earlier event of the same call has closed is not there any more.
    const callback = this.#callbacks.get(this.#events[at + (EVENT_DATA >> 2)]!);
    if (!callback) return;
    const failed = (events & (EPOLLERR | EPOLLHUP)) !== 0;
    const bits = (events & EPOLLIN || failed ? 1 : 0) | (events & EPOLLOUT || failed ? 2 : 0);
    try {
      callback(READY[bits]!);
    } catch (error) {
      this.soon(() => {
        throw error;
      });
    }
  }
}
