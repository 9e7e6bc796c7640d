/** The size of a socket's kernel buffers. Read socket(7) on SO_RCVBUF first. */
import { getsockopt, trySetsockopt } from "./libc.ts";

export const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/**
 * Asks for a buffer of `octets` and returns the octets that the kernel grants, which include its
 * own overhead: it doubles what it is asked for. With CAP_NET_ADMIN the limits rmem_max and
 * wmem_max do not matter; without, the kernel cuts silently. Undefined asks for nothing.
 */
export function sizeBuffer(
  fd: number,
  which: "receive" | "send",
  octets: number | undefined,
): number {
  const [plain, force] =
    which === "receive" ? [SO_RCVBUF, SO_RCVBUFFORCE] : [SO_SNDBUF, SO_SNDBUFFORCE];
  // The kernel doubles an int.
  const wanted = octets === undefined ? undefined : Math.min(Math.max(octets, 0), 0x3fffffff);
  if (wanted !== undefined && trySetsockopt(fd, SOL_SOCKET, force, wanted) < 0)
    trySetsockopt(fd, SOL_SOCKET, plain, wanted);
  const granted = getsockopt(fd, SOL_SOCKET, plain, 4);
  return typeof granted === "number" ? 0 : new DataView(granted.buffer).getInt32(0, true);
}
