/** What a receiver works with: descriptors that its lane's Worker reads and writes. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { SINK_PAYLOAD, SINK_TUN_PLAIN } from "../../assembly/layout/arena.ts";
import type { Output } from "../config/endpoint.ts";
import type { ReceiveConfig } from "../config/receive.ts";
import { familyOf, unspecified, type Endpoint } from "../core/address.ts";
import { OsError } from "../core/errors.ts";
import type { LanePorts } from "../lanes/lane-set.ts";
import type { FixedPorts } from "../lanes/plan.ts";
import { openUdp } from "../os/udp.ts";
import { GatewaySockets, type ControlSocket } from "./amt-socket.ts";

export interface ReceiveMeans {
  readonly socket: ControlSocket;
  readonly lane: LanePorts;
  /** Lets go of the output, once all of it is written; the lane has ended before. */
  close(): Promise<void>;
}

/** Opens the sockets and the output of a receiver. Throws OsError. */
export function openMeans(config: ReceiveConfig, locals: readonly Endpoint[]): ReceiveMeans {
  const socket = new GatewaySockets(locals, 1);
  try {
    const outlet = openOutlet(config.output);
    return {
      socket,
      lane: { role: "gateway", inlets: socket.inlets(0), outlet },
      close: async () => closeOutput(outlet.fd),
    };
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Where an output's datagrams are sent to, when it is an endpoint. */
export function outputEndpoint(output: Output): Endpoint | undefined {
  return output.kind === "udp" ? output.to : undefined;
}

/** SINK_*: a capture takes whole IP datagrams, all else their payloads. */
export function outputSink(output: Output): number {
  return isCapture(output) ? SINK_TUN_PLAIN : SINK_PAYLOAD;
}

export function isCapture(output: Output): boolean {
  return output.kind === "file" && output.path.endsWith(".pcapng");
}

/** A free port on any address of this host, to send to that endpoint from. */
export function anyEndpoint(to: Endpoint): Endpoint {
  return { address: unspecified(familyOf(to.address)), port: 0 };
}

type Outlet = Exclude<FixedPorts["outlet"], string>;

function openOutlet(output: Output): Outlet {
  if (output.kind === "udp") {
    const { fd } = openUdp({ local: anyEndpoint(output.to) });
    return { kind: "socket", fd };
  }
  return { kind: isCapture(output) ? "capture" : "stream", fd: openOutput(output) };
}

/** The descriptor of a file, or of standard output. */
export function openOutput(output: Exclude<Output, { kind: "udp" }>): number {
  return output.kind === "file" ? openFile(output.path) : openStdout();
}

/** Closes what `openOutput` opened; the process's own standard output stays. */
export function closeOutput(fd: number): void {
  if (fd > 2) closeSync(fd);
}

function openFile(path: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OsError("open", code ?? "EIO", path, "name a file that can be written");
  }
}

/**
 * Standard output. A pipe is opened anew, so that it can be written without waiting while the
 * programs that share the old description notice nothing.
 */
function openStdout(): number {
  if (!fstatSync(1).isFIFO()) return 1;
  try {
    return openSync("/proc/self/fd/1", constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return 1;
  }
}
