/** A relay, gateway or receiver as an operator runs it: the command, in a process of its own. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Host, Program } from "../lab/program.ts";
import { ToolError } from "../lab/tool.ts";
import type { ServiceStatus } from "../runtime/service.ts";

const COMMAND = fileURLToPath(new URL("../cli/main.js", import.meta.url));

/** Runs `culvert` with these arguments. */
export function startCulvert(host: Host, ...args: string[]): Program {
  return host.start(process.execPath, [COMMAND, ...args]);
}

/** A long-running command with a control socket of its own. */
export class Daemon {
  readonly #host: Host;

  private constructor(
    host: Host,
    readonly program: Program,
    readonly control: string,
  ) {
    this.#host = host;
  }

  /** Starts the command and waits until it serves; `folder` takes the control socket. */
  static async start(host: Host, folder: string, name: string, args: string[]): Promise<Daemon> {
    const control = path.join(folder, `${name}.sock`);
    const program = startCulvert(host, ...args, "--control", control);
    await program.ready();
    return new Daemon(host, program, control);
  }

  /** What `culvert status --json` says of it. */
  async status(): Promise<ServiceStatus> {
    const asked = startCulvert(this.#host, "status", "--control", this.control, "--json");
    await asked.finish(10_000);
    if (asked.exit?.code !== 0) throw new ToolError(asked.name, asked.stderr.trim());
    return (JSON.parse(asked.stdout) as [ServiceStatus])[0];
  }
}
