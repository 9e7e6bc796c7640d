/** What a host's stack has delivered to a socket that nobody reads, by the kernel's count. */
import { readFileSync } from "node:fs";

/** The word of a line of /proc/net/udp that holds "tx_queue:rx_queue", both hexadecimal. */
const RX_QUEUE = 4;

export interface Taken {
  /** Datagrams for which there was no room. */
  readonly packets: number;
  /** Octets of memory in use by those that wait to be read. */
  readonly waiting: number;
  /** Milliseconds at which these were read. */
  readonly at: number;
}

/**
 * What the UDP sockets bound to `address` and `port` hold and had no room for, in the namespace of
 * process `pid`. When the queue of a socket that is never read is full, the latter is every datagram
 * which comes to it, and those of a super-packet count singly. The namespace's own counters would not do:
 * they count what comes to a tunnel's socket as well.
 */
export function taken(pid: number, address: string, port: number): Taken {
  const octets = address.split(".").toReversed().map(Number);
  const place = `${hex(octets, 2)}:${hex([port], 4)}`;
  const before = performance.now();
  const text = readFileSync(`/proc/${pid}/net/udp`, "utf8");
  const at = (before + performance.now()) / 2;
  const sockets = text.split("\n").filter((line) => line.includes(` ${place} `));
  if (sockets.length === 0) throw new Error(`no socket is bound to ${address}:${port}`);
  let [packets, waiting] = [0, 0];
  for (const line of sockets) {
    const words = line.trim().split(/\s+/);
    packets += Number(words.at(-1));
    waiting += Number.parseInt(words[RX_QUEUE]!.split(":")[1]!, 16);
  }
  return { packets, waiting, at };
}

/** Numbers as /proc spells them, `digits` for each. */
function hex(numbers: readonly number[], digits: number): string {
  return numbers.map((one) => one.toString(16).toUpperCase().padStart(digits, "0")).join("");
}
