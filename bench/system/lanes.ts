/**
 * What a packet costs with one lane, two and four: processor time of the whole daemon, by the kernel's own
 * account, for each packet that leaves it. More lanes than cores are made on purpose: it is the cost that
 * counts here, not the rate.
 */
import { setTimeout } from "node:timers/promises";
import { describeMachine } from "../machine.ts";
import { figure, ratio, type Effort, type Figure, type Goal, type Result } from "../result.ts";
import { atSaturation } from "./fanout.ts";
import { buildPrograms, type Native } from "./native.ts";
import { CROWD, Path, WITNESS } from "./path.ts";
import { CulvertWire, flooded, sink, SINK, SMALL } from "./pseudowire.ts";
import { CulvertRow, PAYLOAD, SLEEPING } from "./rows.ts";
import { threads } from "./threads.ts";
import { EFFORTS, type Timing } from "./window.ts";
import { Wire } from "./wire.ts";

const LANES = [1, 2, 4];
const GATEWAYS = 100;
/** Nanoseconds of a tick of the kernel's clock (USER_HZ), which is the same on every Linux system. */
const TICK = 1e7;
/** Against one lane: the cost may not grow by more than a tenth. */
const GOAL: Goal = { atLeast: 0.9 };

/** A daemon under load. */
interface Scene {
  readonly case: string;
  readonly subject: string;
  /** True if it is held to the cost of one lane. */
  readonly held: boolean;
  readonly measure: (timing: Timing) => Promise<number>;
  remove(): void;
}

export async function runLanes(effort: Effort, progress: (line: string) => void): Promise<Result> {
  const machine = describeMachine();
  const takenAt = new Date().toISOString();
  const timing = EFFORTS[effort];
  const programs = buildPrograms();
  const figures: Figure[] = [];
  const ratios = [];
  for (const setUps of cases(programs)) {
    const scenes: Scene[] = [];
    try {
      for (const setUp of setUps) scenes.push(await setUp());
      const samples = scenes.map((): number[] => []);
      for (let round = 0; round < timing.rounds; round++)
        for (const [i, scene] of scenes.entries()) {
          progress(`lanes: ${scene.case}, ${scene.subject}: round ${round + 1}`);
          samples[i]!.push(await scene.measure(timing));
        }
      const made = scenes.map((scene, i) =>
        figure({ case: scene.case, subject: scene.subject, unit: "ns/packet" }, samples[i]!),
      );
      figures.push(...made);
      for (const [i, one] of made.slice(1).entries())
        ratios.push(ratio(one, made[0]!, scenes[i + 1]!.held ? GOAL : undefined));
    } finally {
      for (const scene of scenes) scene.remove();
    }
  }
  const settings = { rounds: timing.rounds, windowMs: timing.window, gateways: GATEWAYS };
  return { suite: "lanes", takenAt, effort, machine, settings, figures, ratios, notes: [] };
}

function cases(programs: Record<Native, string>): (() => Promise<Scene>)[][] {
  const l2tp = (name: string, octets: number, segments: number) => [
    ...LANES.map((lanes) => () => joining(programs, name, { octets, segments, lanes })),
    () => joining(programs, name, { octets, segments, lanes: 2, spread: "sessions" }),
  ];
  return [
    LANES.map((lanes) => () => replicating(programs, lanes)),
    l2tp("L2TP, UDP to TAP, trains", PAYLOAD, 44),
    l2tp("L2TP, UDP to TAP, 64 octets", SMALL, 1),
  ];
}

function named(lanes: number): string {
  return lanes === 1 ? "1 lane" : `${lanes} lanes`;
}

async function replicating(programs: Record<Native, string>, lanes: number): Promise<Scene> {
  const path = await Path.make(false);
  try {
    const row = new CulvertRow(path, GATEWAYS, programs);
    row.words = ["--lanes", String(lanes), ...SLEEPING];
    await row.start();
    for (const place of [CROWD, WITNESS] as const) path.deliver(place, false);
    return {
      case: `relay, ${GATEWAYS} gateways`,
      subject: named(lanes),
      held: true,
      measure: ({ ramp, window }) =>
        atSaturation(row, ramp, () =>
          cost(row.relay.pid!, window, async () => (await row.sent()).datagrams),
        ),
      remove: () => path.remove(),
    };
  } catch (error) {
    path.remove();
    throw error;
  }
}

interface Shape {
  readonly octets: number;
  readonly segments: number;
  readonly lanes: number;
  readonly spread?: "sessions";
}

/** The receiving end of a pseudowire. */
async function joining(
  programs: Record<Native, string>,
  name: string,
  { octets, segments, lanes, spread }: Shape,
): Promise<Scene> {
  const wire = new Wire();
  try {
    const row = new CulvertWire(wire, programs);
    row.lanes = lanes;
    row.busyPoll = 0;
    row.tunnel = spread === undefined ? "" : ` spread ${spread}`;
    await row.start();
    wire.open();
    await sink(row);
    const arrived = () => Promise.resolve(wire.arrived(SINK).packets);
    return {
      case: name,
      subject: spread === undefined ? named(lanes) : `${named(lanes)}, spread ${spread}`,
      held: spread === undefined,
      measure: ({ ramp, window }) =>
        flooded(row, { octets, segments }, ramp, () => cost(row.daemons[1]!.pid!, window, arrived)),
      remove: () => wire.remove(),
    };
  } catch (error) {
    wire.remove();
    throw error;
  }
}

/** Nanoseconds of a process's time for each packet of the window. */
async function cost(pid: number, window: number, packets: () => Promise<number>): Promise<number> {
  const from = [ticksOf(pid), await packets()] as const;
  await setTimeout(window);
  const to = [ticksOf(pid), await packets()] as const;
  return ((to[0] - from[0]) * TICK) / (to[1] - from[1]);
}

function ticksOf(pid: number): number {
  let all = 0;
  for (const ticks of threads(pid).values()) all += ticks;
  return all;
}
