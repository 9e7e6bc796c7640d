/** Gives a machine time and takes what it says: the only place where machines meet the clock. */
import type { Machine, Millis } from "../core/machine.ts";
import { monotonic } from "../os/clock.ts";

/** The longest a timer of the host can wait. */
const TIMER_MAX = 2 ** 31 - 1;

export class Driver<In, Out> {
  readonly #machine: Machine<In, Out>;
  readonly #timeout: In;
  readonly #take: (output: Out) => void;
  readonly #settled: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt: Millis | undefined;
  #closed = false;

  /**
   * `timeout` is the input that tells the machine to look at the time; `settled` is called when all
   * that came of an input has been passed on.
   */
  constructor(
    machine: Machine<In, Out>,
    timeout: In,
    take: (output: Out) => void,
    settled?: () => void,
  ) {
    this.#machine = machine;
    this.#timeout = timeout;
    this.#take = take;
    this.#settled = settled;
  }

  /** Hands an input over and passes on all that comes of it. */
  handle(input: In): void {
    if (this.#closed) return;
    this.#machine.handle(input, monotonic());
    for (let output = this.#machine.poll(); output !== undefined; output = this.#machine.poll())
      this.#take(output);
    this.#settled?.();
    this.#schedule();
  }

  /** Ends the machine's time. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    const at = this.#closed ? undefined : this.#machine.deadline();
    if (at === this.#wakeAt) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    if (at === undefined) return;
    const wait = Math.min(Math.max(0, Math.ceil(at - monotonic())), TIMER_MAX);
    this.#timer = setTimeout(() => {
      this.#wakeAt = undefined;
      this.handle(this.#timeout);
    }, wait);
  }
}
