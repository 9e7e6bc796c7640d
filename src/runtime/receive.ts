/** A running receiver: one stream through AMT, its UDP payloads to a file, a pipe or an endpoint. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import {
  CONFIG_SINK,
  CONFIG_SINK_LIMIT,
  CONFIG_SINK_PORT,
  FRAME_IP,
  SINK_PAYLOAD,
} from "../../assembly/layout/arena.ts";
import type { ReceiveConfig } from "../config/receive.ts";
import { familyOf, unspecified, type Endpoint } from "../core/address.ts";
import { CulvertError, OsError } from "../core/errors.ts";
import type { LanePlan } from "../lanes/plan.ts";
import { openUdp } from "../os/udp.ts";
import { Reception } from "./reception.ts";
import type { Service, ServiceStatus } from "./service.ts";

/** How often the number of payloads is looked at, when it decides about the end. */
const COUNT_CHECK = 10;

/** A limit that the core's 32 bits can hold; beyond it, the control thread alone counts. */
const LIMIT_MAX = 2 ** 32 - 1;

/** Starts a receiver; settles when its lane is at work. Throws ConfigError or OsError. */
export async function startReceive(name: string, config: ReceiveConfig): Promise<Service> {
  const receiver = new RunningReceiver(name, config);
  await receiver.start();
  return receiver;
}

/** The time was over before what was wanted had come. */
export class ShortfallError extends CulvertError {
  readonly code = "CULVERT_SHORTFALL";
}

/** Where payloads go: the lane's outlet, where a socket sends, and how it is closed. */
interface Sink {
  readonly outlet: Exclude<LanePlan["outlet"], string>;
  readonly to: Endpoint | undefined;
  close(): void;
}

class RunningReceiver implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #config: ReceiveConfig;
  readonly #sink: Sink;
  readonly #reception: Reception;
  #stopping: Promise<void> | undefined;
  #counting: NodeJS.Timeout | undefined;
  #timeout: NodeJS.Timeout | undefined;
  #late = false;

  constructor(name: string, config: ReceiveConfig) {
    this.#config = config;
    this.#sink = openSink(config);
    try {
      this.#reception = new Reception({
        name,
        role: "receive",
        local: config.local,
        relay: config.relay,
        discovery: config.discovery,
        quirks: config.quirks,
        lanes: 1,
        replace: false,
        ports: (_lane, fd) => ({
          role: "gateway",
          inlets: [{ kind: "socket", fd, frame: FRAME_IP }],
          outlet: this.#sink.outlet,
        }),
        prime: (commands) => {
          commands.config(CONFIG_SINK, SINK_PAYLOAD);
          commands.config(CONFIG_SINK_PORT, config.url.port);
          commands.config(CONFIG_SINK_LIMIT, Math.min(config.count ?? 0, LIMIT_MAX));
          if (this.#sink.to) commands.sinkName(this.#sink.to);
        },
        device: () => {},
      });
    } catch (error) {
      this.#sink.close();
      throw error;
    }
    this.ended = this.#reception.tale.ended;
    void this.ended.then(() => this.#sink.close());
  }

  async start(): Promise<void> {
    try {
      await this.#reception.start();
    } catch (error) {
      this.#sink.close();
      this.#reception.abandon();
      throw error;
    }
    const { source, group } = this.#config.url;
    this.#reception.want(
      group,
      source === undefined
        ? { mode: "exclude", sources: [] }
        : { mode: "include", sources: [source] },
    );
    const { count, timeout } = this.#config;
    if (count !== undefined)
      this.#counting = setInterval(() => {
        if (this.#delivered() >= count) void this.stop();
      }, COUNT_CHECK);
    if (timeout !== undefined)
      this.#timeout = setTimeout(() => {
        this.#late = true;
        void this.stop();
      }, timeout);
  }

  status(): ServiceStatus {
    return this.#reception.status();
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  #delivered(): number {
    return this.status().counters["egress_sent"] ?? 0;
  }

  /** Why the time was not enough; undefined when it was. */
  #shortfall(): Error | undefined {
    const wanted = this.#config.count ?? 1;
    const got = this.#delivered();
    return got < wanted
      ? new ShortfallError(`expected ${wanted} datagrams in time, got ${got}`)
      : undefined;
  }

  async #end(): Promise<void> {
    clearInterval(this.#counting);
    clearTimeout(this.#timeout);
    await this.#reception.stop();
    this.#reception.tale.end(this.#late ? this.#shortfall() : undefined);
    await this.ended;
  }
}

function openSink(config: ReceiveConfig): Sink {
  const { output } = config;
  if (output.kind === "udp") {
    const any = unspecified(familyOf(output.to.address));
    const { fd } = openUdp({ local: { address: any, port: 0 } });
    return { outlet: { kind: "socket", fd }, to: output.to, close: () => closeSync(fd) };
  }
  const fd = output.kind === "file" ? openFile(output.path) : openStdout();
  return { outlet: { kind: "stream", fd }, to: undefined, close: () => fd > 2 && closeSync(fd) };
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
