/** A running receiver: one stream through AMT, its UDP payloads to a file, a pipe or an endpoint. */
import { CONFIG_SINK, CONFIG_SINK_LIMIT, CONFIG_SINK_PORT } from "../../assembly/layout/arena.ts";
import type { ReceiveConfig } from "../config/receive.ts";
import { ConfigError, CulvertError } from "../core/errors.ts";
import { nativeLoads } from "../os/libc.ts";
import { openMeans, outputEndpoint, outputSink, type ReceiveMeans } from "./receive-means.ts";
import { openPortableMeans } from "./receive-portable.ts";
import { HOST, Reception } from "./reception.ts";
import { planRelays, type RelayPlan } from "./relay-plan.ts";
import type { Service, ServiceStatus } from "./service.ts";

/** How often the number of payloads is looked at, when it decides about the end. */
const COUNT_CHECK = 10;

/** A limit that the core's 32 bits can hold; beyond it, the control thread alone counts. */
const LIMIT_MAX = 2 ** 32 - 1;

const NOT_NATIVE = "koffi's binary does not load here; Node's own sockets serve, which are slower";

/** Starts a receiver; settles when its lane is at work. Throws ConfigError or OsError. */
export async function startReceive(name: string, config: ReceiveConfig): Promise<Service> {
  const { url, relay, discovery, dns } = config;
  if (dns !== undefined && !url.source && !relay && !discovery)
    throw new ConfigError("receive.url", "a source beside dns: amt://SOURCE@GROUP:PORT", url.group);
  const plan = planRelays("receive", config);
  const portable = config.portable || !nativeLoads();
  const means = portable
    ? await openPortableMeans(config, plan.locals)
    : openMeans(config, plan.locals);
  const receiver = new RunningReceiver(name, config, means, plan);
  if (portable && !config.portable) receiver.warn(NOT_NATIVE);
  await receiver.start();
  return receiver;
}

/** Less came, or the output took less, than was wanted. */
class ShortfallError extends CulvertError {
  readonly code = "CULVERT_SHORTFALL";
}

class RunningReceiver implements Service {
  readonly ended: Promise<Error | undefined>;
  readonly #config: ReceiveConfig;
  readonly #means: ReceiveMeans;
  readonly #reception: Reception;
  #stopping: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #counting: NodeJS.Timeout | undefined;
  #timeout: NodeJS.Timeout | undefined;
  /** How far it had come when it ended by itself; undefined when it is told to end. */
  #cameTo: string | undefined;

  constructor(name: string, config: ReceiveConfig, means: ReceiveMeans, plan: RelayPlan) {
    this.#config = config;
    this.#means = means;
    const to = outputEndpoint(config.output);
    this.#reception = new Reception({
      name,
      role: "receive",
      socket: means.socket,
      plan,
      tunnels: 1,
      quirks: config.quirks,
      replace: false,
      lanes: () => [means.lane],
      prime: (commands) => {
        commands.config(CONFIG_SINK, outputSink(config.output));
        commands.config(CONFIG_SINK_PORT, config.url.port);
        commands.config(CONFIG_SINK_LIMIT, Math.min(config.count ?? 0, LIMIT_MAX));
        if (to) commands.sinkName(to);
      },
      deviceName: () => undefined,
      device: () => {},
    });
    this.ended = this.#reception.tale.ended;
    void this.ended.then(() => this.#close());
  }

  async start(): Promise<void> {
    try {
      await this.#reception.start();
    } catch (error) {
      await this.#reception.abandon();
      await this.#close();
      throw error;
    }
    const { source, group } = this.#config.url;
    this.#reception.want(
      HOST,
      group,
      source === undefined
        ? { mode: "exclude", sources: [] }
        : { mode: "include", sources: [source] },
    );
    const { count, timeout } = this.#config;
    if (count !== undefined)
      this.#counting = setInterval(() => {
        if (this.#settled() >= count) this.#finish();
      }, COUNT_CHECK);
    if (timeout !== undefined)
      this.#timeout = setTimeout(() => {
        this.#finish();
      }, timeout);
  }

  /** Tells the operator something that does not keep the receiver from its work. */
  warn(text: string): void {
    this.#reception.tale.warn(text);
  }

  status(): ServiceStatus {
    return this.#reception.status();
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#end());
  }

  #close(): Promise<void> {
    return (this.#closing ??= this.#means.close());
  }

  #finish(): void {
    this.#cameTo = this.status().state;
    void this.stop();
  }

  #delivered(): number {
    return this.status().counters["egress_sent"] ?? 0;
  }

  /** Datagrams that were written, and those that the output refused: none follows in their place. */
  #settled(): number {
    const refused = Object.values(this.status().drops["egress"] ?? {});
    return refused.reduce((sum, count) => sum + count, this.#delivered());
  }

  /** Why it is not what was wanted; undefined when it is. */
  #shortfall(cameTo: string): Error | undefined {
    const wanted = this.#config.count ?? 1;
    const got = this.#delivered();
    if (got >= wanted) return undefined;
    const datagrams = wanted === 1 ? "datagram" : "datagrams";
    const why = cameTo === "connected" ? "the relay answers" : "no relay has answered";
    return new ShortfallError(`expected ${wanted} ${datagrams}, got ${got}; ${why}`);
  }

  async #end(): Promise<void> {
    clearInterval(this.#counting);
    clearTimeout(this.#timeout);
    await this.#reception.stop();
    await this.#close();
    this.#reception.tale.end(
      this.#cameTo === undefined ? undefined : this.#shortfall(this.#cameTo),
    );
    await this.ended;
  }
}
