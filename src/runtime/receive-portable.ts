/** What a receiver works with where no native code loads: sockets and streams of Node itself. */
import type { Socket as DgramSocket } from "node:dgram";
import { createWriteStream, fstatSync } from "node:fs";
import { Socket } from "node:net";
import { finished, type Writable } from "node:stream";
import { FRAME_IP } from "../../assembly/layout/arena.ts";
import type { Output } from "../config/endpoint.ts";
import type { ReceiveConfig } from "../config/receive.ts";
import { canonicalAddress, type Endpoint } from "../core/address.ts";
import { regionAddress } from "../lanes/plan.ts";
import { openDgram } from "../os/dgram.ts";
import { DgramPort, type DgramLosses } from "../ports/dgram.ts";
import { CaptureOutlet } from "../ports/pcap.ts";
import type { ArenaView, Port } from "../ports/port.ts";
import { WritablePort } from "../ports/writable.ts";
import type { ControlSocket } from "./amt-socket.ts";
import {
  anyEndpoint,
  closeOutput,
  isCapture,
  openOutput,
  type ReceiveMeans,
} from "./receive-means.ts";
import { ownEndpoint } from "./reception.ts";

/** How long a reader that takes nothing holds up the end, in milliseconds. */
const FLUSH_PATIENCE = 3_000;

/** Opens the socket and the output of a receiver. Rejects with OsError. */
export async function openPortableMeans(config: ReceiveConfig): Promise<ReceiveMeans> {
  const socket = await openDgram(ownEndpoint(config));
  try {
    const outlet = await openOutlet(config.output);
    return {
      socket: new PortableSocket(socket),
      lane: {
        role: "gateway",
        open: (arena, losses) => ({
          inflows: [
            { port: new DgramPort(arena, socket, regionAddress(0), losses), frame: FRAME_IP },
          ],
          outlet: outlet.port(arena, losses),
        }),
      },
      close: () => outlet.close(),
    };
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** The control side of the socket that the lane's port reads. */
class PortableSocket implements ControlSocket {
  readonly local: Endpoint;
  /** Sends that the system refused. */
  refused = 0;
  readonly #socket: DgramSocket;

  constructor(socket: DgramSocket) {
    const { address, port } = socket.address();
    this.local = { address: canonicalAddress(address)!, port };
    this.#socket = socket;
  }

  send(octets: Uint8Array, to: Endpoint): void {
    this.#socket.send(octets, to.port, to.address, (error) => {
      if (error) this.refused++;
    });
  }

  close(): void {
    this.#socket.close();
  }
}

interface Outlet {
  port(arena: ArenaView, losses: DgramLosses): Port;
  close(): Promise<void>;
}

async function openOutlet(output: Output): Promise<Outlet> {
  if (output.kind === "udp") {
    const socket = await openDgram(anyEndpoint(output.to));
    return {
      port: (arena, losses) => new DgramPort(arena, socket, undefined, losses),
      close: async () => void socket.close(),
    };
  }
  const fd = openOutput(output);
  if (isCapture(output))
    return {
      port: (arena) => new CaptureOutlet(arena, fd),
      close: async () => closeOutput(fd),
    };
  const stream = streamOf(fd);
  return { port: (arena) => new WritablePort(arena, stream), close: () => flushed(stream, fd > 2) };
}

/** A stream over a descriptor. What can be waited for is; a file is written by Node's threads. */
function streamOf(fd: number): Writable {
  const stat = fstatSync(fd);
  const stream =
    stat.isFIFO() || stat.isSocket()
      ? new Socket({ fd, readable: false, writable: true })
      : createWriteStream("", { fd, autoClose: fd > 2 });
  // The port tells of an error while the lane runs; after that nobody needs to know.
  return stream.on("error", () => {});
}

/**
 * Settles when all is written or nothing more will be. A stream of our own is closed; the process's
 * standard output stays as it is.
 */
function flushed(stream: Writable, own: boolean): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(() => {
      if (own) stream.destroy();
      else if (stream instanceof Socket) stream.unref();
      resolve();
    }, FLUSH_PATIENCE);
    const done = (): void => {
      clearTimeout(patience);
      resolve();
    };
    if (!own && !stream.destroyed) return void stream.write("", done);
    finished(stream, done);
    stream.end();
  });
}
