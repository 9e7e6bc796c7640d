/** One query and its response, over UDP or TCP, through sockets of Node's own. */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { familyOf, type Endpoint } from "../../core/address.ts";
import type { Millis } from "../../core/machine.ts";

/**
 * Sends a datagram from a new port, and returns what `read` makes of the first one from `server`
 * that it can read; undefined if none comes in time, or `signal` ends the wait. Never rejects.
 */
export function exchangeDatagram<T>(
  server: Endpoint,
  query: Uint8Array,
  wait: Millis,
  signal: AbortSignal,
  read: (octets: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(familyOf(server.address) === 4 ? "udp4" : "udp6");
    const end = once((answer: T | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      socket.close();
      resolve(answer);
    });
    const stop = () => end(undefined);
    const timer = setTimeout(stop, wait);
    signal.addEventListener("abort", stop);
    // What was refused, as by ICMP, is not answered: waiting on paces the next try.
    socket.on("error", () => {});
    socket.on("message", (octets) => {
      const answer = read(octets);
      if (answer !== undefined) end(answer);
    });
    // Connected: the kernel passes on nothing that comes from elsewhere.
    socket.connect(server.port, server.address, () => socket.send(query, () => {}));
    if (signal.aborted) stop();
  });
}

/** The same over TCP (RFC 1035 §4.2.2), where a message stands after its length. */
export function exchangeStream<T>(
  server: Endpoint,
  query: Uint8Array,
  wait: Millis,
  signal: AbortSignal,
  read: (octets: Uint8Array) => T | undefined,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    const socket = connect(server.port, server.address);
    const end = once((answer: T | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      socket.destroy();
      resolve(answer);
    });
    const stop = () => end(undefined);
    const timer = setTimeout(stop, wait);
    signal.addEventListener("abort", stop);
    let had: Buffer = Buffer.alloc(0);
    socket.on("error", stop).on("close", stop);
    socket.on("data", (more: Buffer) => {
      had = Buffer.concat([had, more]);
      const whole = had.length >= 2 && had.length >= 2 + had.readUInt16BE(0);
      if (whole) end(read(had.subarray(2, 2 + had.readUInt16BE(0))));
    });
    socket.write(Buffer.concat([Buffer.from([query.length >> 8, query.length & 0xff]), query]));
    if (signal.aborted) stop();
  });
}

/** A function that does its work for its first call only. */
function once<T>(work: (value: T) => void): (value: T) => void {
  let done = false;
  return (value) => {
    if (done) return;
    done = true;
    work(value);
  };
}
