/** Debian's own DNS server, BIND, authoritative for the zones of a test. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Program, Host } from "../../src/lab/program.ts";
import { requireTool } from "../../src/lab/tool.ts";

/** Zones by their names, each with its records as a zone file has them. */
export type Zones = Readonly<Record<string, readonly string[]>>;

/** Starts `named` on 127.0.0.1 and waits until it serves; its files go to `folder`. */
export async function startNamed(
  host: Host,
  folder: string,
  port: number,
  zones: Zones,
): Promise<Program> {
  const blocks = Object.entries(zones).map(([zone, records], i) => {
    const file = path.join(folder, `zone${i}`);
    const head = ["$TTL 60", "@ SOA ns root 1 3600 600 86400 30", "@ NS ns", "ns A 127.0.0.1"];
    writeFileSync(file, `${[...head, ...records].join("\n")}\n`);
    return `zone "${zone}" { type primary; file "${file}"; };`;
  });
  const options = [
    `directory "${folder}"; pid-file none; session-keyfile "${folder}/session.key";`,
    `listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };`,
    "recursion no; dnssec-validation no; empty-zones-enable no;",
  ];
  const conf = path.join(folder, "named.conf");
  writeFileSync(conf, `options { ${options.join(" ")} };\ncontrols { };\n${blocks.join("\n")}\n`);
  const named = host.start(requireTool("named", "bind9"), ["-g", "-n", "1", "-c", conf]);
  await named.line(/ running$/, "stderr", 20_000);
  return named;
}
