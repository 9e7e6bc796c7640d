/**
 * The life of a long-running command: start everything, say `ready`, answer on the control socket,
 * and end in order on a signal or when a service ends.
 */
import type { Instance } from "../config/systems.ts";
import type { System } from "../config/system.ts";
import { SYSTEMS } from "../config/systems.ts";
import { endpointText, type Endpoint } from "../core/address.ts";
import { ControlServer, ownSocketPath } from "../runtime/control.ts";
import type { Service } from "../runtime/service.ts";
import { complaint, EXIT_FAILURE, type ExitCode } from "./exit.ts";
import { answerL2tp } from "./l2tp-answer.ts";
import type { Starters } from "./parts.ts";
import { Reloader, type Reloaded } from "./reloader.ts";
import { reloadText } from "./reload-text.ts";
import { Running } from "./running.ts";

export interface ServeOptions {
  /** Its control socket; one named by the command and the process if undefined. */
  readonly controlPath: string | undefined;
  /** Reads the configuration anew; undefined for a command that has no file, or only flags. */
  readonly read?: () => readonly Instance[];
  /** True if L2TP commands are served, whatever else runs. */
  readonly l2tp?: boolean;
}

/**
 * Runs `instances` until they end, and gives the exit code. Throws what prevents a start, with
 * nothing left running.
 */
export async function serve(
  command: string,
  instances: readonly Instance[],
  starters: Starters,
  options: ServeOptions,
): Promise<ExitCode> {
  const running = new Running(starters);
  const reloader = options.read && new Reloader(running, options.read);
  const control = await ControlServer.open(options.controlPath ?? (await ownSocketPath(command)), {
    status: () => ({ pid: process.pid, services: running.services.map((one) => one.status()) }),
    ...(options.l2tp ? { l2tp: async (given) => answerL2tp(await running.l2tp(), given) } : {}),
    ...(reloader ? { reload: () => reloader.reload() } : {}),
  });
  const signals = new Signals(() => control.remove(), reloader);
  try {
    for (const instance of instances) {
      await running.start(instance);
      if (signals.came || running.isStopping) break;
    }
    if (!signals.came && !running.isStopping) {
      const ready = running.services.map((one, index) => readyText(one, instances[index]!));
      process.stderr.write(`ready: ${[...ready, `control ${control.path}`].join("; ")}\n`);
    }
    void signals.first.then(() => running.stop());
    return await running.end;
  } finally {
    // After a failed start some still run; after an ordinary end this does nothing.
    await running.stop();
    await control.close();
    signals.close();
  }
}

/**
 * SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.
 * SIGHUP: the configuration is read anew.
 */
class Signals {
  came = false;
  #announce: () => void = () => undefined;
  readonly first = new Promise<void>((resolve) => {
    this.#announce = resolve;
  });
  readonly #listener: () => void;
  readonly #hangUp: (() => void) | undefined;

  constructor(beforeExit: () => void, reloader: Reloader | undefined) {
    this.#listener = () => {
      if (this.came) {
        beforeExit();
        process.exit(EXIT_FAILURE);
      }
      this.came = true;
      this.#announce();
    };
    process.on("SIGINT", this.#listener).on("SIGTERM", this.#listener);
    if (!reloader) return;
    this.#hangUp = () => {
      const told = (done: Reloaded) => process.stderr.write(`culvert: ${reloadText(done)}\n`);
      reloader.reload().then(told, (error: unknown) => {
        process.stderr.write(`${complaint(error)}\n`);
      });
    };
    process.on("SIGHUP", this.#hangUp);
  }

  close(): void {
    process.off("SIGINT", this.#listener).off("SIGTERM", this.#listener);
    if (this.#hangUp) process.off("SIGHUP", this.#hangUp);
  }
}

/** "relay north at 192.0.2.1:2268, ingress eth1". */
function readyText(service: Service, instance: Instance): string {
  const { role, name } = instance;
  if (instance.role === "l2tp") return `l2tp with ${instance.config.tunnels.length} tunnels`;
  const config: Readonly<Record<string, unknown>> = { ...instance.config };
  const system: System = SYSTEMS[instance.role];
  const choices = [...(system.notBoth ?? []), ["dns"], ...system.oneOf, ...(system.someOf ?? [])]
    .flat()
    .filter((key, i, all) => config[key] !== undefined && all.indexOf(key) === i)
    .map((key) => `${key} ${choiceText(config[key] as Choice | Choice[])}`);
  const who = name === role ? role : `${role} ${name}`;
  const { local } = service.status();
  return [`${who} at ${local.map(endpointText).join(" and ")}`, ...choices].join(", ");
}

type Choice = string | Endpoint;

function choiceText(value: Choice | readonly Choice[]): string {
  const choices = [value].flat();
  const texts = choices.map((one) => (typeof one === "string" ? one : endpointText(one)));
  return texts.join(typeof choices[0] === "string" ? " and " : " or ");
}
