/** Waking a thread that waits for descriptors. Read eventfd(2) first. */
import { EAGAIN, osError } from "./errno.ts";
import { addressOf, eventfd, put, read } from "./libc.ts";

const COUNT = 8; // octets of an eventfd's counter

const one = new Uint8Array(new BigUint64Array([1n]).buffer);
const answered = new Uint8Array(new ArrayBuffer(COUNT));

/** A descriptor that becomes readable when it is rung. */
export function openBell(): number {
  return eventfd();
}

/** Makes the bell readable until it is answered. */
export function ringBell(fd: number): void {
  const written = put(fd, one);
  if (written < 0) throw osError("write", -written, "to a lane's eventfd");
}

/** Makes the bell silent. To be called before what it was rung for is looked at. */
export function answerBell(fd: number): void {
  const taken = read(fd, addressOf(answered), COUNT);
  if (taken < 0 && taken !== -EAGAIN) throw osError("read", -taken, "from a lane's eventfd");
}
