/** The commands: what `culvert --help` and the reference page list. A command's module is loaded when it is used. */
import type { Command } from "commander";
import type { ExitCode } from "./exit.ts";
import type { Parts } from "./parts.ts";

export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  /** A command line that works as written, but for addresses and names. */
  readonly example: string;
  readonly load: () => Promise<CommandModule>;
}

export interface CommandModule {
  /** Gives the command its flags and its action, which calls `done` or throws. */
  define(command: Command, done: (code: ExitCode) => void, parts: Parts): void;
}

export const COMMANDS: readonly CommandRow[] = [
  {
    name: "run",
    summary: "run everything that a configuration file describes",
    example: "culvert run -c culvert.yaml",
    load: () => import("./run.ts"),
  },
  {
    name: "l2tp",
    summary: "add, change, delete and show L2TP tunnels and sessions of a running `culvert run`",
    example:
      "culvert l2tp add tunnel tunnel_id 1 peer_tunnel_id 2 local 192.0.2.1 remote 192.0.2.2 udp_sport 1701 udp_dport 1701",
    load: () => import("./l2tp.ts"),
  },
  {
    name: "reload",
    summary: "make a running `culvert run` read its file anew; what is unchanged runs on",
    example: "culvert reload",
    load: () => import("./reload.ts"),
  },
  {
    name: "relay",
    summary: "serve multicast to AMT gateways",
    example: "culvert relay --local 192.0.2.1 --ingress eth1",
    load: () => import("./single.ts"),
  },
  {
    name: "gateway",
    summary: "join through an AMT relay for this host and its bridged hosts",
    example: "culvert gateway --local 192.0.2.2 --relay 192.0.2.1 --tun culvert0",
    load: () => import("./single.ts"),
  },
  {
    name: "receive",
    summary: "join one stream through AMT and write its payloads, without privilege",
    example: "culvert receive amt://198.51.100.7@232.1.1.1:5000 --relay 192.0.2.1 -o stream.ts",
    load: () => import("./single.ts"),
  },
  {
    name: "status",
    summary: "show tunnels, groups, counters and drops of what is running",
    example: "culvert status --watch",
    load: () => import("./status.ts"),
  },
  {
    name: "demo",
    summary: "carry a real stream through a relay and two gateways on this host",
    example: "culvert demo",
    load: () => import("./demo.ts"),
  },
  {
    name: "bench",
    summary: "measure how fast Culvert is on this host, beside what else there is",
    example: "culvert bench fanout --quick",
    load: () => import("./bench.ts"),
  },
  {
    name: "doctor",
    summary: "check what this host offers and say how to mend what it lacks",
    example: "culvert doctor",
    load: () => import("./doctor.ts"),
  },
];
