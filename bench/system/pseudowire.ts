/**
 * An Ethernet pseudowire between two hosts on one machine: TCP through it (iperf3, one stream and
 * eight, both ways) and small packets. Culvert's L2TPv3 beside a C program that makes the same
 * system calls in the same batches and nothing else, the kernel's VXLAN driver, and a plain loop on
 * `node:dgram`.
 */
import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import path from "node:path";
import type { Program } from "../../src/lab/program.ts";
import { requireTool } from "../../src/lab/tool.ts";
import { describeMachine } from "../machine.ts";
import { ROOT } from "../places.ts";
import { figure, sideBySide, type Effort, type Figure, type Goal, type Result } from "../result.ts";
import { buildPrograms, type Native } from "./native.ts";
import { COMMAND, FIRST, launch, NEARLY_FIRST, outcome } from "./rows.ts";
import { DEVICE, UNDER, Wire, type End } from "./wire.ts";

interface Timing {
  readonly rounds: number;
  /** Seconds of each measurement. */
  readonly window: number;
}

const EFFORTS: Readonly<Record<Effort, Timing>> = {
  full: { rounds: 9, window: 1 },
  quick: { rounds: 3, window: 1 },
  sanity: { rounds: 1, window: 1 },
};

export const PORT = 1701;
/** Octets of UDP payload that make a frame of 64 octets. */
export const SMALL = 64 - 14 - 20 - 8;

/** Milliseconds in which the queue of a socket that is not read must be full. */
const PATIENCE = 30_000;

/** UDP port that small packets are for. */
export const SINK = 9_000;

interface Case {
  readonly name: string;
  readonly unit: "bits/s" | "packets/s";
  readonly goals: Readonly<Record<string, Goal>>;
  run(row: Row, window: number): Promise<number>;
}

const TCP_GOALS = { native: { atLeast: 0.85 }, "node:dgram": { atLeast: 10 } };

const CASES: readonly Case[] = [
  ...[1, 8].flatMap((streams) =>
    [false, true].map((back): Case => ({
      name: `TCP, ${streams} ${streams === 1 ? "stream" : "streams"}${back ? ", back" : ""}`,
      unit: "bits/s",
      goals: TCP_GOALS,
      run: (row, window) => tcp(row, streams, back, window),
    })),
  ),
  {
    name: "frames of 64 octets",
    unit: "packets/s",
    goals: { native: { atLeast: 0.85 } },
    run: small,
  },
];

export async function runPseudowire(
  effort: Effort,
  progress: (line: string) => void,
): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { rounds, window } = EFFORTS[effort];
  const programs = buildPrograms();
  const rows: Row[] = [];
  const figures: Figure[] = [];
  try {
    for (const Kind of [CulvertWire, NativeWire, VxlanWire, DgramWire]) {
      const row = new Kind(new Wire(), programs);
      rows.push(row);
      await row.start();
      row.wire.open();
      await serve(row);
      await sink(row);
      await prove(row);
    }
    for (const one of CASES) {
      const samples = new Map(rows.map((row) => [row, [] as number[]]));
      for (let round = 0; round < rounds; round++) {
        progress(`pseudowire: ${one.name}: round ${round + 1} of ${rounds}`);
        // Each round begins with another row.
        for (let i = 0; i < rows.length; i++) {
          const row = rows[(i + round) % rows.length]!;
          samples.get(row)!.push(await one.run(row, window));
        }
      }
      for (const row of rows)
        figures.push(
          figure({ case: one.name, subject: row.name, unit: one.unit }, samples.get(row)!),
        );
    }
    for (const row of rows)
      for (const [of, count] of Object.entries(row.copies)) {
        const what = { case: `of an octet of ${of}`, subject: row.name, unit: "copies" } as const;
        figures.push(figure(what, [count]));
      }
  } finally {
    for (const row of rows) row.wire.remove();
  }
  const rates = figures.filter((one) => one.unit !== "copies");
  const others = ["native", "vxlan", "node:dgram"];
  return {
    suite: "pseudowire",
    takenAt,
    effort,
    machine,
    settings: { rounds, windowSeconds: window },
    figures,
    ratios: others.flatMap((over) => sideBySide(rates, "culvert", over, goalsOver(over))),
    notes: [],
  };
}

