/**
 * The state of a large relay: `run.ts` in a process of its own, then a running relay that serves a
 * stream at half of what it can, by itself and while a crowd of gateways joins other groups through it.
 */
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { run } from "../../src/lab/tool.ts";
import { describeMachine } from "../machine.ts";
import { ROOT } from "../places.ts";
import { figure, type Effort, type Figure, type Result } from "../result.ts";
import { spread } from "../statistics.ts";
import { quiet, rate, witness, type Timing } from "../system/fanout.ts";
import { buildPrograms } from "../system/native.ts";
import { CROWD, FAR, Path, WITNESS } from "../system/path.ts";
import { CulvertRow, FIRST_GATEWAY, outcome, type RelayLoss } from "../system/rows.ts";
import type { Measurement } from "./run.ts";

interface Size {
  /** GATEWAYS, GROUPS, HOURS, and seconds of Query Interval. */
  readonly state: readonly [number, number, number, number];
  /** Rounds of the capacity's measuring. */
  readonly timing: Timing;
  /** Milliseconds of the stream without joins. */
  readonly alone: number;
}

const SIZES: Readonly<Record<Effort, Size>> = {
  full: {
    state: [100_000, 10, 1, 125],
    timing: { gateways: [100], rounds: 5, ramp: 300, window: 1_000 },
    alone: 10_000,
  },
  quick: {
    state: [20_000, 10, 1, 600],
    timing: { gateways: [100], rounds: 3, ramp: 200, window: 400 },
    alone: 3_000,
  },
  sanity: {
    state: [500, 10, 0.5, 600],
    timing: { gateways: [3], rounds: 1, ramp: 50, window: 50 },
    alone: 100,
  },
};

/** Gateways that must be able to join in a second. */
const JOINS = 500;
/** Milliseconds that a busy machine may take longer than that. */
const PATIENCE = 30_000;
/** Seconds after which a stream ends by itself. */
const LONGEST = 3_600;
/** Where the crowd of `join-crowd.ts` seems to be. */
const CROWD_NET = "10.96.0.0/15";
const DEVICE = "crowd0";
/** Nobody sends from here. */
const ELSEWHERE = "198.51.100.9";

const SUBJECT = "culvert";

export async function runState(effort: Effort, progress: (line: string) => void): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const { state } = SIZES[effort];
  const [gateways, groups, hours, interval] = state;
  progress(`state: ${gateways} gateways with ${groups} groups each`);
  const figures = [...held(state)];
  figures.push(...(await beside(gateways, SIZES[effort], progress)));
  return {
    suite: "state",
    takenAt,
    effort,
    machine,
    settings: { gateways, groups, hours, queryInterval: interval },
    figures,
    ratios: [],
    notes: [],
  };
}

/** What the state takes, and how fast it is made and renewed. */
function held(state: Size["state"]): Figure[] {
  const [gateways, groups] = state;
  const program = path.join(ROOT, "dist/bench/state/run.js");
  const text = run(process.execPath, [program, ...state.map(String)]);
  const measured = JSON.parse(text) as Measurement;
  const { join, renewals, memory, tunnels, members, left } = measured;
  if (tunnels !== gateways || members !== gateways * groups || left !== 0)
    throw new Error(`${gateways} gateways became ${text}`);
  const subject = SUBJECT;
  const goal = { atLeast: 20_000 };
  const grown = memory.at(-1)! - memory[0]!;
  return [
    figure({ case: "joining", subject, unit: "updates/s", goal }, [join]),
    figure({ case: "renewing", subject, unit: "updates/s", goal }, renewals),
    figure({ case: "memory", subject, unit: "octets", goal: { atMost: 1e9 } }, memory),
    figure({ case: "memory grown", subject, unit: "octets", goal: { atMost: 0.1 * memory[0]! } }, [
      Math.max(0, grown),
    ]),
  ];
}

