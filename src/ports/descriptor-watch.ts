/** What ports on a descriptor share: waiting for it. */
import type { Readiness, Waiting, Watch } from "../os/poll.ts";

export abstract class DescriptorWatch {
  #watch: Watch | undefined;

  constructor(protected readonly fd: number) {}

  watch(callback: (ready: Readiness) => void, waiting: Waiting): void {
    this.#watch = waiting.watch(this.fd, { readable: true }, callback);
  }

  want(readable: boolean, writable: boolean): void {
    this.#watch?.update({ readable, writable });
  }

  close(): void {
    this.#watch?.close();
  }
}