function goalsOver(over: string): Record<string, Goal> {
  return Object.fromEntries(
    CASES.flatMap(({ name, goals }) => (goals[over] === undefined ? [] : [[name, goals[over]]])),
  );
}

/** Starts the server of iperf3 in the east. */
async function serve({ wire }: Row): Promise<void> {
  const server = wire.east.namespace.start(requireTool("iperf3", "iperf3"), [
    "--server",
    "--forceflush",
  ]);
  await server.line(/listening/, "stdout", 10_000);
}

/** Opens the socket in the east that small packets are for, and never reads it. */
export async function sink({ wire, programs }: Row): Promise<void> {
  const place = [wire.east.inner, String(SINK), "0", String(SMALL)];
  const program = wire.east.namespace.start(programs.check, place);
  await program.ready();
  program.kill("SIGSTOP");
}

/** A ping in each direction, as the proof that the wire carries what it is given. */
async function prove({ wire, name }: Row): Promise<void> {
  const ping = requireTool("ping", "iputils-ping");
  for (const [from, to] of [
    [wire.west, wire.east],
    [wire.east, wire.west],
  ] as const) {
    const words = ["-c", "3", "-i", "0.2", "-W", "2", "-s", "1000", to.inner];
    const { code } = await from.namespace.start(ping, words).finish(20_000);
    if (code !== 0) throw new Error(`${name}: no ping comes through`);
  }
}

/** Bits of TCP payload a second that the receiver got. */
async function tcp({ wire }: Row, streams: number, back: boolean, window: number): Promise<number> {
  const words = ["--client", wire.east.inner, "--json", "--time", String(window), "--omit", "1"];
  words.push("--parallel", String(streams), ...(back ? ["--reverse"] : []));
  const text = await outcome(wire.west.namespace.start(requireTool("iperf3", "iperf3"), words));
  const report = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } };
  return report.end.sum_received.bits_per_second;
}

/** What a source sends through a wire: octets of payload, and datagrams in a train. */
export interface Flood {
  readonly octets: number;
  readonly segments: number;
}

/** Runs `during` while a source in the west sends as fast as it can to the sink in the east. */
export async function flooded<T>(
  { wire, programs }: Row,
  { octets, segments }: Flood,
  ramp: number,
  during: () => Promise<T>,
): Promise<T> {
  const trains = segments > 1 ? ["-s", String(segments)] : [];
  const stream = [wire.west.inner, wire.east.inner, String(SINK), String(octets), "3600"];
  const source = wire.west.namespace.start(programs.source, [...trains, "-1", ...stream]);
  await source.ready();
  // The socket's queue must be full before anything is counted.
  const before = wire.arrived(SINK).packets;
  const late = performance.now() + PATIENCE;
  while (wire.arrived(SINK).packets === before && performance.now() < late) await setTimeout(50);
  await setTimeout(ramp);
  const result = await during();
  source.kill("SIGTERM");
  await outcome(source);
  return result;
}

/** Small packets a second that reach the eastern host's stack at saturation. */
export function small(row: Row, window: number): Promise<number> {
  return flooded(row, { octets: SMALL, segments: 1 }, 300, async () => {
    const from = row.wire.arrived(SINK);
    await setTimeout(window * 1_000);
    const to = row.wire.arrived(SINK);
    return ((to.packets - from.packets) / (to.at - from.at)) * 1_000;
  });
}

/** From the device, into the socket, out of the socket, into the device. */
const READ_AND_WRITTEN = { TCP: 4, "small frames": 4 };

/** One way to join two hosts. */
abstract class Row {
  abstract readonly name: string;
  /**
   * How often the row copies an octet between the two hosts' stacks, by the programs' and the kernel's
   * code. What TCP's own ends copy is left out; it is the same for all.
   */
  readonly copies: Readonly<Record<"TCP" | "small frames", number>> = READ_AND_WRITTEN;
  /** The programs that join them, in the west, then in the east. */
  readonly daemons: Program[] = [];

