/** The services of one process: what runs, and when all of it has ended. */
import { NO_L2TP } from "../config/l2tp.ts";
import type { Instance, L2tpInstance } from "../config/systems.ts";
import type { L2tpService } from "../runtime/l2tp.ts";
import type { Service } from "../runtime/service.ts";
import { complaint, EXIT_FAILURE, EXIT_FINE, exitCodeOf, Refusal, type ExitCode } from "./exit.ts";
import type { Starters } from "./parts.ts";

interface Entry {
  readonly instance: Instance;
  readonly service: Service;
  ended: boolean;
}

export class Running {
  readonly #starters: Starters;
  readonly #entries = new Map<string, Entry>();
  #l2tp: Promise<L2tpService> | undefined;
  #code: ExitCode = EXIT_FINE;
  #stopping: Promise<void> | undefined;
  /** Services that are being started, or taken away: the end waits for them. */
  readonly #underway = new Set<Promise<unknown>>();
  #ended!: (code: ExitCode) => void;
  /** Settles with the exit code once all services have ended, or were stopped. */
  readonly end = new Promise<ExitCode>((resolve) => (this.#ended = resolve));

  constructor(starters: Starters) {
    this.#starters = starters;
  }

  get services(): Service[] {
    return Array.from(this.#entries.values(), ({ service }) => service);
  }

  /** What runs, by role and name. */
  get instances(): ReadonlyMap<string, Instance> {
    return new Map(Array.from(this.#entries, ([key, { instance }]) => [key, instance]));
  }

  /** True once all is to end: nothing is started any more. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Starts a service; throws a Refusal when all is to end. */
  start(instance: Instance): Promise<void> {
    return this.#waitedFor(() => this.#start(instance));
  }

  async #start(instance: Instance): Promise<void> {
    if (this.#stopping) throw new Refusal("culvert is ending", EXIT_FAILURE);
    const service = await (instance.role === "l2tp"
      ? this.#beginL2tp(instance)
      : this.#begin(instance));
    if (this.#stopping) return service.stop();
    const entry: Entry = { instance, service, ended: false };
    this.#entries.set(keyOf(instance), entry);
    void service.ended.then((reason) => this.#over(entry, reason));
  }

  /** L2TP, which starts with its first command if no file has it. */
  async l2tp(): Promise<L2tpService> {
    if (!this.#l2tp) await this.start({ role: "l2tp", name: "l2tp", config: NO_L2TP });
    return this.#l2tp!;
  }

  /** True if L2TP runs, or is about to. */
  get hasL2tp(): boolean {
    return this.#l2tp !== undefined;
  }

  /** Ends one service, which is not missed. */
  async remove(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    await this.#waitedFor(async () => entry?.service.stop());
  }

  /** Ends all services, those that are only being started or taken away among them. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stopAll());
  }

  async #stopAll(): Promise<void> {
    const stopped = this.services.map((service) =>
      service.stop().catch((error: unknown) => this.#failed(error)),
    );
    await Promise.all(stopped);
    await Promise.allSettled(this.#underway);
    this.#ended(this.#code);
  }

  /** Begins what the end is to wait for. */
  #waitedFor(body: () => Promise<void>): Promise<void> {
    const done = body();
    const over = () => void this.#underway.delete(done);
    this.#underway.add(done);
    done.then(over, over);
    return done;
  }

  #over(entry: Entry, reason: Error | undefined): void {
    if (this.#entries.get(keyOf(entry.instance)) !== entry) return;
    entry.ended = true;
    if (reason !== undefined) {
      this.#failed(reason);
      void this.stop();
    } else if (!this.#stopping && [...this.#entries.values()].every(({ ended }) => ended)) {
      this.#ended(this.#code);
    }
  }

  #failed(error: unknown): void {
    process.stderr.write(`${complaint(error)}\n`);
    if (this.#code === EXIT_FINE) this.#code = exitCodeOf(error);
  }

  /** L2TP: whoever asks for it while it starts waits for the same; what failed is tried anew. */
  #beginL2tp({ name, config }: L2tpInstance): Promise<L2tpService> {
    const starting = this.#starters.l2tp(name, config);
    starting.catch(() => (this.#l2tp = undefined));
    return (this.#l2tp = starting);
  }

  #begin(instance: Exclude<Instance, { role: "l2tp" }>): Promise<Service> {
    switch (instance.role) {
      case "relay":
        return this.#starters.relay(instance.name, instance.config);
      case "gateway":
        return this.#starters.gateway(instance.name, instance.config);
      case "receive":
        return this.#starters.receive(instance.name, instance.config);
    }
  }
}

export function keyOf({ role, name }: Instance): string {
  return `${role} ${name}`;
}
