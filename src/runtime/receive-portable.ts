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
import { socketFor, type ControlSocket } from "./amt-socket.ts";
import {
  anyEndpoint,
  closeOutput,
  isCapture,
  openOutput,
  type ReceiveMeans,
} from "./receive-means.ts";

/** How long a reader that takes nothing holds up the end, in milliseconds. */
const FLUSH_PATIENCE = 3_000;

/** Opens the sockets and the output of a receiver. Rejects with OsError. */
export async function openPortableMeans(
  config: ReceiveConfig,
  locals: readonly Endpoint[],
): Promise<ReceiveMeans> {
  const opened: DgramSocket[] = [];
  try {
    for (const local of locals) opened.push(await openDgram(local));
    const outlet = await openOutlet(config.output);
    return {
      socket: new PortableSockets(opened),
      lane: {
        role: "gateway",
        open: (arena, losses) => ({
          inflows: opened.map((socket, i) => ({
            port: new DgramPort(arena, socket, regionAddress(0), losses),
            frame: FRAME_IP,
            amt: i > 0,
          })),
          outlet: outlet.port(arena, losses),
        }),
      },
      close: () => outlet.close(),
    };
  } catch (error) {
    for (const socket of opened) socket.close();
    throw error;
  }
}

/** The control side of the sockets that the lane's ports read. */
class PortableSockets implements ControlSocket {
  /** Sends that the system refused. */
  refused = 0;
  readonly #sockets: readonly { readonly local: Endpoint; readonly socket: DgramSocket }[];

  constructor(sockets: readonly DgramSocket[]) {
    this.#sockets = sockets.map((socket) => {
      const { address, port } = socket.address();
      return { socket, local: { address: canonicalAddress(address)!, port } };
    });
  }

  get locals(): readonly Endpoint[] {
    return this.#sockets.map(({ local }) => local);
  }

  send(octets: Uint8Array, to: Endpoint): void {
    socketFor(this.#sockets, to)?.socket.send(octets, to.port, to.address, (error) => {
      if (error) this.refused++;
    });
  }

  close(): void {
    for (const { socket } of this.#sockets) socket.close();
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
