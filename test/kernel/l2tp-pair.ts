/** Two hosts on one wire, each with a daemon that L2TP's commands are given to. */
import assert from "node:assert/strict";
import { Daemon, startCulvert } from "../../src/demo/daemon.ts";
import type { Lab, Namespace } from "../../src/lab/lab.ts";
import type { L2tpSessionStatus } from "../../src/runtime/service.ts";
import { eventually } from "./culvert.ts";

export const UNDERLAY = ["10.1.0.1", "10.1.0.2"] as const;
export const UNDERLAY_6 = ["fd00:1::1", "fd00:1::2"] as const;
export const INSIDE = ["192.168.9.1", "192.168.9.2"] as const;

/** The hosts, the second the first's peer. */
export class Pair {
  private constructor(
    readonly hosts: readonly [Namespace, Namespace],
    readonly daemons: readonly [Daemon, Daemon],
  ) {}

  static async start(lab: Lab, files: readonly (readonly string[])[] = [[], []]): Promise<Pair> {
    const hosts = [lab.namespace("a"), lab.namespace("b")] as const;
    lab.connect(hosts[0], "eth0", hosts[1], "eth0");
    for (const i of [0, 1] as const)
      hosts[i].address("eth0", `${UNDERLAY[i]}/24`, `${UNDERLAY_6[i]}/64`);
    const start = (i: 0 | 1) => Daemon.start(hosts[i], lab.folder, `d${i}`, ["run", ...files[i]!]);
    return new Pair(hosts, [await start(0), await start(1)]);
  }

  /** Runs `culvert l2tp` at one host; returns its output, or fails with its complaint. */
  async l2tp(i: 0 | 1, words: string): Promise<string> {
    const { code, stdout, stderr } = await this.tryL2tp(i, words);
    assert.equal(code, 0, `${words}: ${stderr}`);
    return stdout;
  }

  async tryL2tp(i: 0 | 1, words: string) {
    const args = ["l2tp", "--control", this.daemons[i].control, ...words.trim().split(/ +/)];
    const program = startCulvert(this.hosts[i], ...args);
    await program.finish(60_000);
    return { code: program.exit?.code, stdout: program.stdout, stderr: program.stderr };
  }

  /** A tunnel and a session at both ends, with a device that has an address. */
  async connect(tunnel: string, session: string, ends: readonly [string, string]): Promise<void> {
    const at = ends.map((address) => address) as [string, string];
    for (const i of [0, 1] as const) {
      const ports = tunnel.includes("encap ip") ? "" : ` udp_sport 500${i} udp_dport 500${1 - i}`;
      const addresses = `local ${at[i]} remote ${at[1 - i]}`;
      await this.l2tp(
        i,
        `add tunnel tunnel_id ${i + 1} peer_tunnel_id ${2 - i} ${addresses}${ports} ${tunnel}`,
      );
      const numbers = `session_id ${10 + i} peer_session_id ${11 - i}`;
      await this.l2tp(i, `add session tunnel_id ${i + 1} ${numbers} ${session}`);
      this.address(i, "l2tpeth0");
    }
  }

  address(i: 0 | 1, device: string): void {
    this.hosts[i].address(device, `${INSIDE[i]}/24`);
    this.hosts[i].up(device);
  }

  /** Waits until the second end of the pseudowire answers the first. */
  async reaches(host = this.hosts[0], size = 56): Promise<void> {
    await eventually(`an answer to ${size} octets`, 20_000, () => answers(host, size));
  }

  async session(i: 0 | 1): Promise<L2tpSessionStatus> {
    const shown = await this.l2tp(i, "show session --json");
    return (JSON.parse(shown) as L2tpSessionStatus[])[0]!;
  }
}

export function answers(host: Namespace, size: number): boolean {
  try {
    host.run("ping", "-c", "1", "-W", "1", "-s", `${size}`, INSIDE[1]);
    return true;
  } catch {
    return false;
  }
}
