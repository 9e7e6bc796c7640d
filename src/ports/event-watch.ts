/** What ports without a descriptor share: calling back from the event loop while there is cause. */
import type { Readiness } from "./port.ts";

export abstract class EventWatch {
  #callback: ((ready: Readiness) => void) | undefined;
  #wanted: Readiness = { readable: true, writable: false };
  #scheduled: NodeJS.Immediate | undefined;

  /** What a call to the port could do now. */
  protected abstract readiness(): Readiness;

  watch(callback: (ready: Readiness) => void): void {
    this.#callback = callback;
    this.stir();
  }

  want(readable: boolean, writable: boolean): void {
    this.#wanted = { readable, writable };
    this.stir();
  }

  close(): void {
    this.#callback = undefined;
    clearImmediate(this.#scheduled);
  }

  /** To be called when something may have become ready. */
  protected stir(): void {
    if (this.#scheduled || !this.#callback || !this.#cause()) return;
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined;
      const ready = this.#cause();
      if (ready) this.#callback?.(ready);
      this.stir();
    });
  }

  /** What is both ready and wanted; undefined for nothing. */
  #cause(): Readiness | undefined {
    const ready = this.readiness();
    const readable = ready.readable && this.#wanted.readable;
    const writable = ready.writable && this.#wanted.writable;
    return readable || writable ? { readable, writable } : undefined;
  }
}