/** A stream at half of the relay's capacity, by itself and while the crowd joins. */
async function beside(
  crowd: number,
  { timing, alone }: Size,
  progress: (line: string) => void,
): Promise<Figure[]> {
  const gateways = timing.gateways[0]!;
  const row = new CulvertRow(await Path.make(false), gateways, buildPrograms());
  try {
    await row.start();
    row.path.deliver(CROWD, false);
    row.path.deliver(WITNESS, false);
    const capacity: number[] = [];
    for (let round = 0; round < timing.rounds; round++) capacity.push(await rate(row, timing));
    row.path.deliver(WITNESS, true);
    const pace = Math.floor(spread(capacity).median / gateways / 2);
    progress(`state: ${pace} packets a second to ${gateways} gateways`);
    const before = await stream(row, pace, () => setTimeout(alone));
    progress(`state: ${crowd} gateways join beside them`);
    placeCrowd(row);
    let joins = 0;
    const meanwhile = await stream(row, pace, async () => {
      joins = await join(row, crowd);
    });
    const tunnels = await row.tunnels();
    if (tunnels !== crowd + gateways) throw new Error(`the crowd became ${tunnels} tunnels`);
    const subject = SUBJECT;
    const goal = { atMost: 0 };
    const lost = (name: string, packets: number): Figure =>
      figure({ case: name, subject, unit: "packets", goal }, [packets]);
    return [
      figure({ case: "capacity", subject, unit: "packets/s" }, capacity),
      figure({ case: "joining beside half of it", subject, unit: "updates/s" }, [joins]),
      lost("lost of that half, nobody joining", before.missed),
      lost("lost meanwhile", meanwhile.missed),
      lost("of these, before the relay read them", meanwhile.ingress),
      lost("dropped by the relay meanwhile", meanwhile.dropped),
    ];
  } finally {
    row.path.remove();
  }
}

/** What became of a stream: packets that the witness did not get, and what the relay knows of it. */
interface Loss extends RelayLoss {
  readonly missed: number;
}

/** Runs a stream at `pace` packets a second as long as `during` takes. */
async function stream(row: CulvertRow, pace: number, during: () => Promise<void>): Promise<Loss> {
  const before = await row.lost();
  let sent = 0;
  const seen = await witness(row, async () => {
    const source = row.paced(pace * LONGEST, pace);
    await source.ready();
    await during();
    if (source.exit) throw new Error(`the source ended early: ${source.stderr.trim()}`);
    source.kill("SIGTERM");
    sent = (JSON.parse(await outcome(source)) as { datagrams: number }).datagrams;
    await quiet(row);
    // What the witness itself had no room for says nothing about the relay.
    const { packets } = row.path.taken(WITNESS, FIRST_GATEWAY);
    if (packets > 0) throw new Error(`the witness was too slow for ${packets} packets`);
  });
  const after = await row.lost();
  return {
    missed: sent - seen.received + seen.wrong + seen.late,
    ingress: after.ingress - before.ingress,
    dropped: after.dropped - before.dropped,
  };
}

/** Makes the way to the crowd's addresses. */
function placeCrowd({ path: { far, relay } }: CulvertRow): void {
  far.sysctl("net/ipv4/ip_forward", 1);
  far.ip("tuntap", "add", "mode", "tun", "name", DEVICE);
  far.up(DEVICE);
  far.route(CROWD_NET, DEVICE);
  relay.ip("route", "add", CROWD_NET, "via", FAR);
}

/** Has the crowd join; how many a second did. */
async function join(row: CulvertRow, crowd: number): Promise<number> {
  const program = path.join(ROOT, "dist/bench/state/join-crowd.js");
  const joining = row.path.far.start(process.execPath, [
    ...[program, DEVICE, row.address, ELSEWHERE, String(crowd)],
  ]);
  const { code } = await joining.finish((1_000 * crowd) / JOINS + PATIENCE);
  if (code !== 0) throw new Error(`the crowd did not join in time: ${joining.stderr.trim()}`);
  return (JSON.parse(joining.stdout.trim().split("\n").at(-1)!) as { rate: number }).rate;
}
