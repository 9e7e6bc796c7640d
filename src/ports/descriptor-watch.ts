/** What ports on a descriptor share: waiting for it. */
import { watch, type Readiness, type Watch } from "../os/poll.ts";

export abstract class DescriptorWatch {
  #watch: Watch | undefined;

  constructor(protected readonly fd: number) {}

  watch(callback: (ready: Readiness) => void): void {
    this.#watch = watch(this.fd, { readable: true }, callback);
  }

  want(readable: boolean, writable: boolean): void {
    this.#watch?.update({ readable, writable });
  }

  close(): void {
    this.#watch?.close();
  }
}
