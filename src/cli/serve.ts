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
import { complaint, EXIT_FAILURE, EXIT_FINE, exitCodeOf, type ExitCode } from "./exit.ts";
import type { Starters } from "./parts.ts";

/**
 * Runs `instances` until they end, and gives the exit code. `command` names the control socket
 * unless `controlPath` does. Throws what prevents a start, with nothing left running.
 */
export async function serve(
  command: string,
  instances: readonly Instance[],
  controlPath: string | undefined,
  starters: Starters,
): Promise<ExitCode> {
  const services: Service[] = [];
  const control = await ControlServer.open(controlPath ?? (await ownSocketPath(command)), {
    status: () => ({ pid: process.pid, services: services.map((service) => service.status()) }),
  });
  const signals = new Signals(() => control.remove());
  try {
    for (const instance of instances) {
      services.push(await start(instance, starters));
      if (signals.came) break;
    }
    if (!signals.came) {
      const ready = services.map((service, index) => readyText(service, instances[index]!));
      process.stderr.write(`ready: ${[...ready, `control ${control.path}`].join("; ")}\n`);
    }
    return await untilEnd(services, signals);
  } finally {
    // After a failed start some still run; after an ordinary end this does nothing.
    await Promise.allSettled(services.map((service) => service.stop()));
    await control.close();
    signals.close();
  }
}

/** SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once. */
class Signals {
  came = false;
  #announce: () => void = () => undefined;
  readonly first = new Promise<void>((resolve) => {
    this.#announce = resolve;
  });
  readonly #listener: () => void;

  constructor(beforeExit: () => void) {
    this.#listener = () => {
      if (this.came) {
        beforeExit();
        process.exit(EXIT_FAILURE);
      }
      this.came = true;
      this.#announce();
    };
    process.on("SIGINT", this.#listener).on("SIGTERM", this.#listener);
  }

  close(): void {
    process.off("SIGINT", this.#listener).off("SIGTERM", this.#listener);
  }
}

/** Waits until all services have ended; one that fails, or a signal, stops the others. */
async function untilEnd(services: readonly Service[], signals: Signals): Promise<ExitCode> {
  let code: ExitCode = EXIT_FINE;
  const failed = (error: unknown) => {
    process.stderr.write(`${complaint(error)}\n`);
    if (code === EXIT_FINE) code = exitCodeOf(error);
  };
  const stopAll = () => Promise.all(services.map((service) => service.stop().catch(failed)));
  const stopped = signals.first.then(stopAll);
  const ends = services.map(async (service) => {
    const reason = await service.ended;
    if (reason === undefined) return;
    failed(reason);
    await stopAll();
  });
  await Promise.race([Promise.all(ends), stopped]);
  return code;
}

async function start(instance: Instance, starters: Starters): Promise<Service> {
  switch (instance.role) {
    case "relay":
      return starters.relay(instance.name, instance.config);
    case "gateway":
      return starters.gateway(instance.name, instance.config);
    case "receive":
      return starters.receive(instance.name, instance.config);
  }
}

/** "relay north at 192.0.2.1:2268, ingress eth1". */
function readyText(service: Service, instance: Instance): string {
  const { role, name } = instance;
  const config: Readonly<Record<string, unknown>> = { ...instance.config };
  const system: System = SYSTEMS[role];
  const choices = [...system.oneOf, ...(system.someOf ?? [])]
    .flat()
    .filter((key) => config[key] !== undefined)
    .flatMap((key) => [config[key]].flat().map((one) => `${key} ${choiceText(one as Choice)}`));
  const who = name === role ? role : `${role} ${name}`;
  const { local } = service.status();
  return [`${who} at ${local.map(endpointText).join(" and ")}`, ...choices].join(", ");
}

type Choice = string | Endpoint;

function choiceText(value: Choice): string {
  return typeof value === "string" ? value : endpointText(value);
}