  constructor(
    readonly wire: Wire,
    readonly programs: Record<Native, string>,
  ) {}

  /** Makes DEVICE at both ends, so that addresses alone are missing. */
  abstract start(): Promise<void>;

  /** Each end beside the other one. */
  protected get pairs(): readonly (readonly [End, End])[] {
    const { west, east } = this.wire;
    return [
      [west, east],
      [east, west],
    ];
  }

  protected async launch(end: End, words: readonly string[], place = FIRST): Promise<void> {
    const started = launch(end.namespace, [...place, ...words]);
    this.daemons.push(started);
    await started.ready();
  }
}

/** Culvert's L2TPv3 over UDP, set up by the words of `ip l2tp`. */
export class CulvertWire extends Row {
  readonly name = "culvert";
  /** Flags of Node for each of them. */
  flags: readonly (readonly string[])[] = [];
  lanes = 1;
  /** Microseconds that lanes look for packets before they sleep. */
  busyPoll: number | undefined;
  /** More words of both tunnels. */
  tunnel = "";

  /** The command line of `culvert l2tp` for the daemon in the west (0) or the east (1). */
  command(end: number, ...words: string[]): [string, ...string[]] {
    const control = path.join(this.wire.folder, `${end}.sock`);
    return [process.execPath, COMMAND, "l2tp", "--control", control, ...words];
  }

  async start(): Promise<void> {
    const file = path.join(this.wire.folder, "lanes.yaml");
    const { lanes, busyPoll } = this;
    writeFileSync(file, JSON.stringify({ l2tp: { lanes, busyPoll } }));
    for (const [end, [here, there]] of this.pairs.entries()) {
      const control = ["--control", path.join(this.wire.folder, `${end}.sock`)];
      const node = [process.execPath, ...(this.flags[end] ?? []), COMMAND];
      await this.launch(here, [...node, "run", "-c", file, ...control], NEARLY_FIRST);
      const ids = `tunnel_id ${1 + end} peer_tunnel_id ${2 - end}`;
      const outer = `local ${here.outer} remote ${there.outer} udp_sport ${PORT} udp_dport ${PORT}`;
      const session = `tunnel_id ${1 + end} session_id ${1 + end} peer_session_id ${2 - end}`;
      for (const words of [
        `add tunnel ${ids} encap udp ${outer} udp_csum on${this.tunnel}`,
        `add session name ${DEVICE} ${session} l2spec_type none`,
      ]) {
        const [program, ...args] = this.command(end, ...words.split(" "));
        await outcome(here.namespace.start(program, args));
      }
    }
  }
}

/** The same system calls in C, and nothing else. */
export class NativeWire extends Row {
  readonly name = "native";

  async start(): Promise<void> {
    for (const [here, there] of this.pairs) {
      const outer = [here.outer, String(PORT), there.outer, String(PORT)];
      await this.launch(here, [this.programs.pseudowire, DEVICE, ...outer]);
    }
  }
}

/** A loop on `node:dgram`. */
class DgramWire extends Row {
  readonly name = "node:dgram";

  async start(): Promise<void> {
    for (const [here, there] of this.pairs) {
      const program = path.join(ROOT, "dist/bench/system/dgram-wire.js");
      const words = [DEVICE, here.outer, there.outer, String(PORT)];
      await this.launch(here, [process.execPath, program, ...words]);
    }
  }
}

/** The kernel's VXLAN driver, from point to point. */
class VxlanWire extends Row {
  readonly name = "vxlan";
  /** The sender's own buffer goes through the devices. */
  override readonly copies = { TCP: 0, "small frames": 0 };

  start(): Promise<void> {
    for (const [here, there] of this.pairs) {
      const ends = ["local", here.outer, "remote", there.outer, "dstport", "4789"];
      here.namespace.ip("link", "add", DEVICE, "type", "vxlan", "id", "7", ...ends, "dev", UNDER);
    }
    return Promise.resolve();
  }
}
